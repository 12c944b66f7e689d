"""What is said of things that are neither pictures nor sources: what was given, what is taken, and how to get there."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Iterator, Mapping
from typing import Any

import numpy as np

from keepbusy.errors import ConfigError, FrameError
from keepbusy.sources.base import Source

PICTURES = (
    "a path, an http(s) address, a NumPy array (uint8, (H, W, 3) in BGR, or (H, W) in grey), a picture of Pillow, "
    "or an encoded picture: its bytes, or its file, open for reading"
)
"""What can be made a picture, for messages."""

MAX_TEXT_BYTES = 4096
"""Bytes that are a text are no picture, and so few of them most likely a path."""


def no_picture(value: Any) -> ConfigError:
    """The error of something that a picture cannot be made of."""
    if isinstance(value, np.ndarray):
        return ConfigError(
            f"an array of {value.dtype} with the shape {value.shape} is no picture", hint=how_else(value)
        )
    return ConfigError(f"a picture cannot be made of {_named(value)}", hint=_hint_for(value) or f"give {PICTURES}")


def text_for_picture(name: str, index: int) -> FrameError:
    """The error of bytes, or a file, that hold a text, such as a path, or nothing."""
    return FrameError(
        "the bytes are no encoded picture, but a text",
        stage="read",
        source=name,
        frame_index=index,
        hint="bytes are taken as the content of a picture's file: give a path as text",
    )


def no_source(value: Any) -> ConfigError:
    """The error of something that a source cannot be made of."""
    hint = _hint_for(value) or (
        f"give {PICTURES}, a camera's number, a stream's address, a list or a generator of these, or a source of your "
        "own, derived from keepbusy.Source"
    )
    return ConfigError(f"a source cannot be made of {_named(value)}", hint=hint)


def how_else(array: np.ndarray[Any, Any]) -> str:
    """What to do with an array that is no picture, for a hint."""
    shape = array.shape
    if not array.size:
        return "give an array that has pixels: uint8, (height, width, 3), blue, green, red"
    if array.ndim == 4:
        return "give a list of pictures, each (height, width, 3): list(batch)"
    if array.ndim == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        return "put the channels last: image.transpose(1, 2, 0)"
    if array.dtype.kind == "f" and _is_picture_shape(shape):
        return "give uint8: where 1.0 is white, (image * 255).astype(np.uint8)"
    if array.dtype == np.uint16 and _is_picture_shape(shape):
        return "give uint8: (image >> 8).astype(np.uint8)"
    if array.dtype == np.bool_ and _is_picture_shape(shape):
        return "give uint8: image.astype(np.uint8) * 255"
    return "give uint8, (height, width, 3), blue, green, red; (height, width) for grey"


def is_text(content: bytes | bytearray | memoryview) -> bool:
    """Whether bytes are most likely a path, and no encoded picture."""
    if not 0 < len(content) <= MAX_TEXT_BYTES:
        return False
    try:
        return bytes(content).decode().isprintable()
    except UnicodeDecodeError:
        return False


def is_tensor(value: object) -> bool:
    """Whether something is a tensor of PyTorch."""
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(value).__mro__)


def _is_picture_shape(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))


def _named(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return type(value).__name__


def _hint_for(value: Any) -> str:
    """What to do with a value of a kind that people often have; empty where there is nothing to say of it."""
    if is_tensor(value):
        return (
            "PyTorch's tensors are not taken: give NumPy's arrays, for RGB planes from 0 to 1 "
            '(tensor * 255).byte().permute(1, 2, 0).cpu().numpy(), with channels="rgb"'
        )
    if isinstance(value, type):
        return f"give an object of it: {value.__name__}(...)"
    if isinstance(value, AsyncIterable):
        return "give a plain generator, or await detector.detect(image) for each of its pictures"
    if inspect.iscoroutinefunction(getattr(value, "read", None)):
        return "give the file's content: await file.read()"
    if type(value).__module__.partition(".")[0] == "cv2" and hasattr(value, "read"):
        return (
            "give what it was opened with, a path or a camera's number, to Pipeline.run; or a picture that it has read"
        )
    if isinstance(value, Source):
        return "Pipeline.run takes sources: pipeline.run(source)"
    if isinstance(value, Iterator):
        return "detector.stream(pictures) takes them one by one; a list of them is taken at once"
    if isinstance(value, Mapping):
        return "give a path, or a list of its values: list(pictures.values())"
    return ""
