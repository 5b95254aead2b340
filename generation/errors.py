"""Every error Memberwise raises on purpose, as one tree.

    MemberwiseError
    ├── ConfigError                a setting or an argument that cannot be used
    │   └── TargetError            the place to generate at: no such file, function or line, not a stub
    ├── MissingExtraError          an optional dependency is not installed; names the pip command
    ├── ModelLoadError             weights that cannot be found, fetched, verified, converted or loaded
    │   └── AdapterMismatchError   an adapter that was trained for another base model
    ├── CapacityError              more tokens or memory than the model or the machine has
    ├── LostError                  the server of a model cannot be reached; the local model writes instead
    ├── RefusedError               it can be reached, but does not write this text; the local model does
    ├── StoppedError               a prompt was not read to its end, as its caller wished; becomes ``Finished.reason``
    └── ToolError                  the repository tool cannot start; inside a generation it never escapes

A message says what happened, the value, and what to do. The command line prints it and exits with code 2.
Cancelling and running out of time are not errors: they are values of ``Finished.reason``.
"""

from __future__ import annotations


class MemberwiseError(Exception):
    """Base of the tree; catch it to catch everything Memberwise raises on purpose."""


class ConfigError(MemberwiseError):
    """A setting or an argument that cannot be used as given."""


class TargetError(ConfigError):
    """The place to generate at cannot be used: missing, ambiguous, already written, not editable."""


class MissingExtraError(MemberwiseError):
    """An optional dependency is not installed.

    Args:
        package: the module that could not be imported.
        extra: the extra of the distribution that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; it comes with: pip install 'memberwise[{extra}]'")
        self.package = package
        self.extra = extra


class ModelLoadError(MemberwiseError):
    """Weights that cannot be found, fetched, verified, converted or loaded."""


class AdapterMismatchError(ModelLoadError):
    """An adapter that was trained for another base model."""


class CapacityError(MemberwiseError):
    """More tokens or memory than the model or the machine has."""


class LostError(MemberwiseError):
    """The server of a model cannot be reached, or not any more."""


class RefusedError(MemberwiseError):
    """The server of a model can be reached, but does not write this text."""


class StoppedError(MemberwiseError):
    """A prompt was not read to its end, because its caller wished so."""


class ToolError(MemberwiseError):
    """The repository tool cannot start or cannot be kept alive."""
