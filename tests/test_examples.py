"""The programs in examples/ run as they are, without a network, and stay short."""

from __future__ import annotations

import ast
import asyncio
import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

import keepbusy as kb
from tests.build import count_playable
from tests.docs_pages import ROOT, is_there

EXAMPLES = ROOT / "examples"
MAX_LINES = 40

PROGRAMS = {
    "one_picture": ("Detections.where", "Detections.save", "Detector.close"),
    "video_to_files": (),
    "folder_to_csv": (),
    "cameras": (),
    "asyncio_results": (),
    "own_sink": (),
    "own_source": (),
    "own_step": (),
    "int8": (),
    "fastapi_server": ("Detector.detect", "Detections.to_dict"),
}
"""Each program, and what it needs of the library."""

pytestmark = pytest.mark.timeout(600)


def test_all_of_them_are_known_and_short() -> None:
    sizes = {path.stem: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.glob("*.py")}
    assert set(sizes) == set(PROGRAMS)
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in listed for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))


def need(*names: str) -> None:
    if missing := [name for name in names if not is_there(name)]:
        pytest.xfail(f"needs {', '.join(missing)}")


def run(name: str, folder: Path, *arguments: str) -> list[str]:
    """Run a program in a folder; the lines that it prints."""
    need(*PROGRAMS[name])
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_one_picture(tmp_path: Path) -> None:
    lines = run("one_picture", tmp_path)
    assert lines[0].startswith("Detections(") and "person" in lines[0]
    assert lines[-1] == "found.jpg" and len(lines) > 5
    picture = cv2.imread(str(tmp_path / "found.jpg"))
    assert picture is not None and picture.shape == (720, 1280, 3)
    assert run("one_picture", tmp_path, "found.jpg")[-1] == "found.jpg"


def test_video_to_files(tmp_path: Path) -> None:
    assert run("video_to_files", tmp_path)[0].startswith("45 frames, ")
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["index"] for record in records] == list(range(45))
    assert count_playable(tmp_path / "out.mp4") == 45


def test_folder_to_csv(tmp_path: Path) -> None:
    run("folder_to_csv", tmp_path)
    header, *rows = rows_of(tmp_path / "found.csv")
    assert header[0] == "file" and header[-1] == "error"
    assert {row[0] for row in rows} == {f"photos/{name}.jpg" for name in ("0", "1", "2", "damaged")}
    assert all((row[0] == "photos/damaged.jpg") == bool(row[-1]) for row in rows)


def test_cameras(tmp_path: Path) -> None:
    lines = run("cameras", tmp_path)
    assert {"door: 45 results, dropped {}", "yard: 45 results, dropped {}"} <= set(lines)
    assert any(line.startswith("shed: read: ") and "missing.mp4" in line for line in lines)


def test_asyncio_results(tmp_path: Path) -> None:
    found, turns = run("asyncio_results", tmp_path)
    assert int(found.split()[0]) > 45 and found.endswith("detections in 45 frames")
    assert int(turns.split()[4]) > 1


def test_own_sink(tmp_path: Path) -> None:
    run("own_sink", tmp_path)
    header, *rows = rows_of(tmp_path / "counts.csv")
    assert header == ["second", "class", "most"]
    assert {row[0] for row in rows} == {"0", "1", "2"} and {"person", "car"} <= {row[1] for row in rows}


def test_own_source(tmp_path: Path) -> None:
    lines = [line.split() for line in run("own_source", tmp_path)]
    assert [int(index) for index, _ in lines] == list(range(40))
    assert sum(int(num) for _, num in lines) > 40


def test_own_step(tmp_path: Path) -> None:
    run("own_step", tmp_path)
    assert count_playable(tmp_path / "blurred.mp4") == 30


def test_the_step_blurs_people_and_nothing_else() -> None:
    example = load("own_step")
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8)
    boxes = np.array([[10, 10, 60, 90], [100, 10, 190, 90]], np.float32)
    found = kb.Detections(boxes, np.ones(2, np.float32), np.array([0, 1]), ("person", "car"))
    result = kb.Result(kb.Frame(image, 0, 0.0, 0, "test"), found, kb.Timings())
    blurred = example.BlurPeople().process(result).frame.image
    is_changed = (blurred != image).any(axis=2)
    assert is_changed[10:90, 10:60].mean() > 0.9
    is_changed[10:90, 10:60] = False
    assert not is_changed.any()


def test_int8(tmp_path: Path) -> None:
    made, speed, verdict = run("int8", tmp_path)
    assert speed.startswith("speed: ") and verdict == "agrees with the original"
    for path in made.removeprefix("made: ").split():
        assert (tmp_path / path).is_file()


def test_fastapi_server() -> None:
    need(*PROGRAMS["fastapi_server"])
    frame = kb.open_source("synth:street?seed=1&size=640x360&frames=1").read()
    assert frame is not None and frame.image is not None
    _, encoded = cv2.imencode(".jpg", frame.image)
    found, refused, too_large = asyncio.run(
        post(load("fastapi_server"), [encoded.tobytes(), b"no picture", bytes(20_000_001)])
    )
    assert found.status_code == 200
    detections = found.json()["detections"]
    assert len(detections) > 5 and all(one["confidence"] >= 0.4 for one in detections)
    assert (refused.status_code, too_large.status_code) == (422, 413)


async def post(server: Any, bodies: list[bytes]) -> list[httpx.Response]:
    """What a web service answers, called without a network."""
    transport = httpx.ASGITransport(app=server.app)
    async with server.lifespan(server.app), httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        return [await client.post("/detect", params={"conf": 0.4}, content=body) for body in bodies]


def test_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("Detections.where", "Detector.close", "Result.plot")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    names: dict[str, Any] = {}
    shown = [run_cell("".join(cell["source"]), names) for cell in cells]
    assert repr(shown[1]).startswith("Detections(")
    assert any(hasattr(shown[3], f"_repr_{kind}_") for kind in ("jpeg", "png"))
    assert os.listdir(tmp_path) == []


def run_cell(code: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, where that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def load(name: str) -> Any:
    """A program, imported and not run."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
