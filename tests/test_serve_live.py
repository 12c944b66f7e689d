"""Real cameras through `keepbusy serve`: many that are absent, a full disk, and a wall clock that is stepped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build import count_playable
from tests.live.cameras import RtspCamera, rtsp_camera, why_no_server, write_clip
from tests.live.proxy import proxy_to
from tests.served import Server, serving, soon

FPS = 10

STEPS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long step(void) {
    const char *path = getenv("STEPPED");
    return path && access(path, F_OK) == 0 ? 10 : 0;
}
int clock_gettime(clockid_t clock, struct timespec *moment) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, moment);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) moment->tv_sec += step();
    return done;
}
int gettimeofday(struct timeval *moment, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    moment->tv_sec = now.tv_sec;
    moment->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *moment) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (moment) *moment = now.tv_sec;
    return now.tv_sec;
}
"""
"""The wall clock is ten seconds later while a file is there; no other clock changes."""


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspCamera]:
    if missing := why_no_server():
        pytest.skip(missing)
    clip = write_clip(tmp_path_factory.mktemp("clips") / "clip", size_wh=(128, 96), fps=FPS, num=100, key_every=FPS)
    with rtsp_camera([clip]) as one:
        yield one


def reports(server: Server) -> list[dict[str, Any]]:
    """All streams; each of them accounts for all of its frames."""
    found: list[dict[str, Any]] = server.ask("/api/streams").json
    for one in found:
        totals = one["totals"]
        assert totals["arrived"] == totals["results"] + sum(totals["dropped"].values()) + totals["in_flight"]
    return found


def test_half_of_many_cameras_are_absent(camera: RtspCamera, blob_model: Path, tmp_path: Path) -> None:
    retry = {"first_wait_s": 0.2, "max_wait_s": 1.0}
    with proxy_to(camera.port) as absent:
        absent.is_absent = True
        urls = [camera.url if number % 2 else absent.url for number in range(64)]
        streams = [{"source": url, "retry": retry, "max_fps": 2} for url in urls]
        config = {"model": str(blob_model), "streams": streams, "limits": {"requests_per_s": 1000}}
        with serving(config, tmp_path) as server:
            server.wait_until_ready()
            soon(lambda: all(one["totals"]["results"] > 2 for one in reports(server)[1::2]), "those that are there")
            assert all(one["state"] in ("opening", "waiting") for one in reports(server)[::2])
            soon(lambda: all(one["error"] for one in reports(server)[::2]), "what is wrong with the others")
            absent.is_absent = False
            soon(lambda: all(one["totals"]["results"] > 2 for one in reports(server)), "all of them")
            assert server.end() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip("a disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full_costs_what_would_be_written_and_nothing_else(
    camera: RtspCamera, blob_model: Path, tmp_path: Path, small_disk: Path
) -> None:
    sinks = [str(small_disk / "a.jsonl"), str(small_disk / "a.mp4"), f"crops:{small_disk / 'crops'}"]
    streams = [{"name": "a", "source": camera.url, "sinks": sinks, "max_det": 1}, {"name": "b", "source": camera.url}]
    with serving({"model": str(blob_model), "streams": streams}, tmp_path) as server:
        server.wait_until_ready(2)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

        def failed() -> list[int]:
            return [sink["failed"] for sink in reports(server)[0]["sinks"]]

        soon(lambda: min(failed()[0], failed()[2]) > 3, "nothing can be written")
        before = [one["totals"]["results"] for one in reports(server)]
        begin_s = time.monotonic()
        soon(lambda: all(one["totals"]["results"] > num + 20 for one, num in zip(reports(server), before, strict=True)))
        assert time.monotonic() - begin_s < 20 and {one["state"] for one in reports(server)} == {"running"}
        filler.unlink()
        written = [sink["written"] for sink in reports(server)[0]["sinks"]]

        def is_written_again() -> bool:
            now = [sink["written"] for sink in reports(server)[0]["sinks"]]
            return all(num > before + 5 for num, before in zip(now, written, strict=True))

        soon(is_written_again, "there is room again")
        assert server.end() == 0
    assert sum(count_playable(path) for path in small_disk.glob("a*.mp4") if path.stat().st_size) > 5
    for line in (small_disk / "a.jsonl").read_bytes().splitlines():
        json.loads(line)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to step the clock of one process")
def test_a_wall_clock_that_is_stepped_changes_nothing(camera: RtspCamera, blob_model: Path, tmp_path: Path) -> None:
    (tmp_path / "steps.c").write_text(STEPS, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "steps.so", "steps.c", "-ldl"], cwd=tmp_path, check=True)
    stepped = tmp_path / "stepped"
    environment = {"LD_PRELOAD": str(tmp_path / "steps.so"), "STEPPED": str(stepped)}
    stepped.touch()
    show = [sys.executable, "-c", "import time; print(time.time())"]
    shown = subprocess.run(show, env=os.environ | environment, check=True, capture_output=True).stdout
    assert 8 < float(shown) - time.time() < 12
    stepped.unlink()
    streams = [{"name": "a", "source": camera.url}, {"name": "b", "source": "synth:street?size=64x64&fps=10"}]
    config = {"model": str(blob_model), "streams": streams}
    with serving(config, tmp_path, environment=environment) as server:
        server.wait_until_ready(2)
        for is_late in (True, False, True, False):
            stepped.touch() if is_late else stepped.unlink()
            before = [one["totals"]["results"] for one in reports(server)]
            soon(
                lambda before=before: all(  # type: ignore[misc]
                    one["totals"]["results"] > num + 15 for one, num in zip(reports(server), before, strict=True)
                )
            )
            for one in reports(server):
                assert one["state"] == "running" and not one["is_stale"] and one["totals"]["reopened"] == 0, one
                assert one["age_p99_ms"] < 5000, one
                assert "stale" not in one["totals"]["dropped"], one
        assert server.end() == 0
