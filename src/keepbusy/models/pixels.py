"""What a network wants its pixels to be: by its family and task, or by its own word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepbusy.forms import InputForm, OutputForm


def pixels_of(form: InputForm, output: OutputForm, metadata: Mapping[str, Any]) -> InputForm:
    """The input's form with colour order, range and fit filled in.

    Args:
        form: Layout and size.
        output: Family and task, which decide where the model itself says nothing.
        metadata: What the model says of itself.
    """
    return form
