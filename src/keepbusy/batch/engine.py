"""The model of one worker process: settled once for the whole job, then the same for every unit.

What is found in a frame must not depend on what was done before it. A pipeline chooses the head by measuring and the
input's shapes by the frames that it has met: here the head is chosen once for the job, and a pipeline is used for units
whose frames have the same sizes.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from keepbusy.api.load import load
from keepbusy.api.pipeline import Pipeline
from keepbusy.batch.job import Job, plain
from keepbusy.errors import DeviceError
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.version import __version__

Sizes: TypeAlias = dict[tuple[int, int], int]
"""(height, width) → how many frames have it."""

_INSTRUCTIONS = (
    *("sse4_2", "avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "asimd", "asimddp", "sve", "i8mm", "bf16"),
)
"""What a CPU's arithmetic is chosen by: other instructions add up in another order."""


class SizesOnly(Source):
    """Says how large frames will be, and has none.

    Args:
        sizes: What it says.
    """

    def __init__(self, sizes: Mapping[tuple[int, int], int]) -> None:
        self.info = SourceInfo("sizes", num_frames=0)
        self._sizes = dict(sizes)

    def read(self) -> None:
        return None

    def frame_sizes(self) -> Sizes:
        return self._sizes


class Engine:
    """Makes the pipelines of one worker process. Used by one thread at a time.

    Args:
        job: The job.

    Attributes:
        settled: What holds for the whole job; known after `settle`.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pipeline: Pipeline | None = None
        self._key: tuple[Any, ...] = ()
        self.settled: dict[str, Any] = dict(job.settled)

    def settle(self, sizes: Sizes) -> dict[str, Any]:
        """Choose what holds for the whole job, unless that was done, and tell what results depend on.

        Beside that, `versions` of what decodes and computes, which are only written down.

        Args:
            sizes: Of the first unit's frames.

        Raises:
            KeepbusyError: The model cannot be had, or does not compile here as it was settled.
        """
        job = self._job
        compiled, detect, _ = load(job.model, job.names, {"device": job.device, **job.options})
        if not self.settled:
            compiled.plan(sizes)
            self.settled = {"head": compiled.strategy, "quantized": compiled.quantized or "keep"}
        pipeline = self.pipeline_for(sizes)
        if pipeline.head != self.settled["head"]:
            raise DeviceError(
                f"{self._job.model}: the job computes its head as {self.settled['head']}, which is not right here",
                hint="go on where the job was begun, or begin another one with `head` stock",
            )
        described = pipeline.device.describe()
        facts: dict[str, Any] = plain(
            {
                "keepbusy": __version__,
                "openvino": openvino_version(),
                "instruction_set": instruction_set(),
                "number_type": described.get("precision", ""),
                "device_name": "" if self._job.device.upper() == "CPU" else described.get("device_name", ""),
                **self.settled,
                "task": pipeline.model.output.task,
                "detect": dataclasses.asdict(detect),
                "names": pipeline.names,
                "versions": _versions(),
            }
        )
        return facts

    def key_of(self, sizes: Sizes) -> tuple[Any, ...]:
        """Units with the same key may share a pipeline."""
        # How many frames have the one size that there is makes no difference.
        return tuple(sizes) if len(sizes) == 1 else tuple(sorted(sizes.items()))

    def pipeline_for(self, sizes: Sizes, *, is_new: bool = False) -> Pipeline:
        """The pipeline for frames of some sizes.

        Args:
            sizes: The sizes.
            is_new: Whether one is made that has met no frames.
        """
        key = self.key_of(sizes)
        if self._pipeline is None or is_new or key != self._key:
            self.close()
            pipeline = self._make()
            pipeline.plan(SizesOnly(sizes))
            self._pipeline, self._key = pipeline, key
        return self._pipeline

    def measure(self, location: str, sizes: Sizes, seconds: float) -> float:
        """Frames per second of this process over one file, read again and again."""
        num_frames, begin_s = 0, 0.0
        with self.pipeline_for(sizes).run(Path(location), loop=True) as run:
            for _ in run:
                now_s = time.monotonic()
                begin_s = begin_s or now_s
                # The first part warms up.
                num_frames += now_s - begin_s > seconds / 4
                if now_s - begin_s > seconds:
                    break
        return num_frames / (seconds * 3 / 4)

    def close(self) -> None:
        """Free the device."""
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _make(self) -> Pipeline:
        job = self._job
        options = {**job.options, **self.settled, "on_error": "skip"}
        return Pipeline(job.model, job.device, names=job.names, **options)


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The instructions for arithmetic that this machine has, in a fixed order; its architecture where nobody says."""
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    flags = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    known = set(flags.partition(":")[2].split())
    return " ".join([platform.machine(), *(one for one in _INSTRUCTIONS if one in known)])


def _versions() -> dict[str, str]:
    """Of what decodes and computes beside OpenVINO."""
    names = ("av", "numpy", "opencv-python-headless", "opencv-python")
    found = {"python": platform.python_version()}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def openvino_version() -> str:
    """The version that computes."""
    import openvino

    return str(openvino.__version__)
