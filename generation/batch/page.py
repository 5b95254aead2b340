"""A page to look at a run: every function with its diff, what the checks say, and where the tool was asked.

Sorted by doubt, so that reading from the top finds what is wrong. One file without scripts or a network. Start reading
at ``as_html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from generation.batch.records import BatchRecord, Status

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
summary { cursor: pointer; } details { border-top: 1px solid #8884; padding: .4rem 0; }
pre { overflow-x: auto; padding: .6rem; background: #8881; } .add { color: #1a7f37; } .del { color: #cf222e; }
td, th { padding: 0 .8rem 0 0; text-align: left; vertical-align: top; } .bad { color: #cf222e; font-weight: 600; }
@media (prefers-color-scheme: dark) { .add { color: #56d364; } .del, .bad { color: #ff7b72; } }
"""


def as_html(records: Sequence[BatchRecord], diffs: Mapping[tuple[str, ...], str], title: str) -> str:
    """The page.

    Args:
        records: of the run.
        diffs: of each body alone, by the record's key.
        title: of the page.
    """
    done = [record for record in records if record.status is Status.DONE]
    clean = sum(not record.problems and record.test_failed is None for record in done)
    failures = len(records) - len(done)
    counts = f"{len(records)} functions: {clean} without a finding, {len(done) - clean} with, {failures} failed"
    ordered = sorted(records, key=lambda record: -record.doubt)
    parts = "".join(_function(record, diffs.get(record.key, "")) for record in ordered)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    intro = f"<h1>{escape(title)}</h1><p>{counts}. Doubtful ones first; what was found is open."
    intro += " In a table: how many names the tool offered (? where there may be others), the best of them, "
    intro += "what was written, and what the model would have written.</p>"
    return f'<!doctype html><html lang="en">{head}{intro}{parts}</html>\n'


def _function(record: BatchRecord, diff: str) -> str:
    name = escape(f"{record.repository}: {record.path}::{record.function}")
    found = [f"line {problem['line'] + 1}: {problem['message']}" for problem in record.problems]
    found += [record.error] if record.error else []
    found += ["the test command failed"] if record.test_failed else []
    label = f' <span class="bad">{escape("; ".join(found))}</span>' if found else ""
    body = f"<pre>{_coloured(diff)}</pre>" if diff else ""
    output = f"<pre>{escape(record.test_failed)}</pre>" if record.test_failed else ""
    opened = " open" if found else ""
    return f"<details{opened}><summary>{name}{label}</summary>{body}{output}{_calls(record)}</details>"


def _coloured(diff: str) -> str:
    lines = []
    for line in diff.splitlines():
        kind = {"+": "add", "-": "del"}.get(line[:1])
        lines.append(f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line))
    return "\n".join(lines)


def _calls(record: BatchRecord) -> str:
    if not record.calls:
        return ""
    rows = "".join(
        f"<tr><td>{escape(call['receiver'] or '-')}<td>{call['suggestions']}{'' if call['trusted'] else '?'}"
        f"<td>{escape(', '.join(f'{name} {probability:.2f}' for name, probability in call['best']))}"
        f"<td>{escape(call['chosen'] or '-')}<td>{escape(call['model_choice'] or '-')}"
        for call in record.calls
    )
    return f"<table><tr><th>receiver<th>names<th>best<th>chosen<th>model{rows}</table>"
