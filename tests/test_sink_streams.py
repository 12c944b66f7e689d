"""Sinks are told when a stream begins and how it ends: in order, once, and whatever comes between."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import keepbusy as kb
from keepbusy.config import Retry, RunConfig, StreamConfig
from keepbusy.errors import SinkError, SourceError
from keepbusy.flow.stats import RunStats
from keepbusy.sinks import Outcome, Sink, SinkRunner, StopRun, StreamInfo, drain
from keepbusy.sinks.images import AnnotatedFolder
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.video import VideoFile
from keepbusy.sources import Source
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.threads.channel import Gate
from keepbusy.values.result import Result
from tests.build import read_video, write_video
from tests.test_sinks import result

MODES = ["async", "sync"]


def config(mode: str, **more: object) -> RunConfig:
    return RunConfig(mode=mode, nireq=None if mode == "sync" else 2, **more)  # type: ignore[arg-type]


class Diary(Sink):
    """Writes down what it is told, by streams.

    Args:
        fails_in: The method that fails for a stream of a number, from 0.
        stops_at: The result, counted over all streams, at which it asks for the end.
    """

    def __init__(self, fails_in: tuple[str, int] | None = None, stops_at: int | None = None) -> None:
        self.told: dict[int, list[object]] = {}
        self.begun: dict[int, StreamInfo] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.threads: set[str] = set()
        self.num_closed = 0
        self.num_written = 0
        self.fails_in, self.stops_at = fails_in, stops_at

    def tell(self, what: str, stream_id: int, item: object) -> None:
        assert self.num_closed == 0
        self.threads.add(threading.current_thread().name)
        if (what, stream_id) == self.fails_in:
            raise SinkError(f"{what}: scripted")
        self.told.setdefault(stream_id, []).append(item)

    def begin(self, stream: StreamInfo) -> None:
        self.begun[stream.id] = stream
        self.tell("begin", stream.id, "begin")

    def write(self, result: Result) -> None:
        if self.num_written == self.stops_at:
            raise StopRun
        self.num_written += 1
        self.tell("write", result.frame.source_id, result.frame.index)

    def end(self, stream: StreamInfo, outcome: Outcome) -> None:
        assert stream is self.begun[stream.id]
        self.tell("end", stream.id, "end")
        self.outcomes[stream.id] = outcome

    def close(self) -> None:
        self.num_closed += 1


@pytest.mark.parametrize("mode", MODES)
def test_streams_begin_before_their_first_result_and_end_behind_their_last(mode: str) -> None:
    diaries = [Diary(), Diary()]
    sources = [ScriptedSource(3, name="a"), ScriptedSource(0, name="empty"), ScriptedSource(5, name="b")]
    drain(scripted_run(sources, ScriptedDevice(), config(mode)), diaries, lambda result: None)
    for diary in diaries:
        assert diary.told == {
            0: ["begin", 0, 1, 2, "end"],
            1: ["begin", "end"],
            2: ["begin", 0, 1, 2, 3, 4, "end"],
        }
        assert diary.outcomes == {
            number: Outcome(state="ended", num_results=count) for number, count in enumerate((3, 0, 5))
        }
        assert all(outcome.is_complete for outcome in diary.outcomes.values())
        assert diary.begun[0] == StreamInfo(id=0, name="a", source="a", num_frames=3, fps=30.0, size_wh=(32, 32))
        assert diary.begun[1] == StreamInfo(id=1, name="empty", source="empty", num_frames=0, fps=30.0)
        assert diary.num_closed == 1
        assert len(diary.threads) == 1 and threading.current_thread().name not in diary.threads


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_fails_or_is_removed_ends_as_that(mode: str) -> None:
    diary = Diary()

    class Closed:
        name = "closed"

        def open(self) -> Source:
            raise SourceError("closed: scripted")

    run = scripted_run(None, ScriptedDevice(), config(mode, on_error="skip"))
    run.add(ScriptedSource(9, breaks_at=2, name="breaks"))
    run.add(Closed(), StreamConfig(name="called"))
    run.add(Closed(), StreamConfig(retry=Retry(first_wait_s=0, max_wait_s=0, max_attempts=3)))
    endless = run.add(ScriptedSource(None))
    run.end()
    seen: list[int] = []

    def on_result(item: Result) -> None:
        seen.append(item.frame.source_id)
        if set(seen) == {0, 1, 2, 3}:
            run.remove(endless)

    drain(run, [diary], on_result)
    assert diary.told[0] == ["begin", 0, 1, 2, "end"]
    assert diary.told[1] == diary.told[2] == ["begin", 0, "end"]
    assert [diary.outcomes[number].state for number in range(4)] == ["failed", "failed", "failed", "removed"]
    assert "scripted break" in str(diary.outcomes[0].error) and "closed: scripted" in str(diary.outcomes[1].error)
    assert (diary.begun[1].name, diary.begun[1].size_wh) == ("called", None)
    assert not diary.outcomes[0].is_complete and diary.outcomes[3].num_missing == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["error", "stop", "left"])
def test_streams_of_a_run_that_is_broken_off_are_removed(mode: str, how: str) -> None:
    diary, other = Diary(), Diary(stops_at=20 if how == "stop" else None)
    run = scripted_run(None, ScriptedDevice(), config(mode))
    run.add(ScriptedSource(2, name="short"))
    run.add(ScriptedSource(None, name="endless"))
    taken = []
    try:
        with run, SinkRunner([diary, other], run.stats, run) as runner:
            for item in run:
                taken.append(item)
                if not runner.put(item) or (how == "left" and len(taken) == 20):
                    break
                if how == "error" and len(taken) == 20:
                    raise ZeroDivisionError
    except ZeroDivisionError:
        assert how == "error"
    assert {number: outcome.state for number, outcome in diary.outcomes.items()} == {0: "ended", 1: "removed"}
    assert diary.told[0] == ["begin", 0, 1, "end"]
    assert diary.told[1][0] == "begin" and diary.told[1][-1] == "end"
    if how == "stop":
        assert 1 not in other.outcomes and other.num_closed == 1


def test_streams_that_had_no_result_when_the_run_was_broken_off_are_removed_too() -> None:
    diary = Diary()
    run = scripted_run(None, ScriptedDevice())
    run.add(ScriptedSource(1))
    run.add(ScriptedSource(None, stalls_at=0))
    with run, SinkRunner([diary], run.stats, run) as runner:
        runner.put(next(run))
    assert diary.told[1] == ["begin", "end"] and diary.outcomes[1] == Outcome(state="removed", num_results=0)


def test_an_end_is_told_while_other_streams_are_silent() -> None:
    ended = Gate()

    class Waiting(Diary):
        def end(self, stream: StreamInfo, outcome: Outcome) -> None:
            super().end(stream, outcome)
            if stream.name == "short":
                ended.open()

    diary, silent = Waiting(), ScriptedSource(None, stalls_at=1, name="silent")
    with scripted_run(None, ScriptedDevice()) as run, SinkRunner([diary], run.stats, run) as runner:
        run.add(silent)
        assert runner.put(next(run))
        run.add(ScriptedSource(2, name="short"))
        run.end()

        def wait() -> None:
            ended.wait(60)
            silent.unblock()

        waiter = threading.Thread(target=wait)
        waiter.start()
        for item in run:
            runner.put(item)
        waiter.join()
    assert diary.outcomes[1] == Outcome(state="ended", num_results=2)
    assert diary.outcomes[0].state == "ended"


@pytest.mark.parametrize("is_live", [True, False])
def test_a_removed_stream_ends_whatever_waited_of_it(is_live: bool) -> None:
    for drains in (True, False):
        diary = Diary()
        with scripted_run(None, ScriptedDevice()) as run, SinkRunner([diary], run.stats, run) as runner:
            stream = run.add(ScriptedSource(None, is_live=is_live))
            runner.put(next(run))
            run.remove(stream, drain=drains)
            run.end()
            for item in run:
                runner.put(item)
        assert diary.told[0][0] == "begin" and diary.told[0][-1] == "end" and diary.told[0].count("end") == 1
        outcome = diary.outcomes[0]
        assert outcome.state == "removed"
        assert outcome.num_results == diary.num_written + outcome.num_missing
        if not is_live:
            assert outcome.num_missing == 0


@pytest.mark.parametrize("method", ["begin", "write", "end"])
def test_a_sink_that_fails_in_any_method_is_told_nothing_more_and_harms_no_other(method: str) -> None:
    bad, good = Diary(fails_in=(method, 0)), Diary()
    with pytest.raises(SinkError, match=f"{method}: scripted"):
        drain(scripted_run([ScriptedSource(2), ScriptedSource(40)], ScriptedDevice()), [bad, good], lambda _: None)
    assert bad.num_closed == good.num_closed == 1
    assert 0 not in bad.outcomes and set(good.outcomes) == {0, 1}
    assert good.outcomes[0].num_results == good.told[0].index("end") - 1


def test_results_that_a_sink_has_not_are_missing_in_the_outcome() -> None:
    begun, go_on = Gate(), Gate()

    class Slow(Diary):
        def begin(self, stream: StreamInfo) -> None:
            super().begin(stream)
            begun.open()
            go_on.wait(60)

    slow, quick = Slow(), Diary()
    live = ScriptedSource(30, is_live=True, read_s=0.001)
    with scripted_run([live], ScriptedDevice()) as run, SinkRunner([slow, quick], run.stats, run) as runner:
        for item in run:
            runner.put(item)
            begun.wait(60)
        go_on.open()
    outcome = slow.outcomes[0]
    assert outcome.state == "ended" and outcome.num_missing > 0 and not outcome.is_complete
    assert outcome.num_results == slow.num_written + outcome.num_missing == quick.outcomes[0].num_results


def test_without_a_run_streams_are_known_by_their_results() -> None:
    for raises in (False, True):
        diary = Diary()
        try:
            with SinkRunner([diary], RunStats()) as runner:
                runner.put(result(0))
                runner.put(result(7, "b.mp4", source_id=4))
                if raises:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        state = "removed" if raises else "ended"
        assert diary.begun[4] == StreamInfo(id=4, name="b.mp4", source="b.mp4", size_wh=(96, 64))
        assert diary.outcomes[0] == diary.outcomes[4]
        assert (diary.outcomes[0].state, diary.outcomes[0].num_results) == (state, 1)


@pytest.mark.parametrize("mode", MODES)
def test_videos_have_the_rate_of_their_streams_and_are_finished_with_them(
    mode: str, blob_model: Path, tmp_path: Path
) -> None:
    clips = [write_video(tmp_path / f"{name}.mp4", num_frames=5, fps=20) for name in "ab"]
    whole: list[int] = []

    class Checker(Sink):
        def end(self, stream: StreamInfo, outcome: Outcome) -> None:
            whole.append(stream.id)

    with kb.Pipeline(blob_model, mode=mode) as pipeline:  # type: ignore[arg-type]
        drain(
            pipeline.run(*clips),
            [VideoFile(tmp_path / "one.mp4"), AnnotatedFolder(tmp_path / "out", OutputNames()), Checker()],
            lambda item: None,
        )
    assert sorted(whole) == [0, 1] and len(read_video(tmp_path / "one.mp4")) == 10
    import av

    for name in ("one.mp4", "out/a.mp4", "out/b.mp4"):
        with av.open(str(tmp_path / name)) as container:
            assert float(container.streams.video[0].average_rate or 0) == pytest.approx(20)


def test_a_stream_that_its_run_has_given_up_is_not_moved_on_by_who_reads_it() -> None:
    with scripted_run([ScriptedSource(None)], ScriptedDevice()) as run:
        next(run)
        stream = run.streams[0]
    assert stream.state == "removed"
    stream.go_on_to("waiting")
    assert stream.state == "removed"
    with pytest.raises(kb.KeepbusyError, match="cannot become waiting: it was removed"):
        stream.move_to("waiting")


@pytest.mark.parametrize("mode", MODES)
def test_the_ends_of_streams_are_told_to_all_who_watch_in_the_thread_that_takes_results(mode: str) -> None:
    told: list[tuple[str, str, threading.Thread]] = []
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        for watcher in "ab":
            run.watch(lambda stream, w=watcher: told.append((w, stream.name, threading.current_thread())))  # type: ignore[misc]
        for name in ("one", "two"):
            run.add(ScriptedSource(1, name=name))
        run.end()
        assert len(list(run)) == 2
    assert sorted((watcher, name) for watcher, name, _ in told) == [
        ("a", "one"),
        ("a", "two"),
        ("b", "one"),
        ("b", "two"),
    ]
    assert {thread for _, _, thread in told} == {threading.current_thread()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_broken_off", [True, False])
def test_a_later_runner_is_told_of_no_stream_that_had_ended_for_an_earlier_one(mode: str, is_broken_off: bool) -> None:
    let_go = Gate()

    class Second(ScriptedSource):
        def read(self) -> object:  # type: ignore[override]
            let_go.wait(60)
            return super().read()

    run = scripted_run([ScriptedSource(2), Second(5), Second(3)], ScriptedDevice(), config(mode))
    first, second = Diary(), Diary()
    ended: list[int] = []
    run.watch(lambda stream: ended.append(stream.id))
    with run:
        with SinkRunner([first], run.stats, run) as runner:
            let_go.open()
            while 0 not in ended:
                runner.put(next(run))
            until_s = time.monotonic() + 60
            while 0 not in first.outcomes and time.monotonic() < until_s:
                time.sleep(0.001)
        with SinkRunner([second], run.stats, run) as runner:
            if not is_broken_off:
                for one in run:
                    runner.put(one)
    assert first.told[0] == ["begin", 0, 1, "end"]
    assert 0 not in second.told and {1, 2} - set(first.outcomes) <= set(second.told)
    assert all(told[0] == "begin" and told[-1] == "end" for told in second.told.values())
