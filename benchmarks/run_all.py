"""Run all benchmarks and renew their figures in docs/performance.md.

    python benchmarks/run_all.py [--quick] [--only NAME ...] [--video VIDEO] [--model MODEL.xml]
                                 [--exports MODEL.xml ...] [--videos VIDEO ...]

The figures of each benchmark stand between `<!-- figures:NAME begin -->` and `<!-- figures:NAME end -->`; all other
text stays as it is. `--quick` shows that everything works: its figures mean nothing, and go to build/bench/ instead.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import openvino

import keepbusy
from keepbusy.bench.environment import cpu_model
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.threads.cores import usable_cores

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench"
CHART = ROOT / "docs" / "images" / "peers.svg"
NAMES = (
    *("environment", "exports", "main-job", "heads", "peers", "model-only"),
    *("engine-only", "streams", "callers", "scripted-bound", "predicted-bound", "memory"),
)

Command = list[str]


def commands(name: str, options: argparse.Namespace) -> list[Command]:
    """The commands of one benchmark, without the interpreter."""
    video, model, device = str(options.video), str(options.model), ["--device", options.device]
    is_quick = options.quick
    if name == "main-job":
        length = ["--rounds", "1", "--seconds", "1"] if is_quick else ["--rounds", "7", "--seconds", "7"]
        return [["benchmarks/main_job.py", video, model, *device, *length]]
    if name == "heads":
        length = ["--rounds", "1", "--seconds", "0.5"] if is_quick else ["--rounds", "3", "--seconds", "2"]
        return [["benchmarks/heads.py", video, model, *device, *length]]
    if name == "engine-only":
        return [["benchmarks/engine_only.py", *(["--rounds", "1", "--frames", "1000"] if is_quick else [])]]
    if name == "streams":
        length = ["--rounds", "1", "--frames", "640", "--seconds", "0.2"] if is_quick else []
        return [["-m", "benchmarks.streams", *length]]
    if name == "callers":
        length = ["--rounds", "1", "--seconds", "0.5"] if is_quick else ["--rounds", "7", "--seconds", "3"]
        return [["-m", "benchmarks.callers", "--video", video, "--model", model, *device, *length]]
    if name == "scripted-bound":
        return [["benchmarks/scripted_bound.py", "--rounds", "1" if is_quick else "5"]]
    if name == "memory":
        length = ["--frames", "200", "--settled", "100"] if is_quick else ["--frames", "20000", "--settled", "2000"]
        return [["benchmarks/memory.py", video, model, *length]]
    if name == "model-only":
        length = ["--rounds", "1", "--seconds", "1"] if is_quick else ["--rounds", "5", "--seconds", "5"]
        plain = ["benchmarks/model_only.py", model, *device, *length]
        return [plain, [*plain, "--same-graph"]]
    if name == "predicted-bound":
        length = ["--seconds", "0.2", "--rounds", "1"] if is_quick else ["--seconds", "2", "--rounds", "3"]
        return [["benchmarks/predicted_bound.py", *length]]
    if name == "exports":
        videos = [str(path) for path in options.videos or [options.video]]
        length = ["--rounds", "1", "--seconds", "1"] if is_quick else ["--rounds", "5", "--seconds", "4"]
        command = ["-m", "benchmarks.peers.exports", "--models", *map(str, options.exports), "--videos", *videos]
        return [[*command, *device, *length, *peers_python(options)]]
    assert name == "peers"
    length = ["--rounds", "1", "--seconds", "1"] if is_quick else ["--rounds", "7", "--seconds", "6"]
    command = ["-m", "benchmarks.peers.compare", "--video", video, "--model", model, *device, *length]
    command += ["--output", str(OUTPUT), *peers_python(options)]
    if options.without_peers:
        command += ["--without-peers"]
    return [command]


def peers_python(options: argparse.Namespace) -> Command:
    """The option that names the other contenders' interpreter, if there is one."""
    return [] if options.peers_python is None else ["--peers-python", str(options.peers_python)]


def environment(options: argparse.Namespace) -> str:
    """Where and with what was measured, as a list."""
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{cpu_model()}, {usable_cores():g} cores usable",
        "system": f"{platform.system()} {platform.machine()}",
        "versions": f"keepbusy {keepbusy.__version__}, OpenVINO {openvino.__version__.partition('-')[0]}, "
        f"Python {platform.python_version()}",
        "device": options.device,
        "model and video": f"{options.model.name}, {options.video.name}",
    }
    if hasattr(os, "getloadavg"):
        facts["load at the beginning"] = f"{os.getloadavg()[0]:.2f} (1 minute)"
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def run_one(name: str, options: argparse.Namespace) -> str:
    """Run one benchmark; returns its figures as markdown.

    Raises:
        RuntimeError: It is not there, or failed; one line.
    """
    if name == "environment":
        return environment(options)
    parts: list[str] = []
    for command in commands(name, options):
        if command[0] != "-m" and not (ROOT / command[0]).is_file():
            raise RuntimeError(f"{command[0]} is not there")
        # What it reports on the way goes to the user at once, its results to the document.
        ended = subprocess.run(
            [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=False
        )
        if ended.returncode != 0:
            raise RuntimeError(f"{command[0]} ended with exit status {ended.returncode}: see above")
        output = without_paths(ended.stdout, options).strip("\n")
        shown = without_paths(" ".join(["python", *command]), options)
        if name in ("peers", "heads", "exports"):
            parts.append(output)
        else:
            parts.append(f"`{shown}`, {time.strftime('%Y-%m-%d')}:\n\n```text\n{output}\n```")
    if name == "peers" and not options.quick:
        CHART.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(OUTPUT / "peers.svg", CHART)
    return "\n\n".join(parts)


def without_paths(text: str, options: argparse.Namespace) -> str:
    """The text with file names instead of this machine's paths."""
    for path in (options.video, options.model, options.peers_python, *options.exports, *options.videos):
        if path is not None:
            text = text.replace(str(path), path.name)
    return text.replace(f"{ROOT}{os.sep}", "")


def marker(name: str, end: str) -> str:
    """The line that begins or ends the figures of a benchmark."""
    return f"<!-- figures:{name} {end} -->"


def check_markers(document: str, names: Sequence[str]) -> None:
    """See that the document has a place for each benchmark's figures.

    Raises:
        ValueError: A marker is missing, stands twice or in the wrong order; names it.
    """
    for name in names:
        for end in ("begin", "end"):
            count = document.count(marker(name, end))
            if count != 1:
                raise ValueError(f"the marker {marker(name, end)} {'is missing' if count == 0 else 'stands twice'}")
        if document.index(marker(name, "begin")) > document.index(marker(name, "end")):
            raise ValueError(f"the marker {marker(name, 'end')} stands before its begin")


def replace_figures(document: str, name: str, figures: str) -> str:
    """The document with other figures between a benchmark's markers.

    Raises:
        ValueError: As for `check_markers`.
    """
    check_markers(document, [name])
    begin, end = marker(name, "begin"), marker(name, "end")
    place = re.compile(re.escape(begin) + ".*" + re.escape(end), re.DOTALL)
    return place.sub(lambda _: f"{begin}\n{figures.strip()}\n{end}", document)


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, its paths made absolute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run; the document stays as it is")
    parser.add_argument("--only", action="append", choices=NAMES, help="only this one; may be given several times")
    parser.add_argument("--video", type=Path, help="default: the clip that the package carries")
    parser.add_argument("--model", type=Path, help="default: the model that the package carries")
    parser.add_argument(
        "--exports", type=Path, nargs="+", default=[], metavar="MODEL", help="exports of Ultralytics, for `exports`"
    )
    parser.add_argument(
        "--videos", type=Path, nargs="+", default=[], metavar="VIDEO", help="for `exports`; default: --video"
    )
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--peers-python", type=Path, help="interpreter of the other contenders; default: build/peers")
    parser.add_argument("--without-peers", action="store_true", help="compare with benchmark_app only")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    options.video = Path(os.path.abspath(options.video or embedded_clip()))
    options.model = Path(os.path.abspath(options.model or embedded_model()))
    options.exports = [Path(os.path.abspath(path)) for path in options.exports]
    options.videos = [Path(os.path.abspath(path)) for path in options.videos]
    if options.peers_python is not None:
        options.peers_python = Path(os.path.abspath(options.peers_python))
    return options


def main() -> None:
    """Run them, writing each one's figures when it ends, so that a later failure loses nothing."""
    options = parse_options()
    names = [name for name in NAMES if name in (options.only or NAMES)]
    if "exports" in names and not options.exports:
        print("exports: not renewed: name models that Ultralytics has exported with --exports", file=sys.stderr)
        names.remove("exports")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    target: Path = OUTPUT / options.document.name if options.quick else options.document
    try:
        document = options.document.read_text(encoding="utf-8")
        check_markers(document, names)
    except (OSError, ValueError) as error:
        sys.exit(f"run_all: {options.document}: {error}\nhint: put the marker where the figures belong")
    failures: list[str] = []
    for name in names:
        print(f"== {name}", file=sys.stderr)
        try:
            figures = run_one(name, options)
        except RuntimeError as error:
            print(f"{name}: not renewed: {error}", file=sys.stderr)
            failures.append(name)
            continue
        print(figures)
        document = replace_figures(document, name, figures)
        target.write_text(document, encoding="utf-8")
    if failures:
        sys.exit(f"run_all: not renewed: {', '.join(failures)}")


if __name__ == "__main__":
    main()
