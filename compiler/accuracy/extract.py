"""A part of a program as a program of its own."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Node

from ..ir.inference import fake_of
from ..ir.program import Program, node_specs
from ..ir.structure import Structure
from ..ir.weights import set_weight


def extract(program: Program, results: Sequence[Node], inputs: Mapping[Node, str]) -> Program:
    """The program that computes `results` from the values of some nodes.

    Args:
        program: Left as it is.
        results: Nodes with one result each; they become the outputs.
        inputs: Names of what becomes an input, by node, in order; every path from an input of the
            program to a result leads through one of them. Those that nothing reads are inputs too.
    """
    graph, known = Graph(), dict[Node, Node]()
    for node, name in inputs.items():
        known[node] = graph.placeholder(name)
        known[node].meta = {"val": fake_of(node_specs(node)), "origin": node.meta.get("origin")}
    needed = _needed(results, set(inputs))
    for node in program.graph.nodes:
        if node in needed and node not in known:
            known[node] = graph.node_copy(node, known.__getitem__)
            known[node].meta = dict(node.meta)
    graph.output(tuple(known[node] for node in results))
    module = GraphModule(nn.Module(), Graph())
    for name in dict.fromkeys(str(n.target) for n in graph.find_nodes(op="get_attr")):
        set_weight(module, name, program.weights[name].detach().clone())
    module.graph = graph
    names = [f"output_{index}" for index in range(len(results))]
    return Program(
        module,
        tuple(inputs.values()),
        tuple(names),
        Structure.of((tuple(torch.empty(0) for _ in inputs), {})),
        Structure.of(tuple(torch.empty(0) for _ in results)),
    )


def _needed(results: Sequence[Node], stops: set[Node]) -> set[Node]:
    """What the results depend on, up to `stops`."""
    found: set[Node] = set()
    stack = list(results)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += [] if node in stops else node.all_input_nodes
    return found
