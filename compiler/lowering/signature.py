"""What two regions must share so that one kernel serves both."""

from collections.abc import Mapping

from torch.fx import Node
from torch.fx.node import map_arg

from ..ir.layout import Layout
from ..ir.program import node_specs
from ..ir.regions import Region
from .sharing import product_rows


def region_signature(region: Region, layouts: Mapping[Node, Layout]) -> str:
    """The ops, attributes, types, layouts and wiring of a region, without names and weights."""
    places = {node: f"%{i}" for i, node in enumerate((*region.inputs, *region.nodes))}

    def stored(node: Node) -> str:
        kind = f"weight of {product_rows(node)} rows" if node.op == "get_attr" else "value"
        return f"{kind} {node_specs(node)} {layouts.get(node, 'row-major')}"

    lines = [stored(node) for node in region.inputs]
    for node in region.nodes:
        args = map_arg(node.args, places.__getitem__)
        kwargs = map_arg(node.kwargs, places.__getitem__)
        specs = node_specs(node)
        types = ", ".join(map(str, specs)) if isinstance(specs, tuple) else str(specs)
        lines.append(f"{places[node]} = {node.target}{args!r}{sorted(kwargs.items())!r}: {types}")
    results = (f"{places[node]} {stored(node)}" for node in region.outputs)
    lines.append("return " + ", ".join(results))
    return "\n".join(lines)
