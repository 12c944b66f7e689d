"""HEIF files (HEIC, AVIF): what their boxes tell, and the whole picture where it is put together from tiles.

ISO/IEC 14496-12 (boxes, `meta`, `pitm`, `iinf`, `iloc`, `iref`) and ISO/IEC 23008-12 (`grid`, `ipma`, `irot`, `imir`).
`irot` turns a picture by quarters, anticlockwise; `imir` mirrors it, top to bottom (0) or left to right (1).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from keepbusy.config import MAX_PIXELS
from keepbusy.errors import reason_of
from keepbusy.pictures.planes import Converter
from keepbusy.sources.boxes import Reader, boxes
from keepbusy.sources.limits import decoder_options
from keepbusy.values.frame import Image

START_BYTES = 64
"""So much of a file is looked at to see that it is a HEIF file."""

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"MiHE"})
_AVIF_BRANDS = frozenset({b"avif", b"avis", b"MA1A", b"MA1B"})
_BRANDS = _HEIC_BRANDS | _AVIF_BRANDS | {b"mif1", b"mif2", b"msf1", b"MiHA", b"MiHB", b"MiPr", b"miaf"}
_SEQUENCE_BRANDS = frozenset({b"hevc", b"hevx", b"hevm", b"hevs", b"msf1", b"avis"})


@dataclass(frozen=True, slots=True)
class Grid:
    """How a picture is put together: its tiles' items, row by row, and what is cut out of them, pixels."""

    num_rows: int
    num_columns: int
    shape_hw: tuple[int, int]
    tiles: tuple[int, ...]


@dataclass(slots=True)
class Items:
    """What the `meta` box of a HEIF file tells.

    Attributes:
        primary: The item that is the picture.
        kinds: The items' types: `hvc1`, `av01`, `grid`, ...
        parts: The items that another one is made of.
        properties: The properties of the file: kind, and where its content stands.
        properties_of: Which of them an item has, in the order in which they apply; from 1.
        places: Where items stand: (whether within `idat`, start, length).
        idat: Where `idat` stands.
    """

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    parts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    properties: list[tuple[bytes, int]] = field(default_factory=list)
    properties_of: dict[int, list[int]] = field(default_factory=dict)
    places: dict[int, tuple[bool, int, int]] = field(default_factory=dict)
    idat: int = 0


def is_heif(content: bytes) -> bool:
    """Whether bytes begin as a HEIF file does, AVIF included."""
    return not _brands(content).isdisjoint(_BRANDS)


def is_still(content: bytes) -> bool:
    """Whether bytes begin as a HEIF file of one picture does, rather than of a sequence."""
    return is_heif(content) and not is_sequence(content)


def is_sequence(content: bytes) -> bool:
    """Whether bytes begin as a HEIF file with moving pictures does."""
    return content[8:12] in _SEQUENCE_BRANDS and is_heif(content)


def name_of(content: bytes) -> str:
    """What people call a HEIF file of this kind."""
    return "AVIF" if content[8:12] in _AVIF_BRANDS or not _brands(content).isdisjoint(_AVIF_BRANDS) else "HEIC"


def _brands(content: bytes) -> set[bytes]:
    if content[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(content[:4], "big"), START_BYTES, len(content))
    return {content[8:12], *(content[place : place + 4] for place in range(16, end, 4))}


def read_items(content: bytes) -> Items | None:
    """The items of a HEIF file; None where it has none, or its boxes make no sense."""
    try:
        for kind, start, end in boxes(content, 0, len(content)):
            if kind == b"meta":
                return _read_meta(content, start + 4, end)
    except ValueError:
        return None
    return None


def _read_meta(content: bytes, start: int, end: int) -> Items:
    items = Items()
    for kind, inner, inner_end in boxes(content, start, end):
        reader = Reader(content, inner, inner_end)
        if kind == b"idat":
            items.idat = inner
        elif kind == b"iprp":
            _read_properties(content, inner, inner_end, items)
        elif kind in (b"pitm", b"iinf", b"iref", b"iloc"):
            version = reader.number(4) >> 24
            if kind == b"pitm":
                items.primary = reader.number(4 if version else 2)
            elif kind == b"iinf":
                reader.number(4 if version else 2)
                _read_kinds(content, reader.position, inner_end, items)
            elif kind == b"iref":
                _read_parts(content, reader.position, inner_end, items, 4 if version else 2)
            else:
                _read_places(reader, version, items)
    return items


def _read_kinds(content: bytes, start: int, end: int, items: Items) -> None:
    for kind, inner, inner_end in boxes(content, start, end):
        reader = Reader(content, inner, inner_end)
        version = reader.number(4) >> 24
        if kind == b"infe" and version >= 2:
            item = reader.number(4 if version >= 3 else 2)
            reader.number(2)
            items.kinds[item] = reader.number(4).to_bytes(4, "big")


def _read_parts(content: bytes, start: int, end: int, items: Items, id_bytes: int) -> None:
    for kind, inner, inner_end in boxes(content, start, end):
        if kind == b"dimg":
            reader = Reader(content, inner, inner_end)
            item = reader.number(id_bytes)
            items.parts[item] = tuple(reader.number(id_bytes) for _ in range(reader.number(2)))


def _read_properties(content: bytes, start: int, end: int, items: Items) -> None:
    for kind, inner, inner_end in boxes(content, start, end):
        if kind == b"ipco":
            items.properties += [(one, place) for one, place, _ in boxes(content, inner, inner_end)]
        elif kind == b"ipma":
            reader = Reader(content, inner, inner_end)
            head = reader.number(4)
            index_bytes = 2 if head & 1 else 1
            for _ in range(reader.number(4)):
                item = reader.number(4 if head >> 24 else 2)
                # The first bit says whether the property is essential.
                mask = (1 << (8 * index_bytes - 1)) - 1
                indices = [reader.number(index_bytes) & mask for _ in range(reader.number(1))]
                items.properties_of.setdefault(item, []).extend(indices)


def _read_places(reader: Reader, version: int, items: Items) -> None:
    sizes = reader.number(2)
    offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_bytes = sizes & 15 if version else 0
    for _ in range(reader.number(2 if version < 2 else 4)):
        item = reader.number(2 if version < 2 else 4)
        is_in_idat = version > 0 and reader.number(2) & 15 == 1
        reader.number(2)
        base = reader.number(base_bytes)
        num_parts = reader.number(2)
        if not index_bytes + offset_bytes + length_bytes:
            num_parts = min(num_parts, 1)  # All of them are the whole file, and take no room in the box.
        for part in range(num_parts):
            reader.number(index_bytes)
            start, length = base + reader.number(offset_bytes), reader.number(length_bytes)
            if part == 0:
                items.places[item] = is_in_idat, start, length


def has_grid(content: bytes) -> bool:
    """Whether a HEIF file's picture is put together from tiles."""
    items = read_items(content)
    return items is not None and items.kinds.get(items.primary) == b"grid"


def grid_of(content: bytes, items: Items) -> Grid | None:
    """How the picture is put together from tiles; None where it is in one piece.

    Raises:
        ValueError: It is put together, and how is not to be understood.
    """
    if items.kinds.get(items.primary) != b"grid":
        return None
    if items.primary not in items.places:
        raise ValueError("how its tiles are put together is missing")
    is_in_idat, start, length = items.places[items.primary]
    start += items.idat if is_in_idat else 0
    reader = Reader(content, start, min(start + length, len(content)) if length else len(content))
    side_bytes = 4 if reader.number(2) & 1 else 2
    num_rows, num_columns = reader.number(1) + 1, reader.number(1) + 1
    width, height = reader.number(side_bytes), reader.number(side_bytes)
    tiles = items.parts.get(items.primary, ())
    if len(tiles) != num_rows * num_columns or not height * width:
        raise ValueError(f"{len(tiles)} tiles for {num_rows} rows of {num_columns}, {width}x{height} pixels")
    return Grid(num_rows, num_columns, (height, width), tiles)


def promised_size(content: bytes) -> tuple[int, int] | None:
    """Height and width, pixels, of a HEIF file's picture as stored, by its boxes; None where they do not tell.

    Of a picture that is put together from tiles it is the larger of what they cover and what is cut out of them.
    """
    items = read_items(content)
    if items is None:
        return None
    sizes = list(_sizes(content, items, [items.primary]))
    try:
        grid = grid_of(content, items)
    except ValueError:
        grid = None
    if grid is not None:
        sizes.append(grid.shape_hw)
        sizes += [
            (height * grid.num_rows, width * grid.num_columns)
            for height, width in _sizes(content, items, dict.fromkeys(grid.tiles))
        ]
    return max(sizes, key=math.prod, default=None)


def _sizes(content: bytes, items: Items, wanted: Iterable[int]) -> Iterator[tuple[int, int]]:
    """What the `ispe` properties of some items say: height and width, pixels."""
    for item in wanted:
        for index in items.properties_of.get(item, ()):
            kind, place = items.properties[index - 1] if 0 < index <= len(items.properties) else (b"", 0)
            if kind == b"ispe" and place + 12 <= len(content):
                width, height = (int.from_bytes(content[start : start + 4], "big") for start in (place + 4, place + 8))
                yield height, width


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode the picture of a HEIF file with FFmpeg, as stored: uint8 (H, W, 3), BGR. It may have to be turned.

    Args:
        content: The file.
        max_pixels: No part of it is decoded that has more pixels, nor parts that have more together.

    Raises:
        ValueError: It cannot be decoded, or is of a kind that is not known.
        OSError: FFmpeg cannot read it.
    """
    items = read_items(content)
    if items is None:
        raise ValueError("its boxes are damaged")
    grid = grid_of(content, items)
    decoded = _decode_items(content, (items.primary,) if grid is None else grid.tiles, max_pixels)
    return decoded[items.primary] if grid is None else _put_together(grid, decoded)


def _decode_items(content: bytes, wanted: tuple[int, ...], max_pixels: int) -> dict[int, Image]:
    import av

    converter = Converter()
    found: dict[int, Image] = {}
    num_left = max_pixels
    options = decoder_options(max_pixels)
    try:
        with av.open(io.BytesIO(content), "r", options=options) as container:
            # FFmpeg numbers its streams as the file does its items.
            streams = [one for one in container.streams.video if one.id in wanted and one.codec_context is not None]
            for stream in streams:
                stream.thread_type = "NONE"
                stream.codec_context.options = options
            for packet in container.demux(streams) if streams else ():
                for frame in packet.decode():
                    if not isinstance(frame, av.VideoFrame) or packet.stream.id in found:
                        continue
                    num_left -= frame.height * frame.width
                    if num_left < 0:
                        raise ValueError(f"its parts have more than {max_pixels:,} pixels together")
                    found[packet.stream.id] = converter.convert(frame)
    except av.FFmpegError as error:
        if isinstance(error, (OSError, ValueError)):
            raise
        raise ValueError(reason_of(error)) from error
    missing = len(set(wanted) - found.keys())
    if missing:
        raise ValueError(f"{missing} of its {len(wanted)} parts cannot be decoded")
    return found


def _put_together(grid: Grid, decoded: dict[int, Image]) -> Image:
    height, width = grid.shape_hw
    tile_height, tile_width = decoded[grid.tiles[0]].shape[:2]
    is_covered = grid.num_rows * tile_height >= height and grid.num_columns * tile_width >= width
    if not is_covered or any(one.shape[:2] != (tile_height, tile_width) for one in decoded.values()):
        raise ValueError("its tiles do not fit")
    whole = np.empty((height, width, 3), np.uint8)
    for number, item in enumerate(grid.tiles):
        top, left = number // grid.num_columns * tile_height, number % grid.num_columns * tile_width
        place = whole[top : top + tile_height, left : left + tile_width]
        place[...] = decoded[item][: place.shape[0], : place.shape[1]]
    return whole


def upright(content: bytes, image: Image) -> Image:
    """A HEIF file's picture turned as the file asks for; other files' pictures as they are.

    Args:
        content: The file.
        image: uint8 (H, W, 3), as stored.
    """
    items = read_items(content) if is_heif(content) else None
    if items is None:
        return image
    shown = image
    for index in items.properties_of.get(items.primary, ()):
        kind, place = items.properties[index - 1] if 0 < index <= len(items.properties) else (b"", 0)
        value = content[place] if place < len(content) else 0
        if kind == b"irot":
            shown = np.rot90(shown, value & 3)
        elif kind == b"imir":
            shown = shown[:, ::-1] if value & 1 else shown[::-1]
    return np.ascontiguousarray(shown)
