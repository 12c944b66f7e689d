"""How much memory clients may take together: bytes of bodies, and pixels of pictures that are decoded."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from keepbusy.serve.http.bodies import BadRequestError


class Room:
    """Room for pictures, first come, first served. Used in one event loop.

    Args:
        size: How much there is.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def take(self, amount: int, timeout_s: float) -> AsyncIterator[None]:
        """Have some of it while the block goes on, waiting for it.

        Args:
            amount: How much; at most all of it.
            timeout_s: How long to wait.

        Raises:
            BadRequestError: There was none in that time.
        """
        amount = min(amount, self._size)
        if self._waiting or self._used + amount > self._size:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((amount, turn))
            try:
                await asyncio.wait_for(asyncio.shield(turn), timeout_s)
            except (TimeoutError, asyncio.CancelledError) as error:
                if turn.done():  # Its turn has come meanwhile.
                    self._give(amount)
                else:
                    turn.cancel()
                if isinstance(error, asyncio.CancelledError):
                    raise
                raise BadRequestError(
                    503, "there is no room for so many large pictures", "try it again later"
                ) from None
        else:
            self._used += amount
        try:
            yield
        finally:
            self._give(amount)

    def _give(self, amount: int) -> None:
        self._used -= amount
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.cancelled():
                if self._used + wanted > self._size:
                    return
                self._used += wanted
                turn.set_result(None)
            self._waiting.popleft()
