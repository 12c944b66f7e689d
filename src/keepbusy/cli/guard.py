"""What no command writes over: the files of data sets, and the door to `keepbusy.sinks.guard`, which loads more."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keepbusy.files.parsing import parse_yaml
from keepbusy.files.paths import OutputFolder, files_below, read_text

EVAL_REPORTS = frozenset({"metrics.json", "detections.json"})
"""What `keepbusy eval --save-dir` writes beside pictures."""


def guard_inputs(
    files: Mapping[str, Path | str | None],
    *,
    folders: Mapping[str, OutputFolder | None] | None = None,
    models: Iterable[Path | str | None] = (),
    sources: Iterable[Any] = (),
    others: Iterable[Path | str | None] = (),
) -> None:
    """See `keepbusy.sinks.guard.guard_inputs`."""
    from keepbusy.sinks import guard

    guard.guard_inputs(files, folders=folders, models=models, sources=sources, others=others)


def pictures_and_videos(
    folder: Path | None, *, is_deep: bool = False, reports: Container[str] = ()
) -> OutputFolder | None:
    """See `keepbusy.sinks.guard.pictures_and_videos`."""
    from keepbusy.sinks import guard

    return guard.pictures_and_videos(folder, is_deep=is_deep, reports=reports)


def dataset_files(dataset: Any) -> Iterator[Path]:
    """The pictures and label files of a data set that has files, and the lists that name them.

    Label files that belong to none of the pictures count, too.
    """
    folders = set()
    for picture in getattr(dataset, "pictures", ()):
        yield picture.path
        yield picture.label_file
        folders.add(picture.label_file.parent)
    for folder in folders:
        yield from (file for file in files_below(folder, is_deep=False) if file.suffix.lower() == ".txt")
    yield from _lists_in(Path(getattr(dataset, "name", "")))


def _lists_in(path: Path) -> Iterator[Path]:
    """The files that a YOLO data set's file names for its splits."""
    if path.suffix.lower() not in {".yaml", ".yml"}:
        return
    try:
        content = parse_yaml(read_text(path))
        root = path.parent / str(content.get("path") or "")
        for split in ("train", "val", "test"):
            parts = content.get(split) or []
            for part in parts if isinstance(parts, list) else [parts]:
                # A split that is not there is looked for without the `../` before it.
                yield from (root / str(part), root / str(part).replace("\\", "/").lstrip("./"))
    except (OSError, ValueError, AttributeError):
        return  # Opening it says what is wrong.
