"""The server answers as the eager model does, to several clients at once, and refuses what does not fit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from examples.runtimes.features import LengthsClassifier
from lucid import nn
from lucid.export import to_onnx

pytest.importorskip("fastapi", reason="install lucid-onnx[serve]")
pytest.importorskip("httpx2", reason="install lucid-onnx[serve]")

from fastapi.testclient import TestClient

from examples.deploy.server import create

SEQUENCES = [np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32) for n in (7, 2, 1, 7, 4)]


def listed(*sequences: Any) -> dict[str, Any]:
    return {"sequences": [np.asarray(x).tolist() for x in sequences]}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, TestClient]:
    """A model with lengths, and its server."""
    lucid.manual_seed(0)
    model, path = LengthsClassifier(), tmp_path_factory.mktemp("server") / "classifier.onnx"
    to_onnx(model, lucid.randn(5, 2, 3), lucid.tensor([5, 3]), path=path)
    return model, TestClient(create(str(path), longest=20, most=5))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.GRU, TestClient]:
    """A model with a state, without lengths, batch first, and its server."""
    lucid.manual_seed(1)
    model, path = nn.GRU(3, 4, batch_first=True), tmp_path_factory.mktemp("server") / "tagger.onnx"
    to_onnx(model, lucid.randn(2, 5, 3), lucid.zeros(1, 2, 4), path=path)
    return model, TestClient(create(str(path), longest=20))


def test_answers_are_the_eager_models(classifier: tuple[nn.Module, TestClient]) -> None:
    model, client = classifier
    response = client.post("/predict", json=listed(*SEQUENCES))
    assert response.status_code == 200
    for x, answer in zip(SEQUENCES, response.json()["answers"], strict=True):
        (expected,) = model(lucid.tensor(x[:, None]), lucid.tensor([len(x)])).detach().numpy()
        np.testing.assert_allclose(answer["output"], expected, rtol=1e-5, atol=1e-6)


def test_without_lengths_each_answer_has_its_own_steps(tagger: tuple[nn.GRU, TestClient]) -> None:
    model, client = tagger
    for x, answer in zip(SEQUENCES, client.post("/predict", json=listed(*SEQUENCES)).json()["answers"], strict=True):
        (expected,) = model(lucid.tensor(x[None]))[0].detach().numpy()
        assert set(answer) == {"output"}
        np.testing.assert_allclose(answer["output"], expected, rtol=1e-5, atol=1e-6)


def test_clients_at_once_get_their_own_answers(classifier: tuple[nn.Module, TestClient]) -> None:
    model, client = classifier
    rng = np.random.default_rng(0)
    asked = [rng.standard_normal((int(steps), 3)).astype(np.float32) for steps in rng.integers(1, 20, 40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda x: client.post("/predict", json=listed(x)).json()["answers"][0]["output"], asked))
    for x, answer in zip(asked, found, strict=True):
        (expected,) = model(lucid.tensor(x[:, None]), lucid.tensor([len(x)])).detach().numpy()
        np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"sequences": []}', "at least 1"),
        ('{"sequences": [[[1, 2, 3]], [[1, 2]]]}', "sequences[1] has shape (1, 2); the model takes (steps, 3)"),
        ('{"sequences": [[[1, 2, 3], [1]]]}', "sequences[0]: its steps differ in size"),
        ('{"sequences": [[1, 2, 3]]}', "sequences[0] has shape (3,)"),
        ('{"sequences": [[]]}', "sequences[0] has 0 steps; the server takes 1 to 20"),
        (
            f'{{"sequences": [[{", ".join(["[1, 2, 3]"] * 21)}]]}}',
            "sequences[0] has 21 steps; the server takes 1 to 20",
        ),
        (f'{{"sequences": [{", ".join(["[[1, 2, 3]]"] * 6)}]}}', "at most 5"),
        ('{"sequences": [[["a", 2, 3]]]}', "sequences[0] must hold numbers alone"),
        ('{"sequences": [[[null, 2, 3]]]}', "sequences[0] must hold numbers alone"),
        ('{"sequences": [[[true, true, false]]]}', "sequences[0] must hold numbers alone"),
        ('{"sequences": [[[NaN, 2, 3]]]}', "sequences[0] has a number that float32 does not hold"),
        ('{"sequences": [[[1e300, 2, 3]]]}', "sequences[0] has a number that float32 does not hold"),
        ('{"sequences": 3}', "valid list"),
        ('{"sequences": NaN}', "valid list"),
        ("{}", "required"),
        ("[1", "JSON"),
    ],
)
def test_what_does_not_fit_is_refused(content: str, said: str, classifier: tuple[nn.Module, TestClient]) -> None:
    response = classifier[1].post("/predict", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert said in str(response.json()["detail"])


def test_a_stream_carries_its_state(tagger: tuple[nn.GRU, TestClient]) -> None:
    model, client = tagger
    wholes = [np.random.default_rng(n).standard_normal((9, 3)).astype(np.float32) for n in range(2)]
    expected = [model(lucid.tensor(x[None]))[0].detach().numpy()[0] for x in wholes]
    with client.websocket_connect("/stream") as first, client.websocket_connect("/stream") as second:
        for start, end in ((0, 4), (4, 5), (5, 9)):
            for socket, whole, wanted in zip((first, second), wholes, expected, strict=True):
                socket.send_json({"steps": whole[start:end].tolist()})
                found = socket.receive_json()["output"]
                np.testing.assert_allclose(found, wanted[start:end], rtol=1e-5, atol=1e-6)
                # What is refused leaves the state as it is.
                for wrong in ('{"steps": [[1, 2]]}', '{"steps": [[NaN, 1, 2]]}', '{"steps": 3}', "{}", "[1", "[]"):
                    socket.send_text(wrong)
                    assert set(socket.receive_json()) == {"error"}
                socket.send_bytes(b"\x00")
                assert set(socket.receive_json()) == {"error"}
        first.send_json({"reset": True})
        assert first.receive_json() == {"reset": True}
        first.send_json({"steps": wholes[1].tolist()})
        np.testing.assert_allclose(first.receive_json()["output"], expected[1], rtol=1e-5, atol=1e-6)


def test_a_model_that_cannot_be_streamed_says_why(classifier: tuple[nn.Module, TestClient]) -> None:
    with classifier[1].websocket_connect("/stream") as socket:
        assert "state" in socket.receive_json()["error"]
        assert socket.receive()["code"] == 1008


def test_what_it_says_of_itself(classifier: tuple[nn.Module, TestClient]) -> None:
    client = classifier[1]
    assert client.get("/healthz").json() == {"status": "ok"}
    said = client.get("/model").json()
    assert said["inputs"] == ["x: float32(time, batch, 3)", "lengths: int64(batch,)"]
    assert said["axes"] == {"x": {"0": "time", "1": "batch"}, "lengths": {"0": "batch"}}
    assert max(check["difference"] for check in said["parity"]) < 1e-5
    assert len(said["digest"]["graph"]) == len(said["digest"]["weights"]) == 64


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    path = tmp_path / "log.onnx"
    free = {"x": {0: "time", 1: "batch"}}
    to_onnx(lambda x: (x.log(), x.sum(0)[:, 0]), lucid.rand(5, 2, 2) + 1, dynamic=free, path=path)
    client = TestClient(create(str(path)))
    (answer,) = client.post("/predict", json={"sequences": [[[0, 1], [-1, 1], [1, 1]]]}).json()["answers"]
    assert answer == {"output_0": [[None, 0.0], [None, 0.0], [0.0, 0.0]], "output_1": 0.0}


def test_integers(tmp_path: Path) -> None:
    embedding, path = nn.Embedding(10, 4), tmp_path / "tokens.onnx"
    to_onnx(embedding, lucid.zeros(5, 2).long(), path=path)
    client = TestClient(create(str(path)))
    (answer,) = client.post("/predict", json={"sequences": [[1, 9, 3]]}).json()["answers"]
    np.testing.assert_allclose(answer["output"], embedding(lucid.tensor([1, 9, 3])).detach(), atol=1e-6)
    for wrong, said in (([1, 10], "10"), ([1.5], "must hold integers alone"), ([2**70], "must hold integers alone")):
        response = client.post("/predict", json={"sequences": [wrong]})
        assert response.status_code == 422
        assert said in response.json()["detail"]


@pytest.mark.parametrize("mixed", [True, False])
def test_a_model_that_is_not_one_batch_of_sequences_is_not_served(mixed: bool, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    if mixed:
        to_onnx(lambda x: x - x.mean(), lucid.randn(5, 2, 3), path=path)
    else:
        to_onnx(lambda x, y: x * y, lucid.randn(5, 2, 3), lucid.randn(5, 2, 3), path=path)
    with pytest.raises(ValueError, match="one input with independent sequences"):
        create(str(path))


@pytest.mark.slow
def test_the_command_serves(tmp_path: Path) -> None:
    connect = pytest.importorskip("websockets.sync.client", reason="install lucid-onnx[serve]").connect
    rnn, path = nn.RNN(3, 4), tmp_path / "rnn.onnx"
    to_onnx(rnn, lucid.randn(5, 2, 3), lucid.zeros(1, 2, 4), path=path)
    (expected,) = rnn(lucid.tensor(SEQUENCES[0][:, None]))[0].detach().numpy().swapaxes(0, 1)
    words = [sys.executable, "-m", "examples.deploy.server", str(path), "--port", "0"]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "running on" in line)
            address = re.findall(r"127\.0\.0\.1:\d+", line)[0]
            asked = urllib.request.Request(
                f"http://{address}/predict",
                json.dumps(listed(SEQUENCES[0])).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(asked) as response:
                (answer,) = json.load(response)["answers"]
            np.testing.assert_allclose(answer["output"], expected, rtol=1e-5, atol=1e-6)
            with connect(f"ws://{address}/stream", proxy=None) as socket:
                for piece, wanted in zip(np.split(SEQUENCES[0], [2, 3]), np.split(expected, [2, 3]), strict=True):
                    socket.send(json.dumps({"steps": piece.tolist()}))
                    np.testing.assert_allclose(json.loads(socket.recv())["output"], wanted, rtol=1e-5, atol=1e-6)
        finally:
            server.terminate()
