"""Lowering of `scan`, a loop over time with any step function."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ...ops.scan import scan
from ...tracer.graph import Graph
from .builder import Builder
from .registry import lowers


@lowers(scan)  # the op, not its name: `import lucid` does not declare it
def _(b: Builder, *operands: ir.Value, body: Graph, states: int, scanned: int, reverse: bool) -> Any:
    """Emits one Scan; unused outputs, such as the states before each step, are removed once the graph is complete."""
    inner = b.subgraph()
    names, inputs = list(body.inputs), list(body.inputs.values())
    moving = states + scanned
    arguments = [inner.argument(names[i], inputs[i].dtype, len(inputs[i].shape)) for i in range(moving)]
    made = b.lower_body(b, inner, body, [*arguments, *operands[moving:]], moving)
    results: list[ir.Value] = []
    for value in (*made, *arguments[:states]):
        # Each output of a body must be a distinct value that the body computes.
        own = value.producer() is not None and value not in results and value.producer() in inner.nodes
        results.append(value if own else inner.op("Identity", value))
    directions: dict[str, Any] = {}
    if reverse:
        directions = {
            "scan_input_directions": [1] * scanned,
            "scan_output_directions": [1] * (len(results) - states),
        }
    outputs = b.op(
        "Scan",
        *operands[:moving],
        outputs=len(results),
        body=inner.graph([*arguments], results),
        num_scan_inputs=scanned,
        **directions,
    )
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert b.node is not None
    for output, spec in zip(outputs, b.node.outputs, strict=True):
        output.dtype = ir.DataType.from_numpy(spec.dtype)
    return outputs
