"""How right the detections are: COCO's mean average precision against known truth."""

from keepbusy.evaluate.classes import match_classes
from keepbusy.evaluate.coco import Accuracy, ClassAccuracy, CocoEvaluation
from keepbusy.evaluate.dataset import Dataset, Labels
from keepbusy.evaluate.open import open_dataset
from keepbusy.evaluate.problems import DataError
from keepbusy.evaluate.run import Collected, collect
from keepbusy.evaluate.scoring import DatasetScorer

__all__ = [
    "Accuracy",
    "ClassAccuracy",
    "CocoEvaluation",
    "Collected",
    "DataError",
    "Dataset",
    "DatasetScorer",
    "Labels",
    "collect",
    "match_classes",
    "open_dataset",
]
