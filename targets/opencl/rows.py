"""Rows that go through several stages: each by one work-item, or by a group where they are few."""

import math
from typing import Any

from ..cpu.rows import RowLoop
from ..mobile_gpus import MobileGpu
from ..target import Target
from .nests import schedule_nest, share_nest
from .tiles import enough_items

_FEWEST = 8  # members of a group


def schedule_row(sch: Any, row: RowLoop, core: Target, target: MobileGpu) -> None:
    """Schedule the stages inside of a loop over rows.

    A row is reduced to some partial results side by side. Where rows are fewer than work-items
    that a device needs, each of these has a member of a group, and they share all longer loops.
    """
    rows = int(sch.get(row.loop).extent)
    partial = [math.prod(s.extents[s.rows :]) for s in row.members if s.kind == "reduction"]
    members = max(partial, default=0)
    shares = rows < enough_items(target) and members >= _FEWEST and members & (members - 1) == 0
    for stage in row.members:
        if not (shares and share_nest(sch, stage, members, 1)):
            schedule_nest(sch, stage, core, first=1)
