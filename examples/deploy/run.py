"""Runs a model with onnxruntime and NumPy, and nothing else; this file knows no model.

    python run.py model.onnx calls.json [h0=h_n …]

calls.json has a list of calls, each {"x": {"type": "float32", "dims": [5, 2], "data": [...]}}. For each call it prints
the outputs as a line of JSON of the same form; NaN and infinities are null. With `h0=h_n` the calls are the pieces of a
stream: the output `h_n` of a call feeds the input `h0` of the next one; the first call gives the state at the start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnxruntime

Named = dict[str, Any]


def results(session: Any, calls: Iterable[Named], states: Mapping[str, str]) -> Iterator[Named]:
    """Yields the outputs of each call; `states` has the output that continues each state."""
    names = [output.name for output in session.get_outputs()]
    if unknown := set(states.values()) - set(names):
        raise ValueError(f"there is no output {', '.join(sorted(unknown))}; the outputs are {', '.join(names)}")
    state: Named = {}
    for call in calls:
        outputs = dict(zip(names, session.run(names, {**state, **call}), strict=True))
        state = {name: outputs[output] for name, output in states.items()}
        yield outputs


def array(given: Mapping[str, Any]) -> Any:
    """Returns the array that JSON describes."""
    return np.array(given["data"], given["type"]).reshape(given["dims"])


def described(x: Any) -> dict[str, Any]:
    """Returns what describes an array in JSON."""
    data = [None if value != value or abs(value) == float("inf") else value for value in x.ravel().tolist()]
    return {"type": str(x.dtype), "dims": x.shape, "data": data}


def main(path: str, calls_path: str, *pairs: str) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with open(calls_path, encoding="utf-8") as file:
        calls = [{name: array(given) for name, given in call.items()} for call in json.load(file)]
    for outputs in results(session, calls, dict(pair.split("=") for pair in pairs)):
        print(json.dumps({name: described(x) for name, x in outputs.items()}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print("usage: python run.py MODEL CALLS [STATE=OUTPUT ...]", file=sys.stderr)
        sys.exit(2)
    main(*sys.argv[1:])
