"""Whether hardware decodes a kind of stream better than software: measured with its own packets, and remembered."""

from __future__ import annotations

import logging
import threading
from typing import Any

from keepbusy.cache.notes import Notebook, checksum
from keepbusy.errors import first_line
from keepbusy.sources.decoding.hardware import Route, driver_of, mark_of
from keepbusy.sources.decoding.measure import SOFTWARE, Measured, StoppedError, measure_route, measure_software
from keepbusy.threads.workers import Workers
from keepbusy.version import __version__

log = logging.getLogger("keepbusy")

SAMPLE_PACKETS = 90
"""Three seconds of a camera; a second of work for both decoders at most, up to 4K."""

MAX_SAMPLE_BYTES = 1 << 24

JOIN_S = 2.0
"""How long closing waits for a measurement, which looks up after each picture."""

_deciding: set[str] = set()
_deciding_lock = threading.Lock()


class Auto:
    """Chooses by measuring: software decodes meanwhile, and hardware takes over at a key frame where it is better.

    What is found counts for all streams of the same codec and size on this machine. Of several that begin at once, one
    measures. For one thread.

    Args:
        routes: The hardware that is there; one at least.
        notebook: Where it is remembered.
    """

    is_asked = False

    def __init__(self, routes: list[Route], notebook: Notebook | None = None) -> None:
        self._routes = routes
        self._notebook = notebook or Notebook()
        self._key: dict[str, Any] | None = None
        self._shape_hw = (0, 0)
        self._codec = ""
        self._sample: list[bytes] | None = None
        self._num_bytes = 0
        self._trial: _Trial | None = None
        self._workers: Workers | None = None
        self._is_decided = False

    @property
    def wants_sample(self) -> bool:
        """Whether packets are to be measured with."""
        return self._sample is not None and self._trial is None

    def is_open(self) -> bool:
        """Whether there may be an answer; not while it is measured, nor where software was found better."""
        return not self._is_decided and (self._key is None or self._trial is None or self._trial.is_done)

    def route(self, codec: str, shape_hw: tuple[int, int]) -> Route | None:
        """What was found for such pictures; None where nothing was yet, or software is better."""
        key = self._key_of(codec, shape_hw)
        if key != self._key:
            self._key, self._codec, self._shape_hw, self._sample, self._trial = key, codec, shape_hw, None, None
        found = self._notebook.read(key)
        if found is None:
            if self._sample is None and self._begin():
                self._sample, self._num_bytes = [], 0
            self._is_decided = self._trial is not None and self._trial.is_done
            return None
        chosen = next((route for route in self._routes if route.name == found.get("decoder")), None)
        self._is_decided = chosen is None
        return chosen

    def sample(self, content: bytes, *, is_key: bool) -> None:
        """A packet of the stream, from a key frame on."""
        sample = self._sample
        if sample is None or not (sample or is_key):
            return
        sample.append(content)
        self._num_bytes += len(content)
        if len(sample) >= SAMPLE_PACKETS or self._num_bytes >= MAX_SAMPLE_BYTES:
            self._measure()

    def close(self) -> None:
        """Measure no more."""
        if self._trial is not None:
            self._trial.is_stopped = True
        if self._workers is not None:
            self._workers.join(JOIN_S)
            self._workers = None
        self._end()
        self._is_decided = True

    def _key_of(self, codec: str, shape_hw: tuple[int, int]) -> dict[str, Any]:
        routes = [[one.name, one.program, mark_of(one.program), driver_of(one.device)] for one in self._routes]
        return {"what": "decoder", "version": __version__, "codec": codec, "shape_hw": list(shape_hw), "routes": routes}

    def _begin(self) -> bool:
        """Whether nobody else measures the same."""
        with _deciding_lock:
            name = checksum(self._key or {})
            is_first = name not in _deciding
            _deciding.add(name)
        return is_first

    def _end(self) -> None:
        if self._sample is not None:
            with _deciding_lock:
                _deciding.discard(checksum(self._key or {}))

    def _measure(self) -> None:
        self._trial = trial = _Trial(
            self._routes, self._codec, self._shape_hw, self._sample or [], self._notebook, self._key or {}
        )
        self._workers = Workers([("keepbusy-decoders", trial.work)])
        self._workers.start()


class _Trial:
    """What the thread knows."""

    def __init__(
        self,
        routes: list[Route],
        codec: str,
        shape_hw: tuple[int, int],
        sample: list[bytes],
        notebook: Notebook,
        key: dict[str, Any],
    ) -> None:
        self._routes, self._codec, self._shape_hw = routes, codec, shape_hw
        self._sample, self._notebook, self._key = sample, notebook, key
        self.is_stopped = False
        self.is_done = False

    def work(self) -> None:
        """Measure, and write down what is best."""
        try:
            found = self._measure()
            chosen = best(found)
            note = {one.decoder: {"fps": one.fps, "cpu_ms": one.cpu_ms, "reason": one.reason} for one in found}
            self._notebook.write(self._key, {"decoder": chosen, "measured": note})
            log.info("%s of %dx%d: decoded by %s", self._codec, *reversed(self._shape_hw), chosen)
        except StoppedError:
            pass
        except Exception as error:
            log.warning("decoders cannot be measured: %s", first_line(error))
        self.is_done = True

    def _measure(self) -> list[Measured]:
        def is_stopped() -> bool:
            return self.is_stopped

        software, sums = measure_software(self._codec, self._sample, is_stopped=is_stopped)
        others = [
            measure_route(one, self._codec, self._shape_hw, self._sample, sums, is_stopped=is_stopped)
            for one in self._routes
        ]
        return [software, *others]


def best(found: list[Measured]) -> str:
    """The hardware that costs the least CPU time of those that beat software; software where none does.

    Args:
        found: What was measured, software first.
    """
    better = [one for one in found[1:] if one.beats(found[0])]
    return min(better, key=lambda one: one.cpu_ms).decoder if better else SOFTWARE
