"""What a node is called in programs, reports and errors."""

import ast

from onnx import NodeProto

_SCOPES = "pkg.torch.onnx.name_scopes"  # "['', 'layer1', 'layer1.0', 'conv2d']" by PyTorch


def node_name(node: NodeProto, index: int) -> str:
    """Its name in the file, behind the module of PyTorch that it came from if the file says so.

    Nodes without a name are counted; `index` is the node's place in its graph.
    """
    name = node.name or f"{node.op_type}_{index}"
    module = _module_of(node)
    return f"{module}.{name}" if module else name


def dotted(name: str) -> str:
    """A node that PyTorch named, as modules are named: "/a/a.0/conv/Conv" is "a.0.conv.Conv".

    The name of a module in a list begins with that of the list. Other names stay as they are.
    """
    if not name.startswith("/"):
        return name
    parts: list[str] = []
    for part in filter(None, name.split("/")):
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def _module_of(node: NodeProto) -> str:
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                return ""
            is_list = isinstance(scopes, list) and all(isinstance(s, str) for s in scopes)
            return scopes[-2] if is_list and len(scopes) > 1 else ""
    return ""
