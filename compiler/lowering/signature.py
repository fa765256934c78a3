"""What two regions must share so that one kernel serves both."""

from torch.fx.node import map_arg

from ..ir.program import node_specs
from ..ir.regions import Region


def region_signature(region: Region) -> str:
    """The ops, attributes, types and wiring of a region, without names and weight values."""
    places = {node: f"%{i}" for i, node in enumerate((*region.inputs, *region.nodes))}
    lines = [
        f"{'weight' if node.op == 'get_attr' else 'input'} {node_specs(node)}"
        for node in region.inputs
    ]
    for node in region.nodes:
        args = map_arg(node.args, places.__getitem__)
        kwargs = map_arg(node.kwargs, places.__getitem__)
        specs = node_specs(node)
        types = ", ".join(map(str, specs)) if isinstance(specs, tuple) else str(specs)
        lines.append(f"{places[node]} = {node.target}{args!r}{sorted(kwargs.items())!r}: {types}")
    lines.append("return " + ", ".join(places[node] for node in region.outputs))
    return "\n".join(lines)
