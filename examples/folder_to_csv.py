"""A folder of pictures to one CSV table. A picture that cannot be read gets a row with its error.

python examples/folder_to_csv.py photos/
"""

import csv
import sys
from pathlib import Path

import cv2

import keepbusy as kb
from keepbusy.embedded import embedded_model


def make_pictures(folder: Path) -> None:
    """Three pictures of a synthetic street, and one file that is no picture."""
    folder.mkdir()
    for frame in iter(kb.open_source("synth:street?seed=3&size=640x360&frames=3").read, None):
        cv2.imwrite(str(folder / f"{frame.index}.jpg"), frame.image)
    (folder / "damaged.jpg").write_bytes(b"this is no picture")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("photos")
    if not folder.exists():
        make_pictures(folder)
    with kb.Pipeline(embedded_model(), on_error="skip") as pipeline, open("found.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "class", "confidence", "left", "top", "right", "bottom", "error"])
        for result in pipeline.run(folder):
            found = result.detections
            if result.error is not None:
                rows.writerow([result.frame.source, "", "", "", "", "", "", result.error])
            for one in zip(found.class_id, found.confidence, found.boxes_xyxy, strict=True):
                rows.writerow([result.frame.source, found.names[one[0]], f"{one[1]:.3f}", *one[2].round(1), ""])
