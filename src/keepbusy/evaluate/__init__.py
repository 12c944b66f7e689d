"""How right the detections are: COCO's mean average precision against known truth."""

from keepbusy.evaluate.coco import Accuracy, ClassAccuracy, CocoEvaluation

__all__ = ["Accuracy", "ClassAccuracy", "CocoEvaluation"]
