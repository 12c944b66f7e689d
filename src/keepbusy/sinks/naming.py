"""File names for outputs, made from the sources' names, never two alike."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from keepbusy.errors import SinkError
from keepbusy.sources.images import is_picture
from keepbusy.types import Frame

_SURROGATE = re.compile("[\ud800-\udfff]")


def valid_text(text: str) -> str:
    r"""A text that UTF-8 can hold: bytes of a file name that are not UTF-8 become text such as `\xff`."""
    return _SURROGATE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    # Python keeps a byte that is not UTF-8 as a surrogate from U+DC80 on.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


class OutputNames:
    """Stems for output files: the source's own, with `-2`, `-3`, ... where another source has the same.

    One instance serves all sinks of a run, so that `street.mp4` and `street.txt` belong together.

    Args:
        roots: Folders below which sources keep their sub-folders: `a/x` for `root/a/x.jpg`.
    """

    def __init__(self, roots: Iterable[Path] = ()) -> None:
        # The innermost first.
        self._roots = sorted(set(roots), key=lambda root: -len(root.parts))
        self._stems: dict[str, str] = {}
        self._taken: set[str] = set()

    def stem(self, source: str) -> str:
        """The stem for a source's outputs, with `/` behind sub-folders; the same for the same source."""
        if source not in self._stems:
            text = valid_text(Path(source).stem if "://" not in source else source)
            base = f"camera{source}" if source.isdecimal() else _plain(text) or "source"
            base = self._sub_folder(source) + base
            candidate, number = base, 1
            while candidate.lower() in self._taken:
                number += 1
                candidate = f"{base}-{number}"
            self._taken.add(candidate.lower())
            self._stems[source] = candidate
        return self._stems[source]

    def _sub_folder(self, source: str) -> str:
        parent = Path(source).parent
        root = next((root for root in self._roots if parent.is_relative_to(root)), None)
        if root is None or "://" in source:
            return ""
        return "".join(f"{_plain(valid_text(part)) or '_'}/" for part in parent.relative_to(root).parts)

    def frame_stem(self, frame: Frame) -> str:
        """The stem for one frame's own file: a picture's is its own, any other's has the frame's index added."""
        stem = self.stem(frame.source)
        return stem if is_picture(frame.source) else f"{stem}_{frame.index:06d}"


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


def check_file(path: Path) -> None:
    """See, before any work is done, that a file can be made.

    Raises:
        SinkError: It cannot.
    """
    if path.is_dir():
        raise SinkError(f"{path}: is a folder, not a file", hint="add a file name to it")
    make_folder(path.parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise SinkError(f"{path}: exists and cannot be overwritten", hint="give another name")


def write_error(path: Path | str, error: OSError) -> SinkError:
    """A failed write, with the reason and what to do."""
    return SinkError(
        f"{path}: cannot be written: {error.strerror or error}",
        hint="is the disk full, or the folder read-only? What was written before is kept",
    )
