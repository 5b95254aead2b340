"""Settings as frozen dataclasses, every field defaulted. Reads no file and no environment variable.

``DecodingConfig`` is where the research lives: each part of the method is one field, so a baseline or an ablation is a
value and not a code path. ``PRESETS`` names the values people ask for by ``--trigger``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path


class Trigger(StrEnum):
    """When the tool is asked."""

    OFF = "off"  # never: the plain model
    DOT = "dot"  # at every attribute access and at every name that starts an expression; any model
    MARK = "mark"  # where the model writes the mark token; needs an adapter


@dataclass(frozen=True, slots=True)
class DecodingConfig:
    """How text is generated. The defaults are our method; ``PRESETS['paper']`` is the published one.

    Attributes:
        trigger: when the tool is asked.
        whole_identifier: choose by the probability of the whole name, else greedily token by token.
        boundary: after a chosen name the next character cannot continue the identifier.
        abstain: the list may be declined (rule 4); else it is forced.
        repair: Jedi sees a repaired buffer, else the truncated one.
        index: the member index is a second source.
        import_names: names that would need an import are offered, with the import as a second edit.
        context: the prompt holds repository context, else only signature and docstring.
        abstain_below: decline an untrusted list whose total probability is below this.
        abstain_below_trusted: the same for a trusted list.
        mark_confidence: a mark the model writes with less probability asks nothing.
        mark_share: a mark that has at least this share of the likeliest token's probability is weighed against what can
            be written without it; None writes a mark where it is the likeliest token.
        ask_unfamiliar: with ``Trigger.MARK``, a name without a mark is asked for too where the text does not show that
            it exists.
        draft_tokens: longest speculative draft; 0 turns drafting off.
        tree_tokens: most nodes of a suggestion tree scored in one forward.
        prompt_tokens: budget of the prompt.
    """

    trigger: Trigger = Trigger.DOT
    whole_identifier: bool = True
    boundary: bool = True
    abstain: bool = True
    repair: bool = True
    index: bool = True
    import_names: bool = True
    context: bool = True
    abstain_below: float = 0.05
    abstain_below_trusted: float = 0.0005
    mark_confidence: float = 0.0
    mark_share: float | None = 0.3
    ask_unfamiliar: bool = True
    draft_tokens: int = 16
    tree_tokens: int = 8
    prompt_tokens: int = 1024


PRESETS: dict[str, DecodingConfig] = {
    "off": DecodingConfig(trigger=Trigger.OFF),
    "dot": DecodingConfig(trigger=Trigger.DOT),
    "mark": DecodingConfig(trigger=Trigger.MARK),
    # ToolGen (arXiv 2401.06391): unrepaired buffer, greedy walk of the trie, no boundary, forced list, prompt of
    # signature and docstring. Where no adapter with a mark is loaded, the service asks at the positions of `dot`.
    "paper": DecodingConfig(
        trigger=Trigger.MARK,
        whole_identifier=False,
        boundary=False,
        abstain=False,
        repair=False,
        index=False,
        import_names=False,
        context=False,
        mark_confidence=0.5,
        mark_share=None,
        ask_unfamiliar=False,
        draft_tokens=0,
    ),
}


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """``temperature`` 0 is greedy. ``candidates`` > 1 samples all but the first, which stays greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    candidates: int = 1


@dataclass(frozen=True, slots=True)
class ToolConfig:
    """The repository tool.

    Attributes:
        deadline_s: longest wait for one answer; then the tool abstains.
        kill_after_s: a worker that has not answered for this long is killed and restarted.
        workers: Jedi processes; the second starts only when the first is late.
        memory_bytes: resident memory above which a worker is restarted.
        trusted: the user trusts the workspace: its interpreter may run and its environment may be read.
        python: interpreter whose packages Jedi should know; None discovers one.
        cache: folder for what Jedi has parsed; None is Jedi's own, in the user's cache.
        ahead: Jedi is asked what a function is likely to need before it is needed; not worth it where nobody waits.
    """

    deadline_s: float = 1.0
    kill_after_s: float = 10.0
    workers: int = 2
    memory_bytes: int = 1_500_000_000
    trusted: bool = True
    python: Path | None = None
    cache: Path | None = None
    ahead: bool = True


CONTEXT_TOKENS = (1024, 1 << 20)  # least and most that can be asked for


class Selection(StrEnum):
    """When attention sees a chosen part of a long prompt."""

    AUTO = "auto"  # where the sequence would not fit into what the model was trained for
    ON = "on"  # wherever there is anything to leave out
    OFF = "off"  # never: nothing longer is read


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Everything ``service.build_generator`` needs to choose and wire the parts."""

    model: str = "default"
    adapter: str | None = None  # a name or a folder; "none" takes the model as it is, None what ships for the trigger
    dtype: str = "auto"  # auto, int8, float32, bfloat16
    threads: int | None = None
    max_tokens: int = 256
    context_tokens: int | None = None  # longest sequence; None is what the model was trained for
    selection: Selection = Selection.AUTO
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    tool: ToolConfig = field(default_factory=ToolConfig)

    def with_preset(self, name: str) -> GeneratorConfig:
        """This configuration with the decoding settings of a preset.

        Raises:
            KeyError: there is no such preset.
        """
        return replace(self, decoding=PRESETS[name])

    def filling(self, context_tokens: int | None) -> GeneratorConfig:
        """This configuration with a context of so many tokens and prompts that fill it; None changes nothing."""
        if context_tokens is None:
            return self
        decoding = replace(self.decoding, prompt_tokens=context_tokens)
        return replace(self, context_tokens=context_tokens, decoding=decoding)
