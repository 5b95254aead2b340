"""The steps of one generation.

Everything they do to the model is *score a tree, commit a path*: a plain step is a tree of one token, a speculative
step a chain, a choice among suggestions a trie. Knows nothing of files, editors or prompts. Start at ``Run.step``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from generation.config import Trigger
from generation.decoding.loop.asking import Asker, first_question
from generation.decoding.loop.choice import LONGEST_FREE_TOKENS, IdentifierSearch
from generation.decoding.loop.events import called, showable
from generation.decoding.loop.history import History
from generation.decoding.loop.naming import LOOK_AHEAD_TOKENS, NEVER_ASKED, FreePath, decide, is_no_name
from generation.decoding.loop.published import NEVER_MARKED, write_walked
from generation.decoding.loop.taking_back import retreat
from generation.decoding.loop.triggers import (
    TriggerPoint,
    find_trigger,
    function_start,
    is_familiar,
    names_argument,
    point_after_mark,
)
from generation.decoding.loop.weighing import or_mark, score_mark, with_and_without
from generation.decoding.tokens.covering import covers
from generation.decoding.tokens.detokenize import Detokenizer
from generation.decoding.tokens.logits import log_total, softmax, without
from generation.decoding.tokens.sampling import Sampler
from generation.interfaces import DecodingState
from generation.source.body import BlockReader
from generation.source.repetition import loops, repetition_start
from generation.types import (
    Draft,
    Extent,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    ImportNeeded,
    NameKind,
    TextDelta,
    ToolAnswer,
    ToolCalled,
)

if TYPE_CHECKING:
    from generation.decoding.loop.generator import Generator
    from generation.interfaces import Barred, Logits

_SHOWN_CANDIDATES = 5
_MOST_COMMENT_LINES = 6  # at the start of a body
_DEEPEST_TOKENS = LONGEST_FREE_TOKENS + LOOK_AHEAD_TOKENS + 8  # what is scored behind the sequence at most, and a token


class Run:
    """One generation: the sequence inside the model, and what it is as visible text."""

    def __init__(
        self,
        generator: Generator,
        request: GenerationRequest,
        state: DecodingState,
        missing: bytes,
        asker: Asker,
        must: Callable[[], FinishReason | None] = lambda: None,
    ) -> None:
        self.generator = generator
        self.config = generator.config
        self.vocabulary = generator.vocabulary
        self.request = request
        self.state = state
        self.sampler = Sampler(generator.sampling, request.seed)
        self.detokenizer = Detokenizer()
        self._first_missing = self.missing = missing  # bytes of what is there that the next tokens must spell
        self.block = self._new_block()
        self.at_boundary = False  # a chosen name just ended: the next token cannot continue it
        self.after_mark = False  # a mark was written here or weighed: no other comes, and a name is asked for
        self._weighed = False  # it was not written, because this token is likelier than any behind it
        self.next_id: int | None = None  # chosen, not yet committed
        self._refused_id: int | None = None  # chosen behind a draft, and refused: the choice goes on from there
        self._cover: list[int] = []  # chosen to spell what is missing of the name at the cursor
        self.written_tokens = 0
        self.start = self.shown = self._told = len(request.stem)  # where the generated text starts in that of the block
        self.ended = False
        self.imports: list[ImportNeeded] = []
        self.forwards = self.tool_calls = 0
        self.tool_ms = self.prefill_ms = self.logprob = 0.0
        self.history = History(self.start)
        self.asker = asker
        self._must = must  # why the caller wants it to end now, if so
        self._mark_id = generator.model.tokenizer.mark_id
        self._no_mark = self.vocabulary.barred()
        self._mark_share = self.config.mark_share if self.sampler.greedy else None

    # ------------------------------------------------------------------------------------------ the loop

    def stop_reason(self) -> FinishReason | None:
        """Why the generation must end now, if it must."""
        if self.ended:
            return FinishReason.END
        if self._repeats:
            return FinishReason.REPETITION
        return self._must() or (FinishReason.LIMIT if self._room_tokens <= 0 else None)

    @property
    def _room_tokens(self) -> int:
        """How many more can be written, whatever is drafted."""
        return min(self.request.max_tokens - self.written_tokens, self.state.room_tokens - _DEEPEST_TOKENS)

    def go_back(self, kept: int) -> bool:
        """Keep so many of the written tokens and refuse the one behind them; False if somebody has seen it."""
        if kept == len(self.history) or self.history.lengths[kept] < self.shown:
            return False
        sequence = list(self.state.token_ids)
        place = len(sequence) - len(self.history) + kept
        self.history.refuse(place, sequence[place])
        self.state.close()
        self.state = self.generator.model.start(sequence[:place], lambda: self._must() is not None)
        length, self.logprob = self.history.keep(kept)
        block = self._new_block()
        block.feed(self.block.text[len(block.text) : length if kept else len(block.text)])
        self.block, self.detokenizer = block, Detokenizer()
        self.missing = b"" if kept else self._first_missing
        self.next_id, self._refused_id, self._cover = None, None, []
        self.at_boundary = self.after_mark = self._weighed = False
        return True

    def _new_block(self) -> BlockReader:
        """The block with what is there of it."""
        block = BlockReader(self.request.indent, single=self.request.extent is Extent.LINE)
        there = (self.request.opening + self.request.prefix).encode()
        block.feed(there[: len(there) - len(self._first_missing)].decode())
        block.has_statement |= bool(self.request.stem.strip())
        return block

    def step(self) -> Iterator[GenerationEvent]:
        """Write the next token, draft or name."""
        token_id = self.next_id if self.next_id is not None else self._choose()
        self.next_id = None
        if self._ends(token_id):
            self.ended = True
            self.block.feed(self.detokenizer.feed(self.vocabulary.bytes_of(token_id)))  # `)` of a token like `)\n`
        elif token_id == self._mark_id and (unmarked := self._likelier_than_marked(token_id)) is not None:
            self.next_id, self.after_mark, self._weighed = unmarked, True, True
        elif token_id == self._mark_id:
            yield from self._step_at_mark(token_id)
        elif point := self._trigger_point(token_id):
            yield from self._write_name(point, token_id)
        else:
            self.write_drafted(token_id)
        yield from self._new_text()

    def _likelier_than_marked(self, mark_id: int) -> int | None:
        """The token to write instead of a mark; None where the mark is written.

        A mark is no text, so a token is as likely as it is without the mark and behind it together. Where most of the
        likeliest one's probability is without, it is written so. If it starts a name, the tool is asked all the same,
        and the mark is written after all where the name is not in the list.
        """
        if self._mark_share is None:
            return None
        logits, barred = self.state.next_logits, self._barred()
        rival = int(without(logits, barred | self._no_mark).argmax())
        behind = self._scored_mark(mark_id, rival)[0]
        plain, marked = with_and_without(logits, behind, mark_id, barred, self._no_mark)
        with np.errstate(divide="ignore"):  # what is barred has none
            token_id = self._choose(np.log(plain + marked))
        return token_id if plain[token_id] > marked[token_id] else None

    def _step_at_mark(self, mark_id: int) -> Iterator[ToolCalled]:
        confidence = float(softmax(self.state.next_logits)[mark_id])
        self._scored_mark(mark_id)
        self.state.commit([0])
        self.written_tokens += 1
        self.history.add(len(self.block.text), self.logprob)
        self.after_mark = True
        if not self.block.scanner.in_code or confidence < self.config.mark_confidence:
            return
        first = self._choose()
        if self.vocabulary.bytes_of(first) == b" ":  # a tokenizer that does not join a space to the word behind it
            self._write_one(first)
            self.after_mark = True
            first = self._choose()
        grows = bool(self.missing) or self.block.text[-1:].isidentifier()
        piece = self.detokenizer.preview(self.vocabulary.bytes_of(first))
        if not self._ends(first) and (point := point_after_mark(self.block.scanner, piece, grows=grows)):
            yield from self._write_name(point, first)
        else:
            self.next_id = first

    def _barred(self) -> Barred:
        """(V,) bool: tokens that cannot come next, whatever the model thinks."""
        marks = self.config.trigger is Trigger.MARK and not self.after_mark
        return self.vocabulary.barred(marks, self.at_boundary, self.missing)

    @property
    def _repeats(self) -> bool:
        """A line ended, and the last ones only repeat those before them; or a line does not come to its end."""
        line = self.block.text.rpartition("\n")[2]
        if self.block.scanner.line_is_blank or (self.block.in_docstring and not line.strip()):
            return repetition_start(self.block.text) is not None
        return loops(self.block.text)

    def _choose(self, logits: Logits | None = None) -> int:
        """The next token. A block cannot end before it says something, nor in a ``try``; no cursor opens a comment."""
        if self.missing and self.request.prefix:
            self._cover = self._cover or self._choose_cover()
            return self._cover.pop(0)
        logits, barred = self._unrefused(self.state.next_logits if logits is None else logits), self._barred()
        token_id = self.sampler.choose(logits, barred) if self._refused_id is None else self._refused_id
        self._refused_id = None
        while self._is_refused(token_id):
            barred = barred.copy()
            barred[token_id] = True
            if not np.isfinite(logits[~barred]).any():
                break
            token_id = self.sampler.choose(logits, barred)
        return or_mark(token_id, logits, barred, self._mark_id, self._mark_share)

    def _unrefused(self, logits: Logits, ahead: int = 0) -> Logits:
        """Without what was refused where the sequence is so many tokens longer."""
        refused = self.history.refused_at(len(self.state.token_ids) + ahead)
        if not refused:
            return logits
        left = logits.copy()
        left[refused] = -np.inf
        return left

    def _choose_cover(self) -> list[int]:
        """Tokens that spell what is there of a name: nobody knows how it will go on, so every way counts."""
        found, forwards = covers(self.state, self.vocabulary, self.missing, self._no_mark)
        self.forwards += forwards
        return list(found[self.sampler.choose_weighted([cover.logprob for cover in found])].token_ids)

    def _is_refused(self, token_id: int) -> bool:
        """Whether a token ends what cannot end, closes nothing, or opens a comment where code is due.

        Code is due first at a cursor, and behind some lines of comment in a body.
        """
        may_end = self.block.may_end or (self.request.may_be_empty and not self._lacks_block)
        if not may_end and self._ends(token_id):
            return True
        piece = self.detokenizer.preview(self.vocabulary.bytes_of(token_id))
        body = self.request.extent is Extent.BODY
        if body and self.block.mismatched_by(piece):
            return True
        due = not self.block.has_statement and self.block.scanner.in_code
        late = not body or self.block.text.count("\n") >= _MOST_COMMENT_LINES
        return due and late and piece.lstrip().startswith("#")

    @property
    def _lacks_block(self) -> bool:
        return self.block.needs_block and self.request.extent is not Extent.LINE

    def _ends(self, token_id: int) -> bool:
        """Whether this token ends the text or leaves the block."""
        if token_id in self.generator.model.tokenizer.eos_ids:
            return True
        return self.block.left_by(self.detokenizer.preview(self.vocabulary.bytes_of(token_id)))

    def _trigger_point(self, token_id: int) -> TriggerPoint | None:
        """Where a name starts in a token, or a keyword, which may still become one: `is` starts `is_open`."""
        begun = bool(self.missing and self.request.prefix)  # inside a name nobody can wait for a mark
        unmarked = self.config.trigger is Trigger.MARK and (begun or self.config.ask_unfamiliar)
        if self.config.trigger is not Trigger.DOT and not unmarked:
            return None
        piece = self.vocabulary.bytes_of(token_id)
        begun_letter = "_" if self.detokenizer.leaves_unfinished(piece) else ""
        point = find_trigger(self.block.scanner, self.detokenizer.preview(piece) + begun_letter)
        published = not self.config.abstain  # which asks only where a mark could have been learned
        if point is None or (published and point.word in NEVER_ASKED):
            return None
        if unmarked and not point.word and not begun:
            return None  # behind the dot a mark may still come
        imports = point.expected.kind is NameKind.IMPORT
        skipped = published and (imports or point.expected.may_bind or point.word in NEVER_MARKED)
        return None if skipped else point

    def _is_keyword(self, point: TriggerPoint, behind: Logits) -> bool:
        """Whether a keyword of a draft is one, as the free path would find: the model ends the word there.

        Args:
            point: where it stands.
            behind: logits (V,) behind it. A sample is drawn where the free path is followed, not here.
        """
        if point.word not in NEVER_ASKED or point.expected.kind is NameKind.ATTRIBUTE or not self.sampler.greedy:
            return False
        return not self.vocabulary.continues_identifier[self.sampler.choose(behind, self._no_mark)]

    # ------------------------------------------------------------------------------------------ writing

    def _write_one(self, token_id: int) -> None:
        """Commit a chosen token."""
        self._count(self.state.next_logits, token_id)
        self.state.score(Draft.chain([token_id]))
        self.state.commit([0])
        self.forwards += 1
        self.feed(token_id)

    def write_drafted(self, token_id: int) -> None:
        """Commit a chosen token and as much of a draft behind it as the model agrees with."""
        chain = [token_id, *self._guess([token_id])]
        chain = chain[: self.state.remembered(chain) or len(chain)]  # a draft is not worth a forward of its own
        logits = self.state.score(Draft.chain(chain))
        self.forwards += 1
        self._count(self.state.next_logits, token_id)
        self.feed(token_id)
        self._show()
        accepted = 1
        while accepted < len(chain) and not self._repeats:
            found, barred = self._unrefused(logits[accepted - 1], accepted), self._barred()
            self.next_id = or_mark(self.sampler.choose(found, barred), found, barred, self._mark_id, self._mark_share)
            if self.next_id != chain[accepted] or self._is_special(self.next_id):
                break
            point = self._trigger_point(self.next_id)
            if point is not None and not self._is_keyword(point, logits[accepted]):
                break
            self._count(logits[accepted - 1], self.next_id)
            self.feed(self.next_id)
            self._show()
            self.at_boundary = self.config.boundary and point is not None
            self.next_id = None
            accepted += 1
        self.state.commit(range(accepted))
        if self.next_id is not None and self._is_refused(self.next_id):
            self.next_id, self._refused_id = None, self.next_id

    def _guess(self, token_ids: Sequence[int]) -> Sequence[int]:
        """What may follow the sequence and some more tokens. The drafter sees text, so no marks."""
        left = min(self._room_tokens, self.state.draft_room_tokens)
        limit = min(self.config.draft_tokens, left - len(token_ids))
        if self.generator.drafter is None or limit <= 0 or self.missing or not self.block.has_statement:
            return ()
        visible = [*self.state.token_ids, *token_ids]
        if self.config.trigger is Trigger.MARK:
            visible = [one for one in visible if one != self._mark_id]
        return self.generator.drafter.propose(visible, limit)

    def _is_special(self, token_id: int) -> bool:
        return token_id == self._mark_id or self._ends(token_id) or self._is_refused(token_id)

    def _scored_mark(self, mark_id: int, rival: int | None = None) -> Logits:
        """Logits behind a mark first. Where they are remembered, what may come next is scored with it."""
        known = self.state.remembered([mark_id])
        self.forwards += not known
        if known == 0:
            return score_mark(self.state, mark_id, self._guess([mark_id]), rival)
        return score_mark(self.state, mark_id)

    def _count(self, logits: Logits, token_id: int) -> None:
        self.logprob += float(logits[token_id]) - log_total(logits)

    def feed(self, token_id: int) -> None:
        """Take a committed token into the visible text."""
        piece = self.vocabulary.bytes_of(token_id)
        self.missing = self.missing[len(piece) :]
        self.block.feed(self.detokenizer.feed(piece))
        self.written_tokens += 1
        self.history.add(len(self.block.text), self.logprob)
        self.at_boundary = self.after_mark = self._weighed = False

    def _new_text(self) -> Iterator[TextDelta]:
        self._show()
        if self.shown > self._told:
            yield TextDelta(self.block.text[self._told : self.shown])
            self._told = self.shown

    def _show(self) -> None:
        """Behind every token, drafted or not: what is shown is not taken back, and a text must not depend on drafts."""
        self.shown = max(self.shown, showable(self))

    # ------------------------------------------------------------------------------------------ names

    def _write_name(self, point: TriggerPoint, first_token: int) -> Iterator[ToolCalled]:
        """Write one name, asking the tool unless a keyword or a string comes."""
        if not self.config.whole_identifier:
            yield from write_walked(self, point, first_token)
            return
        search = IdentifierSearch(
            self.state, self.vocabulary, self.sampler, self._no_mark, self.config.tree_tokens, self.config.boundary,
            self._guess,
        )  # fmt: skip
        prefix = self.request.prefix if self.missing else ""
        offset = len(self.block.text) + len(point.glue)
        unmarked = self.config.trigger is Trigger.MARK and not self.after_mark and not prefix
        pending = None if unmarked else self.ask(point)  # is answered while the free path is followed
        free, name = search.follow_free([first_token, *self._cover], point.glue)
        self._cover = []
        if is_no_name(search, free, name, point) or (unmarked and self._is_familiar(name, point)):
            self._commit_found(search, free)
            self.at_boundary = self.config.boundary and search.ends(free)
            return
        if name and names_argument(point.expected, search.look_ahead(free, 1)):
            point, name = replace(point, expected=replace(point.expected, kind=NameKind.ARGUMENT)), f"{name}="
            pending = self.ask(point)
        answer = self.answer(pending or self.ask(point), prefix)
        decision = decide(search, answer, point, FreePath(free, name), self.config)
        known = decision.node == free and (decision.chosen is not None or decision.is_new or not answer.suggestions)
        if self._weighed and self._mark_id is not None and not known:
            self.after_mark = self._weighed = False
            self.forwards += search.forwards
            yield from self._step_at_mark(self._mark_id)
            return
        best = tuple(candidate for candidate, _ in search.best(_SHOWN_CANDIDATES))
        is_repeated = name in answer.excluded
        if decision.is_invented and retreat(self, point, first_token, is_repeated=is_repeated):
            self.forwards += search.forwards
            yield called(offset - self.start, point, answer, best, None, name)
            return
        self._commit_found(search, decision.node)
        self.imports += decision.imports
        self.at_boundary = self.config.boundary and (decision.ends_here or search.ends(decision.node))
        yield called(offset - self.start, point, answer, best, decision.chosen, name)

    def _is_familiar(self, name: str, point: TriggerPoint) -> bool:
        before = self.request.before
        text = before + self.block.text + point.glue
        return is_familiar(name, point.expected.kind, text, text[function_start(before, self.request.indent) :])

    def _commit_found(self, search: IdentifierSearch, node: int) -> None:
        self.logprob += search.log_probability(node)
        for token_id in search.commit(node):
            self.feed(token_id)
        self.forwards += search.forwards

    def ask(self, point: TriggerPoint) -> Future[ToolAnswer]:
        """Which names can stand at a point; the answer to come."""
        imports = "".join(f"{needed.statement}\n" for needed in self.imports)  # what the file will have by then
        before = imports + self.request.before + self.block.text + point.glue
        return self.asker.ask(replace(first_question(self.request), before=before, kind=point.expected.kind))

    def answer(self, pending: Future[ToolAnswer], prefix: str = "") -> ToolAnswer:
        """Of the names that start with ``prefix``."""
        started = time.perf_counter()
        answer = pending.result()
        self.tool_calls += 1
        self.tool_ms += (time.perf_counter() - started) * 1000
        kept = (suggestion for suggestion in answer.suggestions if suggestion.name.startswith(prefix))
        return replace(answer, suggestions=tuple(kept)) if prefix else answer
