"""Rows: shape, order, joining, splitting, repetition, padding, creation."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case, floats, ints, row


def to(*sizes):
    return lambda function, x: function(x, *sizes)


def parts(function, x):
    """Returns several results as a tuple."""
    return tuple(function(x))


def reverse_sequence(x, lengths):
    ends = enumerate(lengths)
    return np.stack([np.concatenate([x[:n, i][::-1], x[n:, i]]) for i, n in ends], 1)


PADS = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

NAMES: list[Case] = [
    row("reshape_to", floats(2, 6), ref=lambda x: x.reshape(3, 4), call=lambda f, x: f(x, shape=(3, 4)), torch=None),
    row("reshape", floats(2, 6), ref=lambda x: x.reshape(3, 4), call=lambda f, x: f(x, (3, -1))),
    row(
        "reshape",
        floats(2, 3, 4),
        ref=lambda x: x.reshape(2, 12),
        call=lambda f, x: f(x, (x.shape[0], -1)),
        note="rows",
    ),
    row("reshape", floats(0, 3), ref=lambda x: x.reshape(3, 0), call=lambda f, x: f(x, (3, 0)), note="empty", opset=14),
    row("reshape", floats(2, 3), ref=lambda x: x.reshape(6), call=to(-1), note="sizes", torch=None),
    row("view_as", floats(6), floats(2, 3), ref=lambda x, y: x.reshape(2, 3), torch="method"),
    row("flatten", floats(2, 3, 4), ref=np.ravel),
    row("flatten", floats(2, 3, 4), ref=lambda x, start_dim: x.reshape(2, 12), start_dim=1, note="from_1"),
    row("unflatten", floats(2, 12), ref=lambda x, dim, sizes: x.reshape(2, 3, 4), dim=1, sizes=(3, -1)),
    row("squeeze", floats(1, 3, 1), ref=lambda x, dim: x[0], dim=0),
    row("squeeze", floats(2, 1, 1), ref=lambda x, dim: x[:, 0, 0], dim=(1, 2), note="two"),
    row("squeeze", floats(2, 3), ref=lambda x, dim: x, dim=1, note="none", dynamic=False),
    row("squeeze", floats(2, 1, 3), ref=np.squeeze, note="all", dynamic=False),
    row("unsqueeze", floats(2, 3), ref=lambda x, dim: x[:, None], dim=1),
    row("unsqueeze", floats(2, 3), ref=lambda x, dim: x[..., None], dim=-1, note="last"),
    row("unsqueeze", floats(2, 3), ref=lambda x, dim: x[None, :, None], dim=(0, 2), note="two", torch=None),
    row("permute", floats(2, 3, 4), ref=lambda x, dims: x.transpose(dims), dims=(2, 0, 1)),
    row("permute", floats(2, 3, 4), ref=lambda x, dims: x.transpose(2, 0, 1), dims=(-1, 0, 1), note="negative"),
    row("transpose", floats(2, 3, 4), ref=lambda x, dim0, dim1: x.swapaxes(dim0, dim1), dim0=0, dim1=-1),
    row("swapaxes", floats(2, 3), ref=lambda x, axis0, axis1: x.T, axis0=0, axis1=1),
    row("t", floats(2, 3), ref=np.transpose),
    row(
        "movedim",
        floats(2, 3, 4),
        ref=lambda x, source, destination: np.moveaxis(x, source, destination),
        source=0,
        destination=-1,
    ),
    row(
        "movedim",
        floats(2, 3, 4),
        ref=lambda x, source, destination: np.moveaxis(x, source, destination),
        source=(0, 1),
        destination=(1, 2),
        note="two",
    ),
    row("flip", floats(2, 3), ref=lambda x, dims: np.flip(x, dims), dims=(1,)),
    row("flip", floats(2, 3), ref=lambda x, dims: np.flip(x, dims), dims=[0, -1], note="two"),
    row("reverse_sequence", floats(4, 3, 2), None, ref=lambda x, lengths: x[::-1], torch=None),
    row(
        "reverse_sequence",
        floats(4, 3, 2),
        np.array([2, 4, 1]),
        ref=reverse_sequence,
        torch=None,
        dynamic={"input_0": {1: "batch", 2: "features"}, "input_1": {0: "batch"}},
        note="with_lengths",
    ),
    row("expand_to", floats(3, 1), ref=lambda x, shape: np.broadcast_to(x, shape), shape=(2, 3, 4), torch=None),
    row("expand", floats(3, 1), ref=lambda x: np.broadcast_to(x, (2, 3, 4)), call=to(2, -1, 4), torch="method"),
    row("expand_as", floats(3, 1), floats(2, 3, 4), ref=lambda x, y: np.broadcast_to(x, y.shape), torch="method"),
    row("broadcast_to", floats(3, 1), ref=lambda x: np.broadcast_to(x, (3, 4)), call=to((3, 4))),
    # --- joining and splitting
    row("cat", floats(2, 3), floats(4, 3), ref=lambda x, y: np.concatenate([x, y]), call=lambda f, *xs: f(xs)),
    row(
        "cat",
        floats(2, 3),
        floats(2, 0),
        floats(2, 1),
        ref=lambda *xs: np.concatenate(xs, -1),
        call=lambda f, *xs: f(list(xs), dim=-1),
        note="empty",
    ),
    row(
        "cat",
        ints(5, 2),
        floats(3),
        ref=lambda x, y: np.concatenate([x, y]),
        call=lambda f, *xs: f(xs),
        note="promoted",
        stays=False,
    ),
    row(
        "cat",
        floats(0),
        floats(2, 3),
        ref=lambda x, y: y,
        call=lambda f, *xs: f(xs, dim=1),
        note="nothing",
        dynamic=False,
    ),
    row("stack", floats(2, 3), floats(2, 3), ref=lambda *xs: np.stack(xs), call=lambda f, *xs: f(xs)),
    row(
        "stack",
        floats(2, 3),
        floats(2, 3),
        ref=lambda *xs: np.stack(xs, -1),
        call=lambda f, *xs: f(xs, dim=-1),
        note="last",
    ),
    row("split_to", floats(5, 2), ref=lambda x, sizes, dim: (x[:2], x[2:]), sizes=(2, 3), dim=0, torch=None),
    row("split", floats(2, 5), ref=lambda x: (x[:, :2], x[:, 2:4], x[:, 4:]), call=lambda f, x: f(x, 2, dim=1)),
    row("split", floats(2, 5), ref=lambda x: (x[:, :1], x[:, 1:]), call=lambda f, x: f(x, [1, 4], 1), note="sizes"),
    row("chunk", floats(5, 2), ref=lambda x, chunks: (x[:3], x[3:]), chunks=2),
    row("unbind", floats(2, 3), ref=lambda x, dim: tuple(x.T), dim=1),
    # --- repetition
    row("tile_by", floats(2, 3), ref=lambda x, repeats: np.tile(x, repeats), repeats=(2, 3), torch=None),
    row("tile", floats(2, 3), ref=lambda x, dims: np.tile(x, dims), dims=(2,)),
    row("tile", floats(3), ref=lambda x: np.tile(x, (2, 2)), call=lambda f, x: f(x, (2, 2)), note="more_axes"),
    row("repeat", floats(2, 3), ref=lambda x: np.tile(x, (2, 1, 2)), call=to(2, 1, 2), torch="method"),
    row("repeat_interleave", floats(2, 3), ref=lambda x, repeats, dim: np.repeat(x, repeats, dim), repeats=2, dim=1),
    row("repeat_interleave", floats(2, 3), ref=lambda x, repeats: np.repeat(x, repeats), repeats=3, note="flat"),
    row("roll", floats(2, 3), ref=lambda x, shifts: np.roll(x, shifts), shifts=2, dynamic=False),
    row("roll", floats(4, 3), ref=lambda x, shifts, dims: np.roll(x, shifts, dims), shifts=-1, dims=0, note="back"),
    row(
        "roll",
        floats(4, 3),
        ref=lambda x, shifts, dims: np.roll(x, shifts, dims),
        shifts=(1, 5),
        dims=(0, 1),
        note="two",
        dynamic=False,
    ),
    row(
        "pad_with",
        floats(2, 3),
        ref=lambda x, before, after, value: np.pad(x, ((1, 0), (2, 1)), constant_values=value),
        before=(1, 2),
        after=(0, 1),
        value=0.5,
        torch=None,
    ),
    row(
        "pad_with",
        floats(4, 5),
        ref=lambda x, before, after: x[1:, 2:4],
        before=(-1, -2),
        after=(0, -1),
        torch=None,
        note="cut",
    ),
    row(
        "pad_with",
        floats(2, 3),
        ref=lambda x, before, after: np.pad(x, ((0, 0), (1, 0)))[:, :3],
        before=(0, 1),
        after=(0, -1),
        torch=None,
        note="shift",
    ),
    *(
        row(
            "pad",
            floats(2, 2, 4),
            ref=lambda x, pad, mode, numpy=numpy: np.pad(x, ((0, 0), (0, 0), (2, 1)), mode=numpy),
            pad=(2, 1),
            mode=mode,
            note=mode,
        )
        for mode, numpy in PADS.items()
    ),
    row(
        "pad",
        floats(2, 3),
        ref=lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=9.0)[:, :],
        call=lambda f, x: f(x, (0, 1, 1, 2), value=9.0),
        note="value",
    ),
    row(
        "pad",
        floats(2, 5),
        ref=lambda x: np.pad(x[:, 1:], ((0, 0), (0, 2))),
        call=lambda f, x: f(x, (-1, 2)),
        note="cut",
    ),
    *(
        row("pad", floats(1, 4), ref=ref, pad=amounts, mode=mode, note=f"{mode}_cut_{i}")
        for i, (mode, amounts, ref) in enumerate(
            (
                ("circular", (-1, 2), lambda x, **_: x[:, [1, 2, 3, 1, 2]]),
                ("circular", (2, -1), lambda x, **_: x[:, [1, 2, 0, 1, 2]]),
                ("reflect", (-1, 3), lambda x, **_: x[:, [1, 2, 3, 2, 1, 0]]),
                ("reflect", (2, -3), lambda x, **_: x[:, [2, 1, 0]]),
                ("replicate", (2, -3), lambda x, **_: x[:, [0, 0, 0]]),
            )
        )
    ),
    # --- creation: no inputs, so no gradients and no dynamic axes
    row(
        "fill",
        ref=lambda shape, value, dtype: np.full(shape, value, dtype),
        shape=(2, 3),
        value=0.5,
        dtype=np.dtype("float32"),
        torch=None,
    ),
    row(
        "count",
        ref=lambda start, stop, step, dtype: np.arange(start, stop, step, dtype),
        start=1,
        stop=7,
        step=2,
        dtype=np.dtype("int64"),
        torch=None,
    ),
    row("new_zeros", floats(2), ref=lambda x: np.zeros((3, 4)), call=to(3, 4), torch="method", derivative=False),
    row("new_ones", floats(2), ref=lambda x: np.ones((3, 4)), call=to((3, 4)), torch="method", derivative=False),
    row("new_full", floats(2), ref=lambda x: np.full((3,), 2.5), call=to((3,), 2.5), torch="method", derivative=False),
]
