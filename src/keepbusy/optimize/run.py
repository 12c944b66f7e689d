"""One model → its quicker form, measured against the original, and saved if it deserves it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepbusy.config import ShapeChoice
from keepbusy.errors import ConfigError, ModelError
from keepbusy.evaluate import CocoEvaluation, match_classes
from keepbusy.models.head import Head, can_reshape, find_head
from keepbusy.models.load import Model, load_model
from keepbusy.models.names import Names
from keepbusy.models.quantized import why_quantized
from keepbusy.models.saved_form import mark_as_saved
from keepbusy.models.shapes import rectangle
from keepbusy.optimize.control import control_by_map
from keepbusy.optimize.frames import Frames, SizeHW, read_samples
from keepbusy.optimize.measure import (
    Form,
    OnStep,
    measure_accuracy,
    measure_agreement,
    measure_speed,
    own_precision,
    share_matched,
)
from keepbusy.optimize.quantize import import_nncf, quantize_model
from keepbusy.optimize.report import Report, Row, choose_int8
from keepbusy.optimize.rewrite import carry_metadata, publish, rewritten_graph, save_graph, size_bytes
from keepbusy.optimize.targets import check_targets
from keepbusy.pictures.letterbox import CELL_PX, Laying
from keepbusy.sinks.naming import make_folder

PROOF_FRAMES = 8
"""A saved rewritten graph is read again and must find what the graph that it was made from finds in so many frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeConfig:
    """What is made, and what it must reach.

    Attributes:
        device: Where speed and accuracy are measured.
        imgsz: Input size (height, width) for models that leave it open; None for their own or 640x640.
        shape: Input of the rewritten graph and of the measurement: `auto` holds the data's frames without more grey
            bars than need be, `square` is the model's own, or (height, width).
        int8: Quantize.
        float_head: Keep the head's last convolutions in float; None measures both and keeps them where it pays.
        calibration_frames: How many frames INT8 is calibrated on, where they are those that accuracy is measured on.
        accuracy_control: Put layers back to float until accuracy is within `max_drop`; needs labels.
        max_drop: Points of mAP50-95 (hundredths) that may be lost.
        rounds: How often each speed is measured.
        seconds: Length of each measurement.
        force: Save what is refused, too.
        exist_ok: Write over models in the folder that this program did not write.
        names: Class names; None for the model's own.
    """

    device: str = "CPU"
    imgsz: SizeHW | None = None
    shape: ShapeChoice = "auto"
    int8: bool = False
    float_head: bool | None = None
    calibration_frames: int = 128
    accuracy_control: bool = False
    max_drop: float = 1.0
    rounds: int = 5
    seconds: float = 1.0
    force: bool = False
    exist_ok: bool = False
    names: Names | None = None


def optimize(
    path: Path,
    folder: Path,
    frames: Frames,
    calibration: Frames | None = None,
    config: OptimizeConfig | None = None,
    *,
    on_step: OnStep = lambda _text: None,
) -> Report:
    """Make the quicker form of a model, measure it, and save it unless the figures speak against it.

    Args:
        path: The model as exported.
        folder: Where files go; made where it is not there. A file appears when it is whole, or not at all.
        frames: What accuracy is measured on.
        calibration: What INT8 is calibrated on; None for `frames`.
        config: What is made.
        on_step: Told what is being done, often.

    Returns:
        All figures. `files` is empty where the new form was refused.

    Raises:
        ModelError: The model cannot be read, quantized, or, without INT8, rewritten.
        ConfigError: The options do not fit each other or the model.
        SourceError: Frames cannot be read, or there is nothing in them.
        FrameError: A frame that is scored or compared cannot be read.
        SinkError: The folder cannot be written.
        MissingExtraError: NNCF or faster-coco-eval is needed and not installed.
    """
    config = config or OptimizeConfig()
    _check(config, frames)
    model = load_model(path, imgsz=config.imgsz, names=config.names)
    if model.output.is_rewritten:
        raise ModelError(f"{path}: is rewritten already", hint="give the model as it was exported")
    if config.int8:
        _check_float(model)
        import_nncf()
    head = find_head(model.graph, model.output, model.input_hw)
    if head is None and not config.int8:
        raise ModelError(
            f"{path}: its head is not one that can be replaced: there is nothing to rewrite",
            hint="it runs as exported; `int8` can make a model in floating point quicker all the same",
        )
    _check_labels(frames, model)
    job = _Job(model, head, frames, calibration, config, on_step)
    check_targets(model.path, folder, job.file_names(), exist_ok=config.exist_ok)
    make_folder(folder)
    with tempfile.TemporaryDirectory(prefix="keepbusy-", ignore_cleanup_errors=True) as scratch:
        report, made = job.run(Path(scratch))
        if report.is_refused and not config.force:
            return report
        return report.with_files([publish(one, folder) for one in made])


class _Job:
    """The steps of one call, and what they share."""

    def __init__(
        self,
        model: Model,
        head: Head | None,
        frames: Frames,
        calibration: Frames | None,
        config: OptimizeConfig,
        on_step: OnStep,
    ) -> None:
        self._model = model
        self._head = head
        self._frames = frames
        self._is_shared = calibration is None
        self._calibration = calibration or dataclasses.replace(frames, limit=config.calibration_frames)
        self._config = config
        self._on_step = on_step
        self._notes: list[str] = []
        self._is_flexible = head is not None and can_reshape(model.graph, head, model.input_hw, model.input.shape)
        self._input_hw = self._choose_input()
        fixed = isinstance(config.shape, tuple) or config.shape == "square" or not self._is_flexible
        self._scored_shape: ShapeChoice = self._input_hw if fixed else "rect"

    def run(self, scratch: Path) -> tuple[Report, list[Path]]:
        """Make, measure, judge; returns the files too, the `.xml` of each."""
        config, model = self._config, self._model
        if self._head is None:
            self._notes.append(f"{model.path.name}: its head is not one that can be replaced; it runs as exported")
        originals = self._originals()
        candidates = self._make_int8(scratch) if config.int8 else []
        forms = [*originals, *candidates]
        speeds = measure_speed(
            forms, config.device, num_rounds=config.rounds, seconds=config.seconds, on_step=self._on_step
        )
        rows: dict[str, Row] = {}
        for form in forms:
            speed = speeds.get(form.name)
            row = Row(
                name=form.name,
                precision=speed.precision if speed else "f32",
                input_hw=speed.input_hw if speed else self._input_hw,
                size_bytes=size_bytes(form.path),
                rounds_fps=speed.rounds_fps if speed else (),
            )
            rows[form.name] = self._with_accuracy(row, form, originals)
        trusted = tuple(form.name for form in originals if form.precision == "f32")
        if config.int8:
            best = max((rows[name].map50_95 or 0.0 for name in trusted), default=0.0)
            int8, *others = (rows[form.name] for form in candidates)
            chosen = choose_int8(int8, others[0] if others else None, best, config.max_drop)
            compared = tuple(form.name for form in originals)
        else:
            chosen = originals[-1].name
            compared = tuple(form.name for form in originals if form.head == "stock")
        self._note_what_is_shared()
        report = Report(
            rows=tuple(rows.values()),
            chosen=chosen,
            originals=compared,
            trusted=trusted,
            max_drop=config.max_drop,
            settings=self._settings(),
            notes=tuple(self._notes),
        )
        if report.is_refused and not config.force:
            return report, []
        return report, self._make_files(scratch, next(form for form in forms if form.name == chosen))

    def file_names(self) -> list[str]:
        """What the graphs are called that are saved, if any."""
        stem, (height, width) = self._model.path.stem, self._input_hw
        made = [f"{stem}-int8"] if self._config.int8 else []
        if self._head is not None:
            made.append(f"{made[0] if made else stem}-{height}x{width}")
        return [f"{name}.xml" for name in made]

    def _choose_input(self) -> SizeHW:
        shape, own_hw = self._config.shape, self._model.input_hw
        if isinstance(shape, tuple):
            if not self._is_flexible and shape != own_hw:
                raise ConfigError(
                    f"shape: {self._model.path} cannot take {shape[0]}x{shape[1]}: its graph has its size built in",
                    hint="leave `shape` out",
                )
            if any(side % CELL_PX for side in shape):
                raise ConfigError(
                    f"shape: the sides of {shape[0]}x{shape[1]} are not multiples of {CELL_PX}",
                    hint=f"give {' x '.join(str(-(-side // CELL_PX) * CELL_PX) for side in shape)}",
                )
            return shape
        if shape == "square" or not self._is_flexible or self._model.input.fit != "letterbox":
            return own_hw
        rectangles = [rectangle(size_hw, own_hw) for size_hw in self._frames.sizes()] or [own_hw]
        return max(h for h, _ in rectangles), max(w for _, w in rectangles)

    def _originals(self) -> list[Form]:
        """The exported graph and the rewritten one, in float32 and in what the device takes by itself."""
        path, own_hw = self._model.path, self._model.input_hw
        imgsz = self._config.imgsz
        exported = Form(name="exported", path=path, head="stock", shape="square", scored_shape="square", imgsz=imgsz)
        bases = [exported]
        if self._head is not None:
            shape, scored = self._input_hw, self._scored_shape
            bases.append(Form(name="rewritten", path=path, head="tail", shape=shape, scored_shape=scored, imgsz=imgsz))
        self._on_step(f"compiling {path.name} for {own_hw[1]}x{own_hw[0]}")
        own = own_precision(exported, self._config.device)
        forms: list[Form] = []
        for base in bases:
            if own != "f32":
                forms.append(dataclasses.replace(base, name=f"{base.name} f32", precision="f32"))
            forms.append(dataclasses.replace(base, name=f"{base.name} {own or 'default'}", precision=None))
            if own == "f32":
                forms[-1] = dataclasses.replace(forms[-1], precision="f32")
        return forms

    def _make_int8(self, scratch: Path) -> list[Form]:
        config, model = self._config, self._model

        # As a pipeline of that shape lays its frames.
        is_rect = self._scored_shape == "rect" and model.input.fit == "letterbox"
        laying = Laying(model.input.fit, model.input.pad_value, model.input_hw if is_rect else None)

        def shape_for(frame_hw: SizeHW) -> SizeHW:
            return rectangle(frame_hw, model.input_hw) if is_rect else self._input_hw

        def told(what: str) -> Callable[[int], None]:
            return lambda count: self._on_step(f"reading frames for {what}: {count}")

        samples = read_samples(self._calibration, shape_for, laying, told("calibration"))
        control = None
        if config.accuracy_control:
            scored = read_samples(self._frames, shape_for, laying, told("accuracy control"))
            control = control_by_map(self._frames, scored, model.names, config.max_drop / 100)
        variants = [False, True] if config.float_head is None else [config.float_head]
        if self._head is None:
            variants = [False]
        forms: list[Form] = []
        for is_head_float in variants:
            name = "int8, float head" if is_head_float else "int8"
            graph = quantize_model(
                model,
                self._head,
                samples,
                is_flexible=self._is_flexible,
                is_head_float=is_head_float,
                control=control,
                on_step=self._on_step,
            )
            carry_metadata(model, graph)
            mark_as_saved(graph)
            folder = scratch / ("float-head" if is_head_float else "int8")
            folder.mkdir()
            path = folder / self.file_names()[0]
            save_graph(graph, path)
            self._check_recognised(path)
            has_head = self._head is not None
            forms.append(
                Form(
                    name=name,
                    path=path,
                    head="tail" if has_head else "stock",
                    shape=self._input_hw,
                    scored_shape=self._scored_shape,
                )
            )
        return forms

    def _check_recognised(self, path: Path) -> None:
        """See that keepbusy understands its own work as it understands the original."""
        made, own = load_model(path), self._model
        facts = [(one.output.family, one.output.task, one.names, one.input_hw) for one in (made, own)]
        has_head = find_head(made.graph, made.output, made.input_hw) is not None
        if facts[0] != facts[1] or has_head != (self._head is not None):
            raise ModelError(
                f"{own.path}: is not recognised any more when it is quantized",
                hint="please report it, with the model's origin",
            )

    def _with_accuracy(self, row: Row, form: Form, originals: Sequence[Form]) -> Row:
        device = self._config.device
        if self._frames.dataset is not None:
            found = measure_accuracy(form, self._frames, device, self._model.names, self._on_step)
            return dataclasses.replace(row, map50_95=found.map50_95, map50=found.map50)
        # A rectangle and a square see a picture a little differently; what is asked is what the number type does.
        reference = next((one for one in originals if one.head == form.head and one.precision == "f32"), originals[0])
        if form is reference:
            return row
        verification = measure_agreement(reference, form, self._frames, device, self._on_step)
        return dataclasses.replace(row, matched=share_matched(verification), problems=tuple(verification.problems))

    def _note_what_is_shared(self) -> None:
        if self._config.int8 and self._is_shared:
            self._notes.append("calibrated on the frames that it is judged by: `calibration` DATA keeps them apart")
        if self._frames.dataset is None:
            self._notes.append("no labels: it is compared with the original, which says nothing of its accuracy")
        elif self._frames.dataset.notes:
            self._notes += self._frames.dataset.notes

    def _settings(self) -> dict[str, Any]:
        import openvino

        from keepbusy.version import __version__

        config = dataclasses.asdict(self._config)
        del config["names"], config["exist_ok"]
        return {
            "model": str(self._model.path),
            "data": self._frames.name,
            "calibration": self._calibration.name if self._config.int8 else None,
            "max_frames": self._frames.limit,
            **config,
            "versions": {"keepbusy": __version__, "openvino": openvino.__version__},
        }

    def _make_files(self, scratch: Path, chosen: Form) -> list[Path]:
        """What is to be saved of the chosen form: in INT8 as exported, and rewritten."""
        made = [chosen.path] if self._config.int8 else []
        if self._head is None:
            return made
        source = load_model(chosen.path, imgsz=self._config.imgsz, names=self._model.names)
        head = find_head(source.graph, source.output, source.input_hw)
        assert head is not None  # nosec B101 # for mypy: the original had one, and kept it
        path = scratch / self.file_names()[-1]
        save_graph(rewritten_graph(source, head, self._input_hw), path)
        self._prove(path, chosen)
        return [*made, path]

    def _prove(self, path: Path, chosen: Form) -> None:
        """Read the rewritten graph again, as anybody will, and see that it finds what it was made from finds."""
        few = dataclasses.replace(self._frames, limit=PROOF_FRAMES)
        shape = self._input_hw
        reference = dataclasses.replace(chosen, head="host", shape=shape, scored_shape=shape)
        saved = Form(name="the saved graph", path=path, head="stock", shape="square", scored_shape="square")
        saved = dataclasses.replace(saved, precision="f32")
        verification = measure_agreement(reference, saved, few, "CPU", self._on_step)
        if verification.is_empty:
            self._notes.append(
                f"nothing was found in {few.limit} frames of {few.name}: that the rewritten graph finds what the "
                "original finds is not shown; give data with objects of the model in it"
            )
        elif verification.problems:
            raise ModelError(
                f"{self._model.path}: the rewritten graph does not find what the original finds: "
                f"{verification.problems[0]}",
                hint="nothing was saved; please report it, with the model's origin",
            )


def _check(config: OptimizeConfig, frames: Frames) -> None:
    if config.accuracy_control and not config.int8:
        raise ConfigError("accuracy_control: is for `int8`", hint="add `int8`")
    if config.accuracy_control and frames.dataset is None:
        raise ConfigError(f"accuracy_control: {frames.name} has no labels", hint="give data with labels: `data`")


def _check_float(model: Model) -> None:
    """See that a model that is to be quantized is not quantized.

    Raises:
        ConfigError: It is.
    """
    if why := why_quantized(model.graph):
        raise ConfigError(
            f"`int8`: {model.path} is INT8 already: {why}",
            hint="leave `int8` out to have its head and input rewritten, or give the model in floating point",
        )


def _check_labels(frames: Frames, model: Model) -> None:
    """See that accuracy can be measured, before anything is made.

    Raises:
        ConfigError: Data and model have no class in common.
        ModelError: The model has no boxes to score.
        MissingExtraError: faster-coco-eval is not installed.
    """
    if frames.dataset is None:
        return
    if model.output.task == "classify":
        raise ModelError(
            f"{model.path}: classifies whole pictures: it has no boxes to score",
            hint="give pictures or a video without labels: it is then compared with the original",
        )
    CocoEvaluation(model.names)
    match_classes(frames.dataset, model.names, ignore_missing=True)
