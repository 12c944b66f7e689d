"""The largest ONNX file that there can be."""

from __future__ import annotations

import os
from pathlib import Path

from keepbusy.errors import ModelError

MAX_BYTES = (1 << 31) - 1
"""Of one message of Protocol Buffers, which an ONNX file is."""


def check_onnx_size(path: Path) -> None:
    """Refuse an ONNX file that is too large to be one, before anything reads it. Other files pass.

    Raises:
        ModelError: It has 2 GiB or more.
    """
    if path.suffix.lower() != ".onnx":
        return
    try:
        num_bytes = os.path.getsize(path)
    except OSError:
        return  # Whoever opens it tells why it cannot be.
    if num_bytes > MAX_BYTES:
        raise ModelError(
            f"{path}: has {num_bytes / 2**30:.3g} GiB, and an ONNX file has less than 2 GiB",
            hint="export it again with its weights as external data, in a file of their own beside it",
        )
