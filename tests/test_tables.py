"""Tables at any width: no figure is cut, and none is missing."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from rich.text import Text
from typer.testing import CliRunner

import keepbusy as kb
from keepbusy.bench import tables as bench_tables
from keepbusy.bench.report import Report, read_json, write_json
from keepbusy.bench.run import bench_model
from keepbusy.cli import demo
from keepbusy.cli.app import app
from keepbusy.cli.progress import stage_table
from keepbusy.config import Options
from keepbusy.embedded import embedded_model
from keepbusy.evaluate import CocoEvaluation, collect, open_dataset
from keepbusy.evaluate import tables as eval_tables
from keepbusy.evaluate.report import full_report
from keepbusy.evaluate.run import settings_of
from keepbusy.evaluate.verify import candidate_options, reference_options, verify
from keepbusy.evaluate.verify_report import Side
from keepbusy.evaluate.verify_report import render as render_verification
from keepbusy.models.store import ModelStore
from keepbusy.optimize import Report as OptimizeReport
from keepbusy.optimize import Row
from keepbusy.optimize.tables import render as render_optimization
from keepbusy.sources import open_sources
from keepbusy.terminal.console import open_console
from keepbusy.terminal.table import FigureTable
from keepbusy.tune.report import frontier_table, report_of
from tests.build import square_picture, write_picture
from tests.starter import run_program
from tests.test_tune import Scripted, searched

STREET = "synth:street?seed=1&size=320x192&frames=3"
WIDTHS = (60, 40)
WIDE = 400


def shown(what: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def figures(text: str) -> Counter[str]:
    """The words with a digit in them."""
    words = (word.strip("│╭╮╰╯─,;:()") for word in text.split())
    return Counter(word for word in words if re.search(r"\d", word))


def assert_whole(what: RenderableType) -> None:
    wide = figures(shown(what, WIDE))
    assert wide
    for width in WIDTHS:
        narrow = shown(what, width)
        assert "…" not in narrow
        # Columns' names, which may have digits, stand in each row.
        assert figures(narrow) >= wide and set(figures(narrow)) == set(wide), narrow
        assert max(map(len, narrow.splitlines())) <= width, narrow


@pytest.fixture(scope="module")
def bench_report(blob_model: Path, clip: Path) -> Report:
    return bench_model(blob_model, [str(clip)], num_rounds=3, seconds=0.05)


def test_the_tables_of_bench(bench_report: Report, tmp_path: Path) -> None:
    assert_whole(bench_tables.throughput_table(bench_report))
    assert_whole(bench_tables.latency_table(bench_report))
    assert_whole(bench_tables.stage_table(bench_report.stages))
    assert_whole(bench_tables.ratio_lines(bench_report))
    write_json(bench_report, tmp_path / "a.json")
    content: Mapping[str, Any] = read_json(tmp_path / "a.json")
    assert_whole(bench_tables.compare_table(content, content, ("before.json", "after.json")))


def test_the_table_of_eval() -> None:
    data = open_dataset(STREET)
    options = Options(mode="async", conf=0.001, iou=0.6, max_det=300, multi_label=True, precision=None)
    with kb.Pipeline(embedded_model(), **options) as pipeline:
        collected = collect(pipeline, data)
        settings = settings_of(pipeline, model="m", data=STREET, device="CPU", shape="auto", options=options)
    evaluation = collected.scorer.evaluation
    content = full_report(collected, evaluation.accuracy(), evaluation.curves(), evaluation.confusion(), settings)
    assert_whole(eval_tables.render(content, all_classes=True))


def test_the_table_of_detect() -> None:
    with kb.Pipeline(embedded_model()) as pipeline, pipeline.run(STREET) as run:
        assert len(list(run)) == 3
        assert_whole(stage_table(run.stats.snapshot()))


def test_the_tables_of_verify() -> None:
    model = embedded_model()
    options = Options()
    with (
        kb.Pipeline(model, **reference_options(options, None)) as reference,
        kb.Pipeline(model, **candidate_options(options, None)) as candidate,
    ):
        report = verify(reference, candidate, open_sources([STREET], read_ahead=False), max_frames=3)
    sides = (Side(model.name, "CPU", "f32", "sync"), Side(model.name, "CPU", "bf16", "async"))
    assert_whole(render_verification(report, *sides, say=str))


@pytest.mark.parametrize("score", [0.4567, None])
def test_the_table_of_optimize(score: float | None) -> None:
    rows = tuple(
        Row(
            name=name,
            precision="f32",
            input_hw=(384, 640),
            size_bytes=7_654_321,
            rounds_fps=(fps, fps + 1, fps + 2),
            map50_95=score,
            map50=score,
            matched=None if score else 0.987,
        )
        for name, fps in (("f32", 101.5), ("bf16", 202.5), ("int8", 303.5))
    )
    names = ("f32", "bf16")
    assert_whole(
        render_optimization(OptimizeReport(rows=rows, chosen="int8", originals=names, trusted=names[:1], max_drop=1.0))
    )


def test_the_table_of_tune() -> None:
    assert_whole(frontier_table(report_of(searched(Scripted(1)), {}, {}, percentile=90)))


def test_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [f"{known.size_mb:.1f}" for known in ModelStore().catalogue if known.size_mb]
    assert sizes
    for width in (WIDE, *WIDTHS):
        monkeypatch.setenv("COLUMNS", str(width))
        for command, told in (("models", sizes), ("devices", ["1 to"])):
            result = CliRunner().invoke(app, [command])
            assert result.exit_code == 0, result.output
            assert "…" not in result.stdout
            assert all(re.search(rf"(?<![\d.]){re.escape(one)}", result.stdout) for one in told)


def test_the_layers_of_a_model(monkeypatch: pytest.MonkeyPatch, blob_model: Path) -> None:
    for width in (WIDE, *WIDTHS):
        monkeypatch.setenv("COLUMNS", str(width))
        result = CliRunner().invoke(app, ["model-info", str(blob_model), "--profile", "--inferences", "2"])
        assert result.exit_code == 0, result.output
        assert "…" not in result.stdout and re.search(r"share (\d+\.\d%)|\d+\.\d%\n", result.stdout)


def test_the_table_of_the_demo() -> None:
    with kb.Pipeline(embedded_model()) as pipeline, pipeline.run(STREET) as run:
        assert len(list(run)) == 3
    speed = demo.Speed({way: [run.stats.snapshot()] for way in demo.WAYS}, "640x384 with head tail")
    accuracy = dict.fromkeys(demo.WAYS, CocoEvaluation(("person",)).accuracy())
    assert_whole(demo._table(speed, accuracy))


@pytest.mark.parametrize("width", ["40", "80"])
@pytest.mark.parametrize(
    "words",
    [
        "models",
        "devices",
        "model-info {model} --profile --inferences 1",
        "detect {picture} -m {model} --head stock",
        "bench {picture} -m {model} --seconds 0.1 --rounds 1",
        "verify {picture} -m {model} --conf 0.01",
        "eval --data " + STREET + " --per-class",
    ],
)
def test_no_line_ends_with_blanks(words: str, width: str, blob_model: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a picture.png", square_picture())
    told = [word.format(model=blob_model, picture=picture) for word in words.split()]
    done = run_program(*told, env={**os.environ, "COLUMNS": width})
    for text in (done.stdout, done.stderr):
        assert [line for line in text.splitlines() if line != line.rstrip()] == []
    assert len(done.stdout.splitlines()) > 1 or len(done.stderr.splitlines()) > 1


def test_the_program_has_no_other_consoles() -> None:
    folder = Path(demo.__file__).parent
    others = [path.name for path in folder.glob("*.py") if re.search(r"(?<!\w)Console\(", path.read_text("utf-8"))]
    assert others == []


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a  ", "a"),
        (Text("  a  \n   \n b "), "  a\n\n b"),
        (Text.assemble("a", (" ", "bold"), ("b ", "red"), " "), "a b"),
        ("a word and another", "a word\nand\nanother"),
    ],
)
def test_a_console_writes_no_blanks_at_the_ends_of_lines(printed: RenderableType, shown: str) -> None:
    file = io.StringIO()
    open_console(file=file, width=8).print(printed)
    assert file.getvalue() == shown + "\n"


def small() -> FigureTable:
    table = FigureTable("what", title="a title")
    table.add_figures("frames/s", "MB")
    table.add_words("remark", least=6)
    table.add_row("first", "1234.5", "12.3", "words that are long")
    table.add_row(Text("second"), "6.7", "", "", style="bold")
    return table


def test_a_table_wraps_its_words_first() -> None:
    assert [line.rstrip() for line in shown(small(), 60).splitlines()[-2:]] == [
        "first     1234.5  12.3  words that are long",
        "second       6.7",
    ]
    wrapped = shown(small(), 36)
    assert "first     1234.5  12.3" in wrapped and "words" in wrapped and "what" in wrapped


def test_a_table_without_room_is_paragraphs() -> None:
    assert shown(small(), 20).splitlines() == [
        "a title",
        "what",
        "first",
        "  frames/s 1234.5,",
        "  MB 12.3, remark",
        "  words that are",
        "  long",
        "second",
        "  frames/s 6.7",
    ]
