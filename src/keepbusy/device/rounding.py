"""Whether an INT8 network keeps its roundings on a device: measured once, proved, and remembered."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from keepbusy.cache.notes import Notebook
from keepbusy.device.compiler import Compiler
from keepbusy.device.heads import WORTH_IT, Heads, measure_in_turn
from keepbusy.device.proof import gives_the_same, test_picture
from keepbusy.errors import first_line
from keepbusy.models.shapes import SizeHW
from keepbusy.pictures.letterbox import Laying
from keepbusy.values.forms import HeadStrategy

log = logging.getLogger("keepbusy")


def keeps_rounding(
    compiler: Compiler,
    heads: Heads,
    laying: Laying,
    strategy: HeadStrategy,
    input_hw: SizeHW,
    may_measure: Callable[[Mapping[str, Any]], bool],
) -> bool:
    """Whether a network is to run as it was quantized: always where it is not, or where nobody has asked otherwise.

    Args:
        compiler: What makes the graphs.
        heads: What compiles a graph to measure it.
        laying: How frames are laid into the input.
        strategy: How the head is computed.
        input_hw: The input's (height, width), pixels.
        may_measure: Whether there is time to measure; see `Heads.choose`.
    """
    wanted = compiler.config.quantized
    if wanted == "keep" or not compiler.is_quantized:
        return True
    if wanted == "drop":
        return False
    if strategy == "stock" or compiler.config.head != "auto":
        return True
    key = {"what": "rounding", "strategy": strategy, **compiler.key(input_hw)}
    known = Notebook().read(key)
    if known is None:
        if not may_measure(key):
            return True
        known = _measured(compiler, heads, laying, strategy, input_hw)
        Notebook().write(key, known)
    return bool(known["keeps"])


def _measured(
    compiler: Compiler, heads: Heads, laying: Laying, strategy: HeadStrategy, input_hw: SizeHW
) -> dict[str, Any]:
    """What is to be remembered: whether the roundings are kept, and both throughputs."""
    log.info("measuring once whether this device is faster in INT8 or in floating point")
    contenders = {
        name: heads.contender(strategy, input_hw, keeps_rounding=keeps)
        for name, keeps in (("int8", True), ("float", False))
    }
    try:
        rounds = measure_in_turn(contenders, test_picture())
    except ValueError as error:
        log.warning("numbers %s", first_line(error))
        return {"keeps": True, "fps": {}}
    gain = statistics.median(new / old for new, old in zip(rounds["float"], rounds["int8"], strict=True))
    keeps = gain <= WORTH_IT or not _is_proved(compiler, laying, strategy)
    fps = {name: round(statistics.median(values), 1) for name, values in rounds.items()}
    shown = ", ".join(f"{name} {value:g} frames/s" for name, value in fps.items())
    log.info("numbers: %s (%s)", "int8" if keeps else "floating point", shown)
    return {"keeps": keeps, "fps": fps}


def _is_proved(compiler: Compiler, laying: Laying, strategy: HeadStrategy) -> bool:
    """Whether the network without roundings finds what the exported graph finds."""
    own_hw = compiler.model.input_hw
    is_right = gives_the_same(
        compiler.prepare("stock", own_hw),
        compiler.prepare(strategy, own_hw, keeps_rounding=False),
        compiler.device_config(),
        compiler.detect,
        laying,
        compiler.model.names,
        compiler.core,
        is_rounded=True,
    )
    if not is_right:
        log.warning("without INT8 roundings the model does not find what it finds as exported: they are kept")
    return is_right
