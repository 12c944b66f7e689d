"""Calls from many threads on a scripted device: order, failures, closing, what is made in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue

import pytest

from keepbusy.api import places as places_module
from keepbusy.api.calls import Calls
from keepbusy.api.places import Call, Places
from keepbusy.device.slots import Slot, create_slots
from keepbusy.errors import DeviceTimeoutError, FrameError, KeepbusyError
from keepbusy.testing import ScriptedDevice, ScriptedPostprocess, index_detected, numbered_image
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result
from tests.interrupts import interrupted_everywhere

WAIT_S = 30.0


def frame(index: int) -> Frame:
    return Frame(numbered_image(index), index, 0.0, 0, "memory")


def calls_on(
    device: ScriptedDevice, grow: Callable[[Places], None] | None = None, *, timeout_s: float = WAIT_S
) -> Calls:
    return Calls(
        lambda frame_hw: create_slots(device, 1)[0], grow, ScriptedPostprocess(index_detected), timeout_s, device.name
    )


def slots_of(device: ScriptedDevice, number: int) -> list[Slot]:
    return create_slots(device, number)


def slot_of(call: Call) -> Slot | None:
    """What it has by now; mypy does not know that others change it."""
    return call.slot


def add_all(slots: list[Slot], places: Places) -> None:
    for slot in slots:
        places.add(slot)


class Caller(threading.Thread):
    """A thread that calls once, or some times."""

    def __init__(self, calls: Calls, *indices: int) -> None:
        super().__init__(name=f"caller-{indices[0]}")
        self.found: list[int] = []
        self.errors: list[BaseException] = []
        self._calls = calls
        self._indices = indices
        self.start()

    def run(self) -> None:
        for index in self._indices:
            try:
                result: Result = self._calls(frame(index))
                if result.error is not None:
                    raise result.error
                self.found += result.detections.class_id.tolist()
            except BaseException as error:
                self.errors.append(error)


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s, "it never came to that"
        time.sleep(0.001)


def join(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_each_caller_gets_the_result_of_its_own_picture() -> None:
    device = ScriptedDevice(lambda ordinal: 0.0003 * (ordinal % 5), num_servers=3)
    calls = calls_on(device, partial(add_all, slots_of(device, 3)))
    callers = [Caller(calls, *range(number * 100, number * 100 + 20)) for number in range(12)]
    join(*callers)
    calls.close()
    for number, caller in enumerate(callers):
        assert (caller.found, caller.errors) == (list(range(number * 100, number * 100 + 20)), [])
    assert device.num_in_flight == 0
    assert device.max_in_flight <= 4


def test_one_caller_uses_one_request_and_makes_nothing_more() -> None:
    grown: list[Places] = []
    device = ScriptedDevice()
    calls = calls_on(device, grown.append)
    for index in range(20):
        assert calls(frame(index)).detections.class_id.tolist() == [index]
    assert (calls.num_slots, device.max_in_flight, grown) == (1, 1, [])
    calls.close()


def test_a_second_call_at_once_has_more_requests_made_once_and_all_are_used() -> None:
    device = ScriptedDevice(num_servers=4, stalls=range(0, 4))
    grown: list[Places] = []

    def grow(places: Places) -> None:
        grown.append(places)
        for slot in slots_of(device, 3):
            places.add(slot)

    calls = calls_on(device, grow)
    callers = [Caller(calls, number) for number in range(4)]
    until(lambda: device.num_in_flight == 4)
    assert calls.num_slots == 4
    for slot in calls.places.slots:
        slot.request.cancel()
    join(*callers)
    assert len(grown) == 1
    assert sorted(len(caller.errors) for caller in callers) == [1] * 4
    calls.close()


def test_places_are_given_in_the_order_in_which_calls_come() -> None:
    places = Places()
    (slot,) = slots_of(ScriptedDevice(), 1)
    places.add(slot)
    first = Call()
    assert places.take(first) is slot
    came: list[int] = []
    gates = [Gate() for _ in range(8)]

    def take(number: int) -> None:
        call = Call()
        assert places.take(call) is slot
        came.append(number)
        gates[number].wait()
        places.leave(call)

    threads = []
    for number in range(8):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        until(lambda: places.num_calls == len(threads) + 1)
    places.leave(first)
    for number in range(8):
        until(lambda: len(came) == sum(gate.is_open for gate in gates) + 1)
        assert came == list(range(number + 1))
        gates[number].open()
    join(*threads)
    assert places.num_calls == 0


def test_a_caller_who_comes_again_and_again_overtakes_nobody() -> None:
    places = Places()
    (slot,) = slots_of(ScriptedDevice(), 1)
    places.add(slot)
    order: list[str] = []
    greedy, patient = Call(), Call()
    places.take(greedy)

    def wait_patiently() -> None:
        places.take(patient)
        order.append("patient")
        places.leave(patient)

    waiting = threading.Thread(target=wait_patiently)
    waiting.start()
    until(lambda: places.num_calls == 2)
    places.leave(greedy)
    again = Call()
    places.take(again)
    order.append("greedy")
    places.leave(again)
    join(waiting)
    assert order == ["patient", "greedy"]


def test_the_slots_for_many_are_used_by_many_only() -> None:
    places = Places()
    few, many = slots_of(ScriptedDevice(), 2), slots_of(ScriptedDevice(), 4)
    for slot in few:
        places.add(slot)
    places.add_for_many(many, 3)
    calls = [Call() for _ in range(4)]
    taken = [places.take(call) for call in calls]
    assert set(taken[:2]) == set(few) and set(taken[2:]) <= set(many)
    places.leave(calls[0])
    # Three are still there.
    calls[0] = Call()
    assert places.take(calls[0]) in many
    for call in calls:
        places.leave(call)
    alone = Call()
    assert places.take(alone) in few
    places.leave(alone)


def test_a_slot_is_never_with_two_calls_and_leaving_twice_takes_nothing_from_others() -> None:
    places = Places()
    (slot,) = slots_of(ScriptedDevice(), 1)
    places.add(slot)
    first, second, third = Call(), Call(), Call()
    places.take(first)
    places.leave(first)
    places.take(second)
    places.leave(first)
    waiting = threading.Thread(target=lambda: places.take(third))
    waiting.start()
    until(lambda: places.num_calls == 2)
    assert third.slot is None
    places.leave(second)
    join(waiting)
    assert third.slot is slot


def test_failures_come_to_the_call_whose_picture_failed() -> None:
    device = ScriptedDevice(fails={1}, refuses={2})
    calls = calls_on(device)
    assert calls(frame(0)).error is None
    for index, words in ((1, "scripted failure of inference 1"), (2, "scripted refusal of inference 2")):
        error = calls(frame(index)).error
        assert isinstance(error, FrameError) and words in error.message and error.frame_index == index
    assert calls(frame(3)).detections.class_id.tolist() == [3]
    calls.close()


def test_failures_among_many_callers_go_to_the_right_ones() -> None:
    device = ScriptedDevice(0.0005, num_servers=2, fails=range(0, 200, 7))
    calls = calls_on(device, partial(add_all, slots_of(device, 2)))
    callers = [Caller(calls, *range(number * 1000, number * 1000 + 25)) for number in range(8)]
    join(*callers)
    num_errors = 0
    for number, caller in enumerate(callers):
        own = range(number * 1000, number * 1000 + 25)
        failed = [error.frame_index for error in caller.errors if isinstance(error, FrameError)]
        assert len(failed) == len(caller.errors)
        assert sorted([*caller.found, *failed]) == list(own)
        num_errors += len(failed)
    assert num_errors == 29
    calls.close()


def test_closing_ends_the_calls_that_wait_and_waits_for_the_one_at_work() -> None:
    device = ScriptedDevice(stalls={0})
    calls = calls_on(device)
    at_work = Caller(calls, 0)
    until(lambda: device.num_in_flight == 1)
    waiting = [Caller(calls, number) for number in (1, 2, 3)]
    until(lambda: calls.num_now == 4)
    (slot,) = calls.places.slots
    closers = [threading.Thread(target=calls.close) for _ in range(2)]
    for closer in closers:
        closer.start()
    join(*waiting)
    for caller in waiting:
        (error,) = caller.errors
        assert isinstance(error, KeepbusyError) and "closed" in error.message and error.hint
    assert at_work.is_alive() and all(closer.is_alive() for closer in closers)
    slot.request.cancel()
    join(at_work, *closers)
    assert isinstance(at_work.errors[0], FrameError)
    assert (calls.is_closed, calls.num_slots, calls.num_now, device.num_in_flight) == (True, 0, 0, 0)
    with pytest.raises(KeepbusyError, match="closed"):
        calls(frame(5))
    calls.close()


def test_closing_waits_for_what_is_made_in_the_background() -> None:
    device = ScriptedDevice(stalls={0})
    begun, may_end = Gate(), Gate()

    def grow(places: Places) -> None:
        begun.open()
        may_end.wait()
        places.add_for_many(slots_of(device, 2), 2)

    calls = calls_on(device, grow)
    callers = [Caller(calls, 0), Caller(calls, 1)]
    begun.wait(WAIT_S)
    closer = threading.Thread(target=calls.close)
    closer.start()
    until(lambda: calls.is_closed)
    for slot in calls.places.slots:
        slot.request.cancel()
    may_end.open()
    join(closer, *callers)
    assert calls.num_slots == 0


def test_what_fails_in_the_background_is_logged_and_calls_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def grow(places: Places) -> None:
        raise KeepbusyError("no memory for a second model")

    device = ScriptedDevice(0.001)
    calls = calls_on(device, grow)
    callers = [Caller(calls, *range(number * 10, number * 10 + 5)) for number in range(4)]
    join(*callers)
    calls.close()
    assert [len(caller.found) for caller in callers] == [5] * 4
    assert "no memory for a second model" in caplog.text


def test_a_device_that_hangs_is_an_error_for_its_call_and_its_slot_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.flow.run.CANCEL_TIMEOUT_S", 0.01)
    device = ScriptedDevice(hangs={0})
    calls = calls_on(device, timeout_s=0.05)
    with pytest.raises(DeviceTimeoutError, match="no answer"):
        calls(frame(0))
    assert calls.num_slots == 0
    assert calls(frame(1)).detections.class_id.tolist() == [1]
    assert calls.num_slots == 1
    calls.close()


def test_calls_that_wait_for_a_device_that_hangs_get_a_new_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.flow.run.CANCEL_TIMEOUT_S", 0.01)
    device = ScriptedDevice(hangs={0})
    calls = calls_on(device, timeout_s=0.3)
    first = Caller(calls, 0)
    until(lambda: device.num_in_flight == 1)
    others = [Caller(calls, number) for number in (1, 2, 3)]
    until(lambda: calls.num_now == 4)
    join(first, *others)
    assert isinstance(first.errors[0], DeviceTimeoutError)
    assert [caller.found for caller in others] == [[1], [2], [3]]
    assert (calls.num_slots, calls.num_now) == (1, 0)
    calls.close()


def test_calls_that_wait_for_a_device_that_cannot_be_had_again_end_with_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("keepbusy.flow.run.CANCEL_TIMEOUT_S", 0.01)
    device = ScriptedDevice(hangs={0})
    made: list[int] = []

    def make(frame_hw: tuple[int, int]) -> Slot:
        made.append(1)
        if len(made) > 1:
            raise KeepbusyError("the device is gone")
        return slots_of(device, 1)[0]

    calls = Calls(make, None, ScriptedPostprocess(index_detected), 0.3, device.name)
    first = Caller(calls, 0)
    until(lambda: device.num_in_flight == 1)
    others = [Caller(calls, number) for number in (1, 2)]
    join(first, *others)
    for caller in others:
        assert "the device is gone" in str(caller.errors[0])
    assert calls.num_now == 0
    calls.close()


def test_where_the_slots_for_few_are_lost_those_for_many_are_used() -> None:
    places = Places()
    (few,), many = slots_of(ScriptedDevice(), 1), slots_of(ScriptedDevice(), 2)
    places.add(few)
    places.add_for_many(many, 2)
    few.is_lost = True
    call = Call()
    assert places.take(call) in many
    places.leave(call)
    for slot in many:
        slot.is_lost = True
    call = Call()
    assert places.take(call) is None
    (new,) = slots_of(ScriptedDevice(), 1)
    places.add(new)
    assert places.take(call) is new
    places.leave(call)


def test_a_model_that_does_not_compile_fails_every_call_that_asks_for_it() -> None:
    def make(frame_hw: tuple[int, int]) -> Slot:
        raise KeepbusyError("it does not compile")

    calls = Calls(make, None, ScriptedPostprocess(index_detected), 1.0, "SCRIPTED")
    for index in range(2):
        with pytest.raises(KeepbusyError, match="it does not compile"):
            calls(frame(index))
    assert calls.num_now == 0
    calls.close()


def test_while_paused_no_slot_is_handed_out() -> None:
    places = Places()
    (slot,) = slots_of(ScriptedDevice(), 1)
    places.add(slot)
    first = Call()
    places.take(first)
    entered: SimpleQueue[bool] = SimpleQueue()
    may_leave = Gate()

    def pause() -> None:
        with places.paused(WAIT_S) as is_idle:
            entered.put(is_idle)
            may_leave.wait()

    pausing = threading.Thread(target=pause)
    pausing.start()
    places.leave(first)
    assert entered.get(timeout=WAIT_S)
    second = Call()
    waiting = threading.Thread(target=lambda: places.take(second))
    waiting.start()
    until(lambda: places.num_calls == 1)
    assert slot_of(second) is None
    may_leave.open()
    join(pausing, waiting)
    assert slot_of(second) is slot
    with places.paused(0.01) as is_idle:
        assert not is_idle, "a call has the slot"


def test_a_call_interrupted_anywhere_leaves_its_place() -> None:
    def prepare() -> tuple[ScriptedDevice, Calls]:
        device = ScriptedDevice(0.0001)
        return device, calls_on(device)

    def work(parts: tuple[ScriptedDevice, Calls]) -> None:
        parts[1](frame(7))

    num_places = 0
    for place, (device, calls) in interrupted_everywhere(prepare, work):
        num_places += 1
        assert (calls.num_now, device.num_in_flight) == (0, 0), place
        assert calls(frame(9)).detections.class_id.tolist() == [9], place
        calls.close()
    assert num_places > 30


def test_a_call_that_is_interrupted_while_others_wait_hands_on_its_place() -> None:
    def prepare() -> tuple[Calls, list[Caller]]:
        return calls_on(ScriptedDevice(0.0001)), []

    def work(parts: tuple[Calls, list[Caller]]) -> None:
        parts[0](frame(1))

    for place, (calls, _) in interrupted_everywhere(prepare, work, num_places=40):
        with ExitStack() as stack:
            stack.callback(calls.close)
            callers = [Caller(calls, number) for number in range(3)]
            join(*callers)
            assert [caller.found for caller in callers] == [[0], [1], [2]], place


def test_many_is_two_at_least() -> None:
    places = Places()
    few, many = slots_of(ScriptedDevice(), 1), slots_of(ScriptedDevice(), 2)
    places.add(few[0])
    places.add_for_many(many, 0)
    call = Call()
    assert places.take(call) is few[0] and places_module.MANY == 2
    places.leave(call)
