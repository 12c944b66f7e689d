"""Candidates that the graph itself has picked and decoded: only the threshold is left to do."""

from __future__ import annotations

import numpy as np

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, make_candidates, no_candidates
from keepbusy.postprocess.finite import NotFiniteError, passing
from keepbusy.postprocess.logits import logit
from keepbusy.values.forms import OutputForm


class TooManyCandidatesError(Exception):
    """More cells passed the threshold than the graph decodes: the frame has to be done again, exactly."""


def tail_candidates(outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig) -> Candidates:
    """The rows that pass the confidence threshold.

    Args:
        outputs: The rows, float32 (N, 6 + extra): left, top, right, bottom in pixels of the input, confidence, class,
            and what the task adds; and the largest score, a logit, that may have been left out, float32 (1,).
        form: Not needed: the rows say it all.
        input_hw: Not needed: boxes are pixels already.
        config: Thresholds and classes.

    Raises:
        TooManyCandidatesError: A cell that may pass the threshold was left out.
        ValueError: A row that passes the threshold has a number that is not finite.
    """
    rows, left_out = outputs[0], outputs[1]
    # `not <=` keeps NaN, so that it is reported instead of being lost.
    if not left_out[0] <= logit(config.conf):
        if np.isnan(left_out[0]):
            raise NotFiniteError
        raise TooManyCandidatesError
    rows = rows[passing(rows[:, 4], config.conf)]
    if not len(rows):
        return no_candidates(rows.shape[1] - 6)
    extra = rows[:, 6:] if rows.shape[1] > 6 else None
    return make_candidates(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), extra, config)
