"""Compiling a graph, and what that does to the whole process.

OpenVINO sets the process's locale to "C" while it compiles, and then back to what it found. Two threads that compile at
once find each other's: the locale then stays "C", and text files that are opened without an encoding are read as ASCII.
Here the last one out puts back what the first one found.
"""

from __future__ import annotations

import contextlib
import locale
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from keepbusy.threads.signal_stack import kept_signal_stack

if TYPE_CHECKING:
    import openvino as ov


class _Kept:
    """The locale that was in force before any of those who compile now began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_inside = 0
        self._before = ""

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        with self._lock:
            if self._num_inside == 0:
                self._before = locale.setlocale(locale.LC_ALL)
            self._num_inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._num_inside -= 1
                if self._num_inside == 0 and locale.setlocale(locale.LC_ALL) != self._before:
                    locale.setlocale(locale.LC_ALL, self._before)


_KEPT = _Kept()


def compile_graph(core: ov.Core, graph: ov.Model, device: str, properties: Mapping[str, Any]) -> ov.CompiledModel:
    """`core.compile_model`, after which the process's locale and the thread's signals are as before.

    Args:
        core: The OpenVINO core.
        graph: What is compiled.
        device: OpenVINO's name.
        properties: OpenVINO's properties.

    Raises:
        RuntimeError: OpenVINO refuses it.
    """
    with _KEPT.hold(), kept_signal_stack():
        return core.compile_model(graph, device, dict(properties))
