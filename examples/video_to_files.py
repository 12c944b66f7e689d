"""Run a model over a video, and write JSON Lines and an annotated MP4.

python examples/video_to_files.py street.mp4
"""

import sys

import keepbusy as kb
from keepbusy.embedded import embedded_clip

MODEL = None  # The embedded one. Yours: "yolov5n.xml".


def main() -> None:
    """Run the example."""
    video = sys.argv[1] if len(sys.argv) > 1 else str(embedded_clip())
    report = kb.detect_to(MODEL, video, ["out.jsonl", "out.mp4"], limit=45, conf=0.4)
    print(f"{report.numbers.num_frames} frames, {report.numbers.throughput_fps:.1f} frames/s: out.jsonl, out.mp4")


if __name__ == "__main__":
    main()
