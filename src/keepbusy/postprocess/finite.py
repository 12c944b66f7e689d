"""Numbers that are none must never become a box, nor a frame without boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import ModelError

_HINT = (
    "numbers of 16 bits overflow where those of 32 do not: try `precision` f32; if that changes nothing, the weights "
    "are damaged: export the model again"
)


class NotFiniteError(ModelError, ValueError):
    """A frame's outputs are NaN or infinity where they count."""

    def __init__(self) -> None:
        super().__init__("the model's output has numbers that are not finite (NaN or infinity)", hint=_HINT)


def check_finite(*values: NDArray[np.floating]) -> None:
    """Refuse NaN and infinity, as before a sigmoid or an exponential makes an ordinary number of them.

    Args:
        values: Floating point, any shape: what the model gave of the rows that pass the threshold.

    Raises:
        NotFiniteError: A number is not finite.
    """
    if not all(np.isfinite(numbers).all() for numbers in values):
        raise NotFiniteError


def passing(scores: NDArray[np.float32], least: float) -> NDArray[np.intp]:
    """The places of the scores above a threshold.

    `not <=` keeps NaN, which is reported later. Minus infinity passes no threshold: it is looked for where nothing
    else does, so that only frames without detections pay for it.

    Args:
        scores: float32 (N,): of each row of a dense output the score that its candidates cannot exceed.
        least: The threshold, in the scores' own scale.

    Raises:
        NotFiniteError: Nothing passes, and a score is not finite.
    """
    found = np.flatnonzero(~(scores <= least))
    if not len(found):
        check_finite(scores)
    return found
