"""A small detector as an exporter of YOLO writes it: ONNX, YOLOv5's output form, names in the metadata."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 8, 12


def build_onnx_model() -> onnx.ModelProto:
    """The mean colour of each 8x8 cell is its classes; the objectness is their largest."""
    centres = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1).reshape(1, -1, 2) * 8 + 4
    boxes = np.concatenate((centres, np.full_like(centres, 16)), axis=2).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["images"], ["means"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Transpose", ["means"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "shape"], ["classes"]),
        helper.make_node("ReduceMax", ["classes", "axis"], ["objectness"], keepdims=1),
        helper.make_node("Concat", ["boxes", "objectness", "classes"], ["output0"], axis=2),
    ]
    constants = [
        numpy_helper.from_array(boxes, "boxes"),
        numpy_helper.from_array(np.array([1, ROWS * COLUMNS, 3]), "shape"),
        numpy_helper.from_array(np.array([2]), "axis"),
    ]
    graph = helper.make_graph(
        nodes,
        "blob",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8 * ROWS, 8 * COLUMNS])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, ROWS * COLUMNS, 8])],
        constants,
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    names = "{0: 'blue', 1: 'green', 2: 'red'}"
    helper.set_model_props(model, {"names": names, "stride": "32", "task": "detect", "imgsz": "[64, 96]"})
    return model
