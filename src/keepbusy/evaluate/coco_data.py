"""COCO's data: one JSON file of annotations, and the folder of its pictures."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keepbusy.errors import ConfigError, SourceError, first_line
from keepbusy.evaluate.dataset import Picture, Pictures
from keepbusy.evaluate.problems import Problems

_HINT = "give a COCO annotations file such as instances_val2017.json"
_BAD_HINT = "correct them, or leave those annotations out with --skip-bad-labels"


def open_coco(path: Path, images: Path | None = None, *, skip_bad_labels: bool = False) -> Pictures:
    """Open a COCO annotations file.

    Class ids are the places of the categories in the order of their ids. Crowds (`iscrowd`) and the annotations' own
    `area` are kept.

    Args:
        path: The JSON file.
        images: The folder of its pictures; by default looked for beside the file and one level up.
        skip_bad_labels: Leave bad annotations out and note them, instead of stopping.

    Raises:
        SourceError: The file cannot be read or is no such file, pictures are missing, or the data has faults.
        ConfigError: The folder of pictures is not found.
    """
    content = _read(path)
    problems = Problems()
    categories = _categories(path, content["categories"], problems)
    files = _files(path, content["images"], problems)
    problems.raise_if_any(str(path), hint="correct the file")
    folder = _find_folder(path, images, next(iter(files.values()))["file_name"])
    for image_id, image in files.items():
        if not (folder / image["file_name"]).is_file():
            problems.add(f"{path}: image {image_id}", f"there is no picture {folder / image['file_name']}")
    problems.raise_if_any(str(path), hint="restore the pictures, or name their folder with --images")
    class_ids = {category_id: number for number, category_id in enumerate(categories)}
    objects = _objects(path, content["annotations"], files, class_ids, problems)
    if not skip_bad_labels:
        problems.raise_if_any(str(path), hint=_BAD_HINT)
    if not any(objects.values()):
        raise SourceError(f"{path}: has no objects", hint="nothing can be scored (is it a file of a test split?)")
    notes = []
    if problems.faults:
        notes.append(f"{len(problems.faults)} bad annotations left out; the first is {problems.faults[0]}")
    pictures = [_picture(path, folder, image, objects[image_id]) for image_id, image in files.items()]
    return Pictures(str(path), pictures, tuple(categories.values()), tuple(categories), notes)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise SourceError(f"{path}: cannot be read: {reason}", hint=_HINT) from error
    except json.JSONDecodeError as error:
        raise SourceError(f"{path}:{error.lineno}: is not valid JSON: {error.msg}", hint=_HINT) from error
    if isinstance(content, list):
        raise SourceError(f"{path}: is a list, as results are, not annotations", hint=_HINT)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise SourceError(f"{path}: has no list `{key}`", hint=_HINT)
        if not content[key]:
            raise SourceError(f"{path}: its list `{key}` is empty", hint="nothing can be scored")
    return dict(content)


def _categories(path: Path, listed: list[Any], problems: Problems) -> dict[int, str]:
    """Category id → name, in the order of the ids."""
    found: dict[int, str] = {}
    for place, item in enumerate(listed):
        if not isinstance(item, dict) or not _is_id(item.get("id")) or not isinstance(item.get("name"), str):
            problems.add(f"{path}: categories[{place}]", "has no `id` (a number) and `name`")
        elif item["id"] in found:
            problems.add(f"{path}: category {item['id']}", f"is there twice: {found[item['id']]} and {item['name']}")
        elif item["name"] in found.values():
            problems.add(f"{path}: category {item['id']}", f"has the name of another one: {item['name']}")
        else:
            found[item["id"]] = item["name"]
    return dict(sorted(found.items()))


def _files(path: Path, listed: list[Any], problems: Problems) -> dict[int, dict[str, Any]]:
    """Image id → image, in the file's order."""
    found: dict[int, dict[str, Any]] = {}
    names: dict[str, int] = {}
    for place, item in enumerate(listed):
        if not isinstance(item, dict) or not _is_id(item.get("id")) or not isinstance(item.get("file_name"), str):
            problems.add(f"{path}: images[{place}]", "has no `id` (a number) and `file_name`")
        elif not (_is_size(item.get("width")) and _is_size(item.get("height"))):
            problems.add(f"{path}: image {item['id']}", "has no `width` and `height`")
        elif item["id"] in found:
            problems.add(f"{path}: image {item['id']}", "is there twice")
        elif item["file_name"] in names:
            problems.add(f"{path}: image {item['id']}", f"has the file of image {names[item['file_name']]}")
        else:
            found[item["id"]] = item
            names[item["file_name"]] = item["id"]
    return found


def _find_folder(path: Path, images: Path | None, file_name: str) -> Path:
    if images is not None:
        if not images.is_dir():
            raise ConfigError(f"--images: {images} is no folder", hint="give the folder of the pictures")
        return images
    split = path.stem.rpartition("_")[2]
    above = path.parent.parent
    places = [path.parent, path.parent / "images", path.parent / split, path.parent / "images" / split]
    places += [above / "images", above / split, above / "images" / split]
    for place in places:
        if (place / file_name).is_file():
            return place
    raise ConfigError(
        f"{path}: its pictures are not found: {file_name} is in none of {', '.join(str(p) for p in places)}",
        hint="name their folder with --images",
    )


def _objects(
    path: Path,
    annotations: list[Any],
    files: dict[int, dict[str, Any]],
    class_ids: dict[int, int],
    problems: Problems,
) -> dict[int, list[dict[str, Any]]]:
    """Image id → its good annotations, each with `class_id` added."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    seen: set[int] = set()
    for place, item in enumerate(annotations):
        if not isinstance(item, dict) or not _is_id(item.get("id")):
            problems.add(f"{path}: annotations[{place}]", "has no `id` (a number)")
            continue
        where = f"{path}: annotation {item['id']}"
        image_id, category_id, box = item.get("image_id"), item.get("category_id"), item.get("bbox")
        if item["id"] in seen:
            problems.add(where, "is there twice")
        elif image_id not in files:
            problems.add(where, f"there is no image {image_id}")
        elif category_id not in class_ids:
            problems.add(where, f"there is no category {category_id}")
        elif not _is_box(box):
            problems.add(where, f"bbox {box} is not [left, top, width, height]")
        else:
            found[image_id].append({**item, "class_id": class_ids[category_id]})
        seen.add(item["id"])
    return found


def _picture(path: Path, folder: Path, image: dict[str, Any], objects: list[dict[str, Any]]) -> Picture:
    boxes = np.array([item["bbox"] for item in objects], np.float64).reshape(-1, 4)
    own_area = (boxes[:, 2] * boxes[:, 3]).tolist()
    area = [item.get("area", own) for item, own in zip(objects, own_area, strict=True)]
    boxes[:, 2:] += boxes[:, :2]
    return Picture(
        folder / image["file_name"],
        image["id"],
        boxes,
        np.array([item["class_id"] for item in objects], np.int64),
        path,
        np.array([item["id"] for item in objects], np.int64),
        ": annotation ",
        (image["width"], image["height"]),
        np.array([bool(item.get("iscrowd", 0)) for item in objects], np.bool_),
        np.array(area, np.float64),
    )


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _is_box(value: object) -> bool:
    """Four finite numbers with sides that are not negative; COCO itself has boxes of no width."""
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(side, (int, float)) for side in value):
        return False
    return bool(np.isfinite(value).all()) and value[2] >= 0 and value[3] >= 0
