"""The wheel in a new environment outside the repository: what somebody gets who installs it.

Nothing is downloaded: the packages that keepbusy needs are those of the environment that runs the tests.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

import keepbusy
from keepbusy.cli import demo
from keepbusy.embedded import embedded_clip, embedded_model
from release.packages import build, check_wheel
from tests.build import read_video, square_picture, write_picture, write_video
from tests.served import Server

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
SUFFIX = ".exe" if sys.platform == "win32" else ""

NEEDS_MORE = re.compile(r"rtsp://|camera|\b0\b|yolo\w*-pose|AUTO|coco\.yaml|pip install|make |<|GPU|NPU")
"""What stands in a command of the README that no test machine can run: cameras, devices and data that are not there."""


@dataclasses.dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it.

    Attributes:
        python: Its interpreter.
        program: Its `keepbusy`.
        site: Where its packages are.
    """

    python: Path
    program: Path
    site: Path

    def run(self, *command: object, cwd: Path, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
        """Run a command in the environment, which knows nothing of the repository."""
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
        )

    def serve(self, *words: str, cwd: Path) -> tuple[int, str]:
        """Start a server, end it when it infers, and give its exit code and what it wrote to standard error."""
        command = [str(self.program), *words, "--port", "0"]
        with subprocess.Popen(
            command, cwd=cwd, env=self.environment, stderr=subprocess.PIPE, encoding="utf-8", stdout=subprocess.DEVNULL
        ) as process:
            server = Server(process)
            try:
                if server.address:
                    server.wait_until_ready(1)
            finally:
                code = server.end()
        return code, server.text

    @property
    def environment(self) -> dict[str, str]:
        """That of its programs."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return {**kept, "PATH": f"{self.python.parent}{os.pathsep}{kept.get('PATH', '')}", "COLUMNS": "100"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    # By way of the sdist, so that this is known to be whole.
    _, wheel = build(REPOSITORY, folder / "dist", None)
    check_wheel(wheel, keepbusy.__version__)
    venv.create(folder / "env", symlinks=sys.platform != "win32")
    paths = {"base": str(folder / "env"), "platbase": str(folder / "env")}
    scripts, site = (Path(sysconfig.get_path(name, "venv", paths)) for name in ("scripts", "purelib"))
    python = scripts / f"python{SUFFIX}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python)]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    # A plain folder behind its own: the link files in there, one of which leads to the repository, are not followed.
    (site / "the-packages-of-the-tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return Installed(python, scripts / f"keepbusy{SUFFIX}", site)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with what the README's commands name."""
    write_video(tmp_path / "street.mp4", num_frames=12)
    write_picture(tmp_path / "photo.jpg", square_picture(20))
    for name in ("yolov5n.xml", "yolov5n.bin"):
        shutil.copy(embedded_model().with_suffix(Path(name).suffix), tmp_path / name)
    (tmp_path / "archive").mkdir()
    shutil.copy(tmp_path / "street.mp4", tmp_path / "archive" / "1.mp4")
    return tmp_path


def blocks(*languages: str) -> list[str]:
    """The README's fenced blocks of some languages; `` for those of none."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def test_it_is_the_wheel_that_runs(installed: Installed, tmp_path: Path) -> None:
    done = installed.run(installed.program, "--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert keepbusy.__version__ in done.stdout
    done = installed.run(installed.python, "-c", "import keepbusy; print(keepbusy.__file__)", cwd=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(installed.site)


def test_every_module_of_it_can_be_imported(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import pkgutil, importlib, keepbusy\n"
        "for one in pkgutil.walk_packages(keepbusy.__path__, 'keepbusy.'):\n"
        "    if not one.name.endswith('__main__'): importlib.import_module(one.name)\n"
        "print('all')"
    )
    done = installed.run(installed.python, "-c", code, cwd=tmp_path)
    assert done.stdout == "all\n", done.stderr


def test_its_demo_compares_scores_and_draws(installed: Installed, tmp_path: Path) -> None:
    done = installed.run(installed.program, "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line[:24].strip(): line[24:].split() for line in done.stdout.splitlines()}
    assert set(demo.WAYS) <= set(rows), done.stdout
    figures = {way: [float(figure.rstrip("%")) for figure in rows[way]] for way in demo.WAYS}
    assert figures[demo.EXPORTED][1] == 1
    for fps, _, busy_percent, map50_95 in figures.values():
        # 0.84 over the whole clip, whichever graph runs.
        assert fps > 0 and 0 < busy_percent <= 100 and map50_95 > 0.8
    assert figures[demo.REWRITTEN][3] == figures[demo.OVERLAPPED][3]
    folder = (tmp_path / "demo").resolve()
    picture, video = folder / "street.jpg", folder / "street.mp4"
    assert f"picture: {picture}\n" in done.stdout and f"video:   {video}\n" in done.stdout
    assert len(read_video(video)) == demo.NUM_FRAMES_SAVED
    assert len((folder / "street.jsonl").read_text().splitlines()) == demo.NUM_FRAMES_SAVED
    plain = read_video(embedded_clip())[demo.PICTURE_INDEX]
    drawn = cv2.imread(str(picture))
    # The frame itself, but for boxes and words.
    assert drawn is not None and drawn.shape == plain.shape
    changed = (np.abs(drawn.astype(int) - plain.astype(int)) > 40).any(2).mean()
    assert 0.002 < changed < 0.3


def test_the_readmes_programs_run(installed: Installed, place: Path) -> None:
    programs = blocks("python")
    assert programs
    for program in programs:
        done = installed.run(installed.python, "-c", program, cwd=place)
        assert done.returncode == 0, f"{program}\n{done.stderr}"


def test_the_readmes_commands_run(installed: Installed, place: Path) -> None:
    lines = [
        line for language in ("", "bash", "sh", "shell") for block in blocks(language) for line in block.splitlines()
    ]
    commands = [line for line in lines if line.startswith("keepbusy ") and not NEEDS_MORE.search(line)]
    assert commands
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        if words[0] == "serve":
            code, told = installed.serve(*words, cwd=place)
            assert code == 0 and "keepbusy serves at" in told, f"{command}\n{told}"
        else:
            done = installed.run(installed.program, *words, cwd=place)
            assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_run(installed: Installed, place: Path, example: Path) -> None:
    copied = shutil.copy(example, place / example.name)
    done = installed.run(installed.python, copied, cwd=place)
    assert done.returncode == 0, done.stderr


def third_party() -> set[str]:
    """The modules that the package imports from elsewhere, by their first names."""
    found: set[str] = set()
    for path in Path(keepbusy.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"keepbusy"}


def test_what_it_imports_is_declared(installed: Installed) -> None:
    (place,) = installed.site.glob("keepbusy-*.dist-info")
    needed = importlib.metadata.Distribution.at(place).requires or []
    declared = {Requirement(one).name.lower().replace("_", "-") for one in needed}
    brought_by = importlib.metadata.packages_distributions()
    missing = {
        module
        for module in third_party()
        if not declared & {name.lower().replace("_", "-") for name in brought_by.get(module, [])}
    }
    # Pillow's pictures are taken where it is installed, and typer brings click along.
    assert missing <= {"PIL", "click"}, missing
