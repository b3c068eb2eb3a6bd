"""Sessions that are copied, pickled, or sent to other processes load the same model with the same options."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import LucidError
from lucid.export import to_onnx
from lucid.runtime import Session
from tests.tiers import thinned

X = np.random.default_rng(0).standard_normal((5, 2, 3)).astype("f4")
KINDS = ["path", "external", "bytes", "exported"]
AGAIN: list[Callable[[Session], Session]] = [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    lucid.manual_seed(0)
    exported = to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3), path=folder / "gru.onnx")
    exported.save(folder / "beside.onnx", external_data=True)
    paths = {"path": folder / "gru.onnx", "external": str(folder / "beside.onnx")}
    return {**paths, "bytes": exported.serialize(), "exported": exported}


def answer(session: Session) -> Any:
    return session(X)[0].tobytes(), session._loader.arguments[1:], str(session.device), session.interface, os.getpid()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", AGAIN, ids=["pickle", "copy", "deepcopy"])
def test_a_copy_gives_the_same_and_has_the_same_options(
    models: dict[str, Any], kind: str, again: Callable[[Session], Session]
) -> None:
    session = Session(models[kind], threads=1, arena=False, verify=kind != "bytes")
    copied = again(session)
    assert copied is not session
    assert copied._session is not session._session
    assert answer(copied) == answer(session)
    assert copied._loader.arguments[1:] == (kind != "bytes", 1, False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", thinned(KINDS, len(KINDS)))
def test_spawned_processes(models: dict[str, Any], kind: str) -> None:
    session = Session(models[kind], "auto", threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(answer, (session,))
    assert there[:-1] == answer(session)[:-1]
    assert there[-1] != os.getpid()


@pytest.mark.skipif(sys.platform != "linux", reason="a process is forked")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_forked_processes(models: dict[str, Any], kind: str) -> None:
    session = Session(models[kind], threads=1)
    expected = answer(session)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        there = pool.apply(answer, (session,))  # pickled, besides
        assert there[:-1] == expected[:-1]
        assert there[-1] != os.getpid()


def test_a_relative_path_is_found_from_another_folder(
    models: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models["path"].parent)
    session = Session("gru.onnx", threads=1)
    pickled = pickle.dumps(session)
    monkeypatch.chdir(tmp_path)
    assert answer(pickle.loads(pickled)) == answer(session)


def test_another_model_at_the_same_path_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3), path=path)
    session = Session(path)
    pickled = pickle.dumps(session)
    to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3), path=path)
    with pytest.raises(LucidError, match="is not the model of the session"):
        pickle.loads(pickled)
    with pytest.raises(LucidError, match="is not the model of the session"):
        copy.deepcopy(session)
    session = Session(path)
    to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3), path=path)
    with pytest.raises(LucidError, match="has changed since this session was created"):
        pickle.dumps(session)


def test_the_digest_is_of_the_graph_and_the_weights(models: dict[str, Any]) -> None:
    assert Session(models["path"]).digest() == Session(models["bytes"]).digest() == Session(models["exported"]).digest()
    altered = to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3))
    assert Session(altered).digest() != Session(models["path"]).digest()
