"""to_onnx: exports a model to a verified ONNX file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, get_args

from ..proof.axes import Dynamic, prove
from ..proof.example import Example
from ..proof.interface import with_optional
from ..proof.isolation import isolated
from ..proof.ranges import listed
from .calling import explained
from .described import describe
from .exported import Exported
from .fastest import fastest
from .file.metadata import check_metadata, stamp
from .lowering.graph import lower
from .lowering.opset import DEFAULT_OPSET, check_opset
from .lowering.plan import Requested, make_plan
from .parity import check
from .precision import PRECISIONS, Precision, convert
from .timing import seconds

__all__ = ["export", "to_onnx"]


@explained
def to_onnx(
    model: Callable[..., Any],
    *example_inputs: Any,
    path: str | os.PathLike[str] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Dynamic = "auto",
    lowering: Requested = "auto",
    opset: int = DEFAULT_OPSET,
    precision: Precision | None = None,
    float32_io: bool = True,
    trainable: bool = False,
    states: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    external_data: bool | None = None,
    verify: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
) -> Exported:
    """Exports a model, or any function of Tensors, to ONNX, and compares the two before it returns.

    The model is traced once with a symbol for each size, and runs many times with other sizes and other numbers, in
    evaluation mode unless it is trainable. Where it decides by a size, the axis is fixed or the file has a condition;
    where it decides by a value, the export fails. After each run, what it changed is restored: what the model can
    reach, and its gradients. Evaluation mode and random numbers are those of the run: other threads may use and train
    the model meanwhile.

    Args:
        model: a Module, or a function of Tensors.
        example_inputs: Tensors or arrays, nested as the model takes them. If there are none, the model's last call
            serves as the example; a bare recurrent layer needs no call at all.
        path: the file to write; it is written as a whole or not at all, and only after verification.
        input_names: names for the inputs, in place of those of the model's arguments.
        output_names: names for the outputs.
        dynamic: "auto" frees every axis that can vary, and `fixed` of the result says why the others cannot; None fixes
            all; a mapping such as ``{"x": {0: "time", 1: "batch"}}`` requests axes and names them.
        lowering: how recurrent layers are lowered: "rnn" (one ONNX RNN, LSTM or GRU per layer), "unrolled" (MatMul, Add
            and the activations for each step; the time axis is fixed), "scan" (one Scan per layer), "columns" (the
            same, but in an LSTM sequences are the columns of all matrices: for weights that are inputs, and from some
            16 sequences on). onnxruntime's LSTM, GRU and RNN with relu make numbers of NaN, so "rnn" adds a guard and a
            Scan to fall back to. "auto" is "rnn", but "unrolled" for an RNN with relu, or "scan" if a dynamic time axis
            is requested, and "scan" for float64. "fastest" times them at the example's sizes and takes the best of
            those that leave the most axes free; `lowerings` of the result has the times.
        opset: the version of the ONNX operator set.
        precision: None keeps the dtypes of the model. "float32" converts float64. "float16" converts all floats: half
            the size, and faster on devices that support it (on a CPU, onnxruntime computes in float32). "int8" stores
            the weights of linear and recurrent layers and of tables of rows in int8: a quarter of the size; each
            product with one quantizes its other operand at run time, row by row, and all else stays float32, as do
            weights of fewer than 16,384 numbers. "auto" then lowers recurrent layers with larger weights as "scan",
            since the ONNX operators have no int8 form. The report says how long a call takes in float32 and in int8.
        float32_io: whether the inputs and outputs of a float16 model are float32.
        trainable: for a function that computes gradients: every tensor that requires gradients, such as the parameters
            of a model, becomes an input, after the others, and modules keep their mode.
        states: for each input that is a state, the output that continues it, such as ``{"h": "h_next"}``. Recurrent
            layers and cells declare theirs; this is for a step of your own.
        metadata: your own texts to store in the file, by name.
        external_data: whether to store the weights in a file beside `path`; if None, only above protobuf's 2 GiB.
        verify: compare with onnxruntime at the example's sizes, at size one and at larger sizes.
        rtol: relative tolerance; by default 1.3e-6 in float32, 5e-3 with precision "float16", 5e-2 with "int8".
        atol: absolute tolerance; by default 1e-5 in float32, times the greatest magnitude in the output if that is
            above one and the model is trainable; with precision "float16" or "int8", that magnitude times the default
            of `rtol`. If neither is given, results may also differ by as much as rounding in the model's sums can move
            them; `report.rounding` says where that was needed.

    Raises:
        ExportError: something cannot be exported, a value or an earlier call decides what the model does, or a
            requested axis is not free; the message gives the user's line.
        VerificationError: the exported model differs from the eager one.
        ValueError, TypeError: an option is invalid.

    Example:
        >>> rnn = nn.RNN(3, 4)
        >>> exported = lucid.export.to_onnx(rnn, lucid.randn(5, 2, 3))
        >>> exported.axes
        {'x': {0: 'time', 1: 'batch'}}
        >>> exported.operators
        {'RNN': 1, 'Squeeze': 1}
    """
    metadata = _checked(model, path, lowering, opset, precision, external_data, metadata)
    exported = export(
        model,
        example_inputs,
        input_names=input_names,
        output_names=output_names,
        dynamic=dynamic,
        lowering=lowering,
        opset=opset,
        precision=precision,
        float32_io=float32_io,
        trainable=trainable,
        states=states,
        metadata=metadata,
        verify=verify,
        rtol=rtol,
        atol=atol,
    )
    if path is not None:
        exported.save(path, external_data)
    return exported


def export(
    model: Callable[..., Any],
    example_inputs: tuple[Any, ...],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Dynamic = "auto",
    lowering: Requested = "auto",
    opset: int = DEFAULT_OPSET,
    precision: Precision | None = None,
    float32_io: bool = True,
    trainable: bool = False,
    states: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    verify: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    conditional: bool = False,
    keeps_modes: bool = False,
) -> Exported:
    """Exports a model, as `to_onnx` does, but writes no file.

    Args:
        model, example_inputs and so on: as `to_onnx` takes them.
        conditional: whether what the program decides by sizes becomes a condition; if not, it fixes an axis.
        keeps_modes: whether modules keep their modes, as those of a trainable model do.
    """
    with isolated(model, evaluation=not (trainable or keeps_modes)):
        example = Example(model, example_inputs, {}, input_names)
        proof = prove(model, example, dynamic, conditional=conditional, trained=trainable)

        asked = isinstance(dynamic, Mapping)

        planned = partial(
            make_plan,
            proof,
            made_up=example.synthetic,
            trainable=trainable,
            output_names=output_names,
            states=states,
        )
        times: dict[str, float] = {}
        if lowering == "fastest":
            lowering, times = fastest(partial(planned, time_is_asked=asked), opset, precision, float32_io, example)
        plan = planned(lowering, precision, time_is_asked=asked)
        if not trainable:
            others = {axis: proof.sizes[symbol] + 1 for axis, symbol in plan.axes.items()}
            plan = plan._replace(interface=with_optional(plan.interface, model, example, plan.graph, others))
        lowered = lower(plan, opset)
        converted, kept = convert(lowered, precision, float32_io)
        report = check(converted, lowered, plan, model, example, precision, verify=verify, rtol=rtol, atol=atol)
        if report is not None and precision == "int8":
            # The time axis of an int8 model stays free, so no layer of its rival is unrolled by default either.
            rival = planned(lowering, "float32", time_is_asked=asked or lowering == "auto")
            plain = convert(lower(rival, opset), "float32", float32_io).model
            before, after = seconds([(plain, "float32"), (converted, "int8")], plan, example)
            report = report._replace(kept=kept, seconds=(before, after))
    describe(converted, plan)
    exported = Exported(converted, plan, opset, precision, report, times)
    summary = None if report is None else report.as_dict()
    stamp(
        converted,
        opset,
        exported.axes,
        list(exported.conditions),
        summary,
        exported.streaming.as_dict(),
        listed(exported.ranges),
        exported.interface.as_dict(),
        metadata or {},
    )
    return exported


def _checked(
    model: Any,
    path: str | os.PathLike[str] | None,
    lowering: str,
    opset: int,
    precision: str | None,
    external_data: bool | None,
    metadata: Mapping[str, str] | None,
) -> dict[str, str]:
    """Checks the options; returns a copy of the metadata."""
    if lowering not in get_args(Requested):
        raise ValueError(
            f"to_onnx: lowering must be one of {', '.join(map(repr, get_args(Requested)))}; got {lowering!r}"
        )
    if not callable(model):
        raise TypeError(f"to_onnx: expected a Module or a function; got {type(model).__name__}")
    if precision is not None and precision not in PRECISIONS:
        raise ValueError(f"to_onnx: precision must be None, 'float32', 'float16' or 'int8'; got {precision!r}")
    if external_data is not None and path is None:
        raise ValueError("to_onnx: external_data says how a file is written, but there is no path to write one to")
    if path is not None and not os.path.isdir(folder := os.path.dirname(os.path.abspath(path))):
        raise FileNotFoundError(errno.ENOENT, "to_onnx: the folder does not exist", folder)
    check_opset(opset)
    return check_metadata(metadata)
