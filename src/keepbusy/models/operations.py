"""A graph's operations: which of them are the network itself, and how what follows one is led elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino as ov

WEIGHTED = frozenset({"Convolution", "ConvolutionBackpropData", "GroupConvolution", "MatMul"})
"""Operations that have weights, by OpenVINO's names."""


def redirect(old: ov.Output, new: ov.Output) -> None:
    """Have everything that takes one output take another one instead."""
    for target in list(old.get_target_inputs()):
        target.replace_source_output(new)
