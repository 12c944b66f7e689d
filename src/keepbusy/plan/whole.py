"""A plan: how many such cameras fit, what they cost, what limits them, and what would help."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from keepbusy.api.pipeline import Pipeline
from keepbusy.bench.possible import Possible, possible
from keepbusy.checks import check_range
from keepbusy.device.names import available_devices
from keepbusy.embedded import embedded_model
from keepbusy.errors import ConfigError
from keepbusy.plan.cameras import Kind, counts_of, wanted_fps
from keepbusy.plan.costs import FULL, Costs, rates_of
from keepbusy.plan.sampling import LeftOut, sample_kinds
from keepbusy.plan.search import Found, found, next_num
from keepbusy.plan.watching import Seen, watch
from keepbusy.serve.configuration.settings import MAX_STREAMS, ServeSettings
from keepbusy.telemetry import import_openvino
from keepbusy.threads.cores import usable_cores

MIN_SECONDS = 5.0

TRIES = 9.0
"""The time is cut into so many parts: each try counts for one, and takes two to start and to end."""

MAX_WINDOW_S = 8.0
MAX_SAMPLE_S = 4.0

WORTH_HELP = 0.15
"""A work that takes a smaller share of the cores is not worth sparing."""


@dataclass(frozen=True, slots=True)
class Help:
    """Something that would make room.

    Attributes:
        option: The key or the command to try.
        text: What it does.
        num: How many cameras would fit then, by the same measurements; None where these do not tell.
    """

    option: str
    text: str
    num: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How many cameras fit.

    Attributes:
        model: The model's name.
        device: What it ran on.
        num_cores: Cores that this process may use.
        kinds: The kinds of cameras.
        left_out: Streams that could not be looked at.
        given: What was seen of the given set.
        found: How many fit.
        counts: Of each kind, so many are among these.
        limit: What limits them: `decoding`, `preprocessing`, `device`, `postprocessing`.
        is_full: Whether it is the cores that are full.
        helps: What would make room.
        tries: What was seen of how many.
        seconds: How long it all took.
    """

    model: str
    device: str
    num_cores: float
    kinds: tuple[Kind, ...]
    left_out: tuple[LeftOut, ...]
    given: Seen
    found: Found
    counts: tuple[int, ...]
    limit: str
    is_full: bool
    helps: tuple[Help, ...]
    tries: tuple[Seen, ...]
    seconds: float

    @property
    def num(self) -> int:
        """How many cameras fit."""
        return self.found.num

    @property
    def fps(self) -> float:
        """Results per second of that many."""
        return wanted_fps(self.kinds, self.counts)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        costs = self.found.costs
        return {
            "fits": self.num,
            "is_tried": self.found.is_tried,
            "fps": round(self.fps, 3),
            "limit": self.limit,
            "cores_are_full": self.is_full,
            "model": self.model,
            "device": self.device,
            "cores": self.num_cores,
            "cameras": [
                {
                    "source": kind.name,
                    "names": list(kind.names),
                    **{"width": kind.width, "height": kind.height, "fps": round(kind.fps, 3)},
                    **{"weight": kind.settings.weight, "given": kind.count, "fits": self.counts[place]},
                    "given_gets_fps": round(self.given.gets_fps(place, kind.fps), 3),
                }
                for place, kind in enumerate(self.kinds)
            ],
            "left_out": [dataclasses.asdict(one) for one in self.left_out],
            "given": _shown(self.given),
            "at_fits": _shown(self.found.seen),
            "costs": {
                "decoding_cores_per_camera": costs.decoding,
                "core_s_per_result": costs.result,
                "core_s_per_result_of": dict(costs.works),
                "cores_to_be_had": costs.capacity,
            },
            "helps": [dataclasses.asdict(one) for one in self.helps],
            "tries": [_shown(one) for one in self.tries],
            "seconds": round(self.seconds, 1),
        }


def _shown(seen: Seen) -> dict[str, Any]:
    shown = {
        name: round(value, 4) if isinstance(value, float) else value for name, value in dataclasses.asdict(seen).items()
    }
    cores = {work: round(value, 4) for work, value in seen.cores.items()}
    rates = [round(fps, 3) for fps in seen.kinds_fps]
    return {**shown, "fits": seen.fits, "cores": cores, "kinds_fps": rates, "input_wh": list(seen.input_wh)}


Watch = Callable[[ServeSettings, list[Kind], list[int], float], Seen]


def plan_cameras(
    settings: ServeSettings,
    *,
    seconds: float = 60.0,
    on_step: Callable[[str], None] = lambda _: None,
    watch: Watch = watch,
) -> Plan:
    """Find out how many cameras such as these fit this machine.

    They are run as `keepbusy serve` runs them, without their sinks, and more or fewer of them, until the largest number
    is known of which no frames are lost.

    Args:
        settings: A configuration of the server: its streams, its model and its device.
        seconds: About how long it may take; a model that has to be compiled first is beside it.
        on_step: Told what is being done.
        watch: Runs so many of each kind for some seconds; for tests.

    Raises:
        ConfigError: It has no streams, or an option has a value that it cannot have.
        SourceError: None of its sources can be read.
        ModelError: The model cannot be read, or does not compile.
        DeviceError: There is no such device, or it fails.
    """
    check_range("seconds", seconds, MIN_SECONDS, None)
    if not settings.streams:
        raise ConfigError("plan: the configuration has no streams", hint="name at least one under `streams:`")
    begin_s = time.monotonic()
    model, can = _model_of(settings)
    num_cores = usable_cores()
    with ExitStack() as keep:
        kinds, left_out = sample_kinds(settings, min(MAX_SAMPLE_S, seconds / TRIES), keep, on_step)
        tries = _try(settings, kinds, num_cores, seconds, begin_s, on_step, watch)
    num_given = sum(kind.count for kind in kinds)
    what = found(tries, num_cores)
    counts = counts_of(kinds, what.num)
    fullest = tries[min((num for num in tries if num > what.num), default=max(tries))]
    limit, is_full = limit_of(fullest, num_cores)
    return Plan(
        model=model,
        device=what.seen.device,
        num_cores=num_cores,
        kinds=tuple(kinds),
        left_out=tuple(left_out),
        given=tries[num_given],
        found=what,
        counts=tuple(counts),
        limit=limit,
        is_full=is_full,
        helps=tuple(helps_of(what, kinds, can, is_full=is_full)),
        tries=tuple(tries.values()),
        seconds=time.monotonic() - begin_s,
    )


def _try(
    settings: ServeSettings,
    kinds: list[Kind],
    num_cores: float,
    seconds: float,
    begin_s: float,
    on_step: Callable[[str], None],
    watch: Watch,
) -> dict[int, Seen]:
    """Run numbers of cameras until it is known how many fit, or time is up; the given set first."""
    tries: dict[int, Seen] = {}
    num: int | None = sum(kind.count for kind in kinds)
    window_s, longest_s = min(MAX_WINDOW_S, seconds / TRIES), 0.0
    while num is not None:
        try_s = time.monotonic()
        if tries and try_s - begin_s + longest_s > seconds:
            break
        on_step(f"running {num} camera{'s' if num > 1 else ''}")
        tries[num] = watch(settings, kinds, counts_of(kinds, num), window_s)
        if len(tries) > 1:  # The first one may have had the model compiled.
            longest_s = max(longest_s, time.monotonic() - try_s)
        num = next_num(tries, num_cores, MAX_STREAMS)
    return tries


def limit_of(seen: Seen, num_cores: float) -> tuple[str, bool]:
    """What limits cameras that were seen at the limit, and whether the cores are full."""
    is_full = seen.used_cores + seen.other_cores >= FULL * num_cores
    if not is_full:
        return ("preprocessing" if seen.preprocess_busy > max(FULL, seen.device_busy) else "device"), False
    return max(seen.cores, key=lambda work: seen.cores[work]), True


def helps_of(what: Found, kinds: list[Kind], can: Possible, *, is_full: bool) -> list[Help]:
    """What would make room, with the number of cameras that would fit then where that can be computed."""
    costs = what.costs
    helps: list[Help] = []
    slower = costs.with_fps(costs.fps / 2)
    if max(kind.fps for kind in kinds) > 2:
        rates = ", ".join(dict.fromkeys(f"{kind.fps / 2:.3g}" for kind in kinds))
        helps.append(Help("max_fps", f"half the frames ({rates} frames/s)", _more(what, slower)))
    decoding = costs.decoding / (costs.decoding + costs.fps * costs.result or 1.0)
    if is_full and decoding >= WORTH_HELP:
        text = "a smaller or slower stream of the camera, or a hardware decoder; were decoding free"
        helps.append(Help("source", text, _more(what, costs.without_decoding())))
    if can.smaller_imgsz:
        helps.append(Help("imgsz", f"a smaller input, {can.smaller_imgsz}, which finds fewer small objects"))
    if can.can_be_int8:
        helps.append(Help("keepbusy optimize --int8", "an INT8 model, which is made once"))
    if can.other_devices:
        helps.append(Help("device", f"another device of this machine: {', '.join(can.other_devices)}"))
    return helps


def _more(what: Found, changed: Costs) -> int:
    """How many fit with other costs: as many times more as the costs say."""
    times = changed.num / what.costs.num if what.costs.num > 0 else 1.0
    return max(what.num, int(max(what.num, what.costs.num) * times + 1e-9))


def _model_of(settings: ServeSettings) -> tuple[str, Possible]:
    """The model's name, and what can be changed about it."""
    options: dict[str, Any] = settings.engine_options
    model = embedded_model() if settings.model is None else settings.model
    with Pipeline(model, settings.device, names=settings.names, **options) as pipeline:
        can = possible(
            pipeline.model,
            settings.device,
            available_devices(import_openvino().Core()),
            [stream.source for stream in settings.streams],
            conf=settings.conf or 0.25,
            num_cores=usable_cores(),
        )
        return pipeline.model.path.stem, can


def predicted_rates(plan: Plan, num: int) -> list[float]:
    """Results per second of one camera of each kind, where there are so many cameras in all, by the plan's costs."""
    if num <= plan.num:
        return [kind.fps for kind in plan.kinds]
    return rates_of(plan.found.costs, plan.kinds, num)
