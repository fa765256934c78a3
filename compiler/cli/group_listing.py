"""What `penjing inspect --groups` shows: what can be pruned, and what is locked."""

from ..coupling import Coupling, Group
from ..coupling.cost import unit_cost
from ..report import count_text, table


def describe_groups(coupling: Coupling) -> dict[str, object]:
    """The groups and locked dimensions as plain data."""
    return {
        "groups": [_describe(coupling, group) for group in coupling.groups],
        "locked": [
            {"name": each.name, "size": each.size, "reason": each.reason, "at": each.at}
            for each in coupling.locked
        ],
    }


def list_groups(coupling: Coupling) -> str:
    """The same as two tables."""
    rows = [("group", "kind", "units", "weights", "bytes per unit", "macs per unit")]
    for group in coupling.groups:
        cost = unit_cost(coupling, group)
        kind = group.kind if group.exact else f"{group.kind} (approximate)"
        weights = len({member.weight for member in group.members})
        name, units = group.name, str(group.size)
        rows.append((name, kind, units, str(weights), str(cost.bytes), count_text(cost.macs)))
    parts = ["\n".join(table(rows, "llrrrr"))] if coupling.groups else ["nothing can be pruned"]
    if coupling.locked:
        locked = [("locked", "size", "because", "at")]
        locked += [(each.name, str(each.size), each.reason, each.at) for each in coupling.locked]
        parts.append("\n".join(table(locked, "lrll")))
    return "\n\n".join(parts)


def _describe(coupling: Coupling, group: Group) -> dict[str, object]:
    cost = unit_cost(coupling, group)
    return {
        "name": group.name,
        "kind": group.kind,
        "size": group.size,
        "exact": group.exact,
        "bytes_per_unit": cost.bytes,
        "macs_per_unit": cost.macs,
        "members": [
            {"weight": member.weight, "dim": member.dim, "role": member.role}
            for member in group.members
        ],
    }
