"""Detect what is in one picture, and save the picture with what was found drawn into it.

python examples/one_picture.py photo.jpg
"""

import sys

import keepbusy as kb
from keepbusy.embedded import embedded_model

MODEL = embedded_model()  # Yours: "yolov5n.xml", an ONNX file, or a name that `keepbusy models` lists.


def main() -> None:
    """Run the example."""
    picture = sys.argv[1] if len(sys.argv) > 1 else "synth:street?seed=1&size=1280x720&frames=1"
    frame = kb.open_source(picture).read()
    assert frame is not None and frame.image is not None
    with kb.Detector(MODEL) as detector:
        found = detector(frame.image)
    print(found)
    for one in found.where(conf=0.5).to_dict()["detections"]:
        print(f"{one['name']:<14}{one['confidence']:.2f}", *(f"{side:7.1f}" for side in one["box_xyxy"]))
    found.save("found.jpg", frame.image, exist_ok=True)
    print("found.jpg")


if __name__ == "__main__":
    main()
