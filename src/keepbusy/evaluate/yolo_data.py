"""YOLO's data: a dataset file (YAML), a list of pictures, or a folder, with a label file for each picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keepbusy.errors import ConfigError, SourceError, first_line, reason_of
from keepbusy.evaluate.coco_values import clean_size, shown
from keepbusy.evaluate.dataset import Picture, Pictures
from keepbusy.evaluate.labels import NO_LABELS, read_labels
from keepbusy.evaluate.listing import pictures_below
from keepbusy.evaluate.problems import Problems
from keepbusy.files.parsing import TextError, parse_yaml
from keepbusy.files.paths import is_hidden, natural_key, read_text
from keepbusy.models.names import names_from_value
from keepbusy.sources.listing import Entry

Listed = tuple[Path, str]
"""A picture, and where it was named: `file:line`, or its folder."""

_BAD_LABELS_HINT = "correct them, or leave those lines out with `skip_bad_labels`"
_LIST_HINT = "give a list of pictures (.txt, one a line), or a folder"


def open_yolo_yaml(path: Path, split: str, *, skip_bad_labels: bool = False) -> Pictures:
    """Open what a dataset file calls one of its splits.

    Args:
        path: YAML with `names` (list or mapping), the splits (`train`, `val`, `test`: a folder, a list of pictures, or
            several of either), and `path`, the folder they are relative to: itself relative to the file, by default
            the file's own folder. A split that is not there is looked for without the `../` before it. `kpt_shape`,
            [points, 2 or 3], says that rows are boxes with keypoints.
        split: Which.
        skip_bad_labels: Leave bad lines of label files out and note them, instead of stopping.

    Raises:
        SourceError: The file cannot be read or is malformed, or the data has faults.
        ConfigError: There is no such split.
    """
    content = _read_yaml(path)
    if split not in content or content[split] in (None, "", []):
        known = [key for key in ("train", "val", "test") if content.get(key)]
        raise ConfigError(
            f"{path}: has no split {split!r}",
            hint=f"give `split` {' or '.join(known)}" if known else "add `val: FOLDER` to the file",
        )
    names = names_from_value(content.get("names"))
    if content.get("names") and not names:
        raise SourceError(f"{path}: `names` is neither a list nor a mapping of 0, 1, 2, ... to names")
    num_classes = clean_size(content.get("nc"))
    if content.get("nc") is not None and num_classes is None:
        raise SourceError(
            f"{path}: `nc` is {shown(content['nc'])}, not a number of classes", hint="correct it, or leave it out"
        )
    if num_classes is not None and names and num_classes != len(names):
        raise SourceError(f"{path}: `nc` is {num_classes}, and `names` has {len(names)}", hint="correct one of the two")
    pose_lengths = _pose_lengths(path, content.get("kpt_shape"))
    root = path.parent / _text(path, "path", content.get("path") or "")
    parts = content[split] if isinstance(content[split], list) else [content[split]]
    problems = Problems()
    listed: list[Listed] = []
    for part in parts:
        listed += _list_part(_find_part(root, _text(path, split, part)), f"{path}: {split}", problems)
    return _with_labels(str(path), listed, names, problems, skip_bad_labels=skip_bad_labels, pose_lengths=pose_lengths)


def open_yolo_path(path: Path, split: str, *, must_have_split: bool = False, skip_bad_labels: bool = False) -> Pictures:
    """Open a folder of pictures or a list of them; the data then has no names.

    Args:
        path: A list (`.txt`), a folder whose pictures are wanted (with those of its sub-folders), or one that has
            `images/SPLIT` or `SPLIT/images` in it.
        split: Which split, in the latter case.
        must_have_split: Refuse a folder without it.
        skip_bad_labels: Leave bad lines of label files out and note them, instead of stopping.

    Raises:
        SourceError: It cannot be read, or the data has faults.
        ConfigError: It has no such split.
    """
    for inner in (path / "images" / split, path / split / "images"):
        if os.path.isdir(inner):
            path = inner
            break
    else:
        if must_have_split:
            raise ConfigError(
                f"`split`: {path} has no split {split!r}",
                hint=f"it would be in {path / 'images' / split} or {path / split / 'images'}; leave `split` out to "
                "take all pictures of a folder",
            )
    problems = Problems()
    return _with_labels(
        str(path), list(_list_part(path, str(path), problems)), (), problems, skip_bad_labels=skip_bad_labels
    )


def label_path(picture: Path) -> Path:
    """Where a picture's labels are: its path with the last folder `images` become `labels`, ending in `.txt`."""
    parts = list(Path(os.path.abspath(picture)).parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise SourceError(f"{path}: cannot be read: {reason}") from error
    try:
        content = parse_yaml(text)
    except TextError as error:
        raise SourceError(f"{path}{error.place}: is not valid YAML: {error}", hint="correct that line") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path}: is not a dataset file", hint="it needs the keys `names`, `val` and mostly `path`")
    return content


def _text(path: Path, key: str, value: object) -> str:
    if not isinstance(value, (str, int, float)):
        raise SourceError(f"{path}: `{key}` is not a path", hint="give a folder, or a list of pictures")
    return str(value)


def _pose_lengths(path: Path, kpt_shape: object) -> frozenset[int]:
    """How many numbers a row with keypoints has; points come with their visibility or without."""
    if kpt_shape is None:
        return frozenset()
    is_shape = isinstance(kpt_shape, list) and len(kpt_shape) == 2 and all(type(size) is int for size in kpt_shape)
    if not isinstance(kpt_shape, list) or not is_shape or kpt_shape[0] < 1 or kpt_shape[1] not in (2, 3):
        raise SourceError(f"{path}: `kpt_shape` is not [points, 2 or 3]", hint="write for example `kpt_shape: [17, 3]`")
    return frozenset(5 + kpt_shape[0] * size for size in (2, 3))


def _find_part(root: Path, part: str) -> Path:
    """Where a split is: as written, or without the `../` before it, which some exports have too much."""
    written = root / part
    inside = part.replace("\\", "/")
    while inside.startswith(("../", "./")):
        inside = inside.partition("/")[2].lstrip("/")
    is_found = os.path.exists(written) or not inside or not os.path.exists(root / inside)
    return written if is_found else root / inside


def _list_part(path: Path, named_in: str, problems: Problems) -> Iterator[Listed]:
    """The pictures of a folder or of a list."""
    if os.path.isdir(path):
        found = pictures_below(path)
        if not found:
            raise SourceError(f"{path}: has no pictures in it", hint=_LIST_HINT)
        yield from ((inner, str(path)) for inner in found)
        return
    if not os.path.isfile(path):
        raise SourceError(f"{named_in}: there is no {path}", hint="check `path` and the split's own path")
    if path.suffix.lower() != ".txt":
        raise SourceError(f"{path}: is no list of pictures", hint=_LIST_HINT)
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read: {first_line(error)}", hint=_LIST_HINT) from error
    for number, line in enumerate(lines, start=1):
        entry = Entry(line.strip(), number)
        if entry.is_empty:
            continue
        # A relative path is looked for beside the list first, then where the program runs.
        places = (place for name in entry.spellings() for place in (path.parent / name, Path(name)))
        picture = next((place for place in places if os.path.isfile(place)), None)
        if picture is None:
            problems.add(f"{path}:{number}", f"there is no picture {entry.text}")
        else:
            yield picture, f"{path}:{number}"


def _with_labels(
    name: str,
    listed: list[Listed],
    names: tuple[str, ...],
    problems: Problems,
    *,
    skip_bad_labels: bool,
    pose_lengths: frozenset[int] = frozenset(),
) -> Pictures:
    """Pictures → pictures with their truth, all faults of the files named at once."""
    _find_repeats(listed, problems)
    problems.raise_if_any(name, hint="restore the pictures, or take them off the list")
    if not listed:
        raise SourceError(f"{name}: names no pictures", hint=_LIST_HINT)
    stems = [path.stem for path, _ in listed]
    are_stems_unique = len(set(stems)) == len(stems)
    pictures: list[Picture] = []
    unlabelled: list[Path] = []
    num_repeats = 0
    for path, _ in listed:
        file = label_path(path)
        has_labels = os.path.isfile(file)
        labels = read_labels(file, problems, pose_lengths) if has_labels else NO_LABELS
        if not has_labels:
            unlabelled.append(path)
        num_repeats += labels.num_repeats
        image_id = _image_id(path.stem) if are_stems_unique else str(path)
        pictures.append(Picture(path, image_id, labels.boxes_xyxy, labels.class_id, file, labels.line))
    if len(unlabelled) == len(listed):
        raise SourceError(
            f"{name}: none of {len(listed)} pictures has a label file; the first was looked for at "
            f"{label_path(unlabelled[0])}",
            hint="labels are found by turning the folder `images` of a picture's path into `labels`",
        )
    if not skip_bad_labels:
        problems.raise_if_any(name, hint=_BAD_LABELS_HINT)
    if not any(len(picture.class_id) for picture in pictures):
        raise SourceError(f"{name}: has no objects: all label files are empty", hint="nothing can be scored")
    notes = []
    if problems.faults:
        notes.append(f"{len(problems.faults)} bad labels left out; the first is {problems.faults[0]}")
    if unlabelled:
        notes.append(
            f"{len(unlabelled)} of {len(listed)} pictures have no label file and count as empty; the first is "
            f"{unlabelled[0]}"
        )
    if num_repeats:
        notes.append(f"{num_repeats} repeated lines of label files left out")
    notes += _orphans(pictures)
    return Pictures(name, pictures, names, (), notes)


def _find_repeats(listed: list[Listed], problems: Problems) -> None:
    """Note pictures that are named twice, or that share one label file."""
    by_labels: dict[Path, Listed] = {}
    for path, place in listed:
        first = by_labels.get(label_path(path))
        if first is None:
            by_labels[label_path(path)] = (path, place)
        elif os.path.abspath(first[0]) == os.path.abspath(path):
            problems.add(place, f"{path} is named twice, first in {first[1]}")
        else:
            problems.add(place, f"{path} has the name of {first[0]}: both would have the labels {label_path(path)}")


def _orphans(pictures: list[Picture]) -> list[str]:
    """A note on label files beside those that were read which belong to no picture."""
    used = {picture.label_file for picture in pictures}
    folders = sorted({file.parent for file in used})
    orphans = [
        file
        for folder in folders
        if os.path.isdir(folder) and folder.name != "images"
        for file in sorted(folder.glob("*.txt"), key=natural_key)
        if not is_hidden(file)
        and file not in used
        and file.name not in ("classes.txt", "labels.txt", "train.txt", "val.txt", "test.txt")
    ]
    if not orphans:
        return []
    return [f"{len(orphans)} label files belong to none of the pictures; the first is {orphans[0]}"]


def _image_id(stem: str) -> int | str:
    """COCO's ids are numbers, and its files are named after them."""
    return int(stem) if stem.isdecimal() else stem
