"""Between logits and shares."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), written so that nothing overflows."""
    half = np.float32(0.5)
    result: NDArray[np.float32] = half + half * np.tanh(values * half)
    return result


def logit(share: float) -> float:
    """The number whose sigmoid is `share`; infinite for 0 and 1."""
    if share <= 0:
        return -math.inf
    return math.inf if share >= 1 else math.log(share / (1 - share))


def least_logit(conf: float) -> float:
    """A logit that every score above `conf` exceeds: a little lower than exact, for float32's rounding."""
    return logit(conf) - 1e-2
