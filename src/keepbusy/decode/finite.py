"""Numbers that are none must never become a box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_finite(values: NDArray[np.float32]) -> None:
    """Refuse NaN and infinity before a sigmoid or an exponential makes an ordinary number of them.

    Args:
        values: float32, any shape: what the model gave of the rows that pass the threshold.

    Raises:
        ValueError: A number is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("the model's output has numbers that are not finite (NaN or infinity)")
