"""Checks: values of the command line that are checked before a training, and not after it."""

from __future__ import annotations

import argparse
from pathlib import Path

import lucid

__all__ = ["count", "device", "file", "folder", "positive"]


def count(text: str) -> int:
    """Reads a positive whole number."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a positive whole number; got {text}")
    return int(text)


def positive(text: str) -> float:
    """Reads a positive number."""
    if not (number := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"must be positive; got {text}")
    return number


def file(text: str) -> Path:
    """Reads the path of a file that is there."""
    if not (path := Path(text)).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def folder(text: str) -> Path:
    """Reads the path of a folder, which need not be there."""
    if (path := Path(text)).exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


def device(text: str) -> str:
    """Reads the name of a device on which onnxruntime starts."""
    if text != "cpu":
        try:
            lucid.runtime.Session(lucid.export.to_onnx(lucid.abs, lucid.ones(1)), text)
        except (ValueError, lucid.errors.LucidError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text
