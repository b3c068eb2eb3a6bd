"""The command `lucid convert`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from ..errors import LucidError, ModelImportError
from ..export import Exported, to_onnx
from ..export.file.read import read
from ..export.lowering.opset import DEFAULT_OPSET
from ..export.lowering.plan import Requested
from ..importing import from_onnx
from ..importing.module import OnnxModule
from ..runtime import Session
from ..tables import size_of, text_table
from . import arguments
from .compared import Comparison, agree, agree_in_parts, check_pieces, measured, sampled
from .text import clean

__all__ = ["convert"]

_ROLES = ("batch", "time")
_PRIMES = (5, 3, 7, 2, 11, 13)
_USUAL = {"batch": 32, "time": 100}
"""The sizes of the measurement, unless others are given."""


def _axes(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[tuple[str, str | None, int]]:
    """Parses axes to free, as in batch,time or batch=x:1: the name, and an input and an axis if they are given."""
    found: list[tuple[str, str | None, int]] = []
    for part in arguments.split(texts):
        name, equals, place = part.partition("=")
        source, colon, axis = place.rpartition(":")
        if not equals and name in _ROLES:
            found.append((name, None, 0))
        elif name.isidentifier() and source and colon and axis.isascii() and axis.isdecimal():
            found.append((name, source, int(axis)))
        else:
            raise click.BadParameter(f"{part!r}: expected batch, time, or an axis of an input, as in batch=x:1")
    return found


@click.command(short_help="Write MODEL anew: faster, smaller, or as a stream.")
@arguments.model
@click.argument("out", type=click.Path(dir_okay=False))
@click.option(
    "--lowering",
    type=click.Choice(get_args(Requested)),
    default="auto",
    show_default=True,
    help="How recurrent layers are written; fastest times the others at the sizes of the measurement.",
)
@click.option("--precision", type=click.Choice(["int8", "float16", "float32"]), help="Convert the weights.")
@click.option("--opset", type=click.IntRange(1), default=DEFAULT_OPSET, show_default=True, help="The operator set.")
@click.option(
    "--dynamic",
    multiple=True,
    callback=_axes,
    metavar="AXES",
    help="Free axes that MODEL fixes: batch,time as recurrent layers read them, or an axis of an input: batch=x:1.",
)
@click.option("--stateful", is_flag=True, help="Make inputs and outputs of hidden states, for streams.")
@arguments.sizes("Sizes of free axes for the measurement.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Seconds to measure."
)
@arguments.threads
@arguments.as_json
@arguments.no_verify
def convert(
    model: str,
    out: str,
    lowering: Requested,
    precision: str | None,
    opset: int,
    dynamic: list[tuple[str, str | None, int]],
    stateful: bool,
    sizes: dict[str, int],
    seconds: float,
    threads: int | None,
    as_json: bool,
    no_verify: bool,
) -> None:
    """Write MODEL, any ONNX file of a sequence model, anew as OUT: faster, smaller, with free axes, or as a stream.

    OUT is compared with MODEL in onnxruntime, and written only if the two agree.

    \b
    lucid convert model.onnx fast.onnx --lowering scan --sizes batch=32,time=100
    lucid convert frozen.onnx free.onnx --dynamic batch,time
    lucid convert model.onnx stream.onnx --stateful
    """
    if os.path.exists(out) and os.path.samefile(model, out):
        raise click.UsageError("OUT is MODEL itself, which is never overwritten; give another path")
    if not os.path.isdir(os.path.dirname(os.path.abspath(out))):
        raise click.UsageError(f"the folder of {out} does not exist")
    try:
        old = Session(model, threads=threads, verify=not no_verify)
        module = from_onnx(model, verify=not no_verify).eval()
        freed = _free(module, dynamic)
        steps = _time(module) if stateful else None
        states = module.carry_states() if stateful else {}
        exported = _exported(module, old, freed, lowering, precision, opset, sizes)
        new = Session(exported, threads=threads)
        unknown = sizes.keys() - {*new.axes}
        if unknown:
            raise click.UsageError(
                f"OUT has no free axis {', '.join(sorted(unknown))}; it has {', '.join(new.axes) or 'none'}"
            )
        comparison = _compared(old, new, states, precision)
        for label, axes in exported.interface.separable.items():
            if label in _fixed(old, new):
                comparison = agree_in_parts(old, new, label, axes, _fixed(old, new), states, precision, comparison)
        if states:
            check_pieces(new, exported, states, steps)
        result = _result(model, old, new, exported, sizes, seconds, comparison)
    except (LucidError, OSError):
        raise
    except (TypeError, ValueError) as error:  # an option or a name in the file that cannot be exported
        raise ModelImportError(f"{model} cannot be converted: {error}") from error
    exported.save(out)
    result["bytes"][1] = os.path.getsize(out)
    result |= {"model": model, "out": out, "states": states}
    click.echo(json.dumps(result, indent=2) if as_json else _text(result))


def _free(module: OnnxModule, asked: Sequence[tuple[str, str | None, int]]) -> dict[tuple[str, int], str]:
    """Frees the axes that the user asks for; returns them."""
    chosen: dict[tuple[str, int], str] = {}
    roles = module.axis_roles() if any(source is None for _, source, _ in asked) else {}
    ports = {port.name: port for port in module.inputs}
    for name, source, axis in asked:
        if source is not None:
            chosen[source, axis] = name
            continue
        found = [place for place, role in roles.items() if role == name]
        if not found:
            raise ModelImportError(
                f"no recurrent layer reads an axis of the inputs as its {name}; if there is one (and the file has no "
                f"node for each step), name it: --dynamic {name}={module.input_names[0]}:0"
            )
        chosen |= {place: name for place in found if isinstance((ports[place[0]].shape or ())[place[1]], int)}
    if chosen:
        module.free(chosen)
    return chosen


def _time(module: OnnxModule) -> str | None:
    """Returns the name of the axis that recurrent layers read as their time; None if it is fixed."""
    shapes = {port.name: port.shape or () for port in module.inputs}
    found = [(name, axis) for (name, axis), role in module.axis_roles().items() if role == "time"]
    names = [_word(n, name, axis) for name, axis in found if not isinstance(n := shapes[name][axis], int)]
    return names[0] if names else None


def _exported(
    module: OnnxModule,
    old: Session,
    freed: Mapping[tuple[str, int], str],
    lowering: Requested,
    precision: Any,
    opset: int,
    sizes: Mapping[str, int],
) -> Exported:
    """Exports the module with the names of the file; the axes that are free there stay free."""
    names: dict[str, dict[int, str]] = {}
    for port in module.inputs:
        if port.shape is None:
            raise ModelImportError(f"the file does not say how many axes {port.name} has")
        free = {axis: _word(n, port.name, axis) for axis, n in enumerate(port.shape) if not isinstance(n, int)}
        if free:
            names[port.name] = free
    labels = dict.fromkeys(label for axes in names.values() for label in axes.values())
    usual = _USUAL if lowering == "fastest" else {}
    chosen = {
        label: sizes.get(label, usual.get(label, n))
        for label, n in zip(labels, (*_PRIMES, *range(17, 17 + len(labels))), strict=False)
    }
    declared = {port.name: port.shape for port in old.inputs}
    for (name, axis), label in freed.items():
        chosen.setdefault(label, 1)
        size = declared[name][axis]
        if isinstance(size, int) and label not in sizes:
            chosen[label] = size
    example = sampled(module, {name: _whole(module, name, names, chosen) for name in module.input_names})
    return to_onnx(
        module,
        *example,
        input_names=list(module.input_names),
        output_names=list(module.output_names),
        dynamic=names or None,
        lowering=lowering,
        precision=precision,
        opset=opset,
    )


def _whole(
    module: OnnxModule, name: str, names: Mapping[str, Mapping[int, str]], sizes: Mapping[str, int]
) -> tuple[int, ...]:
    port = next(port for port in module.inputs if port.name == name)
    return tuple([n if isinstance(n, int) else sizes[names[name][axis]] for axis, n in enumerate(port.shape or ())])


def _word(name: str | None, port: str, axis: int) -> str:
    """Returns the name of a free axis as an export can write it."""
    word = "".join(c if c.isalnum() or c == "_" else "_" for c in name or f"{port}_{axis}")
    return word if word.isidentifier() else f"axis_{word}"


def _compared(old: Session, new: Session, states: Mapping[str, str], precision: str | None) -> Comparison:
    """Compares the two files at the file's sizes, at size one and at others."""
    free = list(new.axes)
    fixed = _fixed(old, new)
    found: Comparison | None = None
    for turn in range(3 if set(free) - set(fixed) else 1):
        sizes = {
            name: fixed.get(name, 1 if turn == 1 else _PRIMES[(i + turn) % len(_PRIMES)]) for i, name in enumerate(free)
        }
        found = agree(old, new, sizes, states, precision, found)
    assert found is not None
    return found


def _fixed(old: Session, new: Session) -> dict[str, int]:
    """Returns the sizes that the old file has where the new one has free axes."""
    specs = {spec.name: spec.shape for spec in old.inputs}
    return {
        label: size
        for spec in new.inputs
        for size, label in zip(specs.get(spec.name, ()), spec.shape, strict=False)
        if isinstance(label, str) and isinstance(size, int)
    }


def _result(
    model: str,
    old: Session,
    new: Session,
    exported: Exported,
    sizes: Mapping[str, int],
    seconds: float,
    comparison: Comparison,
) -> dict[str, Any]:
    fixed = _fixed(old, new)
    whole = {name: fixed.get(name, sizes.get(name, _USUAL.get(name, 1))) for name in new.axes}
    times = measured(old, new, whole, seconds)
    return {
        "sizes": whole,
        "nodes": [len(read(model).graph.node), len(exported.proto.graph.node)],
        "bytes": [_bytes(model), 0],
        "milliseconds": times,
        "difference": comparison.difference,
        "compared": comparison.sizes,
        "inputs": {spec.name: [*spec.shape] for spec in new.inputs},
        "outputs": {spec.name: [*spec.shape] for spec in new.outputs},
        "fixed": {name: {str(axis): why for axis, why in axes.items()} for name, axes in exported.fixed.items()},
        "kept": [*exported.report.kept] if exported.report else [],
        "no_stream": exported.streaming.why if exported.streaming.time is None else "",
    }


def _bytes(path: str) -> int:
    """Returns the size of a file with that of its external data."""
    proto = read(path)
    beside = {e.value for t in proto.graph.initializer for e in t.external_data if e.key == "location"}
    return os.path.getsize(path) + sum(os.path.getsize(Path(path).parent / name) for name in beside)


def _text(result: Mapping[str, Any]) -> str:
    at = ", ".join(f"{name} {n}" for name, n in result["sizes"].items()) or "its sizes"
    before, after = result["milliseconds"]
    rows = [
        ["", "before", "after"],
        ["nodes", *map(str, result["nodes"])],
        ["size", *map(size_of, result["bytes"])],
        ["milliseconds", f"{before:.4f}", f"{after:.4f}"],
    ]
    lines = [*text_table(rows).splitlines(), f"at {at}: {before / after:.2f} times as fast"]
    compared = "; ".join(", ".join(f"{k} {n}" for k, n in sizes.items()) or "its sizes" for sizes in result["compared"])
    lines.append(f"greatest difference {result['difference']:.2g}, in onnxruntime at {compared}")
    for kind in ("inputs", "outputs"):
        lines.append(f"{kind} " + ", ".join(f"{name}[{', '.join(map(str, s))}]" for name, s in result[kind].items()))
    if result["kept"]:
        lines.append(f"float32 still, as they are small or have no int8 form: {', '.join(result['kept'])}")
    if result["states"]:
        lines.append("states " + ", ".join(f"{output} continues {name}" for name, output in result["states"].items()))
        if result["no_stream"]:
            lines.append(f"for a loop of your own, not for Session.stream: {result['no_stream']}")
    return "\n".join([*map(clean, lines), f"written to {clean(result['out'])}"])
