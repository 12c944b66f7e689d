"""`detect_to`: what `keepbusy detect` does, from Python."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.config import SelectConfig
from keepbusy.errors import ConfigError, FrameError, ModelError, SinkError, SourceError
from keepbusy.flow.run import Run
from keepbusy.jobs.detect import RunReport
from keepbusy.sinks import Outcome, Sink, StreamInfo
from keepbusy.sinks.open import open_sinks
from keepbusy.sinks.spec import SinkSpec
from keepbusy.testing import ScriptedSource
from keepbusy.values.result import Result
from tests.build import read_video, square_picture, write_video


class Recorder(Sink):
    def __init__(self) -> None:
        self.indices: list[int] = []
        self.outcomes: list[Outcome] = []
        self.num_closed = 0

    def write(self, result: Result) -> None:
        self.indices.append(result.frame.index)

    def end(self, stream: StreamInfo, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def close(self) -> None:
        self.num_closed += 1


class Watcher:
    def __init__(self, interrupt_at: int | None = None, *, fails_in_begin: bool = False) -> None:
        self.told: list[object] = []
        self.report: RunReport | None = None
        self.interrupt_at, self.fails_in_begin = interrupt_at, fails_in_begin

    def begin(self, run: Run, total: int | None) -> None:
        if self.fails_in_begin:
            raise ZeroDivisionError
        self.told.append(total)

    def result(self, result: Result) -> None:
        if result.frame.index == self.interrupt_at:
            raise KeyboardInterrupt
        self.told.append(result.frame.index)

    def end(self, report: RunReport, error: BaseException | None) -> None:
        self.told.append(type(error))
        self.report = report


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_sources_go_through_a_model_into_sinks(mode: str, blob_model: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", num_frames=6)
    own, watcher = Recorder(), Watcher()
    report = kb.detect_to(
        blob_model,
        clip,
        [tmp_path / "out.jsonl", own, f"labels:{tmp_path}/labels", f"{tmp_path}/out.mp4?encoder=mpeg4"],
        select=SelectConfig(limit=4),
        trace=tmp_path / "trace.json",
        watch=watcher,
        mode=mode,  # type: ignore[arg-type]
        classes=lambda names: (names.index("red"),) if "red" in names else (0,),
    )
    assert (report.mode, report.device, report.num_slots) == (mode, "CPU", report.num_slots)
    assert (report.num_slots == 1) == (mode == "sync")
    assert report.numbers.num_frames == 4 and report.numbers.is_finished
    assert own.indices == [0, 1, 2, 3] and own.num_closed == 1 and own.outcomes[0].is_complete
    assert [json.loads(line)["index"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [0, 1, 2, 3]
    assert len(list((tmp_path / "labels").glob("*.txt"))) == len(read_video(tmp_path / "out.mp4")) == 4
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert watcher.told == [4, 0, 1, 2, 3, type(None)] and watcher.report is not None
    assert [one.num_written for one in report.numbers.outlets] == [4] * 4


def test_pictures_arrays_and_open_sources_are_sources_too(blob_model: Path) -> None:
    own = Recorder()
    report = kb.detect_to(blob_model, [square_picture(), [ScriptedSource(3), square_picture()]], [own])
    assert report.numbers.num_frames == 5 and len(own.outcomes) == 3
    assert kb.detect_to(blob_model, np.zeros((64, 96, 3), np.uint8)).numbers.num_frames == 1


def test_without_a_model_and_sources_the_embedded_ones_are_taken() -> None:
    report = kb.detect_to(select=SelectConfig(limit=3), mode="sync")
    assert report.numbers.num_frames == 3 and report.numbers.num_detections > 0


def test_whatever_fails_closes_sinks_and_sources(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    for arguments, raised in (
        ((tmp_path / "none.xml", clip, []), ModelError),
        ((blob_model, "none.mp4", []), SourceError),
        ((blob_model, clip, ["out.xyz"]), ConfigError),
        ((blob_model, clip, [f"json:{clip}"]), ConfigError),
        ((blob_model, clip, [f"{blob_model}/out.jsonl"]), SinkError),
    ):
        own, source = Recorder(), ScriptedSource(3)
        model, named, sinks = arguments
        with pytest.raises(raised):
            kb.detect_to(model, [source, named], [own, *sinks])
        assert own.num_closed == 1 and own.indices == []
        # What was not opened by then is still its owner's.
        assert source.is_closed or raised is not ModelError or source.num_read == 0
    own = Recorder()
    with pytest.raises(FrameError):
        kb.detect_to(blob_model, ScriptedSource(9, fails={2}), [own])
    assert own.num_closed == 1 and own.indices == [0, 1] and own.outcomes[0].state == "removed"


@pytest.mark.parametrize("fails_in_begin", [True, False])
def test_a_run_that_is_interrupted_is_reported_and_its_sinks_are_whole(
    fails_in_begin: bool, blob_model: Path, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "clip.mp4", num_frames=30)
    own, watcher = Recorder(), Watcher(5, fails_in_begin=fails_in_begin)
    with pytest.raises(ZeroDivisionError if fails_in_begin else KeyboardInterrupt):
        kb.detect_to(blob_model, clip, [own, tmp_path / "out.mp4"], trace=tmp_path / "t.json", watch=watcher)
    assert own.num_closed == 1
    assert watcher.told[-1] is (ZeroDivisionError if fails_in_begin else KeyboardInterrupt)
    assert watcher.report is not None
    if not fails_in_begin:
        assert own.indices == [0, 1, 2, 3, 4] and len(read_video(tmp_path / "out.mp4")) == 5
        assert json.loads((tmp_path / "t.json").read_text())
    assert [one.name for one in threading.enumerate() if one.name.startswith("keepbusy-")] == []


def test_options_that_are_given_come_before_those_of_a_profile(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("format: keepbusy-profile\nversion: 1\noptions:\n  nireq: 3\n  mode: async\n")
    report = kb.detect_to(blob_model, clip, profile=profile, select=SelectConfig(limit=2))
    assert report.num_slots == 3
    assert kb.detect_to(blob_model, clip, profile=profile, select=SelectConfig(limit=2), nireq=2).num_slots == 2
    report = kb.detect_to(blob_model, clip, profile=profile, select=SelectConfig(limit=2), mode="sync")
    assert (report.mode, report.num_slots) == ("sync", 1)


@pytest.mark.parametrize("kind", [str, Path, SinkSpec])
def test_one_sink_is_one_sink_and_not_its_letters(
    kind: type, blob_model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = SinkSpec(kind="json", location="a.jsonl") if kind is SinkSpec else kind("a.jsonl")
    kb.detect_to(blob_model, clip, one, select=SelectConfig(limit=2))
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2
    own = Recorder()
    kb.detect_to(blob_model, clip, own, select=SelectConfig(limit=2))
    assert own.indices == [0, 1] and sorted(one.name for one in tmp_path.iterdir()) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, "NoneType"),
        (b"a.jsonl", "bytes"),
        (7, "int"),
        ([None], "NoneType"),
        ([b"a.jsonl"], "bytes"),
        ([Recorder], "the class Recorder"),
        ([["a.jsonl"]], "list"),
        ([Path], "the class Path"),
    ],
)
def test_what_is_no_sink_is_refused_and_what_is_open_is_closed(
    wrong: Any, said: str, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own, source = Recorder(), ScriptedSource(3)
    sinks = [own, *wrong] if isinstance(wrong, list) else wrong
    with pytest.raises(ConfigError, match=f"a sink cannot be made of {said}"):
        kb.detect_to(blob_model, source, sinks)
    assert source.is_closed and own.num_closed == isinstance(wrong, list) and not list(tmp_path.iterdir())


def test_a_sink_that_is_given_twice_is_refused(blob_model: Path) -> None:
    own = Recorder()
    with pytest.raises(ConfigError, match="Recorder is given twice"):
        kb.detect_to(blob_model, ScriptedSource(3), [own, own])
    assert own.num_closed == 1 and own.indices == []


class Unclosable(Recorder):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def close(self) -> None:
        super().close()
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SinkError("no"), SystemExit(3)])
def test_all_sinks_and_sources_are_closed_and_the_first_error_is_raised(
    error: BaseException, blob_model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model, named, words, raised in (
        (tmp_path / "none.xml", clip, [], ModelError),
        (blob_model, "none.mp4", [], SourceError),
        (blob_model, None, [], ConfigError),
        (blob_model, clip, ["x.foo"], ConfigError),
        (blob_model, clip, [f"json:{blob_model}/x/y"], SinkError),
        (blob_model, clip, [f"json:{clip}"], ConfigError),
    ):
        first, second, source = Unclosable(error), Recorder(), ScriptedSource(3)
        with pytest.raises(raised):
            kb.detect_to(model, [[source], named], [first, *words, second])  # type: ignore[list-item]
        assert first.num_closed == second.num_closed == 1 and source.is_closed
    first, second = Unclosable(error), Recorder()
    opened = iter([first, second])

    def one(*_: Any) -> Sink:
        if (sink := next(opened, None)) is None:
            raise SinkError("the third")
        return sink

    monkeypatch.setattr("keepbusy.sinks.open._open", one)
    with pytest.raises(SinkError, match="the third"):
        open_sinks([tmp_path / f"{number}.jsonl" for number in range(3)])
    assert first.num_closed == second.num_closed == 1


def test_what_broke_a_run_off_is_raised_whatever_fails_behind_it(blob_model: Path, tmp_path: Path) -> None:
    class Ends(Watcher):
        def end(self, report: RunReport, error: BaseException | None) -> None:
            super().end(report, error)
            raise ZeroDivisionError

    class Blocks(Recorder):
        def write(self, result: Result) -> None:
            super().write(result)
            (tmp_path / "trace.json").mkdir(exist_ok=True)

    watcher = Ends()
    with pytest.raises(FrameError):
        kb.detect_to(
            blob_model, ScriptedSource(9, fails={2}), Blocks(), trace=str(tmp_path / "trace.json"), watch=watcher
        )
    assert watcher.told[-1] is FrameError
    (tmp_path / "trace.json").rmdir()
    watcher = Ends()
    with pytest.raises(SinkError):
        kb.detect_to(blob_model, ScriptedSource(9), Blocks(), trace=str(tmp_path / "trace.json"), watch=watcher)
    assert watcher.told[-1] is type(None)


def test_a_trace_may_be_named_by_a_word(blob_model: Path, tmp_path: Path) -> None:
    kb.detect_to(blob_model, ScriptedSource(3), trace=str(tmp_path / "new" / "trace.json"))
    assert json.loads((tmp_path / "new" / "trace.json").read_text())["traceEvents"]


def test_frames_are_selected_by_the_words_of_a_run(blob_model: Path, clip: Path) -> None:
    for chosen, num_frames in (({"limit": 3}, 3), ({"stride": 10}, 4), ({"limit": 50, "loop": True}, 50)):
        report = kb.detect_to(blob_model, clip, **chosen)  # type: ignore[arg-type]
        select = SelectConfig(**chosen)  # type: ignore[arg-type]
        assert report.numbers.num_frames == num_frames
        assert kb.detect_to(blob_model, clip, select=select).numbers.num_frames == num_frames


@pytest.mark.parametrize("options", [{"limit": 3}, {"stride": 2}, {"loop": True}])
def test_frames_are_not_selected_twice(blob_model: Path, clip: Path, options: dict[str, Any]) -> None:
    with pytest.raises(kb.ConfigError, match="`loop`, `limit` and `stride` are given, too"):
        kb.detect_to(blob_model, clip, select=SelectConfig(limit=2), **options)
    with pytest.raises(kb.ConfigError, match="limit"):
        kb.detect_to(blob_model, clip, limit=0)
