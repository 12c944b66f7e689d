"""What a stream does with its results between postprocessing and the sinks: [`Step`][keepbusy.steps.Step]."""

from keepbusy.steps.step import Step, StepFactory
from keepbusy.values.streams import StreamInfo

__all__ = ["Step", "StepFactory", "StreamInfo"]
