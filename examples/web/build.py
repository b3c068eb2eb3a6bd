"""build: writes the page, the files of its models, its data and onnxruntime-web into a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import lucid
from lucid.export import TrainingStep
from models import vowels

from .npm import onnxruntime_web
from .tasks import TASKS

__all__ = ["build"]

HERE = Path(__file__).parent
CORE = HERE.parent / "train_anywhere" / "step.mjs"

# Everything that the page loads ends in .js: not every web server knows that .mjs is JavaScript.
RUNTIME = {"ort.wasm.bundle.min.mjs": "ort.js", "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm"}


def build(folder: Path) -> dict[str, TrainingStep]:
    """Writes everything that a web server needs into a folder; files of other names in it stay as they are.

    Returns:
        The training steps, by name.

    Raises:
        NpmError: onnxruntime-web is missing, and cannot be installed.
    """
    runtime = onnxruntime_web()
    for part in ("ort", "models", "data"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "page", folder, dirs_exist_ok=True)
    shutil.copyfile(CORE, folder / "step.js")
    for source, name in RUNTIME.items():
        shutil.copyfile(runtime / source, folder / "ort" / name)
    for part, utterances in zip(("train", "test"), vowels.load(), strict=True):
        lucid.save(utterances._asdict(), folder / "data" / f"vowels.{part}.safetensors")
    return {name: make().export(folder / "models" / f"{name}.train.onnx") for name, make in TASKS.items()}
