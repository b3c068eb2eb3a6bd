"""The metadata of a file: the version that wrote it, its axes, its lengths and states, the ranges of its inputs, how it
streams, its verification report, its digests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from .layout import lay_out

__all__ = [
    "AXES",
    "CONDITIONS",
    "INTERFACE",
    "OPSET",
    "PREFIX",
    "RANGES",
    "REPORT",
    "STREAMING",
    "TRAIN",
    "VERSION",
    "check_metadata",
    "read_json",
    "stamp",
]

PREFIX = "lucid."
VERSION = "lucid.version"
OPSET = "lucid.opset"
AXES = "lucid.axes"
CONDITIONS = "lucid.conditions"
REPORT = "lucid.verification"
STREAMING = "lucid.streaming"
RANGES = "lucid.ranges"
INTERFACE = "lucid.interface"
TRAIN = "lucid.train"


def check_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Checks the user's metadata and returns a copy.

    Raises:
        TypeError: it is not a mapping of texts to texts.
        ValueError: a key is one of lucid's, or a text cannot be written.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"to_onnx: metadata must be a mapping of texts to texts; got {type(metadata).__name__}")
    for text in (*metadata, *metadata.values()):
        if not isinstance(text, str):
            raise TypeError(f"to_onnx: metadata must be a mapping of texts to texts; got {text!r} in it")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"to_onnx: metadata holds what is no Unicode text: {text!r}") from error
    if taken := [key for key in metadata if key.startswith(PREFIX)]:
        raise ValueError(f"to_onnx: keys of metadata may not begin with {PREFIX!r}, as lucid's own do; got {taken}")
    return dict(metadata)


def stamp(
    model: ir.Model,
    opset: int,
    axes: Mapping[str, Mapping[int, str]],
    conditions: Sequence[str],
    report: Mapping[str, Any] | None,
    streaming: Mapping[str, Any],
    ranges: Sequence[Mapping[str, Any]],
    interface: Mapping[str, Any],
    metadata: Mapping[str, str],
) -> None:
    """Writes the metadata into a model; the digests come last, since they cover the rest."""
    from ... import __version__

    model.producer_version = __version__
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    model.metadata_props.update(
        {
            VERSION: __version__,
            OPSET: str(opset),
            AXES: json.dumps(axes),
            CONDITIONS: json.dumps(conditions),
            REPORT: json.dumps(report),
            STREAMING: json.dumps(streaming),
            RANGES: json.dumps(ranges),
            INTERFACE: json.dumps(interface),
        }
    )
    model.metadata_props.update(lay_out(model).digests().metadata)


def read_json(text: str) -> Any:
    """Parses JSON from the metadata of a file.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
