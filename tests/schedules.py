"""Runs whose streams come and go at random: `python -m tests.schedules --count 10000 --seed 1`.

Each schedule is made from its number alone, so that `--only 123` tries one again. Sources fail in every place that they
can fail in, live ones drop frames, the device fails and refuses, and the consumer takes, waits or leaves. Nothing takes
time but what the machine needs.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from keepbusy.config import RunConfig, SelectConfig, StreamConfig
from keepbusy.device.slots import Slot, create_slots
from keepbusy.errors import SourceError
from keepbusy.flow.run import Run
from keepbusy.flow.stream import OVER, Stream
from keepbusy.sources import Source
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.values.result import Result

MAX_STREAMS = 6
MAX_FRAMES = 8


class Scripted(ScriptedSource):
    """A source that can also fail when it is closed."""

    fails_in_close = False

    def close(self) -> None:
        super().close()
        if self.fails_in_close:
            raise OSError("scripted: cannot be closed")


@dataclass(eq=False)
class Spec:
    """A source that is opened in its stream's thread, which can fail."""

    name: str
    source: Source
    fails: bool
    num_opened: int = 0

    def open(self) -> Source:
        self.num_opened += 1
        if self.fails:
            raise SourceError(f"{self.name}: scripted: cannot be opened")
        return self.source


@dataclass
class Plan:
    """One stream of a schedule, and what has become of it."""

    source: Scripted
    spec: Spec
    config: StreamConfig
    fails: frozenset[int]
    breaks_at: int | None
    stalls_at: int | None
    stream: Stream | None = None
    is_given_open: bool = False
    is_removed: bool = False
    num_ends: int = 0
    results: list[Result] = field(default_factory=list)


def make_plan(dice: random.Random, number: int, *, can_stall: bool) -> Plan:
    """A stream's source and options; one that stalls would hold up a sync run for ever."""
    num_frames = dice.randrange(MAX_FRAMES)
    fails = frozenset(dice.sample(range(MAX_FRAMES), dice.choice([0, 0, 1, 2])))
    breaks_at = dice.choice([None, None, None, dice.randrange(MAX_FRAMES)])
    stalls_at = dice.choice([None, None, None, dice.randrange(MAX_FRAMES)]) if can_stall else None
    name = f"s{number}"
    source = Scripted(
        num_frames, is_live=dice.random() < 0.3, fails=fails, breaks_at=breaks_at, stalls_at=stalls_at, name=name
    )
    source.fails_in_close = dice.random() < 0.1
    config = StreamConfig(
        weight=dice.choice([0.5, 1.0, 3.0]),
        on_error=dice.choice(["skip", "skip", "end"]),
        select=SelectConfig(limit=dice.choice([None, None, 3])),
        max_age_ms=dice.choice([None, None, 0.0]),
    )
    return Plan(source, Spec(name, source, dice.random() < 0.1), config, fails, breaks_at, stalls_at)


def play(seed: int, number: int) -> None:
    """One schedule; an AssertionError tells what it has broken."""
    dice = random.Random(f"{seed}/{number}")
    before = threading.active_count()
    device = ScriptedDevice(
        fails=dice.sample(range(20), dice.choice([0, 0, 2])), refuses=dice.sample(range(20), dice.choice([0, 0, 1]))
    )
    mode = dice.choice(["async", "async", "async", "sync"])
    num_slots = 1 if mode == "sync" else dice.randrange(1, 4)
    slots: list[Slot] = create_slots(device, num_slots)
    config = RunConfig(mode=mode, nireq=num_slots, on_error="skip", channel_frames=dice.randrange(1, 4))  # type: ignore[arg-type]
    plans: list[Plan] = []
    taken: dict[int, Plan] = {}
    is_broken_off = False
    with scripted_run(None, device, config, slots=slots) as run:
        run.watch(lambda stream: note_end(taken[stream.id]))
        for _ in range(dice.randrange(1, 12)):
            what = dice.choice(["add", "add", "remove", "take", "take"])
            if what == "add" and len(plans) < MAX_STREAMS:
                plan = make_plan(dice, len(plans), can_stall=mode == "async")
                plans.append(plan)
                plan.is_given_open = dice.random() < 0.3
                plan.stream = run.add(plan.source if plan.is_given_open else plan.spec, plan.config)
                taken[plan.stream.id] = plan
            elif what == "remove" and plans:
                remove(run, dice.choice(plans), drain=dice.random() < 0.5)
            elif what == "take" and any(promises_more(plan) for plan in plans):
                note(next(run), taken)
            check_balance(run)
        is_broken_off = dice.random() < 0.2
        if not is_broken_off:
            run.end()
            for plan in plans:
                if plan.stalls_at is not None:
                    remove(run, plan, drain=True)
            for result in run:
                note(result, taken)
                check_balance(run)
    check_end(run, plans, is_broken_off=is_broken_off)
    assert device.num_in_flight == 0 and all(slot.frame is None for slot in slots)
    until_s = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until_s:
        time.sleep(0.0005)
    assert threading.active_count() == before, threading.enumerate()


def remove(run: Run, plan: Plan, *, drain: bool) -> None:
    """Do without a stream."""
    assert plan.stream is not None
    plan.is_removed = True
    run.remove(plan.stream, drain=drain)


def promises_more(plan: Plan) -> bool:
    """Whether a stream is sure to give another result, however its threads run: `next` may be waited for."""
    source = plan.source
    if plan.is_removed or source.info.is_live or plan.spec.fails or plan.results or plan.stream is None:
        return False
    return bool(source.info.num_frames) and plan.stalls_at != 0


def note(result: Result, taken: dict[int, Plan]) -> None:
    """A result goes to its stream, behind those before it, with what the device has made of its own frame."""
    results = taken[result.frame.source_id].results
    assert taken[result.frame.source_id].num_ends == 0
    assert not results or results[-1].frame.index < result.frame.index
    assert result.error is not None or result.detections.class_id.tolist() == [result.frame.index]
    results.append(result)


def note_end(plan: Plan) -> None:
    """A stream's end is told once."""
    plan.num_ends += 1
    assert plan.num_ends == 1
    assert plan.stream is not None and (plan.stream.state in OVER or plan.is_removed)


def check_balance(run: Run) -> None:
    """Whatever has arrived is somewhere."""
    for one in run.stats.snapshot().streams:
        assert one.num_arrived == one.num_results + one.num_dropped + one.num_in_flight
        assert one.num_in_flight >= 0


def check_end(run: Run, plans: list[Plan], *, is_broken_off: bool) -> None:
    """What has become of each stream when the run is over."""
    numbers = {one.stream_id: one for one in run.stats.snapshot().streams}
    for plan in plans:
        stream = plan.stream
        assert stream is not None and stream.state in OVER
        one = numbers[stream.id]
        assert one.num_in_flight == 0, one
        assert one.num_results >= len(plan.results)
        was_opened = plan.is_given_open or (plan.spec.num_opened and not plan.spec.fails)
        assert plan.source.is_closed or not was_opened, stream.name
        if not is_broken_off:
            assert plan.num_ends == 1, stream.name
            assert one.num_results == len(plan.results), one
        if not is_broken_off and not plan.is_removed and not plan.source.info.is_live and stream.on_error == "skip":
            assert [result.frame.index for result in plan.results] == expected(plan), one


def expected(plan: Plan) -> list[int]:
    """The frames of a stream that nobody has disturbed."""
    source = plan.source
    if plan.stream is not None and plan.results and plan.results[0].error and plan.source.num_read == 0:
        return [0]  # It could not be opened.
    num_frames = source.info.num_frames or 0
    if plan.breaks_at is not None and plan.breaks_at < num_frames:
        num_frames = plan.breaks_at + 1  # The break is the last one's error.
    limit = plan.config.select.limit
    return list(range(num_frames if limit is None else min(num_frames, limit)))


def main() -> int:
    """Play them; 1 if one breaks something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one schedule")
    options = parser.parse_args()
    begin_s = time.monotonic()
    faults: dict[str, list[int]] = defaultdict(list)
    numbers = range(options.count) if options.only is None else [options.only]
    for number in numbers:
        try:
            play(options.seed, number)
        except AssertionError as error:
            if options.only is not None:
                raise
            faults[str(error).splitlines()[0] if str(error) else "?"].append(number)
    for fault, where in faults.items():
        print(f"{fault}: schedules {where[:10]}")
    num_faults = sum(map(len, faults.values()))
    print(f"{len(numbers)} schedules in {time.monotonic() - begin_s:.0f} s, {num_faults} with a fault")
    return 1 if num_faults else 0


if __name__ == "__main__":
    sys.exit(main())
