"""Compares a training step with eager training: at several sizes, over several steps at each."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from ...errors import VerificationError
from ...nn.module import Module
from ...nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from ...ops.generator import default_generator
from ...optim.optimizer import Optimizer
from ...proof.example import Arrays, Example
from ...tensor import Tensor
from ..file.write import staged
from ..lowering.plan import SEED, Plan
from ..parity import session_of, wanted
from ..report import Check, Report
from .program import Program, parts_of
from .state import PREFIX, Array
from .transfer import taken

__all__ = ["Eager", "compare"]

_STEPS = 3
"""The steps that are compared at each size."""

_RTOL, _ATOL = 1e-4, 1e-5
"""The tolerances; the absolute one is a share of the greatest magnitude if that is above one."""

_NOISE = (1e-4, 1e-5, 2e-6)
"""How far rounding may move a gradient: a share of itself, of the greatest in its tensor, of the greatest of all."""


class Eager:
    """Eager training of a copy of a model, with a copy of its optimizer, inside of a run, whose generator it uses.

    Args:
        program: the step; its own model and optimizer are not changed.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.model: Module
        self.optimizer: Optimizer
        self.model, self.optimizer = copy.deepcopy((program.model, program.optimizer))
        if SEED in program.state.entries:
            default_generator().manual_seed(int(program.state.entries[SEED].start), "counter")

    def backward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the gradients, and clips them; returns loss and metrics, and the norm where it is clipped."""
        most, limit = self._program.clip
        self.optimizer.zero_grad()
        if SEED in self._program.state.entries:
            default_generator().begin_step()
        loss, metrics = parts_of(self._program.loss(self.model, *args, **kwargs))
        if loss.requires_grad:
            loss.backward()
        results = {"loss": loss.detach(), **{name: metric.detach() for name, metric in metrics.items()}}
        trained = self.trained()
        if most is not None:
            results["grad_norm"] = clip_grad_norm_(list(trained.values()), most)
        if limit is not None:
            clip_grad_value_(list(trained.values()), limit)
        return results

    def trained(self) -> dict[str, Tensor]:
        """Returns the parameters that the optimizer updates and that have a gradient, by key."""
        owned = {p for group in self.optimizer.param_groups for p in group["params"]}
        return {key: p for key, p in self.model.named_parameters() if p in owned and p.grad is not None}

    def state(self) -> dict[str, Array]:
        """Returns the state."""
        return taken(self._program.state, self.model, self.optimizer)

    def spread(self) -> dict[str, Array]:
        """Returns how far each element of the next state may move, since rounding moves gradients.

        Raises:
            VerificationError: a parameter that the step updates has no gradient.
        """
        gradients = {key: p.grad._data for key, p in self.trained().items() if p.grad is not None}
        sizes = {key: float(np.abs(g).max(initial=0)) for key, g in gradients.items()}
        greatest = max(sizes.values(), default=0.0)
        share, of_tensor, of_all = _NOISE
        found: dict[str, Array] = {}
        now = self.state()
        parameters = dict(self.model.named_parameters())
        for group, own in zip(self._program.state.groups, self.optimizer.param_groups, strict=True):
            options = self.optimizer.options(own)
            for key in group.keys:
                if key not in gradients:
                    raise VerificationError(
                        f"training_step: {key!r} has a gradient with the example, but none with another batch, so that "
                        "eager training leaves it out; a file cannot"
                    )
                g = gradients[key]
                noise = (share * np.abs(g) + of_tensor * sizes[key] + of_all * greatest).astype(g.dtype)
                kept = {
                    slot: float(now[name]) if is_number else now[name]
                    for slot, is_number in group.slots.items()
                    for name in (group.name_of(slot, key),)
                }
                outcomes = []
                for moved in (g, g - noise, g + noise, g * 0):
                    with np.errstate(all="ignore"):
                        p, new = self.optimizer.update(parameters[key]._data, moved, dict(kept), **options)
                    outcomes.append(
                        {key: p, **{group.name_of(s, key): new[s] for s, n in group.slots.items() if not n}}
                    )
                # A gradient of no certain sign may as well be zero.
                middle, *others, zero = outcomes
                for name, value in middle.items():
                    off = np.max([np.abs(other[name] - value) for other in others], axis=0)
                    near = np.abs(g) <= noise
                    found[name] = np.where(near, np.maximum(off, np.abs(zero[name] - value)), off)
        return found


def compare(model: ir.Model, program: Program, plan: Plan, example: Example) -> Report:
    """Runs eager training and the file from the same state, and compares what they give.

    It does so at the example's sizes, at size one on all free axes, and at larger sizes; at each, for several steps of
    changing numbers. A gradient that rounding may move moves a parameter, by as much as the optimizer makes of it.

    Raises:
        VerificationError: they differ, or axes are free but only the example's sizes could be compared.
    """
    base = {symbol: example.arrays[name].shape[axis] for (name, axis), symbol in plan.axes.items()}
    checks: list[Check] = []
    with staged(model) as source:
        session = session_of(source, any(not array.size for array in example.arrays.values()))
        outputs = [output.name for output in session.get_outputs()]
        for number, sizes in enumerate(wanted(base, plan)):
            checks.append(_at(session, outputs, program, plan, example, sizes, number))
    if base and len(checks) > 1 and all(check.difference is None for check in checks[1:]):
        raise VerificationError(
            "training_step: eager training accepts none of the other sizes tried, so free axes could not be verified: "
            f"{checks[-1].note}"
        )
    return Report(tuple(checks), tuple(outputs), _RTOL, _ATOL, dict.fromkeys(outputs, (_RTOL, _ATOL)), None, None, ())


def _at(
    session: Any,
    outputs: list[str],
    program: Program,
    plan: Plan,
    example: Example,
    sizes: Mapping[str, int],
    number: int,
) -> Check:
    """Compares some steps at certain sizes."""
    resized = {axis: sizes[symbol] for axis, symbol in plan.axes.items()}
    eager, greatest, why = Eager(program), 0.0, ""
    for step in range(_STEPS):
        for arrays in example.proposals(resized, seed=_STEPS * number + step):
            before = eager.state()
            args, kwargs = example.arguments(arrays)
            try:
                results = eager.backward(args, kwargs)
            except Exception as error:  # a user's model may raise anything at an unsupported size
                if not number:
                    raise
                why = why or f"the eager model refuses: {error}{example.made_up(arrays)}"
                continue
            spread = eager.spread()
            eager.optimizer.step()
            expected = {name: result._data for name, result in results.items()}
            expected |= {PREFIX + name: array for name, array in eager.state().items()}
            found = dict(zip(outputs, _run(session, {**arrays, **before}, sizes), strict=True))
            allowed = {PREFIX + name: off for name, off in spread.items()}
            greatest = max(greatest, _difference(found, expected, allowed, sizes, step))
            break
        else:
            return Check(dict(sizes), None, why)
    return Check(dict(sizes), greatest)


def _run(session: Any, arrays: Arrays, sizes: Mapping[str, int]) -> list[Array]:
    try:
        return list(session.run(None, {i.name: np.asarray(arrays[i.name], order="C") for i in session.get_inputs()}))
    except Exception as error:  # onnxruntime raises its own exception types
        raise VerificationError(f"training_step: onnxruntime failed at {_where(sizes)}: {error}") from error


def _difference(
    found: Mapping[str, Array],
    expected: Mapping[str, Array],
    spread: Mapping[str, Array],
    sizes: Mapping[str, int],
    step: int,
) -> float:
    """Returns the greatest difference.

    Raises:
        VerificationError: a name, a shape, a dtype or an element differs.
    """
    if found.keys() != expected.keys():
        apart = sorted(found.keys() ^ expected.keys())
        raise VerificationError(f"training_step: the file and eager training do not both give {', '.join(apart)}")
    greatest = 0.0
    for name, reference in expected.items():
        result = found[name]
        if result.shape != reference.shape or result.dtype != reference.dtype:
            raise VerificationError(
                f"training_step: {name!r} is {result.dtype}{list(result.shape)} in onnxruntime, but "
                f"{reference.dtype}{list(reference.shape)} eagerly, at {_where(sizes)}"
            )
        if not result.size:
            continue
        one, other = result.astype(np.float64), reference.astype(np.float64)
        with np.errstate(invalid="ignore"):
            off = np.asarray(np.abs(one - other))
            off[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
            size = np.abs(other[np.isfinite(other)]).max(initial=1.0)
            allowed = _ATOL * size + _RTOL * np.abs(other) + spread.get(name, 0.0)
            bad = (off != 0) & ~(off <= allowed)
        if reference.dtype.kind != "f":
            bad = off != 0
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise VerificationError(
                f"training_step: {name!r} differs at {_where(sizes)}, in step {step + 1}: {result[place]} in "
                f"onnxruntime, but {reference[place]} eagerly, at index {place}; {int(bad.sum())} of {bad.size} "
                "elements are beyond what rounding explains"
            )
        greatest = max(greatest, float(off.max()))
    return greatest


def _where(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{symbol}={n}" for symbol, n in sizes.items()) or "the example's sizes"
