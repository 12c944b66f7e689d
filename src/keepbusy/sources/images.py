"""Pictures in files: one, a folder of them, or a glob."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from keepbusy.cores import usable_cores
from keepbusy.errors import FrameError, first_line, reason_of
from keepbusy.pictures import Converter, Reduced
from keepbusy.sources import heif
from keepbusy.sources.jpeg import END_OF_IMAGE, decode_reduced, divisor_for, is_whole_without_end, read_header
from keepbusy.sources.pages import more_pages
from keepbusy.types import Frame, Image

log = logging.getLogger("keepbusy")

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dib", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".mpo", ".png", ".pgm", ".ppm", ".pbm", ".pnm"}
    | {".avif", ".heic", ".heif", ".hif", ".tga", ".tif", ".tiff", ".webp"}
)

MAX_AUTO_THREADS = 4
"""Threads that read pictures where nobody says how many: half of the cores, and no more than this. Four keep up with
some hundred photographs a second; the rest is the device's."""

MAX_SIZES = 500
"""At most so many files are asked for their size: it takes some tens of microseconds each."""


def is_picture(name: str | Path) -> bool:
    """Whether a file's ending is a picture's."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


class ImageFiles:
    """Pictures in files, in the order given. Finite; each file is one frame, its index is its place.

    Several are read at once, ahead of the one that is asked for: at most one more than there are threads. The threads
    start with the first `read` and end with `close`.

    Args:
        paths: The files.
        name: What the user called them.
        source_id: The source's number in the run.
        read_threads: How many are read at once; 1 reads each when it is asked for, in the asking thread; None chooses.
    """

    is_live = False
    fps: float | None = None

    def __init__(
        self, paths: Sequence[Path], name: str, source_id: int = 0, *, read_threads: int | None = None
    ) -> None:
        self.name = name
        self.num_frames: int | None = len(paths)
        self._paths = list(paths)
        self._source_id = source_id
        self._min_long_side_px: int | None = None
        self._sizes_hw: dict[tuple[int, int], int] | None = None
        self._next = 0
        self._last_read = -1
        wanted = max(1, min(MAX_AUTO_THREADS, int(usable_cores() // 2))) if read_threads is None else read_threads
        self._num_threads = min(wanted, len(self._paths))
        self._executor: ThreadPoolExecutor | None = None
        self._ahead: dict[int, Future[Image | Reduced]] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._was_read: set[int] = set()

    def allow_reduced(self, min_long_side_px: int | None) -> None:
        """Say that nobody looks at the pixels: big JPEGs may then be decoded at a half, a quarter or an eighth.

        Frames keep the size of the whole picture, and their `image` reads it from the file. To be said before the
        first `read`.

        Args:
            min_long_side_px: What the longer side must keep; None decodes all of them whole.
        """
        self._min_long_side_px = min_long_side_px

    @property
    def sizes_hw(self) -> dict[tuple[int, int], int]:
        """Sizes of the pictures, from the headers of at most `MAX_SIZES` files: (height, width), pixels → how many.

        Files that cannot be understood are left out.
        """
        if self._sizes_hw is None:
            self._sizes_hw = _sizes_of(self._paths)
        return self._sizes_hw

    def read(self) -> Frame | None:
        index = self._next
        if index >= len(self._paths):
            return None
        self._next += 1
        path = self._paths[index]
        future = self._look_ahead(index)
        picture = self._read_file(index) if future is None else future.result()
        return Frame(picture, index, float(index), self._source_id, str(path))

    def skip(self) -> bool:
        self._next += 1
        return self._next <= len(self._paths)

    def rewind(self) -> None:
        self._next = 0
        self._last_read = -1

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._next = len(self._paths)
            executor, self._executor = self._executor, None
            ahead, self._ahead = self._ahead, {}
        for future in ahead.values():
            future.cancel()
        if executor is not None:
            executor.shutdown()

    def _read_file(self, index: int) -> Image | Reduced:
        is_first = index not in self._was_read
        self._was_read.add(index)
        return read_picture(self._paths[index], index, self._min_long_side_px, is_first=is_first)

    def _look_ahead(self, index: int) -> Future[Image | Reduced] | None:
        """Have this picture and the next ones read by threads; None where there are none."""
        # Whoever selects every n-th picture passes over the others: the distance goes on as it was.
        step = max(1, index - self._last_read)
        self._last_read = index
        with self._lock:
            if self._num_threads <= 1 or self._is_closed:
                return None
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._num_threads, thread_name_prefix="keepbusy-read-picture")
            wanted = range(index, min(len(self._paths), index + step * (self._num_threads + 1)), step)
            for unwanted in self._ahead.keys() - set(wanted):
                self._ahead.pop(unwanted).cancel()
            for one in wanted:
                if one not in self._ahead:
                    self._ahead[one] = self._executor.submit(self._read_file, one)
            return self._ahead.pop(index)


def read_image(path: Path, index: int = 0, *, is_first: bool = True) -> Image:
    """Read one picture as uint8 (H, W, 3), BGR.

    Grey pictures become three equal channels, transparency is dropped, 16 bits a channel become 8, and the orientation
    that a JPEG's tag or a HEIF file's boxes ask for is followed. Of several pages the first is read.

    Args:
        path: The file.
        index: The frame to blame.
        is_first: Whether what is odd about the file is still to be reported.

    Raises:
        FrameError: The file cannot be read, or is no picture.
    """
    picture = read_picture(path, index, is_first=is_first)
    return picture if isinstance(picture, np.ndarray) else picture.image


def read_picture(
    path: Path, index: int = 0, min_long_side_px: int | None = None, *, is_first: bool = True
) -> Image | Reduced:
    """Read one picture, a big JPEG at a part of its size where that is allowed.

    Args:
        path: The file.
        index: The frame to blame.
        min_long_side_px: What the longer side must keep where a JPEG is decoded at a part of its size; None decodes it
            whole.
        is_first: As for `read_image`.

    Raises:
        FrameError: As for `read_image`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FrameError(
            f"cannot read the file: {error.strerror or first_line(error)}",
            stage="read",
            source=str(path),
            frame_index=index,
        ) from error
    header = read_header(content)
    encoded = np.frombuffer(content, np.uint8)
    image: Image | None = None
    cause: Exception | None = None
    is_cut = header is not None and header.is_cut(content)
    if is_cut and is_whole_without_end(content):
        if is_first:
            log.warning("%s: the JPEG's end marker is missing; its pixels are all there", path)
        encoded, is_cut = np.frombuffer(content + END_OF_IMAGE, np.uint8), False
    if content and not is_cut:
        try:
            if header is not None and header.shape_hw is not None and min_long_side_px is not None:
                divisor = divisor_for(header.shape_hw, min_long_side_px)
                found = decode_reduced(encoded, header.shape_hw, divisor) if divisor is not None else None
                if found is not None:
                    return Reduced(found[1], found[0], partial(read_image, path, index, is_first=False))
            image = _decode(encoded, content, path)
        except (cv2.error, OSError, ValueError) as error:
            cause = error
    if image is None:
        raise FrameError(
            f"the file {_what_is_wrong(content, is_cut=is_cut, cause=cause)}",
            stage="read",
            source=str(path),
            frame_index=index,
            hint="replace it, remove it, or convert it to JPEG or PNG",
        ) from cause
    if header is None:
        more = more_pages(content) if is_first else None
        if more is not None:
            log.warning("%s: %s, and the first is read", path, more)
        return heif.upright(content, image)
    return image


def _decode(encoded: Image, content: bytes, path: Path) -> Image | None:
    """A whole picture: what OpenCV reads, and with FFmpeg what it does not; None where neither knows it.

    FFmpeg is asked about what is known to be a picture only: it would draw a text.
    """
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if image is not None:
        return np.asarray(image, np.uint8)
    if heif.is_heif(content):
        return heif.decode(content)
    if path.suffix.lower() == ".tga":
        return _decode_targa(content)
    return None


def _decode_targa(content: bytes) -> Image | None:
    import av

    frames = av.VideoCodecContext.create("targa", "r").decode(av.Packet(content))
    return Converter().convert(frames[0]) if frames else None


def _what_is_wrong(content: bytes, *, is_cut: bool, cause: Exception | None) -> str:
    if not content:
        return "is empty"
    if is_cut:
        return "is a JPEG that is cut short: is not a picture, or is damaged"
    if cause is not None and "MAX_IMAGE" in str(cause):
        return "has more pixels than OpenCV may read (OPENCV_IO_MAX_IMAGE_PIXELS)"
    if heif.is_heif(content):
        tiles = " made of tiles" if heif.has_grid(content) else ""
        reason = "" if cause is None else f": {reason_of(cause)}"
        return f"is a {heif.name_of(content)} picture{tiles}, whatever its ending, and cannot be read{reason}"
    if content[:4] in (b"II*\0", b"MM\0*"):
        return "is a TIFF of a kind that is not read (8 and 16 bits per channel are)"
    return "is not a picture, or is damaged"


def _sizes_of(paths: Sequence[Path]) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for path in _evenly(paths, MAX_SIZES):
        size_hw = _size_of(path)
        if size_hw is not None:
            found[size_hw] = found.get(size_hw, 0) + 1
    return found


def _size_of(path: Path) -> tuple[int, int] | None:
    import imagesize

    width, height = imagesize.get(path, exif_rotation=True)  # -1 where it cannot tell
    return (int(height), int(width)) if height > 0 and width > 0 else None


def _evenly(paths: Sequence[Path], num: int) -> Iterable[Path]:
    return paths if len(paths) <= num else (paths[index * len(paths) // num] for index in range(num))
