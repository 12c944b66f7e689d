"""COCO's data: one JSON file of annotations, and the folder of its pictures."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from keepbusy.errors import ConfigError, SourceError, reason_of
from keepbusy.evaluate.coco_values import clean_id, clean_size, id_key, is_area, is_box, is_flag, shown
from keepbusy.evaluate.dataset import Picture, Pictures
from keepbusy.evaluate.problems import Problems
from keepbusy.files.parsing import TextError, parse_json
from keepbusy.files.paths import natural_key, read_text

_HINT = "give a COCO annotations file such as instances_val2017.json"
_BAD_HINT = "correct them, or leave those annotations out with `skip_bad_labels`"


@dataclass(frozen=True, slots=True)
class _Category:
    id: int | str
    name: str


@dataclass(frozen=True, slots=True)
class _Image:
    id: int | str
    file_name: str
    size_wh: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Object:
    """A good annotation; `name` is what messages call it."""

    name: str
    class_id: int
    box_xyxy: tuple[float, float, float, float]
    area_px: float
    is_crowd: bool


def open_coco(path: Path, images: Path | None = None, *, skip_bad_labels: bool = False) -> Pictures:
    """Open a COCO annotations file.

    Class ids are the places of the categories in the order of their ids. Crowds (`iscrowd`) and the annotations' own
    `area` are kept.

    Args:
        path: The JSON file.
        images: The folder of its pictures; by default looked for beside the file and one level up. A `file_name` with
            folders that are not in it is looked for without them.
        skip_bad_labels: Leave bad annotations out and note them, instead of stopping.

    Raises:
        SourceError: The file cannot be read or is no such file, pictures are missing, or the data has faults.
        ConfigError: The folder that `images` names is not there.
    """
    content = _read(path)
    problems = Problems()
    categories = _categories(path, content, problems)
    files = _files(path, content["images"], problems)
    problems.raise_if_any(str(path), hint="correct the file")
    folder = _find_folder(path, images, next(iter(files.values())).file_name)
    paths = _picture_files(path, folder, files, problems)
    problems.raise_if_any(str(path), hint="restore the pictures, or name their folder with `images=`")
    class_ids = {key: number for number, key in enumerate(categories)}
    objects = _objects(path, content["annotations"], files, class_ids, problems)
    if not skip_bad_labels:
        problems.raise_if_any(str(path), hint=_BAD_HINT)
    if not any(objects.values()):
        raise SourceError(f"{path}: has no objects", hint="nothing can be scored (is it a file of a test split?)")
    notes = []
    if problems.faults:
        notes.append(f"{len(problems.faults)} bad annotations left out; the first is {problems.faults[0]}")
    pictures = [_picture(path, paths[key], image, objects[key]) for key, image in files.items()]
    names, ids = (
        tuple(category.name for category in categories.values()),
        tuple(category.id for category in categories.values()),
    )
    return Pictures(str(path), pictures, names, ids, notes)


MAX_COCO_BYTES = 1 << 32
"""The annotations of Objects365, the largest of the public data sets, have 1.6 GB."""


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path, MAX_COCO_BYTES)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise SourceError(f"{path}: cannot be read: {reason}", hint=_HINT) from error
    try:
        content = parse_json(text)
    except TextError as error:
        raise SourceError(f"{path}{error.place}: is not valid JSON: {error}", hint=_HINT) from error
    if isinstance(content, list):
        raise SourceError(f"{path}: is a list, as results are, not annotations", hint=_HINT)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise SourceError(f"{path}: has no list `{key}`", hint=_HINT)
        if not content[key]:
            raise SourceError(f"{path}: its list `{key}` is empty", hint="nothing can be scored")
    return dict(content)


def _categories(path: Path, content: dict[str, Any], problems: Problems) -> dict[str, _Category]:
    """Id's key → category, in the order of the ids. Those without annotations that repeat a name are passed over."""
    used = {id_key(item.get("category_id")) for item in content["annotations"] if isinstance(item, dict)}
    found: dict[str, _Category] = {}
    by_name: dict[str, str] = {}
    for place, item in enumerate(content["categories"]):
        key = id_key(item.get("id")) if isinstance(item, dict) else None
        if key is None or not isinstance(item.get("name"), str):
            problems.add(f"{path}: categories[{place}]", "has no `id` (a number or a text) and `name`")
            continue
        name, other = item["name"], by_name.get(item["name"])
        if key in found:
            problems.add(f"{path}: category {shown(key)}", f"is there twice: {found[key].name} and {name}")
            continue
        if other is not None and other not in used:
            del found[other]
        elif other is not None and key not in used:
            continue
        elif other is not None:
            problems.add(f"{path}: category {shown(key)}", f"has the name of another one: {name}")
            continue
        found[key] = _Category(cast("int | str", clean_id(item["id"])), name)
        by_name[name] = key
    return dict(sorted(found.items(), key=lambda entry: natural_key(Path(entry[0]))))


def _files(path: Path, listed: list[Any], problems: Problems) -> dict[str, _Image]:
    """Id's key → image, in the file's order."""
    found: dict[str, _Image] = {}
    names: dict[str, str] = {}
    for place, item in enumerate(listed):
        key = id_key(item.get("id")) if isinstance(item, dict) else None
        if key is None or not isinstance(item.get("file_name"), str) or not item["file_name"]:
            problems.add(f"{path}: images[{place}]", "has no `id` (a number or a text) and `file_name`")
            continue
        width, height = clean_size(item.get("width")), clean_size(item.get("height"))
        if width is None or height is None:
            problems.add(f"{path}: image {shown(key)}", "has no `width` and `height` (whole numbers of pixels)")
        elif key in found:
            problems.add(f"{path}: image {shown(key)}", "is there twice")
        elif item["file_name"] in names:
            problems.add(f"{path}: image {shown(key)}", f"has the file of image {shown(names[item['file_name']])}")
        else:
            found[key] = _Image(cast("int | str", clean_id(item["id"])), item["file_name"], (width, height))
            names[item["file_name"]] = key
    return found


def _picture_files(path: Path, folder: Path, files: dict[str, _Image], problems: Problems) -> dict[str, Path]:
    """Id's key → picture: as its name is written, or by the end of it where that names a path of another machine."""
    found: dict[str, Path] = {}
    by_path: dict[Path, str] = {}
    for key, image in files.items():
        picture = _find_picture(folder, image.file_name)
        if picture is None:
            problems.add(f"{path}: image {shown(key)}", f"there is no picture {folder / image.file_name}")
        elif picture in by_path:
            problems.add(
                f"{path}: image {shown(key)}",
                f"its file {image.file_name} can only be {picture}, which is that of image {shown(by_path[picture])}",
            )
        else:
            found[key] = picture
            by_path[picture] = key
    return found


def _find_picture(folder: Path, file_name: str) -> Path | None:
    parts = [part for part in file_name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    places = [folder / file_name, *(folder.joinpath(*parts[start:]) for start in range(len(parts)))]
    return next((place for place in places if os.path.isfile(place)), None)


def _find_folder(path: Path, images: Path | None, file_name: str) -> Path:
    if images is not None:
        if not os.path.isdir(images):
            raise ConfigError(f"`images=`: {images} is no folder", hint="give the folder of the pictures")
        return images
    split = path.stem.rpartition("_")[2]
    above = path.parent.parent
    places = [path.parent, path.parent / "images", path.parent / split, path.parent / "images" / split]
    places += [above / "images", above / split, above / "images" / split]
    for place in places:
        if os.path.isfile(place / file_name):
            return place
    raise SourceError(
        f"{path}: its pictures are not found: {file_name} is in none of {', '.join(str(p) for p in places)}",
        hint="name their folder with `images=`",
    )


def _objects(
    path: Path,
    annotations: list[Any],
    files: dict[str, _Image],
    class_ids: dict[str, int],
    problems: Problems,
) -> dict[str, list[_Object]]:
    """Key of the image's id → its good annotations."""
    found: dict[str, list[_Object]] = defaultdict(list)
    seen: set[str] = set()
    for place, item in enumerate(annotations):
        name = f"annotations[{place}]"
        if not isinstance(item, dict):
            problems.add(f"{path}: {name}", "is not a table")
            continue
        if item.get("id") is not None:
            key = id_key(item["id"])
            if key is None:
                problems.add(f"{path}: {name}", f"has no `id` (a number or a text): {shown(item['id'])}")
                continue
            name = f"annotation {shown(key)}"
            if key in seen:
                problems.add(f"{path}: {name}", "is there twice")
                continue
            seen.add(key)
        fault = _fault(item, files, class_ids)
        if fault is not None:
            problems.add(f"{path}: {name}", fault)
            continue
        left, top, width, height = (float(side) for side in item["bbox"])
        area = item.get("area")
        found[str(id_key(item["image_id"]))].append(
            _Object(
                name,
                class_ids[str(id_key(item["category_id"]))],
                (left, top, left + width, top + height),
                width * height if area is None else float(area),
                bool(item.get("iscrowd")),
            )
        )
    return found


def _fault(item: dict[str, Any], files: dict[str, _Image], class_ids: dict[str, int]) -> str | None:
    """What is wrong with an annotation."""
    if id_key(item.get("image_id")) not in files:
        return f"there is no image {shown(item.get('image_id'))}"
    if id_key(item.get("category_id")) not in class_ids:
        return f"there is no category {shown(item.get('category_id'))}"
    if not is_box(item.get("bbox")):
        return f"bbox {shown(item.get('bbox'))} is not [left, top, width, height] in pixels"
    if item.get("area") is not None and not is_area(item["area"]):
        return f"area {shown(item['area'])} is not a number of square pixels"
    if not is_flag(item.get("iscrowd")):
        return f"iscrowd {shown(item['iscrowd'])} is not 0 or 1"
    return None


def _picture(path: Path, file: Path, image: _Image, objects: list[_Object]) -> Picture:
    return Picture(
        file,
        image.id,
        np.array([item.box_xyxy for item in objects], np.float64).reshape(-1, 4),
        np.array([item.class_id for item in objects], np.int64),
        path,
        np.array([item.name for item in objects], np.object_),
        ": ",
        image.size_wh,
        np.array([item.is_crowd for item in objects], np.bool_),
        np.array([item.area_px for item in objects], np.float64),
    )
