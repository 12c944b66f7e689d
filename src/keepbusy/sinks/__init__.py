"""Where results go: one file for each kind, and the runner that gives them a thread."""

from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.runner import SinkRunner, drain
from keepbusy.values.streams import Outcome, StreamInfo

__all__ = ["Outcome", "Sink", "SinkRunner", "StopRun", "StreamInfo", "drain"]
