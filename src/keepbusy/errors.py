"""Everything keepbusy raises on purpose.

```
KeepbusyError                    one line of what happened and where, plus an optional hint
├── ConfigError                  an option has a value it cannot have            (exit code 2)
├── SourceError                  a source cannot be opened or ended before its time
├── ModelError                   a model cannot be read, understood or compiled
├── DeviceError                  a device is unknown or failed
│   └── DeviceTimeoutError       a device stopped answering
├── SinkError                    an output cannot be opened, written or finished
├── FrameError                   one frame failed: names stage, source and frame
└── MissingExtraError            an optional dependency is not installed
```

Errors of OpenVINO, PyAV, OpenCV and the operating system are mapped to these at the one place that calls
them, with `raise ... from error`, so the original is always the `__cause__`.
"""

from __future__ import annotations

from typing import Any, Literal

from keepbusy.texts import without_secrets

Stage = Literal["read", "preprocess", "infer", "postprocess", "sink"]
"""The five stages of every timeline, table and metric, in the order of the data flow."""

STAGES: tuple[Stage, ...] = ("read", "preprocess", "infer", "postprocess", "sink")

FailedStage = Stage | Literal["step"]
"""Where a frame can fail: in a stream's own steps, too, which work in postprocessing's thread and count there."""


class KeepbusyError(Exception):
    """Base class of all errors raised on purpose.

    Args:
        message: What happened, and to which file, frame or option; one line. Passwords in addresses are taken out.
        hint: What the user can do about it, if anything is known.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = without_secrets(message)
        self.hint = hint
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel to other processes, and are copied, with all that is known of them."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[KeepbusyError], args: tuple[Any, ...], known: dict[str, Any]) -> KeepbusyError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(known)
    return error


class ConfigError(KeepbusyError, ValueError):
    """An option has a value that it cannot have."""


class SourceError(KeepbusyError):
    """A source cannot be opened, or ended before its time."""


class ModelError(KeepbusyError):
    """A model cannot be read, is not understood, or does not compile for the device."""


class DeviceError(KeepbusyError):
    """A device is unknown, or failed outside the work on a single frame."""


class DeviceTimeoutError(DeviceError):
    """A device accepted work and did not finish it in time."""


class SinkError(KeepbusyError):
    """An output cannot be opened, written or finished."""


class FrameError(KeepbusyError):
    """One frame failed in one stage.

    The error that caused it is its `__cause__`.

    Args:
        message: What happened.
        stage: The stage in which it happened.
        source: The source's name as the user gave it.
        frame_index: The frame's index within its source, from 0.
        hint: What the user can do about it, if anything is known.
        timestamp_s: The frame's time within its source, seconds; None where it is not known.
        shape_hw: The height and width, pixels, that its picture would have had; (0, 0) where they are not known.
        is_last: Whether its source has failed for good: nothing can be read behind it.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: FailedStage,
        source: str,
        frame_index: int,
        hint: str | None = None,
        timestamp_s: float | None = None,
        shape_hw: tuple[int, int] = (0, 0),
        is_last: bool = False,
    ) -> None:
        super().__init__(f"{stage}: {source}: frame {frame_index}: {message}", hint=hint)
        self.reason = without_secrets(message)
        self.stage: FailedStage = stage
        self.source = without_secrets(source)
        self.frame_index = frame_index
        self.timestamp_s = timestamp_s
        self.shape_hw = shape_hw
        self.is_last = is_last


class MissingExtraError(KeepbusyError):
    """An optional dependency is needed and not installed."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed",
            hint=f"pip install 'keepbusy[{extra}]'",
        )


def reason_of(error: BaseException) -> str:
    """The operating system's or FFmpeg's own words where there are any, else the first line of the error's text."""
    return getattr(error, "strerror", None) or first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error's text that says something, for use inside a one-line message."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception from ")]
    if not telling:
        return type(error).__name__
    text = without_secrets(telling[0])
    return f"{type(error).__name__}: {text}" if isinstance(error, _SLIPS) else text


_SLIPS = (AttributeError, LookupError, NameError)
"""Errors of somebody's program: without their type, their texts (`'zone'`) say nothing."""
