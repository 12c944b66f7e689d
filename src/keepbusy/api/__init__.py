"""The public classes: `Pipeline` for sources, `AsyncResults` for asyncio, `Detector` for single pictures."""

from keepbusy.api.async_results import AsyncResults
from keepbusy.api.detector import Detector
from keepbusy.api.pipeline import Pipeline, SourceLike

__all__ = ["AsyncResults", "Detector", "Pipeline", "SourceLike"]
