"""Arithmetic on rows of logits (V,) float32, in numpy: on one row quicker than torch, which need not be loaded then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from generation.interfaces import Barred, Logits


def log_total(logits: Logits) -> float:
    """What logits are less than log-probabilities."""
    peak = float(logits.max())
    return peak + math.log(float(np.exp(logits - peak).sum()))


def log_softmax(logits: Logits) -> Logits:
    """Log-probabilities."""
    return logits - np.float32(log_total(logits))


def softmax(logits: Logits) -> Logits:
    """Probabilities."""
    weights: Logits = np.exp(logits - logits.max())
    weights /= weights.sum()
    return weights


def without(logits: Logits, barred: Barred) -> Logits:
    """The same with the probability zero for tokens that are ``barred``, (V,) bool."""
    return np.where(barred, np.float32(-np.inf), logits)
