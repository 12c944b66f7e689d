"""The detection head, taken off the graph: found, proved by a probe, and put back in a cheaper form.

In an exported YOLO a large share of the time is spent on laying out numbers that are then thrown away: every anchor's
box and classes are transposed, split, decoded and concatenated before the threshold drops nearly all of them. Here the
graph is cut at the head's convolutions, and only candidates are decoded: in the graph (`tail`) or on the host (`raw`).
"""

from keepbusy.models.head.cut import can_reshape, fixed_by
from keepbusy.models.head.find import Head, find_head, look_for_head
from keepbusy.models.head.raw import raw_graph
from keepbusy.models.head.tail import tail_graph

__all__ = ["Head", "can_reshape", "find_head", "fixed_by", "look_for_head", "raw_graph", "tail_graph"]
