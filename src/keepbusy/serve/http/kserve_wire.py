"""KServe's protocol, version 2, as bytes: JSON with and without the binary extension. Pure functions."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.serve.http.bodies import BadRequestError, json_of, length_of
from keepbusy.texts import shortened
from keepbusy.values.detections import Detections

HEADER = "Inference-Header-Content-Length"

INPUT = "image"

OUTPUTS: dict[str, tuple[str, list[int]]] = {
    "num_detections": ("INT32", [-1]),
    "boxes": ("FP32", [-1, -1, 4]),
    "scores": ("FP32", [-1, -1]),
    "class_ids": ("INT32", [-1, -1]),
    "labels": ("BYTES", [-1, -1]),
}
"""Name → type and shape. Of several pictures all have as many rows as the one with the most detections: behind its own,
a picture has rows of score 0, class -1 and an empty label."""

_TYPES = {"INT32": np.dtype("<i4"), "FP32": np.dtype("<f4")}

MIN_PACKED_BYTES = 512


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for.

    Attributes:
        id: The client's own word for it; empty where it gives none.
        pictures: Encoded pictures.
        outputs: Name → whether it is to be binary.
        parameters: Others, such as `conf` and `max_det`.
    """

    id: str
    pictures: list[bytes]
    outputs: dict[str, bool]
    parameters: dict[str, Any]


def parse_request(body: bytes, header_length: str | None, max_pictures: int) -> Asked:
    """A body → what is asked for.

    Args:
        body: Unpacked.
        header_length: What the header of the binary extension says; None where there is none.
        max_pictures: So many are allowed.

    Raises:
        BadRequestError: It is not of that form.
    """
    if header_length is None:
        head, binary = body, b""
    else:
        length = length_of(header_length)
        if length is None or length > len(body):
            told = shortened(repr(header_length), 60)
            raise BadRequestError(400, f"{HEADER} is {told}, and the body has {len(body)} bytes")
        head, binary = body[:length], body[length:]
    try:
        content = json_of(head)
    except BadRequestError as error:
        error.hint = f"binary data need the header {HEADER}" if header_length is None else ""
        raise
    if not isinstance(content, dict) or not isinstance(content.get("inputs"), list):
        raise BadRequestError(400, "the request has no list of inputs")
    inputs, parameters = content["inputs"], _mapping(content.get("parameters"), "parameters")
    if len(inputs) != 1 or not isinstance(inputs[0], dict) or inputs[0].get("name") != INPUT:
        raise BadRequestError(400, f"there is one input, and it is called {INPUT!r}")
    pictures, rest = _pictures(inputs[0], binary, max_pictures)
    if rest:
        raise BadRequestError(400, f"{len(rest)} bytes behind the last input belong to nothing")
    word = content.get("id", "")
    if not isinstance(word, str):
        raise BadRequestError(400, "id: must be a text")
    is_binary = _truth(parameters.pop("binary_data_output", False), "parameters: binary_data_output")
    return Asked(word, pictures, _outputs(content.get("outputs"), is_binary), parameters)


def _truth(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise BadRequestError(400, f"{name}: must be true or false")
    return value


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequestError(400, f"{name} is no JSON object")
    return dict(value)


def _pictures(given: dict[str, Any], binary: bytes, max_pictures: int) -> tuple[list[bytes], bytes]:
    if given.get("datatype") != "BYTES":
        raise BadRequestError(400, f"input {INPUT}: its datatype is BYTES: encoded pictures, such as JPEG files")
    shape = given.get("shape")
    if not isinstance(shape, list) or not all(type(one) is int and 0 < one < 1 << 20 for one in shape):
        raise BadRequestError(400, f"input {INPUT}: its shape is [N] or [N, 1]")
    num_pictures = math.prod(shape)
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
        raise BadRequestError(400, f"input {INPUT}: its shape is [N] or [N, 1], and not {shape}")
    if num_pictures > max_pictures:
        raise BadRequestError(400, f"{num_pictures} pictures are more than the {max_pictures} that a request may have")
    size = _mapping(given.get("parameters"), "parameters").get("binary_data_size")
    if size is None:
        found = _texts(given.get("data"))
    else:
        if type(size) is not int or not 0 <= size <= len(binary):
            raise BadRequestError(
                400, f"input {INPUT}: binary_data_size is {size!r}, and {len(binary)} bytes are there"
            )
        found, binary = _elements(binary[:size]), binary[size:]
    if len(found) != num_pictures:
        raise BadRequestError(400, f"input {INPUT}: its shape says {num_pictures} pictures, and {len(found)} are there")
    return found, binary


def _texts(data: Any) -> list[bytes]:
    """Pictures in JSON: base64, since JSON has no bytes."""
    if isinstance(data, list) and data and all(isinstance(one, list) for one in data):
        data = [item for one in data for item in one]
    if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
        raise BadRequestError(400, f"input {INPUT}: `data` is a list of pictures in base64, or comes as binary data")
    try:
        return [base64.b64decode(one, validate=True) for one in data]
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(400, f"input {INPUT}: `data` is no base64: {error}") from None


def _elements(content: bytes) -> list[bytes]:
    """BYTES elements: each with its length before it, four bytes, little-endian."""
    found: list[bytes] = []
    place = 0
    while place < len(content):
        if place + 4 > len(content):
            raise BadRequestError(400, f"input {INPUT}: the length of element {len(found)} is cut short")
        (size,) = struct.unpack_from("<I", content, place)
        if place + 4 + size > len(content):
            raise BadRequestError(
                400, f"input {INPUT}: element {len(found)} is said to have {size} bytes, more than come"
            )
        found.append(content[place + 4 : place + 4 + size])
        place += 4 + size
    return found


def _outputs(given: Any, is_binary: bool) -> dict[str, bool]:
    if given is None or given == []:
        return dict.fromkeys(OUTPUTS, is_binary)
    if not isinstance(given, list):
        raise BadRequestError(400, "outputs is no list")
    found: dict[str, bool] = {}
    for one in given:
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str) or name not in OUTPUTS:
            told = shortened(repr(name), 60)
            raise BadRequestError(400, f"there is no output {told}: they are {', '.join(OUTPUTS)}")
        parameters = _mapping(one.get("parameters"), "parameters")
        if parameters.get("classification"):
            raise BadRequestError(400, f"output {name}: there is no classification of it")
        found[name] = _truth(parameters.get("binary_data", is_binary), f"output {name}: binary_data")
    return found


def tables_of(found: Sequence[Detections]) -> dict[str, Any]:
    """Detections in some pictures → the outputs: arrays, and for labels a list of lists of texts."""
    rows = max((len(one) for one in found), default=0)
    boxes = np.zeros((len(found), rows, 4), np.float32)
    scores = np.zeros((len(found), rows), np.float32)
    class_ids = np.full((len(found), rows), -1, np.int32)
    labels = [[""] * rows for _ in found]
    for number, one in enumerate(found):
        count = len(one)
        boxes[number, :count], scores[number, :count] = one.boxes_xyxy, one.confidence
        class_ids[number, :count] = one.class_id
        labels[number][:count] = [one.names[class_id] for class_id in one.class_id]
    num_detections = np.array([len(one) for one in found], np.int32)
    tables = (num_detections, boxes, scores, class_ids, labels)
    return dict(zip(OUTPUTS, tables, strict=True))


def make_response(asked: Asked, tables: dict[str, Any], model: str) -> tuple[bytes, int | None]:
    """The outputs that are asked for → a body, and the length of its JSON where binary data follow it."""
    described: list[dict[str, Any]] = []
    binary = bytearray()
    for name, is_binary in asked.outputs.items():
        table, datatype = tables[name], OUTPUTS[name][0]
        shape = [len(table), len(table[0]) if table else 0] if isinstance(table, list) else list(table.shape)
        one: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if is_binary:
            content = _packed_texts(table) if isinstance(table, list) else table.astype(_TYPES[datatype]).tobytes()
            one["parameters"] = {"binary_data_size": len(content)}
            binary += content
        else:
            one["data"] = [text for row in table for text in row] if isinstance(table, list) else _numbers(table)
        described.append(one)
    head: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": described}
    content = json.dumps({**({"id": asked.id} if asked.id else {}), **head}, ensure_ascii=False).encode()
    return content + bytes(binary), len(content) if any(asked.outputs.values()) else None


def _numbers(table: NDArray[Any]) -> list[Any]:
    return [round(float(one), 6) if table.dtype.kind == "f" else int(one) for one in table.ravel()]


def _packed_texts(rows: list[list[str]]) -> bytes:
    encoded = [text.encode() for row in rows for text in row]
    return b"".join(struct.pack("<I", len(one)) + one for one in encoded)


def packed(body: bytes, accepted: str) -> tuple[bytes, str]:
    """A body, packed as the client accepts it, and how; as it is where that does not pay."""
    wishes = [one.split(";")[0].strip().lower() for one in accepted.split(",") if "q=0" not in one.replace(" ", "")]
    if len(body) >= MIN_PACKED_BYTES:
        if "gzip" in wishes:
            return gzip.compress(body, 1, mtime=0), "gzip"
        if "deflate" in wishes:
            return zlib.compress(body, 1), "deflate"
    return body, ""
