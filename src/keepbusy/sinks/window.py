"""A window that shows the annotated frames as they come."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import cv2

from keepbusy.errors import SinkError, first_line
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.draw import PLAIN, Style, ThroughputMeter, annotate
from keepbusy.values.result import Result

_KEYS_TO_STOP = {ord("q"), 27}
_HINT = (
    "the installed OpenCV has no windows: pip uninstall opencv-python-headless, pip install opencv-python; "
    "or write a video with `save`"
)
_NO_SCREEN = "there is no screen (DISPLAY and WAYLAND_DISPLAY are empty): write a video with `save`"


class Window(Sink):
    """Shows each source in a window of its own; q, Esc or closing it stops the run.

    Args:
        style: What is drawn, and how.

    Raises:
        SinkError: This OpenCV, or this machine, has no windows.
    """

    def __init__(self, style: Style = PLAIN) -> None:
        self.name = "window"
        self._style = style
        self._meter = ThroughputMeter()
        self._titles: set[str] = set()
        if hint := why_no_window(cv2.getBuildInformation(), os.environ, sys.platform):
            raise SinkError("`show`: no window can be opened", hint=hint)

    def write(self, result: Result) -> None:
        if result.frame.image is None:
            return
        title = f"keepbusy: source {result.frame.source_id}"
        picture = annotate(result, self._meter.add(result.timings.postprocess_end_ns), self._style)
        try:
            cv2.imshow(title, picture)
            key = cv2.waitKey(1)
            is_closed = title in self._titles and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error as error:
            raise SinkError(f"`show`: {first_line(error)}", hint=_HINT) from error
        self._titles.add(title)
        if key & 0xFF in _KEYS_TO_STOP or is_closed:
            raise StopRun

    def close(self) -> None:
        if self._titles:
            cv2.destroyAllWindows()


def why_no_window(build: str, environment: Mapping[str, str], platform: str) -> str:
    """What to do where no window can be opened; "" where one can.

    Opening one to find out would end the process where there is no screen.

    Args:
        build: What OpenCV says of itself, `cv2.getBuildInformation`.
        environment: The variables of this process.
        platform: As `sys.platform` has it.
    """
    gui = next((line for line in build.splitlines() if line.strip().startswith("GUI:")), "GUI: NONE")
    if gui.split(":", 1)[1].strip() == "NONE":
        return _HINT
    if platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return _NO_SCREEN
    return ""
