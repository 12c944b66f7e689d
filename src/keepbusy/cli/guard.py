"""No command writes over what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keepbusy.files import OutputFolder, check_outputs


def guard_inputs(
    files: Mapping[str, Path | str | None],
    *,
    folders: Mapping[str, OutputFolder | None] | None = None,
    models: Iterable[Path | str | None] = (),
    sources: Iterable[Any] = (),
    others: Iterable[Path | str | None] = (),
) -> None:
    """Refuse outputs that are inputs, before anything is opened.

    Args:
        files: Files to be written, by option.
        folders: Folders to be written to, by option.
        models: Models to be read, as files, folders or names.
        sources: Sources to be read.
        others: Other files to be read: names, profiles, data sets, earlier reports.

    Raises:
        ConfigError: An output is an input, or two outputs are one file.
    """
    check_outputs(files, _inputs(models, sources, others), folders=folders)


def _inputs(
    models: Iterable[Path | str | None], sources: Iterable[Any], others: Iterable[Path | str | None]
) -> Iterator[Path]:
    from keepbusy.models.files import model_files
    from keepbusy.sources.named import named_files

    for model in models:
        if model is not None:
            yield from model_files(Path(model))
    yield from named_files(sources)
    yield from (Path(other) for other in others if other is not None)


def dataset_files(dataset: Any) -> Iterator[Path]:
    """The pictures and label files of a data set that has files."""
    for picture in getattr(dataset, "pictures", ()):
        yield picture.path
        yield picture.label_file


def pictures_and_videos(folder: Path | None, *, is_deep: bool = False) -> OutputFolder | None:
    """A folder that annotated pictures and videos go to; `is_deep` where sub-folders are kept."""
    from keepbusy.sources.images import is_picture
    from keepbusy.sources.listing import VIDEO_SUFFIXES

    if folder is None:
        return None
    return OutputFolder(folder, lambda path: is_picture(path) or path.suffix.lower() in VIDEO_SUFFIXES, is_deep)


def labels(folder: Path | None) -> OutputFolder | None:
    """A folder that label files go to."""
    return None if folder is None else OutputFolder(folder, lambda path: path.suffix.lower() == ".txt")
