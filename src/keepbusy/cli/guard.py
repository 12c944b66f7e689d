"""No command writes over what it reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.files import OutputFolder, check_outputs, file_id, read_text

if TYPE_CHECKING:
    from keepbusy.sinks.open import Outputs


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
        sources: Sources to be read. Of a folder the files in it count. Where `folders` is left out, as by commands
            that only measure and whose data may have sub-folders, all files below it count.
        others: Other files to be read: names, profiles, data sets, earlier reports.

    Raises:
        ConfigError: An output is an input, or two outputs are one file.
    """
    check_outputs(files, _inputs(models, sources, others, is_deep=folders is None), folders=folders)


def guard_outputs(
    outputs: Outputs,
    trace: Path | None,
    sources: Sequence[str],
    *,
    models: Iterable[Path | str | None],
    others: Iterable[Path | str | None],
) -> None:
    """Refuse outputs of `keepbusy detect` that are inputs, and a trace that cannot be written.

    Raises:
        ConfigError: An output is an input, or two outputs are one file.
        SinkError: The trace cannot be written.
    """
    from keepbusy.sinks.naming import check_file, keeps_sub_folders

    is_deep = keeps_sub_folders(sources)
    guard_inputs(
        {"--save": outputs.save, "--json": outputs.json, "--trace": trace},
        folders={
            "--save": pictures_and_videos(outputs.save, is_deep=is_deep),
            "--save-crop": pictures_and_videos(outputs.save_crop, is_deep=True),
            "--save-txt": labels(outputs.save_txt, is_deep=is_deep),
        },
        models=models,
        sources=sources,
        others=others,
    )
    if trace is not None:
        check_file(trace)


def _inputs(
    models: Iterable[Path | str | None],
    sources: Iterable[Any],
    others: Iterable[Path | str | None],
    *,
    is_deep: bool,
) -> Iterator[Path]:
    from keepbusy.models.files import model_files
    from keepbusy.sources.named import named_files

    for model in models:
        if model is not None:
            yield from model_files(Path(model))
    for file in named_files(sources):
        yield file
        if is_deep and file.is_dir():
            yield from _files_below(file)
    yield from (Path(other) for other in others if other is not None)


def _files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, through links too; each folder once."""
    seen = {file_id(folder)}
    for place, names, files in os.walk(folder, followlinks=True):
        identities = {name: file_id(os.path.join(place, name)) for name in names}
        names[:] = [name for name in names if identities[name] not in seen]
        seen.update(identities.values())
        yield from (Path(place, name) for name in files)


def dataset_files(dataset: Any) -> Iterator[Path]:
    """The pictures and label files of a data set that has files, and the lists that name them."""
    for picture in getattr(dataset, "pictures", ()):
        yield picture.path
        yield picture.label_file
    yield from _lists_in(Path(getattr(dataset, "name", "")))


def _lists_in(path: Path) -> Iterator[Path]:
    """The files that a YOLO data set's file names for its splits."""
    import yaml

    if path.suffix.lower() not in {".yaml", ".yml"}:
        return
    try:
        content = yaml.safe_load(read_text(path))
        root = path.parent / str(content.get("path") or "")
        for split in ("train", "val", "test"):
            parts = content.get(split) or []
            for part in parts if isinstance(parts, list) else [parts]:
                # A split that is not there is looked for without the `../` before it.
                yield from (root / str(part), root / str(part).replace("\\", "/").lstrip("./"))
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return  # Opening it says what is wrong.


def pictures_and_videos(folder: Path | None, *, is_deep: bool = False) -> OutputFolder | None:
    """A folder that annotated pictures and videos go to; `is_deep` where sub-folders are kept."""
    from keepbusy.sources.images import is_picture
    from keepbusy.sources.listing import VIDEO_SUFFIXES

    if folder is None:
        return None
    return OutputFolder(folder, lambda path: is_picture(path) or path.suffix.lower() in VIDEO_SUFFIXES, is_deep)


def labels(folder: Path | None, *, is_deep: bool = False) -> OutputFolder | None:
    """A folder that label files go to; `is_deep` where sub-folders are kept."""
    return None if folder is None else OutputFolder(folder, lambda path: path.suffix.lower() == ".txt", is_deep)
