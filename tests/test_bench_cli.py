"""`keepbusy bench` as a program: a real model and a real video, short rounds; no speed is asserted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from keepbusy.api import Pipeline
from keepbusy.bench import measure, windows
from keepbusy.bench import run as bench_run
from keepbusy.bench.run import bench_model, write_files
from keepbusy.cli.bench import bench
from keepbusy.errors import ConfigError, DeviceError, KeepbusyError, ModelError, SinkError, SourceError


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command("bench")(bench)
    return app


def run_bench(app: typer.Typer, *arguments: object, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160", "NO_COLOR": "1"})
    if isinstance(result.exception, KeepbusyError):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.output


SHORT = ("--seconds", "0.1", "--rounds", "3")


def test_everything_is_measured_shown_and_written(
    app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path
) -> None:
    names = ("report.json", "report.html", "timeline.svg", "trace.json")
    files = {name: tmp_path / "out" / name for name in names}
    text = run_bench(
        app,
        *(clip, "-m", blob_model, *SHORT, "--nireq", 3),
        *("--json", files["report.json"], "--html", files["report.html"]),
        *("--plot", files["timeline.svg"], "--trace", files["trace.json"]),
    )
    for part in (
        "model as exported async",
        "model as run async",
        "÷ model as exported",
        "÷ model as run",
        "bottleneck:",
    ):
        assert part in text
    assert all(path.stat().st_size > 1000 for path in files.values())
    content = json.loads(files["report.json"].read_text())
    assert content["num_rounds"] == 3 and content["environment"]["requests"] == 3
    assert content["environment"]["sources"] == ["clip.mp4"] and content["environment"]["device"] == "CPU"
    for measurement in content["measurements"].values():
        assert len(measurement["rounds_fps"]) == 3 and measurement["fps"] > 0
        assert measurement["latency"]["p50_ms"] > 0 and 0 < measurement["device_busy_share"] <= 1
    assert any("it was looped" in line for line in content["warnings"])
    # The same machine, moments later: comparable, and far above a thousandth.
    text = run_bench(
        app, clip, "-m", blob_model, *SHORT, "--nireq", 3, "--baseline", files["report.json"], "--fail-under", "0.001"
    )
    assert "of the baseline" in text
    text = run_bench(
        app,
        *(clip, "-m", blob_model, *SHORT, "--nireq", 3, "--baseline", files["report.json"], "--fail-under", "1000"),
        exit_code=1,
    )
    assert "below the wanted 1000 of the baseline" in text
    assert "end-to-end async ÷ model as exported: " in text and " in the baseline" in text
    text = run_bench(app, "--compare", files["report.json"], files["report.json"])
    assert "1.000" in text and "not the same" not in text


def test_a_baseline_from_another_machine_is_refused_before_measuring(
    app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    run_bench(app, clip, "-m", blob_model, "--seconds", "0.1", "--rounds", "1", "--json", path)
    content = json.loads(path.read_text())
    content["environment"]["cpu_model"] = "Another CPU"
    path.write_text(json.dumps(content))
    with monkeypatch.context() as context:
        context.setattr(measure, "measure_rounds", lambda *_: pytest.fail("it measured"))
        with pytest.raises(ConfigError, match=r"other conditions: CPU: .* here, Another CPU there"):
            run_bench(app, clip, "-m", blob_model, "--baseline", path)
    text = run_bench(app, clip, "-m", blob_model, "--seconds", "0.1", "--rounds", "1", "--baseline", path, "--force")
    assert "of the baseline" in text
    assert "1 round: too few for an interval" in text and "(no interval)" in text
    other = tmp_path / "other.json"
    content["environment"]["precision"] = "i4"
    other.write_text(json.dumps(content))
    assert "not the same: precision" in run_bench(app, "--compare", path, other)


def test_what_makes_decoding_cheaper_is_taken_and_told(
    app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, html = tmp_path / "report.json", tmp_path / "report.html"
    short = ("-m", blob_model, "--seconds", "0.1", "--rounds", "1", "--json", path)
    opened: list[dict[str, Any]] = []

    class Watched(Pipeline):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            opened.append(options)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(bench_run, "Pipeline", Watched)
    text = run_bench(app, clip, *short, "--fast-decode", "--reduce-jpegs", "--html", html)
    assert (
        "clip.mp4 (fast decode, JPEGs reduced)" in text and "clip.mp4 (fast decode, JPEGs reduced)" in html.read_text()
    )
    assert json.loads(path.read_text())["environment"]["decoding"] == ["fast_decode", "reduce_jpegs"]
    assert len(opened) == 2 and all(one["fast_decode"] and one["reduce_jpegs"] for one in opened)
    text = run_bench(app, clip, *short)
    assert "clip.mp4" in text and "fast decode" not in text
    assert json.loads(path.read_text())["environment"]["decoding"] == []


def test_a_program_measures_as_the_command_does(clip: Path, blob_model: Path, tmp_path: Path) -> None:
    environments: list[Mapping[str, Any]] = []
    report = bench_model(
        blob_model,
        [str(clip)],
        options={"shape": (64, 96)},
        options_async={"nireq": 3},
        num_rounds=1,
        seconds=0.1,
        on_environment=environments.append,
    )
    assert report.num_rounds == 1 and [report.environment] == environments
    num_optimal = int(report.environment["optimal_requests"])
    assert {name: one.num_requests for name, one in report.measurements.items()} == {
        "model as exported sync": 1,
        "model as exported async": num_optimal,
        "model as run sync": 1,
        "model as run async": 3,
        "end-to-end sync": 1,
        "end-to-end async": 3,
    }
    # The graph runs as exported, but async with a number of requests that `benchmark_app` is not given.
    assert report.one_measurement == ["sync"]
    assert write_files(report, html=tmp_path / "a.html") == [tmp_path / "a.html"] and (tmp_path / "a.html").exists()


def test_ctrl_c_reports_the_finished_rounds(
    app: typer.Typer, clip: Path, blob_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = windows.measure_model_only

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 7:  # Both modes run the graph as exported: twice a round.
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(measure, "measure_model_only", interrupted)
    text = run_bench(app, clip, "-m", blob_model, "--seconds", "0.1", "--rounds", "9", exit_code=130)
    assert "interrupted: 3 of 9 rounds were finished" in text and "end-to-end async" in text


def test_bad_input_is_told_in_one_line(app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    cases: list[tuple[type[KeepbusyError], str, tuple[object, ...]]] = [
        (SinkError, "cannot be made", (clip, "-m", blob_model, "--json", file / "report.json")),
        (SinkError, "is a folder", (clip, "-m", blob_model, "--html", tmp_path)),
        (ConfigError, "unknown kind of picture", (clip, "-m", blob_model, "--plot", "timeline.gif")),
        (ConfigError, "nothing to compare with", (clip, "-m", blob_model, "--fail-under", "0.9")),
        (ConfigError, "is not JSON", (clip, "-m", blob_model, "--baseline", file)),
        (ConfigError, "cannot be read", ("--compare", tmp_path / "a.json", tmp_path / "b.json")),
        (SourceError, "no such file", (tmp_path / "none.mp4", "-m", blob_model)),
        (ModelError, "no such model file", (clip, "-m", tmp_path / "none.xml")),
        (DeviceError, "there is no", (clip, "-m", blob_model, "-d", "GPU.7")),
    ]
    for kind, message, arguments in cases:
        with pytest.raises(kind, match=message) as caught:
            run_bench(app, *arguments, *SHORT[:2])
        assert caught.value.hint and "\n" not in caught.value.message


def test_a_real_model_and_picture(app: typer.Typer, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    picture, model = data / "images" / "bus.jpg", data / "models" / "yolov5n.xml"
    run_bench(app, picture, "-m", model, "--seconds", "0.3", "--rounds", "3", "--json", path)
    content = json.loads(path.read_text())
    assert content["measurements"]["end-to-end async"]["num_detections"] > 0
    assert not any("no detections" in line for line in content["warnings"])
