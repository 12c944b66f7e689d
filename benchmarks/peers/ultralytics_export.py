"""Make the model that Ultralytics and Model API can read: YOLOv5n with the newer head, random weights.

    python -m benchmarks.peers.ultralytics_export FOLDER HEIGHT WIDTH

Built from the description that Ultralytics carries; nothing is downloaded. The export lies in
`FOLDER/yolov5n_openvino_model`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from ultralytics import YOLO  # type: ignore[import-not-found]

if __name__ == "__main__":
    folder, imgsz = Path(sys.argv[1]), [int(sys.argv[2]), int(sys.argv[3])]
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    torch.manual_seed(0)
    YOLO("yolov5n.yaml").export(format="openvino", imgsz=imgsz, device="cpu")
