"""Known answers, and each library against a definition written out here."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from generation.evaluation.metrics.bodies import tokens
from generation.evaluation.metrics.similarity import bleu, bleu_counts, codebleu, compare, has_codebleu

PAIRS = [
    ("return self.app.config['x']", "return self.app.config['y']"),
    ("x = 1\nreturn x", "x = 2\ny = 3\nreturn x + y"),
    ("for a in b:\n    print(a, 'c d')", "for a in b:\n    print(a, 'c d')"),
    ("return None", "while True:\n    if self.done(x):\n        break\nreturn self.result"),
]
needs_codebleu = pytest.mark.skipif(not has_codebleu(), reason="tree-sitter 0.22 has no wheels for this Python")


def longest_common_subsequence(one: str, other: str) -> int:
    row = [0] * (len(other) + 1)
    for a in one:
        before = row[:]
        for index, b in enumerate(other):
            row[index + 1] = before[index] + 1 if a == b else max(row[index], before[index + 1])
    return row[-1]


@pytest.mark.parametrize(("body", "true"), PAIRS)
def test_edit_similarity_is_twice_the_common_over_both(body: str, true: str) -> None:
    expected = 2 * longest_common_subsequence(body, true) / (len(body) + len(true))
    assert compare(body, true).edit == pytest.approx(expected)


def test_exact_match() -> None:
    assert compare("return x", "return x").exact
    assert compare("return x", "return x").edit == 1.0
    assert not compare("return x", "return y").exact
    assert compare("", "return y").edit == 0.0


def written_out_bleu(pairs: list[tuple[str, str]]) -> float:
    """Papineni et al. 2002 over the whole corpus."""
    log_precision, length, reference_length = 0.0, 0, 0
    for order in range(1, 5):
        matches = total = 0
        for body, true in pairs:
            grams = [
                Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
                for words in (tokens(body), tokens(true))
            ]
            matches += sum((grams[0] & grams[1]).values())
            total += sum(grams[0].values())
        log_precision += math.log(matches / total) / 4
    length = sum(len(tokens(body)) for body, _ in pairs)
    reference_length = sum(len(tokens(true)) for _, true in pairs)
    return math.exp(log_precision) * min(1.0, math.exp(1 - reference_length / length))


def test_summed_counts_give_the_bleu_of_the_corpus() -> None:
    counts = [bleu_counts(body, true) for body, true in PAIRS]
    assert bleu([sum(column) for column in zip(*counts, strict=True)]) == pytest.approx(written_out_bleu(PAIRS))
    assert bleu(bleu_counts(*PAIRS[2])) == pytest.approx(1.0)
    assert bleu(bleu_counts("", "return x")) == 0.0


@needs_codebleu
def test_codebleu_of_known_pairs() -> None:
    text = "b = a.x\nreturn b.y(a)"
    assert codebleu(text, text) == pytest.approx(1.0)
    assert codebleu("", text) == 0.0
    renamed = codebleu("c = a.x\nreturn c.y(a)", text)
    unlike = codebleu("while True:\n    pass", text)
    assert renamed is not None
    assert unlike is not None
    assert 0.5 < renamed < 1.0
    assert unlike < 0.1  # the package itself says 0.25 more: a data flow match of 0 counts as 1 there
    # a reference without data flow: nothing of it can be missed; two tokens have no longer n-grams to match
    assert codebleu("return 1", "return 1") == pytest.approx(0.658, abs=0.001)
