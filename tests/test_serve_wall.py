"""The server's streams and its engine: balance, changes while it runs, and a device that fails in every way."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from keepbusy.config import Decoder, RunConfig
from keepbusy.errors import ConfigError, DeviceError, KeepbusyError, ModelError
from keepbusy.flow.run import Run
from keepbusy.serve.configuration.load import check_settings, check_stream, parse_settings
from keepbusy.serve.configuration.settings import ServeSettings
from keepbusy.serve.http.metrics import HttpCounts, Metrics, Reloads
from keepbusy.serve.http.report import engine_report, stream_report
from keepbusy.serve.supervise import engine, overload
from keepbusy.serve.supervise.backend import Backend, DeviceFacts
from keepbusy.serve.supervise.requests import BusyError, GivenUpError
from keepbusy.serve.supervise.served import Served
from keepbusy.serve.supervise.source import ASSUMED_FPS, Capped, ServedSource
from keepbusy.serve.supervise.wall import Wall
from keepbusy.sinks.naming import beside_earlier
from keepbusy.sources.open import open_source
from keepbusy.testing import ScriptedDevice, ScriptedSource, numbered_image, scripted_run
from tests.build import write_picture
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def a_device_that_hangs_is_soon_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.flow.run.CANCEL_TIMEOUT_S", 0.3)


class Scripted:
    """A model on a scripted device."""

    names: tuple[str, ...] = ("red", "green", "blue")

    def __init__(self, wanted: str, device: str, does: ScriptedDevice, timeout_s: float) -> None:
        self._facts = DeviceFacts(wanted=wanted, device=device, full_name=f"scripted {device}")
        self._does, self._timeout_s = does, timeout_s

    def start(self, live_fps: float | None = None) -> Run:
        return scripted_run(None, self._does, RunConfig(on_error="skip", nireq=2, device_timeout_s=self._timeout_s))

    def facts(self) -> DeviceFacts:
        return self._facts

    def close(self) -> None:
        pass


def settings_of(num_streams: int = 2, **more: Any) -> ServeSettings:
    streams = [{"source": f"synth:street?seed={seed}&size=96x64&fps=20"} for seed in range(num_streams)]
    return check_settings({"streams": streams, **more})


@contextmanager
def walls(settings: ServeSettings, make: Callable[[ServeSettings, str], Backend] | None = None) -> Iterator[Wall]:
    wall = Wall(settings) if make is None else Wall(settings, make)
    wall.start()
    try:
        yield wall
    finally:
        assert wall.close(20)


def scripted(*devices: Callable[[], ScriptedDevice] | Exception, timeout_s: float = 0.3) -> tuple[Any, list[str]]:
    """What makes one scripted device after the other, the last one again and again; and what it was asked for."""
    asked: list[str] = []

    def make(settings: ServeSettings, device: str) -> Backend:
        asked.append(device)
        does = devices[min(len(asked), len(devices)) - 1]
        if isinstance(does, Exception):
            raise does
        return Scripted(settings.device, device, does(), timeout_s)

    return make, asked


def num_results(wall: Wall) -> int:
    return sum(one.totals.results for one in wall.streams)


def texts(wall: Wall) -> list[str]:
    return [event["text"] for event in wall.events.after(0)[0] if event["kind"] == "device"]


def test_streams_flow_and_every_frame_is_accounted_for() -> None:
    with walls(settings_of(4)) as wall:
        wait_until(lambda: all(one.totals.results >= 5 for one in wall.streams))
        for _ in range(50):
            for one in wall.streams:
                totals = one.totals
                assert totals.arrived == totals.results + sum(totals.dropped.values()) + totals.in_flight
        assert wall.engine.facts is not None and wall.engine.facts.full_name and not wall.engine.facts.is_fallback
        assert {one.state for one in wall.streams} == {"running"}
    for one in wall.streams:
        totals = one.totals
        assert totals.in_flight == 0 and totals.arrived == totals.results + sum(totals.dropped.values())


def test_pictures_are_answered_among_the_streams_frames() -> None:
    with walls(settings_of(2)) as wall:
        picture = open_source("synth:street?seed=3&size=640x360").read()
        assert picture is not None and picture.image is not None
        answers = [wall.detect(picture.image) for _ in range(20)]
        found = [answer.result(60) for answer in answers]
        assert all(one.error is None and len(one.detections) for one in found)
        assert len({len(one.detections) for one in found}) == 1


def test_streams_come_and_go_and_change() -> None:
    make, _ = scripted(ScriptedDevice)
    with walls(settings_of(1), make) as wall:
        wait_until(lambda: num_results(wall) > 2)
        added = wall.add(check_stream({"name": "new", "source": "synth:street?size=64x64", "weight": 2}))
        wait_until(lambda: added.totals.results > 2)
        with pytest.raises(ConfigError, match="a stream new already"):
            wall.add(check_stream({"name": "new", "source": "synth:street"}))
        with pytest.raises(ConfigError, match="no class 'cyan'"):
            wall.add(check_stream({"name": "odd", "source": "synth:street", "classes": ["cyan"]}))
        assert wall.find("odd") is None
        same = wall.change(
            "new", check_stream({"name": "new", "source": "synth:street?size=64x64", "weight": 2, "conf": 0.9})
        )
        assert same is added and same.settings.conf == 0.9, "other thresholds open nothing anew"
        other = wall.change("new", check_stream({"name": "new", "source": "synth:street?size=96x96"}))
        wait_until(lambda: other.totals.results > 2)
        wall.remove("new")
        assert [one.name for one in wall.streams] == ["stream-1"]


def test_a_configuration_is_applied_by_its_differences() -> None:
    make, asked = scripted(ScriptedDevice)
    with walls(settings_of(3), make) as wall:
        wait_until(lambda: num_results(wall) > 5)
        first, second, _ = wall.streams
        wall.add(check_stream({"name": "mine", "source": "synth:street?size=64x64"}))
        sources = [first.settings.source, "synth:street?size=64x80"]
        wall.apply(check_settings({"conf": 0.6, "streams": [{"source": one} for one in sources]}))
        wait_until(lambda: [one.name for one in wall.streams] == ["stream-1", "stream-2", "mine"])
        assert wall.find("stream-1") is first and first.given == {"conf": 0.6}
        assert wall.find("stream-2") is not second
        wait_until(lambda: all(one.totals.results > 2 for one in wall.streams))
        assert len(asked) == 1, "thresholds compile nothing"
        wall.apply(check_settings({"conf": 0.6, "device": "GPU", "streams": []}))
        wait_until(lambda: wall.engine.facts is not None and wall.engine.facts.device == "GPU")
        assert [one.name for one in wall.streams] == ["mine"]


def test_classes_of_another_model_count_from_its_first_run_on() -> None:
    """Its classes are not those of the model that still runs."""

    class Other(Scripted):
        names: tuple[str, ...] = ("cyan", "magenta")

    def make(settings: ServeSettings, device: str) -> Backend:
        kind = Other if settings.model else Scripted
        return kind(settings.device, device, ScriptedDevice(), 0.3)

    source = "synth:street?size=64x64&fps=20"
    before = {"streams": [{"name": "a", "source": source, "classes": ["red"]}]}
    with walls(check_settings(before), make) as wall:
        wait_until(lambda: num_results(wall) > 2)
        first = num_results(wall)
        wall.apply(check_settings({"model": "m", "streams": [{"name": "a", "source": source, "classes": ["cyan"]}]}))
        wait_until(lambda: wall.names == ("cyan", "magenta") and num_results(wall) > first + 2)
        assert wall.streams[0].state == "running" and wall.streams[0].problem == ""


def test_a_file_that_is_not_to_be_read_again_ends(clip: Path) -> None:
    make, _ = scripted(ScriptedDevice)
    streams = [{"source": str(clip), "loop": False}, {"source": str(clip)}]
    with walls(check_settings({"streams": streams}), make) as wall:
        wait_until(lambda: wall.streams[0].state == "ended" and wall.streams[1].totals.arrived > 42)
        assert wall.streams[0].totals.arrived <= 40 and wall.streams[0].error == ""


def test_thresholds_change_while_frames_flow() -> None:
    source = "synth:street?seed=3&size=640x360&fps=10"
    with walls(check_settings({"streams": [{"name": "a", "source": source, "conf": 0.05}]})) as wall:
        one = wall.streams[0]
        wait_until(lambda: one.latest is not None and len(one.latest.result.detections) > 3)
        wall.change("a", check_stream({"name": "a", "source": source, "conf": 0.99}))
        wait_until(lambda: one.latest is not None and len(one.latest.result.detections) == 0)


def test_a_device_that_hangs_is_given_up_and_compiled_anew() -> None:
    make, asked = scripted(lambda: ScriptedDevice(hangs=(5,)), ScriptedDevice)
    with walls(settings_of(2, device="GPU"), make) as wall:
        wait_until(lambda: wall.engine.counts.recoveries == 1)
        before = num_results(wall)
        wait_until(lambda: num_results(wall) > before + 5)
        assert asked == ["GPU", "GPU"] and wall.engine.state == "running" and wall.engine.error == ""
        assert any("no answer for 0.3 s" in text for text in texts(wall))
        for one in wall.streams:
            totals = one.totals
            assert totals.arrived == totals.results + sum(totals.dropped.values()) + totals.in_flight


def test_a_device_that_fails_again_and_again_is_replaced_by_the_cpu_and_taken_back() -> None:
    broken = ScriptedDevice
    make, asked = scripted(
        lambda: broken(fails=range(10_000)),
        lambda: broken(fails=range(10_000)),
        ScriptedDevice,
        DeviceError("still gone"),
        ScriptedDevice,
    )
    with walls(settings_of(2, device="GPU", device_retry_s=0.2), make) as wall:
        wait_until(lambda: wall.engine.facts is not None and wall.engine.facts.device == "CPU")
        wait_until(
            lambda: wall.engine.facts is not None and wall.engine.facts.device == "GPU" and num_results(wall) > 0
        )
        assert asked == ["GPU", "GPU", "CPU", "GPU", "GPU"]
        told = texts(wall)
        assert any("8 frames in a row have failed" in text for text in told)
        assert "CPU stands in for GPU" in told and "device GPU works again: going back to it" in told


def test_a_device_for_which_nothing_compiles_is_replaced_at_once() -> None:
    make, asked = scripted(ModelError("does not compile"), ScriptedDevice)
    with walls(settings_of(1, device="NPU"), make) as wall:
        wait_until(lambda: num_results(wall) > 2)
        facts = wall.engine.facts
        assert asked[:2] == ["NPU", "CPU"] and facts is not None and facts.is_fallback


class HangsAtCompile(ScriptedDevice):
    """Does not come back from being made ready until it is let go."""

    let_go: ClassVar[threading.Event] = threading.Event()

    def create_request(self) -> Any:
        assert self.let_go.wait(60)
        return super().create_request()


def test_a_device_that_hangs_while_it_is_compiled_for_is_replaced_and_what_comes_late_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "AGAIN_S", 0.3)
    monkeypatch.setattr(HangsAtCompile, "let_go", threading.Event())
    make, asked = scripted(lambda: ScriptedDevice(hangs=(5,)), HangsAtCompile, ScriptedDevice)
    with walls(settings_of(2, device="GPU"), make) as wall:
        wait_until(lambda: wall.engine.facts is not None and wall.engine.facts.device == "CPU")
        before = num_results(wall)
        wait_until(lambda: num_results(wall) > before + 5)
        assert asked == ["GPU", "GPU", "CPU"] and any(
            "compiling the model has taken over" in one for one in texts(wall)
        )
        HangsAtCompile.let_go.set()
        wait_until(lambda: not [one for one in threading.enumerate() if one.name == "keepbusy-compile"])
        before = num_results(wall)
        wait_until(lambda: num_results(wall) > before + 5)
        assert wall.engine.facts is not None and wall.engine.facts.device == "CPU"


def test_a_server_that_compiles_for_a_device_that_hangs_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HangsAtCompile, "let_go", threading.Event())
    make, asked = scripted(HangsAtCompile)
    wall = Wall(settings_of(1, device="GPU"), make)
    wall.start()
    wait_until(lambda: asked == ["GPU"])
    begin_s = time.monotonic()
    assert not wall.close(1), "what hangs is left behind, and told"
    assert time.monotonic() - begin_s < 15
    HangsAtCompile.let_go.set()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "keepbusy-compile"])


def test_where_nothing_works_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_WAIT_S", 0.1)
    make, _ = scripted(ModelError("no"), ModelError("no"), ScriptedDevice)
    with walls(settings_of(1), make) as wall:
        wait_until(lambda: num_results(wall) > 2)
        assert any("no device works" in text for text in texts(wall))


def test_what_is_asked_of_a_device_that_hangs_is_given_up_and_what_waits_is_done_later() -> None:
    make, _ = scripted(lambda: ScriptedDevice(hangs=(0,), optimal_requests=1), ScriptedDevice)
    with walls(check_settings({}), make) as wall:
        picture = np.zeros((32, 32, 3), np.uint8)
        lost = wall.detect(picture)
        with pytest.raises(GivenUpError, match="the device has failed"):
            lost.result(20)
        assert wall.detect(picture).result(20).error is None


def test_pictures_wait_up_to_a_limit() -> None:
    make, _ = scripted(lambda: ScriptedDevice(latency_s=0.2))
    with walls(check_settings({"limits": {"waiting_requests": 2}}), make) as wall:
        picture = np.zeros((32, 32, 3), np.uint8)
        answers = []
        with pytest.raises(BusyError, match="pictures wait for the device"):
            for _ in range(30):
                answers.append(wall.detect(picture))
        for answer in answers:
            assert answer.result(20).error is None


def test_requests_and_streams_share_the_device_by_weight() -> None:
    """Requests of weight 3 beside a stream of weight 1, both of which never run dry."""
    make, _ = scripted(lambda: ScriptedDevice(latency_s=0.01))
    stream = {"source": "synth:street?size=64x64", "realtime": False}
    settings = check_settings({"streams": [stream], "requests": {"weight": 3}, "limits": {"waiting_requests": 4096}})
    with walls(settings, make) as wall:
        wait_until(lambda: num_results(wall) > 3)
        picture = np.zeros((64, 64, 3), np.uint8)
        answers = [wall.detect(picture) for _ in range(300)]
        before = num_results(wall)
        answers[-1].result(60)
        assert 60 <= num_results(wall) - before <= 140


def test_a_sink_gets_its_streams_results_over_failures_of_the_device(tmp_path: Path) -> None:
    make, _ = scripted(lambda: ScriptedDevice(hangs=(5,)), ScriptedDevice)
    out = tmp_path / "out.jsonl"
    stream = {"name": "a", "source": "synth:street?size=64x64&fps=30", "sinks": [str(out)]}
    with walls(check_settings({"streams": [stream], "device": "GPU"}), make) as wall:
        wait_until(lambda: wall.engine.counts.recoveries == 1)
        before = num_results(wall)
        wait_until(lambda: num_results(wall) > before + 5)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 8 and all('"stream":"a"' in line and '"source_id":0' in line for line in lines)


def test_a_full_disk_costs_results_and_nothing_else() -> None:
    make, _ = scripted(ScriptedDevice)
    streams = [
        {"source": "synth:street?size=64x64&fps=30", "sinks": ["json:/dev/full"]},
        {"source": "synth:street?size=64x64"},
    ]
    with walls(check_settings({"streams": streams}), make) as wall:
        wait_until(lambda: all(one.totals.results > 5 for one in wall.streams))
        (output,) = wall.streams[0].outputs
        wait_until(lambda: output.stats.num_failed > 3)
        assert output.stats.num_written == 0


def test_half_of_the_cameras_are_absent(tmp_path: Path) -> None:
    make, _ = scripted(ScriptedDevice)
    streams = [{"source": "synth:street?size=64x64&fps=5"}, {"source": str(tmp_path / "none.mp4")}] * 16
    with walls(check_settings({"streams": streams}), make) as wall:
        wait_until(lambda: all(one.totals.results > 2 for one in wall.streams[::2]))
        wait_until(lambda: all("no such file" in one.error for one in wall.streams[1::2]))
        wall.look()
        assert len([one for one in wall.events.after(0)[0] if one["kind"] == "state"]) == 32


def test_an_earlier_file_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert beside_earlier(path) == path
    path.write_text("earlier")
    other = beside_earlier(path, 0.0)
    assert other.parent == tmp_path and other.name.startswith("out-19") and other.suffix == ".jsonl"
    other.write_text("")
    assert beside_earlier(path, 0.0) not in (path, other)
    folder = tmp_path / "crops"
    assert beside_earlier(folder) == folder
    folder.mkdir()
    assert beside_earlier(folder) == folder, "there is nothing in it"
    (folder / "a.jpg").write_text("earlier")
    assert beside_earlier(folder, 0.0).name.startswith("crops-19")


class Clock:
    """Stands still but for what is waited."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("named", ["", "?realtime"])
def test_a_file_is_read_in_real_time_and_again(named: str, clip: Path) -> None:
    source = ServedSource(f"{clip}{named}", realtime=not named).open()
    assert source.info.is_live and source.info.num_frames is None and (source.info.fps or 0) >= 10
    step_s, begin_s = 1 / (source.info.fps or 1), time.monotonic()
    frames = [frame for frame in (source.read() for _ in range(50)) if frame is not None]
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices)) and indices[-1] > 45, "behind its 40 frames it begins again, and counts on"
    assert time.monotonic() - begin_s >= indices[-1] * step_s - 0.01
    source.close()


def test_a_file_is_capped_by_leaving_frames_out(clip: Path) -> None:
    source = ServedSource(str(clip), max_fps=2).open()
    assert source.info.fps == 2
    begin_s = time.monotonic()
    frames = [frame for frame in (source.read() for _ in range(4)) if frame is not None]
    assert len(frames) == 4 and time.monotonic() - begin_s > 1.2
    # A busy machine may be late; it is never early.
    assert min(later.timestamp_s - one.timestamp_s for one, later in pairwise(frames)) > 0.3
    source.close()


def test_a_cap_counts_what_the_source_gives_up_but_for_what_it_spares() -> None:
    class Camera(ScriptedSource):
        spared: bool | None = None

        def spare(self, *, is_enough: bool) -> None:
            self.spared = is_enough

        def take_dropped(self) -> Any:
            return {"nonref": 3, "decode_error": 1}

    camera = Camera(None, is_live=True)
    capped = Capped(camera, 5)
    capped.spare(is_enough=False)
    assert camera.spared is True, "of 30 frames/s most are passed over: what is cheap to leave out is not decoded"
    assert capped.take_dropped() == {"decode_error": 1}
    camera = Camera(None, is_live=True)
    assert Capped(camera, 20).take_dropped() == {"nonref": 3, "decode_error": 1} and camera.spared is None


def test_pictures_have_no_pace_and_are_read_once(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", numbered_image(1))
    source = ServedSource(str(tmp_path)).open()
    assert not source.info.is_live and source.read() is not None and source.read() is None
    with pytest.raises(KeepbusyError, match="have a pace"):
        ServedSource(f"{tmp_path / 'a.png'}?realtime").open()


def test_a_capped_source_that_waits_can_be_interrupted(clip: Path) -> None:
    source = ServedSource(str(clip), max_fps=0.001).open()
    assert source.read() is not None
    read: list[Any] = []
    thread = threading.Thread(target=lambda: read.append(source.read()))
    thread.start()
    source.interrupt()
    thread.join(10)
    assert read == [None]


def test_a_camera_is_capped_by_passing_frames_over() -> None:
    clock = Clock()

    class Camera(ScriptedSource):
        def skip(self) -> bool:
            clock.now_s += 1 / 30
            return super().skip()

        def read(self) -> Any:
            clock.now_s += 1 / 30
            return super().read()

    source = Capped(Camera(300, is_live=True), 10, clock)
    begin_s, num_frames = clock.now_s, 0
    while clock.now_s < begin_s + 5:
        num_frames += source.read() is not None
    assert 48 <= num_frames <= 52


def test_a_source_is_named_without_its_password() -> None:
    named = ServedSource("rtsp://a:hush@b/c")
    assert named.name == "rtsp://a:***@b/c" and "hush" not in repr(named)


@pytest.mark.parametrize(
    ("stream", "fps"),
    [
        ({"source": "synth:street?fps=12"}, 12.0),
        ({"source": "synth:street?fps=12", "max_fps": 5}, 5.0),
        ({"source": "synth:street?fps=12&realtime", "realtime": False}, 12.0),
        ({"source": "rtsp://127.0.0.1:1/none"}, ASSUMED_FPS),
        ({"source": "rtsp://127.0.0.1:1/none", "max_fps": 4}, 4.0),
        ({"source": "synth:street?fps=12", "realtime": False}, None),
    ],
)
def test_a_stream_tells_how_many_frames_it_will_bring(stream: dict[str, Any], fps: float | None) -> None:
    served = Served(0, check_stream({"name": "a", **stream}), {}, "file")
    assert served.wanted_fps == fps


def test_what_decodes_is_told_through_all_that_a_stream_is_wrapped_in(clip: Path) -> None:
    settings = parse_settings("decoder: qsv\nstreams: [{source: a.mp4}, {source: b.mp4, decoder: software}]")
    assert [settings.decoder_of(stream) for stream in settings.streams] == ["qsv", "software"]
    choices: tuple[Decoder, ...] = ("auto", "software", "vaapi")
    for decoder in choices:
        source = ServedSource(str(clip), max_fps=5, decoder=decoder).open()
        decoding = source.decoding
        source.close()
        assert decoding is not None and decoding.decoder == "software"
        assert bool(decoding.reason) == (decoder == "vaapi")


class Chosen(Scripted):
    """Compiled for latency where it is told that its streams leave time for that."""

    asked: ClassVar[list[float | None]] = []

    def start(self, live_fps: float | None = None) -> Run:
        self.asked.append(live_fps)
        hint = "latency" if live_fps is not None and live_fps < 1000 else "throughput"
        self._facts = dataclasses.replace(self._facts, hint=hint)
        return super().start(live_fps)


def test_the_model_is_compiled_for_latency_until_the_device_cannot_keep_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "SETTLES_S", 0.5)
    monkeypatch.setattr(Chosen, "asked", [])

    def make(settings: ServeSettings, device: str) -> Backend:
        return Chosen(settings.device, device, ScriptedDevice(latency_s=0.05, optimal_requests=1), 5.0)

    streams = [{"source": "synth:street?size=64x64&fps=100", "max_fps": 60}] * 2
    ladder = {"after_s": 1, "steps": ["throughput"]}
    with walls(check_settings({"streams": streams, "overload": ladder}), make) as wall:
        wait_until(lambda: num_results(wall) > 0)
        assert Chosen.asked == [120.0]
        assert engine_report(wall)["device"]["hint"] == "latency" and "compiled for latency" in " ".join(texts(wall))

        def is_used_fully() -> bool:
            wall.look()
            facts = wall.engine.facts
            return facts is not None and facts.hint == "throughput"

        wait_until(is_used_fully)
        told = [event["text"] for event in wall.events.after(0)[0] if event["kind"] == "overload"]
        assert Chosen.asked == [120.0, None, None] and any("compiling for throughput" in text for text in told)
        wall.apply(check_settings({"streams": streams[:1], "imgsz": 320}))
        wait_until(lambda: len(Chosen.asked) == 4)
        assert Chosen.asked[3] == 60.0, "with another configuration it is seen anew"


def test_a_real_model_is_compiled_for_what_its_streams_leave_time_for(blob_model: Path) -> None:
    slow, fast = ({"source": "synth:street?size=96x64&fps=10", "max_fps": fps} for fps in (0.1, None))
    with walls(check_settings({"model": str(blob_model), "streams": [slow]})) as wall:
        wait_until(lambda: wall.engine.facts is not None)
        assert wall.engine.facts is not None and wall.engine.facts.hint == "latency"
    with walls(check_settings({"model": str(blob_model), "streams": [{**fast, "realtime": False}]})) as wall:
        wait_until(lambda: wall.engine.facts is not None)
        assert wall.engine.facts is not None and wall.engine.facts.hint == "throughput"
    with walls(check_settings({"model": str(blob_model), "streams": [slow], "hint": "throughput"})) as wall:
        wait_until(lambda: wall.engine.facts is not None)
        assert wall.engine.facts is not None and wall.engine.facts.is_hint_given
        assert wall.engine.facts.hint == "throughput"


def test_a_camera_that_is_silent_is_stalled_and_its_age_counts_from_its_arrival(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Late(ScriptedSource):
        """Its frames came half a second before they are read."""

        def read(self) -> Any:
            frame = super().read()
            return (
                None if frame is None else dataclasses.replace(frame, arrival_ns=time.perf_counter_ns() - 500_000_000)
            )

    monkeypatch.setattr(ServedSource, "open", lambda _: Late(None, is_live=True, read_s=0.02, stalls_at=10))
    make, _ = scripted(ScriptedDevice)
    stream = {"name": "a", "source": "rtsp://127.0.0.1:1/none", "stall_s": 0.3, "max_age_ms": None}
    with walls(check_settings({"streams": [stream], "page": {"stale_after_s": 60}}), make) as wall:
        wait_until(lambda: wall.streams[0].state == "stalled")
        wall.look()
        report = stream_report(wall.streams[0], wall)
        assert report["state"] == "stalled" and report["stall_s"] == 0.3 and report["is_live"]
        assert 500 <= report["age_p50_ms"] <= 30_000
        assert any(event.get("state") == "stalled" for event in wall.events.after(0)[0])
        text = Metrics(wall, HttpCounts(), Reloads(), lambda: 0).text().decode()
        assert 'keepbusy_stream_state{state="stalled",stream="a"} 1.0' in text
        assert 'keepbusy_stream_state{state="running",stream="a"} 0.0' in text


def test_a_file_that_has_been_read_is_not_read_again_when_the_device_has_failed(clip: Path) -> None:
    make, _ = scripted(lambda: ScriptedDevice(hangs=(100,)), ScriptedDevice)
    streams = [{"source": str(clip), "realtime": False}, {"source": "synth:street?size=64x64&fps=30"}]
    with walls(check_settings({"streams": streams}), make) as wall:
        wait_until(lambda: wall.engine.counts.recoveries == 1)
        before = wall.streams[1].totals.results
        wait_until(lambda: wall.streams[1].totals.results > before + 5)
        assert wall.streams[0].state == "ended" and wall.streams[0].totals.results == 40


def test_a_stream_stays_as_it_was_where_a_sink_cannot_be_made_anew(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source, out = "synth:street?size=96x64&fps=20", f"{tmp_path}/out.jsonl"
    given = {"name": "a", "source": source, "sinks": [out]}
    wrong = {**given, "sinks": [out, f"{tmp_path}/file/out.jsonl"]}
    with walls(check_settings({"streams": [given]})) as wall:
        before = wall.streams
        with pytest.raises(KeepbusyError, match="file: cannot be made"):
            wall.change("a", check_stream(wrong))
        with pytest.raises(KeepbusyError, match="file: cannot be made"):
            wall.apply(check_settings({"streams": [wrong, {"name": "b", "source": source}]}))
        assert wall.streams[0] is before[0] and [one.name for one in wall.streams] == ["a", "b"]
        wait_until(lambda: wall.streams[0].totals.results > 3 and wall.streams[1].totals.results > 0)
        # The new one begins while the old one's file is open, and both are whole.
        wall.change("a", check_stream({**given, "source": f"{source}&seed=2"}))
        wait_until(lambda: wall.streams[-1].totals.results > 3)
    files = [one for one in sorted(tmp_path.glob("out*.jsonl")) if one.stat().st_size]
    assert len(files) == 2
    for path in files:
        assert [json.loads(line)["stream"] for line in path.read_text(encoding="utf-8").splitlines()].count("a") > 2


def test_a_sink_that_is_open_and_empty_keeps_its_file(tmp_path: Path) -> None:
    given = {"name": "a", "source": "synth:street?size=96x64&fps=20", "sinks": [f"{tmp_path}/out.jsonl"]}
    wall = Wall(check_settings({"streams": [given]}))
    wall.roster.apply(wall.settings)
    wall.change("a", check_stream({**given, "max_fps": 2}))
    (output,) = wall.streams[0].outputs
    assert output.place != f"{tmp_path}/out.jsonl" and output.place.startswith(f"{tmp_path}/out-")
    assert wall.close(10)
