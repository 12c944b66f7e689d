"""Where results go: one file for each kind, and the runner that gives them a thread."""

from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.runner import SinkRunner, drain

__all__ = ["Sink", "SinkRunner", "StopRun", "drain"]
