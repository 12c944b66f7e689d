"""What a sink is."""

from __future__ import annotations

from typing import Protocol

from keepbusy.values.result import Result


class StopRun(Exception):  # noqa: N818 - it is a request, like StopIteration, not an error
    """Raised by a sink's `write` when its consumer has had enough: a closed window, a closed pipe."""


class Sink(Protocol):
    """Where results go. Used by one thread at a time."""

    def write(self, result: Result) -> None:
        """Take one result; results of one source come in order.

        Raises:
            SinkError: It cannot be written.
            StopRun: The consumer has had enough; the run should stop, and that is no failure.
        """
        ...

    def close(self) -> None:
        """Finish what was written, so that it is valid; called once, also after a failed write.

        Raises:
            SinkError: It cannot be finished.
        """
        ...
