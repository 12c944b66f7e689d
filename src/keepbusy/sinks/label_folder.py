"""Folders of labels: which are this program's, and whether somebody has worked in them since."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from keepbusy.errors import SinkError
from keepbusy.files.paths import files_below, natural_key, read_bytes
from keepbusy.files.whole import write_whole
from keepbusy.sinks.naming import make_folder

MARK = ".keepbusy"
"""The file that marks a folder of labels as this program's. It was last modified when labels were last written."""

CLOCK_S = 2.0
"""Labels of this program's own may be so much newer than the mark: some file systems (FAT) keep times in steps of two
seconds, and the mark is renewed every second only, so that a run that is killed leaves labels behind that are newer."""

_RENEW_S = 1.0

_TEXT = b"Labels in this folder were written by keepbusy, and may be written over by it.\n"
_MAX_MARK_BYTES = 4096


class LabelMark:
    """The mark of a folder, renewed as labels are written. Not thread-safe.

    Args:
        folder: A folder that this program has marked.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / MARK
        self._renewed_s = float("-inf")

    def renew(self, *, is_last: bool = False) -> None:
        """Say that the labels in the folder are this program's up to now; at most once per second, unless it is last.

        A mark that cannot be renewed stays as it is: the next run asks before it writes over labels.
        """
        now_s = time.monotonic()
        if not is_last and now_s - self._renewed_s < _RENEW_S:
            return
        self._renewed_s = now_s
        if _is_marked(self._path.parent):
            with suppress(OSError):
                os.utime(self._path)


def claim_labels(folder: Path, *, exist_ok: bool, is_deep: bool = True, option: str = "--save-txt") -> LabelMark | None:
    """Take a folder for labels: those of somebody else are not written over, unless that is wanted.

    A small hidden file marks folders that labels were written to before. Labels that are newer than it were corrected
    or added by somebody else.

    Args:
        folder: The folder; made if missing.
        exist_ok: Write over what is there.
        is_deep: Whether labels are going to be written to folders below it, too.
        option: What the user named it with, for messages; empty where a program did.

    Returns:
        The folder's mark; None where somebody else's labels are written over. They stay somebody else's, so that the
        next run asks again.

    Raises:
        SinkError: It has label files in it that this program did not write, or cannot be made.
    """
    make_folder(folder)
    if _is_marked(folder):
        changed = _first_changed(folder, is_deep=is_deep)
        what = "which was changed after keepbusy last wrote labels there"
    else:
        changed = next(folder.rglob("*.txt"), None)
        what = "which keepbusy did not write"
    if changed is None:
        if not _is_marked(folder):
            write_whole(folder / MARK, _TEXT, follows_link=False)
        return LabelMark(folder)
    if exist_ok:
        return None
    flag = "`exist_ok`" if option in ("--save-txt", "`yolo`") else "labels:FOLDER?exist_ok=yes"
    raise SinkError(
        f"{f'{option}: ' if option else ''}{folder}: has {changed.relative_to(folder)} in it, {what}",
        hint=f"give a new folder, or {flag} to write over label files of the same names",
    )


def _is_marked(folder: Path) -> bool:
    """Whether this program has marked a folder. A link, or a pipe, is no mark of its."""
    mark = folder / MARK
    try:
        return stat.S_ISREG(os.lstat(mark).st_mode) and read_bytes(mark, _MAX_MARK_BYTES) == _TEXT
    except (OSError, ValueError):
        return False


def _first_changed(folder: Path, *, is_deep: bool) -> Path | None:
    """The first label file, by name, that is newer than the mark; None where there is none.

    A link counts with its own time, not with that of what it leads to.
    """
    try:
        newest_s = os.lstat(folder / MARK).st_mtime + CLOCK_S
    except OSError:
        newest_s = float("-inf")
    labels = (path for path in files_below(folder, is_deep=is_deep) if path.suffix.lower() == ".txt")
    return min((path for path in labels if _modified_s(path) > newest_s), key=natural_key, default=None)


def _modified_s(path: Path) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return float("-inf")  # It is gone.
