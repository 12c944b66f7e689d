"""No run writes over what it reads."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from keepbusy.files.kinds import is_picture
from keepbusy.files.paths import FileId, OutputFolder, check_outputs, file_id, files_below
from keepbusy.models.files import model_files
from keepbusy.sinks.apart import check_apart, labels_of
from keepbusy.sinks.naming import check_file, check_stdout, keeps_sub_folders
from keepbusy.sinks.spec import FOLDERS, SinkSpec
from keepbusy.sources.base import Source
from keepbusy.sources.listing import VIDEO_SUFFIXES
from keepbusy.sources.named import named_files

_REPORT_SUFFIXES = frozenset({".csv", ".html", ".jsonl", ".md", ".svg"})
"""Endings of files that are written beside sources and never read as one."""

_SHARED_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
"""Endings that reports and profiles share with data sets and labels: their first bytes tell."""

_REPORT_HEAD = re.compile(
    rb'\A\s*\Z|keepbusy-(bench|tune|verify|profile)\b|\A\{"(source|traceEvents)":|\A(\[\]|\[\{"image_id":.*?"score":)'
    rb'|\A\{\s*"(map50_95|chosen)":',
    re.DOTALL,
)
"""What such a file begins with if a command wrote it. Nothing at all is what an interrupted command leaves."""

_HEAD_BYTES = 4096
"""So much is read of such a file: reports say within it what they are."""


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
            that only measure and whose data may have sub-folders, all files below it count. Reports in it do not:
            a command that is run again may write its report to the same place.
        others: Other files to be read: names, profiles, data sets, earlier reports.

    Raises:
        ConfigError: An output is an input, or two outputs are one file.
    """
    given = (file_id(path) for path in files.values() if path is not None and str(path) != "-")
    outputs = {found for found in given if found is not None}
    check_outputs(files, _inputs(models, sources, others, outputs, is_deep=folders is None), folders=folders)


def guard_sinks(
    specs: Sequence[SinkSpec],
    trace: Path | None,
    sources: Sequence[Any],
    *,
    models: Iterable[Path | str | None] = (),
    others: Iterable[Path | str | None] = (),
) -> None:
    """Refuse sinks that would write over what is read, and a trace that cannot be written, before anything is opened.

    Args:
        specs: The sinks.
        trace: Where the timeline is written.
        sources: Sources to be read; those that are open already, and pixels, are passed over.
        models: Models to be read, as files, folders or names.
        others: Other files to be read: names, profiles.

    Raises:
        ConfigError: An output is an input, or two outputs are one file.
        SinkError: The trace cannot be written, or a sink's place is standard output and that is closed.
    """
    named = [str(one) for one in sources if isinstance(one, (str, Path))]
    # What an open source calls its frames is not known: it may be below the folder of those that are named.
    is_deep = keeps_sub_folders(named) or (bool(named) and any(isinstance(one, Source) for one in sources))
    check_apart(specs, is_deep=is_deep, trace=trace)
    for location in [spec.location for spec in specs if spec.kind == "json"] + [str(trace or "")]:
        check_stdout(location)
    files: dict[str, Path | str | None] = {}
    folders: dict[str, OutputFolder | None] = {}
    for label, spec in zip(labels_of(specs), specs, strict=True):
        if spec.kind in FOLDERS:
            folders[label] = _folder_of(spec, is_deep=is_deep)
        elif spec.kind != "window":
            files[label] = spec.location
    files["`trace`"] = trace
    guard_inputs(files, folders=folders, models=models, sources=sources, others=others)
    if trace is not None:
        check_file(trace)


def _folder_of(spec: SinkSpec, *, is_deep: bool) -> OutputFolder | None:
    if spec.kind == "labels":
        return labels(spec.path, is_deep=is_deep)
    return pictures_and_videos(spec.path, is_deep=is_deep or spec.kind == "crops")


def pictures_and_videos(
    folder: Path | None, *, is_deep: bool = False, reports: Container[str] = ()
) -> OutputFolder | None:
    """A folder that pictures and videos go to, and reports with some names.

    `is_deep` where sub-folders are kept.
    """

    def writes(path: Path) -> bool:
        return is_picture(path) or path.suffix.lower() in VIDEO_SUFFIXES or path.name.lower() in reports

    return None if folder is None else OutputFolder(folder, writes, is_deep)


def labels(folder: Path | None, *, is_deep: bool = False) -> OutputFolder | None:
    """A folder that label files go to; `is_deep` where sub-folders are kept."""
    return None if folder is None else OutputFolder(folder, lambda path: path.suffix.lower() == ".txt", is_deep)


def _inputs(
    models: Iterable[Path | str | None],
    sources: Iterable[Any],
    others: Iterable[Path | str | None],
    outputs: set[FileId],
    *,
    is_deep: bool,
) -> Iterator[Path]:
    for model in models:
        if model is not None:
            reports = outputs if os.path.isdir(model) else None
            yield from model_files(Path(model), counts=partial(_is_of_model, reports=reports))
    for source in sources:
        is_folder = isinstance(source, (str, Path)) and os.path.isdir(os.path.expanduser(source))
        for file in _files_of(source, is_deep=is_deep):
            if not is_folder or not _is_report(file, outputs):
                yield file
    yield from (Path(other) for other in others if other is not None)


def _is_of_model(file: Path, *, reports: set[FileId] | None) -> bool:
    """Whether a file is one of a model's, and no report in its folder; None where the model is no folder."""
    return reports is None or not _is_report(file, reports)


def _files_of(source: Any, *, is_deep: bool) -> Iterator[Path]:
    for file in named_files([source]):
        yield file
        if is_deep and os.path.isdir(file):
            yield from files_below(file, with_hidden=True)


def _is_report(path: Path, outputs: set[FileId]) -> bool:
    """Whether a file in a folder of sources is one that commands write and do not read.

    Only files that are going to be written are looked into.
    """
    suffix = path.suffix.lower()
    if suffix in _REPORT_SUFFIXES:
        return True
    if suffix not in _SHARED_SUFFIXES or file_id(path) not in outputs:
        return False
    try:
        with path.open("rb") as file:
            return _REPORT_HEAD.search(file.read(_HEAD_BYTES)) is not None
    except OSError:
        return False
