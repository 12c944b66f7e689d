"""Pictures in files: one, a folder of them, or a glob."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from keepbusy.config import MAX_PIXELS
from keepbusy.pictures.planes import Reduced
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.sources.picture import blaming, read_picture
from keepbusy.threads.cores import usable_cores
from keepbusy.values.frame import Frame, Image

MAX_AUTO_THREADS = 4
"""Threads that read pictures where nobody says how many: half of the cores, and no more than this. Four keep up with
some hundred photographs a second; the rest is the device's."""

MAX_SIZES = 500
"""At most so many files are asked for their size: it takes some tens of microseconds each."""


class ImageFiles(Source):
    """Pictures in files, in the order given. Finite; each file is one frame, its index is its place.

    Several are read at once, ahead of the one that is asked for: at most one more than there are threads. The threads
    start with the first `read` and end with `close`.

    Args:
        paths: The files.
        name: What the user called them.
        source_id: The source's number in the run.
        read_threads: How many are read at once; 1 reads each when it is asked for, in the asking thread; None chooses.
        max_pixels: A picture that has more by its header fails without being decoded.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        name: str,
        source_id: int = 0,
        *,
        read_threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.info = SourceInfo(name, num_frames=len(paths))
        self._paths = list(paths)
        self._source_id = source_id
        self._max_pixels = max_pixels
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

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        """Sizes of the pictures, from the headers of at most `MAX_SIZES` files: (height, width), pixels → how many.

        Files that cannot be understood, or have too many pixels, are left out.
        """
        if self._sizes_hw is None:
            self._sizes_hw = _sizes_of(self._paths, self._max_pixels)
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
        path = self._paths[index]
        with blaming(str(path), index):
            picture = read_picture(path, index, self._min_long_side_px, is_first=is_first, max_pixels=self._max_pixels)
        return picture

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


def _sizes_of(paths: Sequence[Path], max_pixels: int) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for path in _evenly(paths, MAX_SIZES):
        size_hw = _size_of(path)
        if size_hw is not None and math.prod(size_hw) <= max_pixels:
            found[size_hw] = found.get(size_hw, 0) + 1
    return found


def _size_of(path: Path) -> tuple[int, int] | None:
    import imagesize

    width, height = imagesize.get(path, exif_rotation=True)  # -1 where it cannot tell
    return (int(height), int(width)) if height > 0 and width > 0 else None


def _evenly(paths: Sequence[Path], num: int) -> Iterable[Path]:
    return paths if len(paths) <= num else (paths[index * len(paths) // num] for index in range(num))
