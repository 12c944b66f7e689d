"""What a sink is."""

from __future__ import annotations

from keepbusy.config import OutletConfig
from keepbusy.values.result import Result
from keepbusy.values.streams import Outcome, StreamInfo


class StopRun(Exception):  # noqa: N818 - it is a request, like StopIteration, not an error
    """Raised by a sink when its consumer has had enough: a closed window, a closed pipe."""


class Sink:
    """Where results go: the base class of all sinks, also of your own. None of its methods does anything.

    ```python
    class Counter(Sink):
        def write(self, result: Result) -> None:
            self.num_found += len(result.detections)
    ```

    For each stream, `begin` is called once, then `write` for each of its results in order, then `end` once. Results of
    several streams come mixed. `close` is the last call. All calls come from one thread at a time. Results are shared
    with other sinks: do not change what is in them.

    Attributes:
        name: What it is called in errors and statistics; the class's name where it is empty.
        outlet: What happens when it is slow or fails. Read when a run hands it its first result.

    Any error that one of them raises is a failure of the sink; one that is no `SinkError` is reported as one.
    """

    name: str = ""
    outlet: OutletConfig = OutletConfig()

    def begin(self, stream: StreamInfo) -> None:
        """A stream begins: called before its first result, or before `end` where it has no result.

        Raises:
            SinkError: There is no place for its results.
            StopRun: As for `write`.
        """

    def write(self, result: Result) -> None:
        """Take one result; results of one stream come in order.

        Raises:
            SinkError: It cannot be written.
            StopRun: The consumer has had enough; the run should stop, and that is no failure.
        """

    def end(self, stream: StreamInfo, outcome: Outcome) -> None:
        """A stream is over, and no more results of it come: keep what was written of it, or throw it away.

        Not called after the sink has failed or asked for the end of the run: what has begun and not ended when `close`
        is called is incomplete.

        Args:
            stream: What `begin` was given.
            outcome: How it ended, and whether all its results were written.

        Raises:
            SinkError: Its part cannot be finished.
            StopRun: As for `write`.
        """

    def close(self) -> None:
        """Finish what was written, so that it is valid; called once, also after a failed write.

        Raises:
            SinkError: It cannot be finished.
        """
