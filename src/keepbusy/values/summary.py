"""What was found, in a few words: for `repr` and people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keepbusy.texts import class_name, fit, shortened
from keepbusy.values.arrays import DetectionArrays

_CLASSES_SHOWN = 6
"""More in a line nobody reads."""

_PROBABILITIES_SHOWN = 3


def summary_of(found: DetectionArrays) -> str:
    """How many of each class, and how confident: `5: 4 person 0.36-0.89, 1 bus 0.87`; `0` for none.

    The most frequent class comes first; confidences are the lowest and the highest of the class. Of a classification
    the most probable classes: `street 0.93, road 0.02`.
    """
    if found.probabilities is not None:
        best = found.top(_PROBABILITIES_SHOWN)
        return ", ".join(f"{_shown(class_id, found.names)} {share:.2f}" for class_id, share in best)
    class_id, confidence, names = found.class_id, found.confidence, found.names
    num = len(class_id)
    if not num:
        return "0"
    ids, counts = np.unique(class_id, return_counts=True)
    order = np.lexsort((ids, -counts)).tolist()
    parts = []
    for place in order[:_CLASSES_SHOWN]:
        of_class = confidence[class_id == ids[place]]
        low, high = f"{of_class.min():.2f}", f"{of_class.max():.2f}"
        span = low if low == high else f"{low}-{high}"
        parts.append(f"{counts[place]} {_shown(int(ids[place]), names)} {span}")
    if (num_left := len(order) - _CLASSES_SHOWN) > 0:
        parts.append(f"{num_left} more class{'' if num_left == 1 else 'es'}")
    return f"{num}: {', '.join(parts)}"


def _shown(class_id: int, names: Sequence[str]) -> str:
    return fit(shortened(str(class_name(class_id, names)), 40))
