"""The other contenders' environment, and the model that they can read: made when missing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.peers.worker import ROOT, ContenderError

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
DEFAULT_PYTHON = ROOT / "build" / "peers" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
HEADLESS = "opencv-python-headless>=4.10,<5"
EXPORT = Path("yolov5n_openvino_model") / "yolov5n.xml"


def preprocess_python(python: Path | None) -> Path:
    """The interpreter of the contenders' environment; the default one is made, or made anew when it is out of date.

    Args:
        python: An interpreter of the user's; None for the default.

    Raises:
        ContenderError: It is missing, or making it failed.
    """
    if python is not None:
        if not python.is_file():
            raise ContenderError(f"--peers-python: {python}: no such file")
        return Path(os.path.abspath(python))  # not resolved: a link into an environment stays in it
    folder = DEFAULT_PYTHON.parent.parent
    stamp = folder / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return DEFAULT_PYTHON
    print(f"making {folder} from {REQUIREMENTS.name}; this takes minutes", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True, symlinks=os.name != "nt")
    pip = [str(DEFAULT_PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _call([*pip, "--requirement", str(REQUIREMENTS)])
    # Ultralytics asks for the OpenCV that needs a window system; the one without takes its place.
    _call([*pip, "--force-reinstall", "--no-deps", HEADLESS])
    stamp.write_text(wanted, encoding="ascii")
    return DEFAULT_PYTHON


def prepare_model(python: Path, cache: Path, input_hw: tuple[int, int]) -> Path:
    """The model with the newer head, exported once into the cache folder.

    Args:
        python: The interpreter that has Ultralytics.
        cache: Where such models are kept.
        input_hw: The model input's (height, width), pixels.

    Raises:
        ContenderError: The export failed.
    """
    folder = cache / f"yolov5nu-{input_hw[0]}x{input_hw[1]}"
    model = folder / EXPORT
    if not model.with_suffix(".bin").is_file():
        command = [str(python), "-m", "benchmarks.peers.ultralytics_export", str(folder), *map(str, input_hw)]
        _call(command, offline_env(cache))
    if not model.is_file():
        raise ContenderError(f"the export made no {EXPORT}")
    return model


def offline_env(cache: Path) -> dict[str, str]:
    """Variables that keep Ultralytics from the network and from the user's folders."""
    return {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "YOLO_CONFIG_DIR": str(cache),
        "MPLCONFIGDIR": str(cache),
    }


def _call(command: list[str], extra_env: dict[str, str] | None = None) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **(extra_env or {})}
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", env=env, check=False)
    if ended.returncode != 0:
        lines = [line.strip() for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
        raise ContenderError(lines[-1] if lines else f"{' '.join(command[1:4])}: exit status {ended.returncode}")
