"""Lowering of `scan`: any step over time."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ...tracer.graph import Graph
from ..builder import Builder
from .registry import lowers


@lowers("scan")
def _(b: Builder, *operands: ir.Value, body: Graph, states: int, scanned: int, reverse: bool) -> Any:
    """One Scan. Outputs that nobody reads, such as the states before each step, are not collected."""
    inner = b.subgraph()
    names, inputs = list(body.inputs), list(body.inputs.values())
    moving = states + scanned
    arguments = [inner.argument(names[i], inputs[i].dtype, len(inputs[i].shape)) for i in range(moving)]
    made = b.lower_body(b, inner, body, [*arguments, *operands[moving:]], moving)
    collected = [i for i in range(states, len(made)) if b.is_read(i)]
    kept = [i for i in range(states) if b.is_read(len(made) + i)]
    results: list[ir.Value] = []
    for value in (*made[:states], *[made[i] for i in collected], *[arguments[i] for i in kept]):
        # An output of a body is a value of its own, made in it.
        own = value.producer() is not None and value not in results and value.producer() in inner.nodes
        results.append(value if own else inner.op("Identity", value))
    count = len(results) - states
    directions: dict[str, Any] = {}
    if reverse:
        directions["scan_input_directions"] = [1] * scanned
        if count:
            directions["scan_output_directions"] = [1] * count
    outputs = b.op(
        "Scan",
        *operands[:moving],
        outputs=len(results),
        body=inner.graph([*arguments], results),
        num_scan_inputs=scanned,
        **directions,
    )
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    found: list[ir.Value | None] = [None] * (len(made) + states)
    for place, output in zip([*range(states), *collected, *[len(made) + i for i in kept]], outputs, strict=True):
        assert b.node is not None
        output.dtype = ir.DataType.from_numpy(b.node.outputs[place].dtype)
        found[place] = output
    return tuple(found)
