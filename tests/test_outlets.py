"""What happens to results where a sink is slow or fails, and that it is counted."""

from __future__ import annotations

import io
import logging
import threading
import time

import pytest
from rich.console import Console

import keepbusy as kb
from keepbusy.cli.progress import print_summary
from keepbusy.config import OutletConfig, Retry, RunConfig, StreamConfig
from keepbusy.errors import ConfigError, SinkError
from keepbusy.flow.stats import RunStats
from keepbusy.jobs.detect import RunReport
from keepbusy.sinks import Outcome, Sink, SinkRunner, StreamInfo, drain, outlet
from keepbusy.sinks.outlet import MAX_WAITING
from keepbusy.testing import ManualClock, ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings
from tests.interrupts import NUM_PLACES, interrupted_everywhere
from tests.test_sinks import result
from tests.waiting import wait_until

SOON = Retry(first_wait_s=0.001, max_wait_s=0.002, max_attempts=3)


class Held(Sink):
    """Waits in its first `begin` until it is let go, and writes down what it takes."""

    def __init__(self, name: str = "", config: OutletConfig | None = None) -> None:
        self.name, self.outlet = name, config or OutletConfig()
        self.entered, self.let_go = Gate(), Gate()
        self.indices: list[int] = []
        self.outcomes: list[Outcome] = []
        self.num_closed = 0

    def begin(self, stream: StreamInfo) -> None:
        self.entered.open()
        self.let_go.wait(60)

    def write(self, result: Result) -> None:
        self.indices.append(result.frame.index)

    def end(self, stream: StreamInfo, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def close(self) -> None:
        self.num_closed += 1


class Failing(Held):
    """Fails at the given calls of `write`, counted from 0; is not held."""

    def __init__(self, fails: set[int], config: OutletConfig, name: str = "failing") -> None:
        super().__init__(name, config)
        self.fails, self.num_calls = fails, 0
        self.let_go.open()

    def write(self, result: Result) -> None:
        self.num_calls += 1
        if self.num_calls - 1 in self.fails:
            raise OSError(f"call {self.num_calls - 1}")
        super().write(result)


def test_a_full_outlet_that_drops_holds_up_nobody_and_keeps_the_newest() -> None:
    slow, quick = Held("slow", OutletConfig(on_full="drop_oldest")), Held("quick")
    quick.let_go.open()
    run = scripted_run([ScriptedSource(50)], ScriptedDevice())
    with run, SinkRunner([slow, quick], run.stats, run) as runner:
        for item in run:
            assert runner.put(item)
            slow.entered.wait(60)
        slow.let_go.open()
    assert quick.indices == list(range(50))
    assert slow.indices == [0, *range(50 - MAX_WAITING, 50)]
    assert slow.outcomes == [Outcome(state="ended", num_results=50, num_missing=49 - MAX_WAITING)]
    told = {one.name: one for one in run.stats.snapshot().outlets}
    assert (told["slow"].num_written, told["slow"].dropped) == (1 + MAX_WAITING, {"overload": 49 - MAX_WAITING})
    assert told["slow"].num_dropped == 49 - MAX_WAITING
    assert (told["quick"].num_written, told["quick"].dropped) == (50, {})


def test_an_outlet_that_drops_and_keeps_up_writes_everything() -> None:
    sink = Held(config=OutletConfig(on_full="drop_oldest"))
    sink.let_go.open()
    with SinkRunner([sink], RunStats()) as runner:
        for index in range(200):
            runner.put(result(index))
            while len(sink.indices) < index - 3:
                time.sleep(0.0001)
    assert sink.indices == list(range(200))


def test_results_of_live_streams_that_an_outlet_drops_are_counted() -> None:
    slow = Held("slow")
    run = scripted_run([ScriptedSource(30, is_live=True, read_s=0.001)], ScriptedDevice())
    with run, SinkRunner([slow], run.stats, run) as runner:
        num_put = 0
        for item in run:
            runner.put(item)
            num_put += 1
            slow.entered.wait(60)
        before = run.stats.snapshot()
        slow.let_go.open()
    (told,) = run.stats.snapshot().outlets
    assert told.dropped == {"overload": num_put - 2} and told.num_written == 2
    assert slow.indices[-1] == 29
    (since,) = run.stats.snapshot().since(before).outlets
    assert (since.num_written, since.dropped) == (2, {})


def test_results_that_grew_too_old_in_an_outlet_are_counted() -> None:
    clock = ManualClock()
    slow = Held("slow")
    stats = RunStats(clock)
    with SinkRunner([slow], stats) as runner:
        for index in range(3):
            timings = Timings(expires_ns=1_000_000)
            frame = Frame(None, index, 0.0, 0, "camera")
            runner.put(Result(frame, result().detections, timings))
            slow.entered.wait(60)
        clock.advance(1)
        slow.let_go.open()
    (told,) = stats.snapshot().outlets
    assert (told.num_written, told.dropped) == (1, {"stale": 2})


def test_a_write_that_failed_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    sink = Failing({3, 4, 5, 9}, OutletConfig(on_error="retry", retry=SOON))
    with caplog.at_level(logging.WARNING):
        run = scripted_run([ScriptedSource(10)], ScriptedDevice())
        drain(run, [sink], lambda item: None)
    assert sink.indices == list(range(10)) and sink.outcomes[0].is_complete
    (told,) = run.stats.snapshot().outlets
    assert (told.num_written, told.num_retried, told.num_failed) == (10, 4, 0)
    assert "failing: call 3; trying it again in 0.0 s" in caplog.text


def test_trying_again_gives_up_after_so_many_failures() -> None:
    sink, other = Failing({2, 3, 4, 5}, OutletConfig(on_error="retry", retry=SOON)), Held()
    other.let_go.open()
    run = scripted_run([ScriptedSource(100)], ScriptedDevice())
    with pytest.raises(SinkError, match="failing: call 5"):
        drain(run, [sink, other], lambda item: None)
    assert sink.indices == [0, 1] and sink.num_calls == 6 and sink.num_closed == other.num_closed == 1
    assert other.indices == list(range(len(other.indices)))


def test_closing_does_not_wait_for_a_sink_that_never_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "CLOSE_RETRY_S", 0.05)
    never = Failing(
        set(range(100)), OutletConfig(on_error="retry", retry=Retry(first_wait_s=600, max_wait_s=600, max_attempts=50))
    )
    begin_s = time.monotonic()
    with pytest.raises(SinkError, match="failing: call"), SinkRunner([never], RunStats()) as runner:
        runner.put(result(0))
        runner.put(result(1))
    assert time.monotonic() - begin_s < 30
    assert never.num_closed == 1 and never.num_calls >= 1


def test_failed_writes_are_counted_and_the_run_goes_on() -> None:
    sink, other = Failing({1, 4}, OutletConfig(on_error="count"), "out.jsonl"), Held()
    other.let_go.open()
    run = scripted_run([ScriptedSource(10)], ScriptedDevice())
    with pytest.raises(SinkError) as caught:
        drain(run, [sink, other], lambda item: None)
    assert caught.value.message == "out.jsonl: 2 of 10 results could not be written; the first: out.jsonl: call 1"
    assert sink.indices == [0, 2, 3, 5, 6, 7, 8, 9] and other.indices == list(range(10))
    assert sink.outcomes == [Outcome(state="ended", num_results=10, num_missing=2)]
    (told, _) = run.stats.snapshot().outlets
    assert (told.num_written, told.num_failed) == (8, 2)


def test_a_begin_that_failed_is_tried_again_with_the_next_result_where_failures_are_counted() -> None:
    class Begins(Failing):
        num_begun = 0

        def begin(self, stream: StreamInfo) -> None:
            self.num_begun += 1
            if self.num_begun < 3:
                raise OSError("not yet")

        def end(self, stream: StreamInfo, outcome: Outcome) -> None:
            super().end(stream, outcome)
            raise OSError("not now")

    sink = Begins(set(), OutletConfig(on_error="count"))
    with pytest.raises(
        SinkError, match="2 of 5 results could not be written, 1 stream could not be ended; the first: failing: not yet"
    ):
        drain(scripted_run([ScriptedSource(5)], ScriptedDevice()), [sink], lambda item: None)
    assert sink.indices == [2, 3, 4] and sink.outcomes == [Outcome(state="ended", num_results=5, num_missing=2)]


@pytest.mark.parametrize(
    ("method", "said", "num_failed"),
    [
        ("begin", "20 of 20 results could not be written, 2 streams could not be begun; the first: failing: no", 20),
        ("write", "20 of 20 results could not be written; the first: failing: no", 20),
        ("end", "2 streams could not be ended; the first: failing: no", 0),
    ],
)
@pytest.mark.parametrize("is_broken_off", [False, True])
def test_only_results_are_counted_as_results(method: str, said: str, num_failed: int, is_broken_off: bool) -> None:
    def fails(*_: object) -> None:
        raise OSError("no")

    sink = Failing(set(), OutletConfig(on_error="count"))
    setattr(sink, method, fails)
    run = scripted_run([ScriptedSource(10), ScriptedSource(10)], ScriptedDevice())
    with pytest.raises(SinkError) as caught:
        if is_broken_off:  # The streams are over for the sink only when the runner is closed.
            with SinkRunner([sink], run.stats) as runner:
                assert all(map(runner.put, run))
        else:
            drain(run, [sink])
    assert caught.value.message == f"failing: {said}" or (is_broken_off and method == "begin")
    (told,) = run.stats.snapshot().outlets
    assert (told.num_written, told.num_failed) == (20 - num_failed, num_failed)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: OutletConfig(on_full="drop"), "on_full: 'drop' is none of the choices"),  # type: ignore[arg-type]
        (
            lambda: OutletConfig(on_error="raise"),  # type: ignore[arg-type]
            "on_error: 'raise' is none of the choices",
        ),
        (lambda: OutletConfig(on_error="retry", retry=Retry()), "retry: a sink is not tried for ever"),
    ],
)
def test_options_that_an_outlet_cannot_have_are_refused(make: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()  # type: ignore[operator]
    assert said in caught.value.message and caught.value.hint


def test_the_summary_tells_what_sinks_have_not_got() -> None:
    slow = Held("[bold]cam\x1b[0m.jsonl", OutletConfig(on_full="drop_oldest", on_error="count"))
    run = scripted_run([ScriptedSource(20)], ScriptedDevice())
    with run, SinkRunner([slow], run.stats, run) as runner:
        for item in run:
            runner.put(item)
            slow.entered.wait(60)
        slow.let_go.open()
    counters = run.stats.outlet("labels")
    counters.num_failed = 3
    text = io.StringIO()
    report = RunReport(numbers=run.stats.snapshot(), mode="async", device="X", num_slots=2)
    print_summary(Console(file=text, width=200), report)
    assert "11 results not written to [bold]cam\\x1b[0m.jsonl: newer ones were waiting" in text.getvalue()
    assert "3 results could not be written to labels" in text.getvalue()


def test_a_runner_with_all_policies_interrupted_anywhere_closes_its_sinks_once() -> None:
    configs = [
        OutletConfig(),
        OutletConfig(on_full="drop_oldest"),
        OutletConfig(on_error="count"),
        OutletConfig(on_error="retry", retry=SOON),
    ]

    def prepare() -> list[Held]:
        made = [Held(config=one) for one in configs]
        for one in made:
            one.let_go.open()
        return made

    def work(sinks: list[Held]) -> None:
        run = scripted_run([ScriptedSource(3)], ScriptedDevice(), RunConfig(mode="sync"))
        drain(run, sinks, lambda item: None)

    num_places = 0
    for place, sinks in interrupted_everywhere(prepare, work, num_places=NUM_PLACES):
        num_places += 1
        wait_until(lambda: not any(one.name.startswith("keepbusy-") for one in threading.enumerate()), place)
        assert {one.num_closed for one in sinks} in ({1}, {0}), place
        if sinks[0].indices:
            assert {len(one.outcomes) for one in sinks} == {1}, place
        for one in sinks:
            assert one.indices == list(range(len(one.indices))), place
            assert all(outcome.state in ("ended", "removed") for outcome in one.outcomes), place
    assert num_places > 30


def test_a_stream_of_many_policies_gives_every_sink_its_due() -> None:
    sinks = [
        Failing({2}, OutletConfig(on_error="retry", retry=SOON)),
        Failing(set(), OutletConfig(on_full="drop_oldest")),
    ]
    with scripted_run(None, ScriptedDevice()) as run:
        run.add(ScriptedSource(4), StreamConfig(name="files"))
        run.add(ScriptedSource(4, is_live=True), StreamConfig(name="live"))
        run.end()
        drain(run, sinks, lambda item: None)
    for sink in sinks:
        assert len(sink.outcomes) == 2 and all(one.state == "ended" for one in sink.outcomes)


def test_the_names_are_the_packages() -> None:
    assert kb.OutletConfig is OutletConfig and kb.OutletStats.__name__ == "OutletStats"
