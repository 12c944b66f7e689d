"""Several cameras on one compiled model: opened again when they fail, and every dropped frame counted."""

import keepbusy as kb
from keepbusy.embedded import embedded_model

CAMERAS = {  # Yours: "rtsp://user:password@camera/stream", or 0 for the first camera of this machine.
    "door": "synth:street?seed=1&size=640x360&frames=45",
    "yard": "synth:street?seed=2&size=640x360&frames=45",
    "shed": "missing.mp4",
}


def main() -> None:
    """Run the example."""
    with kb.Pipeline(embedded_model()) as pipeline, pipeline.start() as run:
        for name, address in CAMERAS.items():
            retry = kb.Retry(first_wait_s=0.1, max_attempts=2)  # Without max_attempts it is tried for ever.
            run.add(address, kb.StreamConfig(name=name, max_age_ms=500, retry=retry, on_error="end"))
        run.end()  # No more cameras come. Without this the run goes on until it is closed.
        for result in run:
            camera = run.streams[result.frame.source_id].name
            if result.error is not None:
                print(f"{camera}: {result.error}")
            elif result.frame.index % 15 == 0:
                print(f"{camera}: frame {result.frame.index}, {len(result.detections)} detections")
        for stream in run.stats.snapshot().streams:
            print(f"{stream.name}: {stream.num_results} results, dropped {dict(stream.dropped)}")


if __name__ == "__main__":
    main()
