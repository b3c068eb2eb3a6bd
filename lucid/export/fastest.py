"""fastest: times the lowerings of a model's recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import onnx_ir as ir

from ..errors import ExportError
from ..proof.example import Example
from .lowering.graph import lower
from .lowering.plan import Lowering, Plan
from .precision import Precision, convert
from .timing import seconds

__all__ = ["fastest"]


def fastest(
    planned: Callable[[Lowering, Precision | None], Plan],
    opset: int,
    precision: Precision | None,
    float32_io: bool,
    example: Example,
) -> tuple[Lowering, dict[str, float]]:
    """Returns the lowering whose file takes the least time at the example's sizes, and the seconds of each.

    No lowering is considered that fixes an axis which another leaves free.

    Args:
        planned: returns the plan for a lowering and a precision.
        opset: the version of the ONNX operator set.
        precision: the precision that the model is converted to.
        float32_io: whether the inputs and outputs of a float16 model are float32.
        example: the inputs.

    Raises:
        ExportError: the model has no plan at all.
    """
    plans: dict[Lowering, Plan] = {}
    problems = []
    for lowering in get_args(Lowering)[1:]:
        try:
            plan = planned(lowering, precision)
        except ExportError as error:  # onnxruntime lacks the operator, or an axis that was asked for would be fixed
            problems.append(error)
            continue
        # Layers without a choice of their own make the same file in all ways.
        if all([*plan.strategies.values()] != [*other.strategies.values()] for other in plans.values()):
            plans[lowering] = plan
    most = max((len(plan.axes) for plan in plans.values()), default=0)
    models: dict[Lowering, ir.Model] = {}
    for lowering, plan in plans.items():
        if len(plan.axes) == most:
            try:
                models[lowering] = convert(lower(plan, opset), precision, float32_io).model
            except ExportError as error:  # there is nothing to quantize, or the opset lacks an operator
                problems.append(error)
    if not models:
        raise problems[0]
    if len(models) == 1:
        return next(iter(models)), {}
    timed = seconds([(model, precision) for model in models.values()], plans[next(iter(models))], example)
    times: dict[str, float] = dict(zip(models, timed, strict=True))
    return min(models, key=times.__getitem__), times
