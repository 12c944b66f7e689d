"""The synthetic street as a source: `synth:street?seed=1&size=1280x720&fps=30&frames=300`."""

from __future__ import annotations

from keepbusy.errors import SourceError, first_line
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.street import StreetScene, Truth, parse_street_spec
from keepbusy.values.frame import Frame


class Street(Source):
    """Frames of a synthetic street, drawn when they are read. Finite if the spec says how many, else endless.

    Never live: every frame is delivered, however long the consumer takes, and the same spec gives the same pixels.

    Args:
        spec: `synth:street`, with any of the keys seed, size, fps, frames.
        source_id: The source's number in the run.

    Raises:
        SourceError: The spec is malformed; the hint has all keys and their ranges.
    """

    def __init__(self, spec: str, source_id: int = 0) -> None:
        parsed = parse_street_spec(spec)
        self.info = SourceInfo(spec, num_frames=parsed.frames, fps=parsed.fps)
        self._size_hw = (parsed.height, parsed.width)
        self._fps = parsed.fps
        self._source_id = source_id
        self._next = 0
        self._is_closed = False
        try:
            self._scene = StreetScene(parsed.seed, parsed.width, parsed.height, parsed.fps)
        except ValueError as error:
            raise SourceError(f"{spec}: {first_line(error)}") from error

    def read(self) -> Frame | None:
        if self._is_over():
            return None
        index = self._next
        self._next += 1
        image, _ = self._scene.render(index)
        return Frame(image, index, index / self._fps, self._source_id, self.info.name)

    def truth(self, index: int) -> Truth:
        """What is visible in a frame."""
        return self._scene.render(index)[1]

    def skip(self) -> bool:
        is_over = self._is_over()
        self._next += 1
        return not is_over

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        return {self._size_hw: self.info.num_frames or 1}

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        self._is_closed = True

    def _is_over(self) -> bool:
        return self._is_closed or (self.info.num_frames is not None and self._next >= self.info.num_frames)
