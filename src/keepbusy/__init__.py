"""keepbusy turns frames into detections on OpenVINO devices, end to end, as fast as the device can go.

```python
import keepbusy as kb
with kb.Pipeline("yolov5n.xml", device="CPU") as pipeline:
    for result in pipeline.run("street.mp4"):
        print(result.frame.index, result.detections.boxes_xyxy)
```

Beside the names below, these modules are public: `keepbusy.batch` (any number of files, into tables that can be
queried), `keepbusy.drawing` (what was found, on a picture), `keepbusy.records`
(as JSON and tables), `keepbusy.sinks`, `keepbusy.sources` and `keepbusy.steps` (what is there, and the classes for your
own), `keepbusy.testing` (a scripted device, source and clock for your own tests).

Importing this is quick: OpenVINO, OpenCV and NumPy are loaded when a name below is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keepbusy.version import __version__

if TYPE_CHECKING:
    from keepbusy import batch as batch
    from keepbusy import drawing as drawing
    from keepbusy import records as records
    from keepbusy import sinks as sinks
    from keepbusy import sources as sources
    from keepbusy import steps as steps
    from keepbusy import testing as testing
    from keepbusy.api import AsyncResults, Detector, Pipeline
    from keepbusy.config import DetectConfig, DeviceConfig, OutletConfig, Retry, RunConfig, SelectConfig, StreamConfig
    from keepbusy.errors import (
        ConfigError,
        DeviceError,
        DeviceTimeoutError,
        FrameError,
        KeepbusyError,
        MissingExtraError,
        ModelError,
        SinkError,
        SourceError,
    )
    from keepbusy.flow.counters import OutletStats, StreamStats
    from keepbusy.flow.run import Run
    from keepbusy.flow.stats import Snapshot, StageStats
    from keepbusy.flow.stream import Stream
    from keepbusy.jobs.detect import RunReport, detect_to
    from keepbusy.sinks import Sink, StopRun, drain
    from keepbusy.sinks.open import open_sink
    from keepbusy.sources import Source, SourceInfo, open_source
    from keepbusy.sources.spec import SourceSpec
    from keepbusy.steps import Step, StepFactory
    from keepbusy.values.detections import Detections
    from keepbusy.values.frame import Frame
    from keepbusy.values.result import Result, Timings
    from keepbusy.values.streams import Outcome, StreamInfo

_HOMES = {
    "AsyncResults": "api",
    "ConfigError": "errors",
    "DetectConfig": "config",
    "Detections": "values.detections",
    "Detector": "api",
    "DeviceConfig": "config",
    "DeviceError": "errors",
    "DeviceTimeoutError": "errors",
    "Frame": "values.frame",
    "FrameError": "errors",
    "KeepbusyError": "errors",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "Outcome": "values.streams",
    "OutletConfig": "config",
    "OutletStats": "flow.counters",
    "Pipeline": "api",
    "Result": "values.result",
    "Retry": "config",
    "Run": "flow.run",
    "RunConfig": "config",
    "RunReport": "jobs.detect",
    "SelectConfig": "config",
    "Sink": "sinks",
    "SinkError": "errors",
    "Snapshot": "flow.stats",
    "Source": "sources",
    "SourceError": "errors",
    "SourceInfo": "sources",
    "SourceSpec": "sources.spec",
    "StageStats": "flow.stats",
    "Step": "steps",
    "StepFactory": "steps",
    "StopRun": "sinks",
    "Stream": "flow.stream",
    "StreamConfig": "config",
    "StreamInfo": "values.streams",
    "StreamStats": "flow.counters",
    "Timings": "values.result",
    "detect_to": "jobs.detect",
    "drain": "sinks",
    "open_sink": "sinks.open",
    "open_source": "sources",
}

_MODULES = frozenset({"batch", "drawing", "records", "sinks", "sources", "steps", "testing"})
"""Public modules, which are there as attributes without being imported first."""

__all__ = [
    "AsyncResults",
    "ConfigError",
    "DetectConfig",
    "Detections",
    "Detector",
    "DeviceConfig",
    "DeviceError",
    "DeviceTimeoutError",
    "Frame",
    "FrameError",
    "KeepbusyError",
    "MissingExtraError",
    "ModelError",
    "Outcome",
    "OutletConfig",
    "OutletStats",
    "Pipeline",
    "Result",
    "Retry",
    "Run",
    "RunConfig",
    "RunReport",
    "SelectConfig",
    "Sink",
    "SinkError",
    "Snapshot",
    "Source",
    "SourceError",
    "SourceInfo",
    "SourceSpec",
    "StageStats",
    "Step",
    "StepFactory",
    "StopRun",
    "Stream",
    "StreamConfig",
    "StreamInfo",
    "StreamStats",
    "Timings",
    "__version__",
    "detect_to",
    "drain",
    "open_sink",
    "open_source",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"keepbusy.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"keepbusy.{name}")
    raise AttributeError(f"module 'keepbusy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
