"""Reading a source file and writing it back: bytes on disk to text and return, nothing lost on the way.

The text keeps the line ends of the file, so an offset into it names a place in the file and an untouched part comes
back byte for byte. Knows nothing of Python's grammar beyond the encoding declaration. Start reading at ``read_source``.
"""

from __future__ import annotations

import codecs
import difflib
import io
import os
import re
import stat
import tempfile
import tokenize
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from generation.errors import TargetError

LIMIT_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was read.

    Attributes:
        path: as given.
        target: the file itself, behind any symbolic link; what ``write_source`` replaces.
        text: decoded, without a byte order mark, with the line ends of the file.
        encoding: Python's name; ``utf-8-sig`` stands for UTF-8 with a byte order mark.
        newline: the line end that most lines have.
        mode: permission bits.
        content: the bytes read, to notice that someone else wrote in between.
    """

    path: Path
    target: Path
    text: str = field(repr=False)
    encoding: str
    newline: str
    mode: int
    content: bytes = field(repr=False)

    @property
    def bom(self) -> bool:
        """Whether the file starts with a byte order mark."""
        return self.content.startswith(codecs.BOM_UTF8)


def read_source(path: Path) -> SourceFile:
    """Read and decode a Python file as Python would (PEP 263).

    Raises:
        TargetError: there is no such file, it is no text in its encoding, too large, or may not be read.
    """
    try:
        target = path.resolve(strict=True)
        status = target.stat()
        _check_readable(path, status)
        content = target.read_bytes()
    except FileNotFoundError as error:
        raise TargetError(f"there is no file {path}{_near_files(path)}") from error
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its links form a circle"
        raise TargetError(f"{path} cannot be read: {reason}") from error
    text, encoding = _decode(path, content)
    return SourceFile(path, target, text, encoding, dominant_newline(text), stat.S_IMODE(status.st_mode), content)


def write_source(file: SourceFile, text: str) -> None:
    """Replace the file's text in one step: a reader sees the old file or the new one, also after a crash.

    Keeps permissions, owner (where allowed), encoding, byte order mark and symbolic links. ``text`` brings its own
    line ends.

    Raises:
        TargetError: the file is read-only, changed since it was read, or cannot hold the text.
    """
    content = _encode(file, text)
    try:
        if file.target.read_bytes() != file.content:
            raise TargetError(f"{file.path} changed in the meantime, so nothing was written; run it again")
        require_writable(file)
        _replace(file, content)
    except OSError as error:
        raise TargetError(f"{file.path} cannot be written: {error.strerror}; it is unchanged") from error


def require_writable(file: SourceFile) -> None:
    """Say early what ``write_source`` would say after a long generation.

    Raises:
        TargetError: the file is read-only. Its mode counts also for a user whom the system lets write anything.
    """
    if not file.mode & 0o222 or not os.access(file.target, os.W_OK):
        raise TargetError(f"{file.path} is read-only; nothing was written (chmod u+w makes it writable)")


def dominant_newline(text: str) -> str:
    """The line end that most lines have; a line feed for a text without any."""
    counts = Counter(re.findall(r"\r\n|\r|\n", text))
    return counts.most_common(1)[0][0] if counts else "\n"


def _check_readable(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise TargetError(f"{path} is a directory; name a Python file in it")
    if not stat.S_ISREG(status.st_mode):
        raise TargetError(f"{path} is not a regular file")
    if status.st_size > LIMIT_BYTES:
        raise TargetError(f"{path} is too large: {status.st_size:,} bytes, the limit is {LIMIT_BYTES:,}")


def _near_files(path: Path) -> str:
    with suppress(OSError):
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".py" and entry.is_file()]
        near = difflib.get_close_matches(path.name, names, n=3)
        return f"; did you mean {' or '.join(str(path.parent / name) for name in near)}?" if near else ""
    return f"; there is no folder {path.parent}" if not path.parent.exists() else ""


def _decode(path: Path, content: bytes) -> tuple[str, str]:
    if b"\0" in content:
        raise TargetError(f"{path} is binary: it holds null bytes")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
        unchanged = text.encode(encoding) == content
    except UnicodeDecodeError as error:
        raise TargetError(f"{path} is not {error.encoding}: {_not_utf8(content[error.start], error.start)}") from error
    except (SyntaxError, LookupError) as error:
        raise TargetError(f"{path} cannot be decoded: {error}; {_DECLARE}") from error
    if not unchanged:
        raise TargetError(f"{path} does not survive decoding and encoding as {encoding}, so it cannot be edited")
    return text, encoding


_DECLARE = "save it as UTF-8, or declare its encoding in the first line as in '# -*- coding: latin-1 -*-'"


def _not_utf8(byte: int, offset: int) -> str:
    return f"byte 0x{byte:02x} at {offset}; {_DECLARE}"


def _encode(file: SourceFile, text: str) -> bytes:
    try:
        return text.encode(file.encoding)
    except UnicodeEncodeError as error:
        wrong = text[error.start : error.end]
        raise TargetError(f"{file.path} is encoded as {file.encoding}, which cannot hold {wrong!r}") from error


def _replace(file: SourceFile, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.target.parent, prefix=f".{file.target.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _copy_owner(file, temporary)
        temporary.chmod(file.mode)
        temporary.replace(file.target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _copy_owner(file: SourceFile, temporary: Path) -> None:
    if hasattr(os, "chown"):
        status = file.target.stat()
        with suppress(PermissionError):
            os.chown(temporary, status.st_uid, status.st_gid)
