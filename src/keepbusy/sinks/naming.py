"""File names for outputs, made from the sources' names, never two alike."""

from __future__ import annotations

import glob
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from keepbusy.errors import SinkError, reason_of
from keepbusy.files.endings import is_picture
from keepbusy.sources.listing import LIST_SUFFIXES
from keepbusy.sources.named import named_files
from keepbusy.sources.pipe import STDIN
from keepbusy.texts import valid_text
from keepbusy.values.frame import Frame

_OF_FRAME = re.compile(r"(.+)_\d{6,}", re.DOTALL)
_OF_ROUND = re.compile(r"(.+)_round\d+", re.DOTALL)
"""What the names of files made of a video's stem look like: for a frame, and for a clip that comes again."""


class OutputNames:
    """Stems for output files: the source's own, with `-2`, `-3`, ... where another source has the same.

    A source that is given twice is two sources. The stem of a picture is no name of a video's frame either: beside the
    frames of `street.mp4`, a picture `street_000012.jpg` is called `street_000012-2`; where the picture comes first,
    the video is called `street-2`.

    One instance serves all sinks of a run, so that `street.mp4` and `street.txt` belong together. Thread-safe. Each
    sink asks for the stem of each result first, whatever it then writes: names are given in the results' order,
    however far the sinks are apart.

    Args:
        roots: Folders below which sources keep their sub-folders: `a/x` for `root/a/x.jpg`. See `roots_of`.
    """

    def __init__(self, roots: Iterable[Path] = ()) -> None:
        # The innermost first.
        self._roots = sorted({_absolute(root) for root in roots}, key=lambda root: -len(root.parts))
        self._stems: dict[tuple[int, str], str] = {}
        self._taken: set[str] = set()
        self._videos: set[str] = set()
        # Stems that no video may have: names made of them belong to others.
        self._barred: set[str] = set()
        self._lock = threading.Lock()

    def stem(self, source: str, source_id: int = 0) -> str:
        """The stem for a source's outputs, with `/` behind sub-folders; the same for the same source.

        Args:
            source: A frame's source.
            source_id: The number in the run of the source that the frame came with: a list has many files.
        """
        key = (source_id, source)
        with self._lock:
            if key not in self._stems:
                self._stems[key] = self._new_stem(source)
            return self._stems[key]

    def _new_stem(self, source: str) -> str:
        # A file's as it is: label files are found by their pictures' names.
        own = _own(Path(source).stem) if _is_file_name(source) else _of_no_file(source)
        base = self._sub_folder(source) + own
        is_video = not is_picture(source)
        candidate, number = base, 1
        while not self._is_free(candidate.lower(), is_video=is_video):
            number += 1
            candidate = f"{base}-{number}"
        self._take(candidate.lower(), is_video=is_video)
        return candidate

    def _is_free(self, stem: str, *, is_video: bool) -> bool:
        made_of = _made_of(stem, is_video=is_video)
        return stem not in self._taken and made_of not in self._videos and not (is_video and stem in self._barred)

    def is_of_video(self, stem: str) -> bool:
        """Whether a name is that of a frame of a video that has been named."""
        return _made_of(stem.lower(), is_video=False) in self._videos

    def _take(self, stem: str, *, is_video: bool) -> None:
        self._taken.add(stem)
        if is_video:
            self._videos.add(stem)
        made_of = _made_of(stem, is_video=is_video)
        if made_of is not None:
            self._barred.add(made_of)

    def _sub_folder(self, source: str) -> str:
        if not self._roots or not _is_file_name(source):
            return ""
        parent = _absolute(source).parent
        root = next((root for root in self._roots if parent.is_relative_to(root)), None)
        if root is None:
            return ""
        return "".join(f"{_own(part)}/" for part in parent.relative_to(root).parts)

    def frame_stem(self, frame: Frame) -> str:
        """The stem for one frame's own file: a picture's is its own, any other's has the frame's index added.

        No two frames have the same one.
        """
        stem = self.stem(frame.source, frame.source_id)
        return stem if is_picture(frame.source) else f"{stem}_{frame.index:06d}"


def _made_of(stem: str, *, is_video: bool) -> str | None:
    """The stem of the video that could have a file of this name, too; None where none could."""
    found = (_OF_ROUND if is_video else _OF_FRAME).fullmatch(stem)
    return found[1] if found else None


def roots_of(specs: Iterable[str]) -> set[Path]:
    """The folders below which the outputs of some sources keep their sub-folders.

    That of a glob is its fixed part. All other files, those of lists included, have one together: the innermost folder
    that all of them are below.

    Args:
        specs: The sources as the user named them.
    """
    specs = list(specs)
    roots = {glob_root(os.path.expanduser(spec)) for spec in specs if is_glob(spec)}
    # Folders on several drives have none.
    with suppress(ValueError):
        roots.add(Path(os.path.commonpath(_folders_of(specs))))
    return roots


def keeps_sub_folders(specs: Sequence[str]) -> bool:
    """Whether outputs may go to sub-folders."""
    return any(map(is_glob, specs)) or len(_folders_of(specs)) > 1


def _folders_of(specs: Iterable[str]) -> set[str]:
    """The folders that the files of sources are in, globs left out; absolute."""
    files = named_files(spec for spec in specs if not is_glob(spec))
    return {os.path.dirname(os.path.abspath(file)) for file in files if file.suffix.lower() not in LIST_SUFFIXES}


def is_glob(spec: str) -> bool:
    """Whether a source is a pattern, and not a file whose name has such letters."""
    return _is_file_name(spec) and glob.has_magic(spec) and not os.path.exists(spec)


def glob_root(pattern: str) -> Path:
    """The folder that everything that a pattern matches is below: `root` of `root/**/*.jpg`."""
    fixed: list[str] = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _is_file_name(source: str) -> bool:
    return "://" not in source and not source.startswith("synth:") and not source.isdecimal() and source != STDIN


def _of_no_file(source: str) -> str:
    if source == STDIN:
        return "stdin"
    return f"camera{source}" if source.isdecimal() else _plain(_address(source)) or "source"


def _absolute(path: Path | str) -> Path:
    return Path(os.path.abspath(path))


def _address(source: str) -> str:
    """What tells a source that is no file from others."""
    return valid_text(source if "://" in source else Path(source).stem)


def _own(name: str) -> str:
    """A file's name as text, without control characters."""
    return re.sub(r"[\x00-\x1f\x7f]", "_", valid_text(name)) or "source"


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).strip("_.")


def make_folder(folder: Path) -> None:
    """Make a folder for outputs and see that it can be written.

    Raises:
        SinkError: It cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"{folder}: cannot be made: {error.strerror}", hint="give a folder that you may write to"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"{folder}: cannot be written to", hint="give a folder that you may write to")


@contextmanager
def made_folder(folder: Path | None) -> Iterator[None]:
    """A folder for outputs, made if missing. If nothing was written to it in the end, what was made is removed.

    Args:
        folder: The folder; None for none.

    Raises:
        SinkError: It cannot be made or written to.
    """
    made = [] if folder is None else [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    try:
        if folder is not None:
            make_folder(folder)
        yield
    finally:
        with suppress(OSError):  # It has something in it.
            for one in made:
                one.rmdir()


def check_stdout(place: Path | str) -> None:
    """See, before any work is done, that standard output is open, where that is what a place names.

    Raises:
        SinkError: It is closed.
    """
    if is_stdout(place) and _is_stdout_closed():
        raise SinkError("standard output is closed: nothing can be written to it", hint="give a file, or open it")


def is_stdout(place: Path | str) -> bool:
    """Whether a place for an output names standard output."""
    return os.path.normpath(place) in _STDOUT_NAMES


_STDOUT_NAMES = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})


def _is_stdout_closed() -> bool:
    stream = sys.stdout
    # The program puts the null device in the place of what it was started without.
    if stream is None or (sys.__stdout__ is None and getattr(stream, "name", None) == os.devnull):
        return True
    if getattr(stream, "closed", False):
        return True
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):  # Somebody's own stream.
        return False
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def check_file(path: Path) -> None:
    """See, before any work is done, that a file can be made.

    Raises:
        SinkError: It cannot.
    """
    check_stdout(path)
    if os.path.isdir(path):
        raise SinkError(f"{path}: is a folder, not a file", hint="add a file name to it")
    make_folder(path.parent)
    try:
        os.lstat(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise SinkError(f"{path}: cannot be written: {reason_of(error)}", hint="give another name") from error
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise SinkError(f"{path}: exists and cannot be overwritten", hint="give another name")


def beside_earlier(path: Path, now_s: float | None = None, *, is_taken: bool = False) -> Path:
    """A file or folder with nothing in it: with the time of its beginning in its name where an earlier one has it.

    Frames are numbered anew when a stream begins: in an earlier folder they would have the names of earlier ones.

    Args:
        path: The file or folder; what is neither, such as a pipe, keeps its name.
        now_s: The time, seconds since 1970; None for now.
        is_taken: Whether somebody writes there, also where nothing is in it yet.
    """
    if os.path.isdir(path):
        is_earlier = is_taken or any(path.iterdir())
    else:
        is_earlier = os.path.isfile(path) and (is_taken or os.path.getsize(path) > 0)
    if str(path) == "-" or not is_earlier:
        return path
    begun = time.strftime("%Y%m%dT%H%M%S", time.localtime(now_s))
    found, number = path.with_stem(f"{path.stem}-{begun}"), 1
    while os.path.lexists(found):
        number += 1
        found = path.with_stem(f"{path.stem}-{begun}-{number}")
    return found
