"""The engine's contract, over a scripted device: random latencies, failures, stalls and early closes."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepbusy.config import RunConfig
from keepbusy.device.slots import create_slots
from keepbusy.errors import DeviceTimeoutError, FrameError
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Outputs
from keepbusy.testing import ScriptedDevice, ScriptedSource, encoded_index, index_detected, scripted_run
from keepbusy.values.detections import Detections
from tests.waiting import wait_until

MS = st.integers(0, 3).map(lambda n: n / 1000)
MODES = st.sampled_from(["async", "sync"])
INDICES = st.frozensets(st.integers(0, 29), max_size=6)

prove = settings(max_examples=60, deadline=None)


def config(mode: str, nireq: int, on_error: str = "skip", **more: float) -> RunConfig:
    return RunConfig(mode=mode, nireq=nireq if mode == "async" else None, on_error=on_error, **more)  # type: ignore[arg-type]


@prove
@given(
    mode=MODES,
    nireq=st.integers(1, 5),
    num_frames=st.integers(0, 30),
    latencies=st.lists(MS, min_size=1, max_size=5),
    reads=st.lists(MS, min_size=1, max_size=5),
    num_servers=st.integers(1, 3),
)
def test_each_frame_has_one_result_in_order_and_its_own_output(
    mode: str, nireq: int, num_frames: int, latencies: list[float], reads: list[float], num_servers: int
) -> None:
    device = ScriptedDevice(lambda n: latencies[n % len(latencies)], num_servers=num_servers)
    source = ScriptedSource(num_frames, read_s=lambda n: reads[n % len(reads)])
    results = list(scripted_run([source], device, config(mode, nireq)))
    assert [result.frame.index for result in results] == list(range(num_frames))
    assert [int(result.detections.class_id[0]) for result in results] == list(range(num_frames))
    assert device.max_in_flight <= (nireq if mode == "async" else 1)
    assert device.num_in_flight == 0
    assert source.is_closed


@prove
@given(
    mode=MODES,
    nireq=st.integers(1, 4),
    unread=INDICES,
    failed=INDICES,
    refused=INDICES,
    undecodable=INDICES,
    latency_s=MS,
)
def test_the_right_frame_and_stage_is_blamed(
    mode: str,
    nireq: int,
    unread: frozenset[int],
    failed: frozenset[int],
    refused: frozenset[int],
    undecodable: frozenset[int],
    latency_s: float,
) -> None:
    def decode(outputs: Outputs, letterbox: Letterbox) -> Detections:
        if encoded_index(outputs) in undecodable:
            raise ValueError("scripted decoding failure")
        return index_detected(outputs, letterbox)

    # The device counts the frames that reach it; unread ones do not.
    reaching = [index for index in range(30) if index not in unread]
    device = ScriptedDevice(
        latency_s,
        fails={n for n, index in enumerate(reaching) if index in failed},
        refuses={n for n, index in enumerate(reaching) if index in refused},
    )
    run = scripted_run([ScriptedSource(30, fails=unread)], device, config(mode, nireq), to_detections=decode)
    results = list(run)
    assert [result.frame.index for result in results] == list(range(30))
    for index, result in enumerate(results):
        expected = (
            "read"
            if index in unread
            else "infer"
            if index in failed | refused
            else "postprocess"
            if index in undecodable
            else None
        )
        assert (result.error.stage if result.error else None) == expected
        if result.error:
            assert result.error.frame_index == index
            assert len(result.detections) == 0
        else:
            assert result.detections.class_id.tolist() == [index]
    snapshot = run.stats.snapshot()
    assert snapshot.num_frames == 30
    assert snapshot.num_errors == sum(result.error is not None for result in results)


@pytest.mark.parametrize("by", ["close", "a failure"])
def test_a_run_that_was_closed_hands_over_nothing_more_though_all_was_done(by: str) -> None:
    run = scripted_run([ScriptedSource(3, fails={0})], ScriptedDevice(), config("async", 2, "raise"))
    wait_until(lambda: run.stats.snapshot().is_finished)
    if by == "close":
        run.close()
    else:
        with pytest.raises(FrameError):
            next(run)
    assert next(run, None) is None


@prove
@given(mode=MODES, nireq=st.integers(1, 4), first=st.integers(0, 19), stage=st.sampled_from(["read", "infer"]))
def test_by_default_the_first_failure_is_raised_behind_the_results_before_it(
    mode: str, nireq: int, first: int, stage: str
) -> None:
    unread = {first, first + 3} if stage == "read" else set()
    failed = {first, first + 2} if stage == "infer" else set()
    device = ScriptedDevice(0.0005, fails=failed)
    run = scripted_run([ScriptedSource(20, fails=unread)], device, config(mode, nireq, "raise"))
    seen = []
    with pytest.raises(FrameError) as caught:
        for result in run:
            seen.append(result.frame.index)
    assert seen == list(range(first))
    assert (caught.value.stage, caught.value.frame_index, caught.value.source) == (stage, first, "scripted")
    assert next(run, None) is None


@prove
@given(
    mode=MODES,
    nireq=st.integers(1, 4),
    num_taken=st.integers(0, 10),
    latency_s=MS,
    how=st.sampled_from(["close", "with", "error", "forget"]),
)
def test_stopping_early_leaves_no_thread_and_nothing_in_flight(
    mode: str, nireq: int, num_taken: int, latency_s: float, how: str
) -> None:
    before = threading.active_count()
    device = ScriptedDevice(latency_s)
    source = ScriptedSource(None)
    run = scripted_run([source], device, config(mode, nireq))
    if how == "error":
        with pytest.raises(ZeroDivisionError), run:
            for _ in range(num_taken):
                next(run)
            raise ZeroDivisionError
    elif how == "with":
        with run:
            for _ in range(num_taken):
                next(run)
    else:
        for _ in range(num_taken):
            next(run)
        if how == "close":
            run.close()
    del run
    gc.collect()
    assert threading.active_count() == before
    assert device.num_in_flight == 0
    assert source.is_closed


@settings(max_examples=15, deadline=None)
@given(mode=MODES, nireq=st.integers(1, 4), stalled=st.integers(0, 6))
def test_a_device_that_stops_answering_is_noticed(mode: str, nireq: int, stalled: int) -> None:
    device = ScriptedDevice(0.0005, stalls={stalled})
    run = scripted_run([ScriptedSource(20)], device, config(mode, nireq, "skip", device_timeout_s=0.05))
    seen = []
    with pytest.raises(DeviceTimeoutError, match=f"no answer for 0.05 s .*frame {stalled}"):
        for result in run:
            seen.append(result.frame.index)
    assert seen == list(range(stalled))


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_source_that_cannot_be_closed_is_reported_and_the_others_go_on(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(ScriptedSource):
        def close(self) -> None:
            super().close()
            raise ValueError("scripted: cannot be closed")

    stuck, other = Stuck(3, name="stuck"), ScriptedSource(40, read_s=0.001, name="other")
    results = list(scripted_run([stuck, other], ScriptedDevice(), config(mode, 2)))
    assert [sum(result.frame.source == name for result in results) for name in ("stuck", "other")] == [3, 40]
    assert "stuck: cannot be closed: scripted: cannot be closed" in caplog.text
    assert stuck.is_closed and other.is_closed


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_slot_that_the_device_never_gave_back_is_lost_and_the_others_are_not(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepbusy.flow.run.CANCEL_TIMEOUT_S", 0.05)
    device = ScriptedDevice(0.0005, hangs={2})
    slots = create_slots(device, 3 if mode == "async" else 1)
    run = scripted_run([ScriptedSource(20)], device, config(mode, 3, device_timeout_s=0.05), slots=slots)
    with pytest.raises(DeviceTimeoutError, match="frame 2"):
        list(run)
    assert sum(slot.is_lost for slot in slots) == 1
    assert all(slot.frame is None for slot in slots)
    assert device.num_in_flight == 1


@pytest.mark.parametrize("nireq", [1, 3])
def test_closing_wakes_a_stalled_device_at_once(nireq: int) -> None:
    device = ScriptedDevice(0.0, stalls={2})
    run = scripted_run([ScriptedSource(None)], device, config("async", nireq, device_timeout_s=1000.0))
    assert [next(run).frame.index, next(run).frame.index] == [0, 1]
    began = time.monotonic()
    run.close()
    assert time.monotonic() - began < 100  # far below the device's time limit: it was woken
    assert device.num_in_flight == 0


def test_a_consumer_waiting_for_a_result_is_woken_by_close_from_another_thread() -> None:
    run = scripted_run([ScriptedSource(3, stalls_at=1)], ScriptedDevice(), config("async", 2))
    assert next(run).frame.index == 0
    closer = threading.Thread(target=run.close)
    closer.start()
    assert next(run, None) is None
    closer.join()


@prove
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    nireq=st.integers(1, 4),
    mode=MODES,
    breaks=st.integers(0, 3),
)
def test_sources_keep_their_order_and_one_that_breaks_stops_no_other(
    lengths: list[int], nireq: int, mode: str, breaks: int
) -> None:
    sources = [
        ScriptedSource(length, name=f"s{i}", breaks_at=2 if i == breaks else None) for i, length in enumerate(lengths)
    ]
    results = list(scripted_run(sources, ScriptedDevice(0.0002), config(mode, nireq)))
    for i, length in enumerate(lengths):
        own = [result for result in results if result.frame.source == f"s{i}"]
        expected = min(length, 3) if i == breaks else length
        assert [result.frame.index for result in own] == list(range(expected))
        assert [result.error is not None for result in own] == [i == breaks and n == 2 for n in range(expected)]


def test_a_stalled_source_does_not_hold_up_the_others() -> None:
    stalled = ScriptedSource(5, name="stalled", stalls_at=0)
    run = scripted_run([stalled, ScriptedSource(50, name="fine")], ScriptedDevice(), config("async", 2))
    assert [next(run).frame.index for _ in range(50)] == list(range(50))
    stalled.unblock()
    assert next(run, None) is None


def test_sources_share_the_device_fairly() -> None:
    sources = [ScriptedSource(None, name=f"s{i}") for i in range(3)]
    run = scripted_run(sources, ScriptedDevice(0.001), config("async", 2))
    with run:
        names = [next(run).frame.source for _ in range(90)]
    counts = [names.count(f"s{i}") for i in range(3)]
    assert max(counts) - min(counts) <= 6, counts


def test_a_live_source_drops_its_oldest_frames_and_every_drop_is_counted() -> None:
    source = ScriptedSource(200, is_live=True, read_s=0.0005)
    run = scripted_run([source], ScriptedDevice(0.005), config("async", 2))
    indices = [result.frame.index for result in run]
    snapshot = run.stats.snapshot()
    assert indices == sorted(set(indices))
    assert indices[-1] == 199, "the freshest frame is the one that is kept"
    assert snapshot.dropped == {"scripted": 200 - len(indices)}
    assert snapshot.num_dropped > 0


def test_two_cameras_of_one_name_are_counted_apart() -> None:
    cameras = [ScriptedSource(200, is_live=True, read_s=read_s) for read_s in (0.0002, 0.001)]
    run = scripted_run(cameras, ScriptedDevice(0.003), config("async", 2))
    num_results = [0, 0]
    for result in run:
        num_results[result.frame.source_id] += 1
    assert run.stats.snapshot().dropped == {"scripted": 200 - num_results[0], "scripted #2": 200 - num_results[1]}


def test_a_finite_source_is_lossless_with_a_slow_consumer_and_frames_alive_are_bounded() -> None:
    config_ = RunConfig(nireq=3, channel_frames=2, results_buffered=2)
    source = ScriptedSource(60)
    run = scripted_run([source], ScriptedDevice(), config_)
    bound = (2 + 1) + 1 + 3 + (2 + 1)
    for taken in range(60):
        result = next(run)
        assert result.frame.index == taken
        time.sleep(0.001)
        assert source.num_read - taken <= bound + 1
    assert next(run, None) is None
    assert run.stats.snapshot().num_dropped == 0


def test_an_unexpected_failure_of_a_thread_ends_the_run_with_its_error() -> None:
    def decode(outputs: Outputs, letterbox: Letterbox) -> Detections:
        if encoded_index(outputs) == 3:
            raise KeyboardInterrupt
        return index_detected(outputs, letterbox)

    run = scripted_run([ScriptedSource(10)], ScriptedDevice(), config("async", 2), to_detections=decode)
    assert [next(run).frame.index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyboardInterrupt):
        next(run)


@prove
@given(
    nireq=st.integers(1, 6),
    preprocess_threads=st.integers(1, 5),
    num_frames=st.integers(0, 40),
    latencies=st.lists(MS, min_size=1, max_size=5),
    unread=INDICES,
    is_slow=st.booleans(),
)
def test_several_preprocessors_keep_the_order_and_the_frames_apart(
    nireq: int, preprocess_threads: int, num_frames: int, latencies: list[float], unread: frozenset[int], is_slow: bool
) -> None:
    device = ScriptedDevice(lambda n: latencies[n % len(latencies)], num_servers=2)
    source = ScriptedSource(num_frames, fails=unread)
    settings_ = config("async", nireq, preprocess_threads=preprocess_threads)
    results = list(scripted_run([source], device, settings_, preprocess_s=0.001 if is_slow else 0.0))
    assert [result.frame.index for result in results] == list(range(num_frames))
    for index, result in enumerate(results):
        assert result.detections.class_id.tolist() == ([] if index in unread else [index])
    assert device.max_in_flight <= nireq
    assert device.num_in_flight == 0


@prove
@given(preprocess_threads=st.integers(1, 4), nireq=st.integers(1, 5), num_taken=st.integers(0, 10))
def test_several_preprocessors_end_when_the_consumer_leaves(
    preprocess_threads: int, nireq: int, num_taken: int
) -> None:
    device = ScriptedDevice(0.001)
    run = scripted_run(
        [ScriptedSource(None)],
        device,
        config("async", nireq, preprocess_threads=preprocess_threads),
        preprocess_s=0.0005,
    )
    with run:
        for _ in range(num_taken):
            next(run)
    assert device.num_in_flight == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("keepbusy-")]


@pytest.mark.parametrize("preprocess_threads", [1, 3])
def test_a_frame_that_cannot_be_started_does_not_hold_up_the_others(preprocess_threads: int) -> None:
    device = ScriptedDevice(0.001, refuses={4, 9})
    results = list(
        scripted_run([ScriptedSource(20)], device, config("async", 3, preprocess_threads=preprocess_threads))
    )
    assert [result.frame.index for result in results] == list(range(20))
    failed = [result for result in results if result.error is not None]
    assert [result.error.stage for result in failed if result.error] == ["infer", "infer"]
