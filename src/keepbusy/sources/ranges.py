"""A part of a video: the pictures that are shown from one key frame on until another one.

Cut by the times at which pictures are shown. Who reads a part decodes beyond its end until every picture before it is
out, and throws away what is shown before its beginning: pictures that stand behind a key frame and are shown before it
belong to the part before.

Whether that gives the pictures of the whole video is seen, not assumed: each part keeps what it saw of the first three
pictures behind its beginning, and behind its end (`PartEnds`). Where two parts that meet saw the same, the cut is
proven.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from keepbusy.errors import FrameError
from keepbusy.sources.video import Video
from keepbusy.values.frame import Frame

if TYPE_CHECKING:
    from av import VideoFrame

NUM_COMPARED = 3

Seen: TypeAlias = list[Any]
"""One picture at a cut: its index, its time, when it is shown (ticks), and a checksum of its pixels."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a video is read.

    Attributes:
        start_pts: When its first picture is shown, ticks of the stream; None for the video's beginning.
        end_pts: When the first picture behind it is shown; None for the video's end.
        seek_ts: Where reading begins, ticks of the stream.
        first_index: The place of its first picture in the video.
        num_frames: How many pictures it should have.
        start_s: When the video itself begins, seconds of the container's clock.
    """

    start_pts: int | None
    end_pts: int | None
    seek_ts: int
    first_index: int
    num_frames: int
    start_s: float


@dataclass(slots=True)
class PartEnds:
    """What was seen at both ends of a part.

    Attributes:
        head: The first pictures; empty where the part begins with the video.
        tail: The first pictures behind it; empty where it ends with the video.
        next_index: The index of the first picture behind it.
    """

    head: list[Seen] = dataclasses.field(default_factory=list)
    tail: list[Seen] = dataclasses.field(default_factory=list)
    next_index: int = 0


class VideoPart(Video):
    """A part of a video file. Its frames have the indices and times that they have in the whole video.

    Args:
        path: The file.
        name: What it is called.
        part: Which part.
        stride: Every how many frames of the video are wanted: the first frame that is read is one of them.
        **how: As for `Video`.

    Attributes:
        ends: What was seen at both ends; complete when `read` has given None.
    """

    def __init__(self, path: str, name: str, part: Part, *, stride: int = 1, **how: Any) -> None:
        self._part = part
        self._to_skip = -part.first_index % stride
        self.ends = PartEnds(next_index=part.first_index)
        super().__init__(path, name, **how)

    def _open(self) -> Any:
        container = super()._open()
        part = self._part
        if part.start_pts is not None:
            try:
                container.seek(part.seek_ts, stream=self._stream, backward=True)
            except BaseException:
                container.close()
                raise
            self._index = self._begin_index = part.first_index
            self._clock.start_at(part.start_s)
        self.info = dataclasses.replace(self.info, num_frames=part.num_frames)
        return container

    def read(self) -> Frame | None:
        while self._to_skip:
            self._to_skip -= 1
            if not self.skip():
                return None
        return super().read()

    def _decode(self) -> VideoFrame | None:
        part = self._part
        while (decoded := super()._decode()) is not None:
            shown = decoded.pts
            if shown is not None and part.start_pts is not None and shown < part.start_pts:
                continue
            if shown is not None and part.end_pts is not None and shown >= part.end_pts:
                self._look_behind(decoded)
                return None
            if part.start_pts is not None and len(self.ends.head) < NUM_COMPARED:
                self._see(self.ends.head, decoded, self._index)
            break
        self.ends.next_index = self._index + (decoded is not None)
        return decoded

    def _look_behind(self, decoded: VideoFrame | None) -> None:
        """Keep what is seen of the pictures behind the end."""
        index = self.ends.next_index = self._index
        try:
            while decoded is not None and len(self.ends.tail) < NUM_COMPARED:
                self._see(self.ends.tail, decoded, index)
                index += 1
                decoded = super()._decode()
        except FrameError:
            pass  # What is missing cannot be the same.
        self._is_over = True

    def _see(self, seen: list[Seen], decoded: VideoFrame, index: int) -> None:
        if any(one[0] == index for one in seen):
            return  # The first picture was looked at before it was read.
        pixels = decoded.to_ndarray(format="bgr24")
        checksum = hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()
        seen.append([index, round(self._clock.place(decoded.time, index), 6), decoded.pts, checksum])

    def _is_cut_short(self) -> bool:
        # The file was whole when it was cut into parts; fewer packets than it has are no loss here.
        return self._part.start_pts is None and super()._is_cut_short()
