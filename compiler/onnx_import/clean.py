"""Which nodes of an ONNX graph matter, in an order in which they can be calculated."""

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

import onnx_graphsurgeon as gs
from onnx import AttributeProto, GraphProto, NodeProto

from ..errors import CompileError


def clean(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """The nodes that `outputs` depend on, producers first; the file's order where it is one.

    onnx-graphsurgeon gets the bare wiring, in which a node also reads what the graphs among its
    attributes read from around them. Its import of whole models leaves out attributes of some
    types and joins values of one name, so the nodes themselves stay those of the file.

    Raises:
        CompileError: A value is defined twice, or depends on itself.
    """
    _check_single_definitions(nodes)
    tensors: dict[str, gs.Variable] = {}

    def tensor(name: str) -> gs.Variable:
        return tensors.setdefault(name, gs.Variable(name))

    wired = [
        gs.Node(
            op="node",
            name=str(index),
            inputs=[tensor(name) for name in read_names(node)],
            outputs=[tensor(name) for name in node.output if name],
        )
        for index, node in enumerate(nodes)
    ]
    graph = gs.Graph(nodes=wired, outputs=[tensor(name) for name in set(outputs)])
    graph.cleanup()
    needed = [nodes[int(node.name)] for node in graph.nodes]
    return needed if _is_sorted(needed) else _sorted(needed)


def read_names(node: NodeProto) -> list[str]:
    """The values that a node reads, those that its subgraphs read from around them included."""
    names = dict.fromkeys(name for name in node.input if name)
    for graph in subgraphs(node):
        names |= dict.fromkeys(_outer_names(graph))
    return list(names)


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """The graphs among the attributes of a node."""
    kinds = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    found = [attribute for attribute in node.attribute if attribute.type in kinds]
    return [graph for a in found for graph in (a.graphs if a.graphs else [a.g])]


def _outer_names(graph: GraphProto) -> list[str]:
    """What a subgraph reads without defining it."""
    own = {value.name for value in graph.input}
    own |= {tensor.name for tensor in graph.initializer}
    own |= {tensor.values.name for tensor in graph.sparse_initializer}
    own |= {name for node in graph.node for name in node.output}
    read = [name for node in graph.node for name in read_names(node)]
    read += [value.name for value in graph.output]
    return [name for name in dict.fromkeys(read) if name not in own]


def _check_single_definitions(nodes: Sequence[NodeProto]) -> None:
    seen: set[str] = set()
    for node in nodes:
        for name in filter(None, node.output):
            if name in seen:
                raise CompileError(
                    "a value of the ONNX graph is defined twice",
                    at=node.name or node.op_type,
                    got=name,
                    fix="export the model again; onnx.checker.check_model says more",
                )
            seen.add(name)


def _is_sorted(nodes: Sequence[NodeProto]) -> bool:
    """Whether no node reads what a later one gives."""
    later = {name for node in nodes for name in node.output if name}
    for node in nodes:
        if not later.isdisjoint(read_names(node)):
            return False
        later.difference_update(node.output)
    return True


def _sorted(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """The nodes, producers first. Graphsurgeon does so by recursion, as deep as the graph is."""
    producers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    sources = {
        index: {producers[name] for name in read_names(node) if name in producers}
        for index, node in enumerate(nodes)
    }
    try:
        return [nodes[index] for index in TopologicalSorter(sources).static_order()]
    except CycleError as error:
        circle = [nodes[index] for index in error.args[1][:-1]]
        raise CompileError(
            "nodes of the ONNX graph depend on each other in a circle",
            at=circle[0].name or circle[0].output[0],
            got=" <- ".join(node.name or node.op_type for node in circle[:8]),
            fix="export the model again; onnx.checker.check_model says more",
        ) from error
