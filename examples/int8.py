"""Make an INT8 model, and verify that it still finds what the original finds: pip install '.[quantize]'."""

from pathlib import Path

import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.evaluate.verify import candidate_options, reference_options, verify
from keepbusy.optimize import OptimizeConfig, optimize
from keepbusy.optimize.frames import open_frames
from keepbusy.sources import open_sources

FRAMES = 8  # Of yours take 128 and more, from all over your recordings; labels give mAP: open_frames("coco.yaml", 256)


def main() -> None:
    """Run the example."""
    original, clip = embedded_model(), str(embedded_clip())
    # `force` saves the model also where it is no faster on this machine. Leave it out to save only what pays.
    config = OptimizeConfig(int8=True, float_head=True, rounds=1, seconds=0.1, force=True)
    report = optimize(original, Path("fast"), open_frames(clip, FRAMES), config=config)
    print("made:", *report.files)
    if report.speed_up is not None:
        print(f"speed: {report.speed_up.median:.2f} times that of the fastest original")
    with (
        kb.Pipeline(original, **reference_options({"precision": "f32"})) as reference,
        kb.Pipeline(report.files[0], **candidate_options({})) as candidate,
    ):
        checked = verify(reference, candidate, open_sources([clip]), max_frames=FRAMES)
    print("agrees with the original" if checked.is_passed else f"differs: {checked.problems}")


if __name__ == "__main__":
    main()
