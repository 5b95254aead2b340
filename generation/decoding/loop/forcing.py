"""What would be written next, if the text so far were a given one: for measuring choices at places of known code.

The generator's own steps run from there on, so what is measured is what it does. Knows nothing of files and tasks.
Start reading at ``next_name``.
"""

from __future__ import annotations

from dataclasses import dataclass

from generation.decoding.loop.asking import Asker
from generation.decoding.loop.choice import leading_identifier
from generation.decoding.loop.generator import Generator
from generation.decoding.loop.run import Run
from generation.source.body import BlockReader
from generation.types import GenerationRequest, ToolCalled

_MOST_STEPS = 24


@dataclass(frozen=True, slots=True)
class NextName:
    """The name that was written, "" when none was; and the question to the tool there, if one was asked."""

    name: str
    call: ToolCalled | None


def next_name(generator: Generator, request: GenerationRequest, written: str) -> NextName:
    """The name that the generator writes after ``written``.

    Args:
        generator: with its model and tool.
        request: of the whole body.
        written: the body so far, from the start of its first line up to where a name belongs.

    Raises:
        CapacityError: prompt and text do not fit into the model's context.
    """
    tokenizer = generator.model.tokenizer
    ids, missing = generator.vocabulary.encode_stem(request.prompt + written, "return")
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    asker = Asker(generator.tool)
    run = Run(generator, request, generator.model.start([*bos, *ids]), b"", asker)
    try:
        run.block = BlockReader(request.indent)
        run.block.feed(written.encode()[: len(written.encode()) - len(missing)].decode(errors="ignore"))
        run.missing = missing
        calls: list[ToolCalled] = []
        for _ in range(_MOST_STEPS):
            calls += [event for event in run.step() if isinstance(event, ToolCalled)]
            following = run.block.text[len(written) :]
            if run.ended or run.at_boundary or (following and not following.isidentifier()):
                break
        name = leading_identifier(run.block.text[len(written) :])
    finally:
        run.state.close()
        asker.close()
    return NextName(name, next((call for call in calls if call.offset == len(written)), None))
