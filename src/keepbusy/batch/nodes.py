"""What the nodes of a cluster have to have in common, asked before anything is done there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepbusy.batch.job import differences
from keepbusy.errors import KeepbusyError
from keepbusy.version import __version__


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node of a cluster says of itself.

    Attributes:
        has_model: Whether the model's file is there.
        has_folder: Whether the folder of the results is.
        alike: What has to be the same on all nodes, by what it is called.
    """

    has_model: bool
    has_folder: bool
    alike: Mapping[str, str]


def about_node(model: Path, folder: Path) -> dict[str, Any]:
    """The node that this runs on: plain values, which a node with another version can give, too."""
    from keepbusy.batch.engine import instruction_set, openvino_version

    alike = {"keepbusy": __version__, "openvino": openvino_version(), "instruction_set": instruction_set()}
    return {"has_model": os.path.isfile(model), "has_folder": os.path.isdir(folder), "alike": alike}


def check_nodes(facts: Mapping[str, NodeFacts]) -> None:
    """See that all nodes can do a job, and find the same.

    Args:
        facts: What they say of themselves, by their addresses.

    Raises:
        KeepbusyError: One cannot, or they would not.
    """
    for address, one in facts.items():
        for is_there, what in ((one.has_model, "the model"), (one.has_folder, "the folder of the results")):
            if not is_there:
                raise KeepbusyError(
                    f"ray: node {address} does not have {what}",
                    hint="model, files and results are needed under the same paths on all nodes, on a shared disk",
                )
    (first, there), *others = facts.items() or [("", NodeFacts(True, True, {}))]
    for address, one in others:
        if differing := differences(one.alike, there.alike):
            raise KeepbusyError(
                f"ray: node {address} would find something else than node {first}: {'; '.join(differing)}",
                hint="run a batch for each kind of node, in a folder of its own",
            )
