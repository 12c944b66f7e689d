"""A batch on a Ray cluster of two nodes with one core each, against two runs of `keepbusy detect` beside the same Ray.

    python -m benchmarks.batch_ray [--video VIDEO] [--model MODEL.xml] [--rounds N] [--seconds S]

Both nodes are on this machine, each bound to a core of its own; the supervisor and Ray's own processes share the cores
with them. While the two runs of `detect` go on, the cluster is there and has nothing to do. The order turns from round
to round; what is printed is medians with their ranges. Needs Linux (`taskset`), the extras `batch` and `ray`, and
a machine with nothing else to do.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.batch import Span, batch, long_video, parser_of, share, two_alone
from benchmarks.callers import rounds_of, told
from keepbusy.embedded import embedded_clip, embedded_model


@contextmanager
def two_nodes() -> Iterator[str]:
    """A cluster of two nodes, each bound to one of this process's first two cores: its address."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - behind what it reads

    allowed = os.sched_getaffinity(0)
    first, second = sorted(allowed)[:2]
    cluster = Cluster()
    try:
        for core in (first, second):
            os.sched_setaffinity(0, {core})  # The node's processes inherit it.
            cluster.add_node(num_cpus=1, include_dashboard=False)
        os.sched_setaffinity(0, allowed)
        yield cluster.address
    finally:
        os.sched_setaffinity(0, allowed)
        cluster.shutdown()


def main() -> None:
    """Run the measurement."""
    options = parser_of(__doc__).parse_args()
    model = options.model or embedded_model()
    with tempfile.TemporaryDirectory() as name, two_nodes() as address:
        folder = Path(name)
        video = long_video(options.video or embedded_clip(), folder, options.seconds)
        twin = Path(shutil.copy(video, video.with_stem("twin")))
        measures: dict[str, Callable[[], Span]] = {
            "batch on Ray, two nodes": partial(batch, [video, twin], model, folder, processes=2, ray=address),
            "two times detect": partial(two_alone, video, model, folder),
        }
        measures["two times detect"]()  # Measures the head and compiles what both need.
        rounds = list(rounds_of(measures, options.rounds))
    for what in measures:
        print(f"{what:24} {told([one[what].fps for one in rounds])} frames/s")
    print("share of two runs       ", share(rounds, "batch on Ray, two nodes", ["two times detect"]))


if __name__ == "__main__":
    main()
