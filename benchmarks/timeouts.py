"""What a limit of silence costs for each packet of live streams: PyAV's own against FFmpeg's and a watchdog.

    python -m benchmarks.timeouts [--streams 16] [--seconds 8] [--rounds 3]

Real RTSP streams of 320x240, 30 frames/s, each received by a thread of its own and not decoded. `pyav`: PyAV's
`timeout` for each read, for which FFmpeg asks the interpreter, with its lock, again and again. `ffmpeg`: the option of
FFmpeg's RTSP client alone, as keepbusy has it, beside which a thread that decodes has its own limit. A further thread
computes all the time: the lock is wanted.

Told are CPU time per packet, the processor's share that the thread that computes got, and how late packets were
received, against the quickest of their stream. Contenders take turns.

Debian packages that it needs: see tests/live/debian.txt.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.live.cameras import rtsp_camera, why_no_server, write_clip

SILENCE_S = 10.0
CONTENDERS: dict[str, Any] = {"pyav": (SILENCE_S, SILENCE_S), "ffmpeg": (SILENCE_S, None)}


def receive(url: str, timeout: Any, over: threading.Event, late_ms: list[float]) -> None:
    """Receive one stream."""
    options = {"rtsp_transport": "tcp", "timeout": str(round(SILENCE_S * 1e6)), "fpsprobesize": "0", "probesize": "32"}
    took_ms: list[float] = []
    with av.open(url, options=options, timeout=timeout) as container:
        for packet in container.demux(video=0):
            if over.is_set():
                break
            if packet.pts is not None and packet.time_base is not None:
                took_ms.append(1e3 * (time.perf_counter() - float(packet.pts * packet.time_base)))
    settled = took_ms[30:]
    late_ms += [one - min(settled) for one in settled]


def measure(url: str, num_streams: int, seconds: float, timeout: Any) -> tuple[float, float, float, float]:
    """CPU ms per packet, loops of the thread that computes per second, and p50 and p99 of lateness, ms."""
    over, late_ms, num_loops = threading.Event(), list[list[float]](), 0
    threads = []
    for _ in range(num_streams):
        late_ms.append([])
        threads.append(threading.Thread(target=receive, args=(url, timeout, over, late_ms[-1])))
    for thread in threads:
        thread.start()
    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    spent_s = 0.0
    while time.monotonic() < begin_s + seconds:
        loop_s = time.thread_time()
        sum(range(20_000))
        spent_s += time.thread_time() - loop_s
        num_loops += 1
        time.sleep(0.001)
    over.set()
    for thread in threads:
        thread.join()
    cpu_s = time.process_time() - begin_cpu_s - spent_s
    all_ms = [one for each in late_ms for one in each]
    p50, p99 = np.percentile(all_ms, (50, 99))
    return 1e3 * cpu_s / len(all_ms), num_loops / seconds, float(p50), float(p99)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if missing := why_no_server():
        sys.exit(f"timeouts: {missing}")
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip", num=240)
        with rtsp_camera([clip]) as camera:
            found: dict[str, list[tuple[float, ...]]] = {name: [] for name in CONTENDERS}
            for _ in range(given.rounds):
                for name, timeout in CONTENDERS.items():
                    found[name].append(measure(camera.url, given.streams, given.seconds, timeout))
    for name, rounds in found.items():
        cpu_ms, loops, p50_ms, p99_ms = np.median(rounds, axis=0)
        print(
            f"{name:8} {cpu_ms:6.2f} ms of CPU per packet; {loops:5.0f} loops/s beside it; "
            f"late p50 {p50_ms:4.1f} p99 {p99_ms:5.1f} ms"
        )


if __name__ == "__main__":
    main()
