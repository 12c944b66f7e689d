"""The public classes: `Pipeline` for sources, `Detector` for single pictures."""

from keepbusy.api.detector import Detector
from keepbusy.api.pipeline import Pipeline, SourceLike

__all__ = ["Detector", "Pipeline", "SourceLike"]
