"""A window that shows the annotated frames as they come."""

from __future__ import annotations

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
        # Asked of OpenCV's own description: opening a window to find out kills the process where there is no screen.
        build = cv2.getBuildInformation()
        gui = next((line for line in build.splitlines() if line.strip().startswith("GUI:")), "GUI: NONE")
        if gui.split(":", 1)[1].strip() == "NONE":
            raise SinkError("`show`: no window can be opened", hint=_HINT)

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
