"""What docs/reference/sinks.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import keepbusy as kb
from keepbusy.errors import ConfigError
from keepbusy.sinks.spec import OPTIONS, parse_sink
from tests.build import build_blob_model, write_video

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "sinks.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_blob_model(tmp_path / "yolov5n.xml")
    for name in ("street.mp4", "yard.mp4"):
        write_video(tmp_path / name, num_frames=5)
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 4
    names: dict[str, Any] = {"kb": kb, "pipeline": None}
    for example in examples:
        names["pipeline"] = kb.Pipeline("yolov5n.xml")
        exec(compile(example, "docs/reference/sinks.md", "exec"), names)
        if isinstance(sink := names.pop("sink", None), kb.Sink):
            sink.close()
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {"0.csv", "1.csv"}
    assert len((tmp_path / "tables" / "0.csv").read_text().splitlines()) >= 5
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 5
    # A run that is broken off leaves nothing that looks complete.
    tables = names["Tables"]

    def fail_at_the_third(result: kb.Result) -> None:
        assert result.frame.index < 3, "as the test wants it"

    with kb.Pipeline("yolov5n.xml") as pipeline, pytest.raises(AssertionError, match="as the test wants it"):
        kb.drain(pipeline.run("street.mp4", loop=True), [tables(Path("cut"))], fail_at_the_third)
    assert list((tmp_path / "cut").iterdir()) == []


def test_all_kinds_and_options_are_in_the_tables() -> None:
    table = PAGE.split("## Naming a sink")[1].split("## Slow")[0]
    for kind, options in OPTIONS.items():
        assert f"`{kind}:" in table
        for option in options:
            assert f"`{option}`" in table, option
    for text in ("out.mp4?encoder=vp9", "labels:labels/", "out.jsonl", "-", "window:"):
        parse_sink(text)
    with pytest.raises(ConfigError):
        parse_sink("labels:out.mp4?encoder=vp9")
