"""Time limits of a connection that hold while the standard library's client waits inside one call.

The client's own timeout counts silence only: each byte starts it anew. A server that drips headers, sends
`100 Continue` without end or never ends its trailers would be waited for without bound. A thread therefore shuts the
connection down when its time is over, and the call that waits for it ends.

The thread alone holds the sockets by which it does that, and is told everything through a queue: an interrupt at any
moment leaves nothing behind (`threads/workers.py`).
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import urllib.request
import weakref
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from keepbusy.models.store.limits import FetchError, Limits
from keepbusy.threads.channel import take_within
from keepbusy.threads.workers import Workers, close_at_exit


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """What the thread is to watch from now on.

    Attributes:
        end_s: When the connection is to be shut down, by the monotonic clock; None for never.
        reason: Why it is shut down then.
        connection: The connection's socket, where it is a new one.
    """

    end_s: float | None = None
    reason: str = ""
    connection: socket.socket | None = None


class Watchdog:
    """Bounds what the connections of one download are waited for. Used by one thread.

    Args:
        limits: Of the download; its time begins now.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._end_s = time.monotonic() + limits.max_s
        self._watch = _Watch()
        self._workers = Workers([("keepbusy-watch-download", self._watch.run)])
        self._finalizer = weakref.finalize(self, _end, self._watch, self._workers)
        close_at_exit(self)

    def start(self) -> None:
        """Begin to watch; to be called once."""
        self._workers.start()

    def close(self) -> None:
        """End the thread. Can be called again."""
        _end(self._watch, self._workers)
        self._finalizer.detach()

    def connect(self, *args: Any, **kwargs: Any) -> socket.socket:
        """Connect as `socket.create_connection` does; from then on the answer's headers have their time.

        Raises:
            OSError: There is no connection.
        """
        connection = socket.create_connection(*args, **kwargs)
        # The client replaces and closes the original, at the latest for TLS; a duplicate shuts the same connection.
        self.watch(self._limits.headers_s, self._limits.late_headers, connection.dup())
        return connection

    def within(self, span_s: float, reason: str) -> _Within:
        """Give what is done inside of the `with` a span of time, and no more than is left of the whole download's.

        Its end raises FetchError where a limit was reached, this one or one that was set inside.

        Args:
            span_s: Seconds.
            reason: What to report when they are over.
        """
        return _Within(self, span_s, reason)

    def watch(self, span_s: float, reason: str, connection: socket.socket | None = None) -> None:
        """Shut the connection down after a span of time.

        Args:
            span_s: Seconds.
            reason: What to report then.
            connection: Its socket, where it is a new one; the watchdog closes it.
        """
        end_s = time.monotonic() + span_s
        if end_s >= self._end_s:
            end_s, reason = self._end_s, self._limits.too_long
        self._watch.orders.put(_Order(end_s, reason, connection))

    def rest(self) -> str:
        """Watch nothing; the reason of the limit that was reached, "" as long as none was."""
        self._watch.orders.put(_Order())
        return self._watch.reached


class _Within:
    def __init__(self, watchdog: Watchdog, span_s: float, reason: str) -> None:
        self._watchdog = watchdog
        self._span_s = span_s
        self._reason = reason

    def __enter__(self) -> None:
        self._watchdog.watch(self._span_s, self._reason)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        reached = self._watchdog.rest()
        if reached and (error is None or isinstance(error, Exception)):
            raise FetchError(reached) from error


class _Watch:
    """What the thread and its owner share.

    Attributes:
        orders: What the thread is told; None to end.
        reached: The reason of the limit that was reached, "" as long as none was.
    """

    def __init__(self) -> None:
        self.orders: SimpleQueue[_Order | None] = SimpleQueue()
        self.reached = ""

    def run(self) -> None:
        """Carry out orders, and shut the connection down when its time is over."""
        connection: socket.socket | None = None
        order: _Order | None = _Order()
        try:
            while order is not None:
                end_s, reason = order.end_s, order.reason
                if order.connection is not None:
                    _close(connection)
                    connection = order.connection
                try:
                    order = take_within(self.orders, None if end_s is None else max(0.0, end_s - time.monotonic()))
                except Empty:
                    self.reached = self.reached or reason
                    order = _Order()
                if self.reached:
                    _shut_down(order.connection if order is not None and order.connection is not None else connection)
        finally:
            _close(connection)


def _shut_down(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):  # It has ended by itself.
            connection.shutdown(socket.SHUT_RDWR)


def _close(connection: socket.socket | None) -> None:
    if connection is not None:
        connection.close()


def _end(watch: _Watch, workers: Workers) -> None:
    watch.orders.put(None)
    workers.join()


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, watchdog: Watchdog, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The one place where all of them come from, before a proxy's tunnel and TLS.
        self._create_connection = watchdog.connect


class _HttpsConnection(http.client.HTTPSConnection):
    def __init__(self, watchdog: Watchdog, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = watchdog.connect


class WatchedHttp(urllib.request.HTTPHandler):
    """Opens addresses of http under a watchdog.

    Args:
        watchdog: Is told of each connection.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_HttpConnection, self._watchdog), req)


class WatchedHttps(urllib.request.HTTPSHandler):
    """Opens addresses of https under a watchdog.

    Args:
        watchdog: Is told of each connection.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_HttpsConnection, self._watchdog), req)
