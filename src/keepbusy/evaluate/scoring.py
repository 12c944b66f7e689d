"""Results of a run → scores against a data set's truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import ModelError, SourceError
from keepbusy.evaluate.classes import to_model
from keepbusy.evaluate.coco import MAX_DETECTIONS, CocoEvaluation
from keepbusy.evaluate.dataset import Dataset
from keepbusy.values.result import Result


class DatasetScorer:
    """Takes the results of a run over a data set, in any order. Not thread-safe.

    Args:
        dataset: What was run over.
        model_names: The model's class names.
        mapping: The model's class for each of the data's, int64, -1 for none: see `match_classes`.
        max_det: Detections of a frame that count.
        ignore_missing: Leave out objects of classes that the model does not have.

    Attributes:
        evaluation: The frames that were scored.
        failures: The messages of frames that failed: they are not scored.
        num_ignored: Objects left out.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
    """

    def __init__(
        self,
        dataset: Dataset,
        model_names: Sequence[str],
        mapping: NDArray[np.int64],
        *,
        max_det: int = MAX_DETECTIONS,
        ignore_missing: bool = False,
    ) -> None:
        self.evaluation = CocoEvaluation(model_names, max_det)
        self.failures: list[str] = []
        self.num_ignored = 0
        self._dataset = dataset
        self._mapping = mapping
        self._ignore_missing = ignore_missing
        self._num_classes = len(model_names)

    def add(self, result: Result) -> None:
        """Take one result.

        Raises:
            SourceError: Its frame is not the one that was labelled, or has a class that the model does not have.
            ModelError: The model does not detect.
        """
        if result.error is not None:
            self.failures.append(result.error.message)
            return
        if result.detections.probabilities is not None:
            raise ModelError(
                "the model classifies whole pictures: it has no boxes to score", hint="give a model that detects"
            )
        frame = result.frame
        labels = self._dataset.labels(frame)
        class_id = to_model(labels.class_id, self._mapping)
        known = class_id >= 0
        if not known.all() and not self._ignore_missing:
            number = int(labels.class_id[~known][0])
            raise SourceError(
                f"{frame.source}: frame {frame.index}: class {number} ({self._dataset.class_names[number]}) is not "
                f"one of the model's {self._num_classes}",
                hint="leave such objects out with `ignore_missing`",
            )
        self.num_ignored += int((~known).sum())
        self.evaluation.add(
            (frame.width, frame.height),
            labels.boxes_xyxy[known],
            class_id[known],
            result.detections,
            image_id=self._dataset.image_id(frame.index),
            is_crowd=labels.is_crowd[known],
            area_px=labels.area_px[known],
        )

    def category_ids(self) -> list[int | str]:
        """By the model's class id, the data's category id, for `CocoEvaluation.results`; -1 where it has none."""
        ids: list[int | str] = [-1] * self._num_classes
        for number, own_class in enumerate(self._mapping.tolist()):
            if own_class >= 0:
                ids[own_class] = self._dataset.category_ids[number] if self._dataset.category_ids else number
        return ids
