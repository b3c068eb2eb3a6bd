"""Guards of recurrent operators: an If that lucid's exporter writes, since onnxruntime's kernels make numbers of NaN.

lucid's own ops do not, so an imported model needs none.
"""

from __future__ import annotations

import onnx

from ..export.file.subgraphs import handed_on

__all__ = ["without_guards"]

_GUARDED = ("GRU", "LSTM", "RNN")


def without_guards(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Replaces each guard by what it returns if it holds: the results of the recurrent operator."""
    makers = {name: node for node in graph.node for name in node.output if name}
    passed: dict[str, str] = {}
    for node in graph.node:
        kept = handed_on(node)
        if kept and _is_bound(node.input[0], makers) and any(_operator(name, makers) for name in kept):
            passed.update(zip(node.output, kept, strict=True))
    if not passed:
        return graph
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    nodes = []
    for node in copy.node:
        if node.op_type == "If" and node.output[0] in passed:
            nodes += [onnx.helper.make_node("Identity", [passed[name]], [name]) for name in node.output]
        else:
            nodes.append(node)
    del copy.node[:]
    copy.node.extend(nodes)
    return copy


def _is_bound(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    """Returns whether a condition compares a sum of magnitudes, or says that nothing is NaN."""
    node = makers.get(name)
    if node is None or node.op_type not in ("And", "Equal", "Less", "Not"):
        return False
    found, left = False, [*node.input]
    while left:
        maker = makers.get(left.pop())
        if maker is None:
            continue
        if maker.op_type in ("ReduceL1", "ReduceSum", "IsNaN"):
            found = True
        elif maker.op_type in ("Add", "And", "Cast", "Mul", "Not", "ReduceMax", "Sum"):
            left += maker.input
        else:
            return False
    return found


def _operator(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    """Returns whether a value is a result of a recurrent operator, perhaps in other axes."""
    node = makers.get(name)
    while node is not None and node.op_type in ("Reshape", "Squeeze", "Transpose"):
        node = makers.get(node.input[0])
    return node is not None and node.op_type in _GUARDED
