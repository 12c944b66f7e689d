"""Model files: read, recognised, named, and given their preprocessing."""

from keepbusy.models.coco import COCO_NAMES
from keepbusy.models.load import Model, load_model
from keepbusy.models.names import load_names

__all__ = ["COCO_NAMES", "Model", "load_model", "load_names"]
