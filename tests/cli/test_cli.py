"""The command line: its output, its files, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest
from click.shell_completion import ZshComplete
from click.testing import CliRunner, Result
from onnx import TensorProto

import lucid
from lucid import nn
from lucid.cli import main
from lucid.cli.arrays import read_inputs
from lucid.errors import LucidError
from lucid.runtime.session.spec import Spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    lucid.manual_seed(0)
    rnn = nn.RNN(3, 4).eval()
    example = lucid.randn(5, 2, 3), lucid.zeros(1, 2, 4)
    lucid.export.to_onnx(rnn, *example, path=folder / "rnn.onnx", metadata={"task": "demo"})
    rng = np.random.default_rng(0)
    x, h0 = rng.standard_normal((7, 2, 3)).astype("f4"), rng.standard_normal((1, 2, 4)).astype("f4")
    np.save(folder / "x.npy", x)
    np.save(folder / "h0.npy", h0)
    np.savez(folder / "both.npz", x=x, h0=h0)
    with lucid.no_grad():
        output, h_n = rnn(lucid.tensor(x), lucid.tensor(h0))
    np.savez(folder / "expected.npz", output=output.numpy(), h_n=h_n.numpy())
    data = bytearray((folder / "rnn.onnx").read_bytes())
    weight = onnx.load(folder / "rnn.onnx").graph.initializer[0].raw_data
    data[bytes(data).index(weight) + 2] ^= 1
    (folder / "altered.onnx").write_bytes(data)
    (folder / "cut.onnx").write_bytes(data[:200])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "text.onnx").write_text("no model at all")
    return folder


def lucid_(*args: Any) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def one_line(result: Result, code: int = 1) -> str:
    """Returns the error of a command that fails: one line on stderr, nothing on stdout."""
    assert result.exit_code == code, result.output
    lines = result.stderr.splitlines()
    if code == 1:
        assert result.stdout == ""
        assert len(lines) == 1
    assert lines[-1].startswith("Error: ")
    return lines[-1]


# --- every command


@pytest.mark.parametrize("command", ["info", "summary", "plot", "verify", "run", "bench", "convert", "score"])
def test_help(command: str) -> None:
    result = lucid_(command, "--help")
    assert result.exit_code == 0
    assert "MODEL" in result.stdout
    assert command in lucid_("-h").stdout
    assert "..." not in lucid_("-h").stdout.partition("Commands:")[2]
    assert lucid_("--version").stdout.strip() == f"lucid, version {lucid.__version__}"


@pytest.mark.parametrize("command", ["info", "summary", "verify", "run", "bench"])
@pytest.mark.parametrize("name", ["cut", "empty", "text"])
def test_files_that_are_no_models(folder: Path, command: str, name: str) -> None:
    assert f"{name}.onnx" in one_line(lucid_(command, folder / f"{name}.onnx"))


@pytest.mark.parametrize("command", ["info", "summary", "verify", "run", "bench"])
def test_a_missing_file_and_a_folder_are_mistakes_in_the_command(folder: Path, command: str) -> None:
    assert "does not exist" in one_line(lucid_(command, folder / "missing.onnx"), 2)
    assert "is a directory" in one_line(lucid_(command, folder), 2)
    assert one_line(lucid_(command), 2)


@pytest.mark.slow
def test_as_a_module_and_as_a_process(folder: Path) -> None:
    def run(*args: str) -> Any:
        return subprocess.run([sys.executable, "-m", "lucid", *args], capture_output=True, text=True)

    done = run("verify", str(folder / "rnn.onnx"))
    assert (done.returncode, done.stderr) == (0, "")
    done = run("verify", str(folder / "altered.onnx"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert run("--help").stdout.startswith("Usage: lucid ")
    assert run("nothing").returncode == 2


def test_completion_of_commands_and_options(folder: Path) -> None:
    complete = ZshComplete(main, {}, "lucid", "_LUCID_COMPLETE")
    assert {item.value for item in complete.get_completions([], "")} == set(main.commands)
    assert [item.value for item in complete.get_completions([], "su")] == ["summary"]
    assert "--json" in [item.value for item in complete.get_completions(["run", "m.onnx"], "--")]
    assert "_LUCID_COMPLETE=zsh_complete lucid" in complete.source()


JSON = {
    "info": ["rnn.onnx"],
    "summary": ["rnn.onnx"],
    "plot": ["rnn.onnx", "out.dot"],
    "verify": ["rnn.onnx"],
    "run": ["rnn.onnx", "-i", "both.npz"],
    "bench": ["rnn.onnx", "--seconds", "0.001", "--batch", "1", "--length", "1"],
}


@pytest.mark.parametrize("command", JSON)
def test_json_alone_is_printed(folder: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = lucid_(command, *JSON[command], "--json")
    assert result.exit_code == 0, result.output
    assert isinstance(json.loads(result.stdout), dict)
    assert result.stderr == ""


def test_json_of_verify(folder: Path) -> None:
    found = json.loads(lucid_("verify", folder / "rnn.onnx", "--json").stdout)
    assert found["axes"]["x"] == {"0": "time", "1": "batch"}
    assert found["metadata"] == {"task": "demo"}
    assert len(found["weights"]) == 64
    assert lucid_("verify", "--quiet", "--json", folder / "rnn.onnx").output == ""


# --- info


def test_info(folder: Path) -> None:
    result = lucid_("info", folder / "rnn.onnx")
    assert result.exit_code == 0
    for text in (
        "x: float32[time, batch, 3]",
        "h_n: float32[1, batch, 4]",
        "axis 1 of x, axis 1 of h0",
        "RNN, Squeeze",
        "36 elements of float32",
        "ai.onnx 18",
        "lucid.weights.sha256",
        "demo",
    ):
        assert text in result.stdout


def test_info_as_json(folder: Path) -> None:
    found = json.loads(lucid_("info", folder / "rnn.onnx", "--json").stdout)
    assert found["bytes"] == (folder / "rnn.onnx").stat().st_size
    assert found["inputs"][0] == {
        "name": "x",
        "dtype": "float32",
        "shape": ["time", "batch", 3],
        "doc": "A sequence. Axes: time, batch, 3.",
    }
    assert found["axes"] == {"time": ["axis 0 of x"], "batch": ["axis 1 of x", "axis 1 of h0"]}
    assert found["operators"] == {"RNN": 1, "Squeeze": 1}
    assert found["weights"]["elements"]["float32"] == 36
    assert found["metadata"]["task"] == "demo"
    assert found["beside"] == {}


def test_info_of_weights_beside_and_of_subgraphs(tmp_path: Path) -> None:
    rnn = nn.RNN(32, 64).eval()
    exported = lucid.export.to_onnx(rnn, lucid.randn(5, 2, 32), lowering="scan")
    exported.save(tmp_path / "model.onnx", external_data=True)
    found = json.loads(lucid_("info", tmp_path / "model.onnx", "--json").stdout)
    assert len(found["beside"]) == 1
    assert found["operators"]["Scan"] == found["operators"]["Gemm"] == 1


# --- verify


def test_verify(folder: Path) -> None:
    result = lucid_("verify", folder / "rnn.onnx")
    assert result.exit_code == 0
    assert "as written" in result.stdout
    assert lucid_("verify", "--quiet", folder / "rnn.onnx").output == ""
    assert "was altered after it was written: the weights" in one_line(lucid_("verify", folder / "altered.onnx"))


# --- run


@pytest.mark.parametrize(
    "inputs", [["x.npy", "h0.npy"], ["h0=h0.npy", "x=x.npy"], ["x.npy", "h0=h0.npy"], ["both.npz"]]
)
def test_run(folder: Path, tmp_path: Path, inputs: list[str]) -> None:
    options = []
    for text in inputs:
        name, equals, path = text.rpartition("=")
        options += ["-i", f"{name}{equals}{folder / path}"]
    result = lucid_("run", folder / "rnn.onnx", *options, "--output-dir", tmp_path / "new" / "results")
    assert result.exit_code == 0, result.output
    with np.load(folder / "expected.npz") as file:
        expected = dict(file)
    for name in ("output", "h_n"):
        written = np.load(tmp_path / "new" / "results" / f"{name}.npy")
        np.testing.assert_allclose(written, expected[name], rtol=1e-5, atol=1e-6)
        assert str(expected[name].shape) in result.stdout
    without = lucid_("run", folder / "rnn.onnx", *options)
    assert without.exit_code == 0
    assert f"{expected['output'].max():g}"[:6] in without.stdout


def test_run_refuses_what_does_not_fit(folder: Path, tmp_path: Path) -> None:
    model, x = folder / "rnn.onnx", folder / "x.npy"
    assert "input 'x' is missing" in one_line(lucid_("run", model, "-i", f"h0={x}"), 2)
    assert "there is no input 'y'" in one_line(lucid_("run", model, "-i", x, "-i", f"y={x}"), 2)
    assert "input x is given twice" in one_line(lucid_("run", model, "-i", f"x={x}", "-i", f"x={x}"), 2)
    assert "give it without x=" in one_line(lucid_("run", model, "-i", f"x={folder / 'both.npz'}"), 2)
    assert "there are 2" in one_line(lucid_("run", model, "-i", x, "-i", x, "-i", x), 2)
    assert "device must be 'cpu'" in one_line(lucid_("run", model, "--device", "gpu"), 2)
    np.save(tmp_path / "wide.npy", np.zeros((1, 2, 5), "f4"))
    message = one_line(lucid_("run", model, "-i", x, "-i", tmp_path / "wide.npy"))
    assert "axis 2 of input 'h0' must be 4; got 5" in message
    np.save(tmp_path / "double.npy", np.zeros((1, 2, 4)))
    assert "input 'h0' is float64" in one_line(lucid_("run", model, "-i", x, "-i", tmp_path / "double.npy"))
    message = one_line(lucid_("run", folder / "altered.onnx", "-i", folder / "both.npz"))
    assert "do not fit the digests in it" in message
    assert lucid_("run", folder / "altered.onnx", "-i", folder / "both.npz", "--no-verify").exit_code == 0


def test_run_prints_json(folder: Path, tmp_path: Path) -> None:
    result = lucid_("run", folder / "rnn.onnx", "-i", folder / "both.npz", "--json", "-o", tmp_path)
    with np.load(folder / "expected.npz") as file:
        expected = dict(file)
    found = {facts["name"]: facts for facts in json.loads(result.stdout)["outputs"]}
    for name, array in expected.items():
        assert found[name]["shape"] == list(array.shape)
        assert found[name]["mean"] == pytest.approx(array.mean(), abs=1e-5)
        np.testing.assert_allclose(np.load(found[name]["path"]), array, rtol=1e-5, atol=1e-6)
    (tmp_path / "model.onnx").write_bytes(foreign(["y"]))
    np.save(tmp_path / "x.npy", np.array([np.nan, 1], "f4"))
    found = json.loads(lucid_("run", tmp_path / "model.onnx", "-i", tmp_path / "x.npy", "--json").stdout)
    assert found["outputs"][0]["mean"] is None
    np.save(tmp_path / "none.npy", np.zeros(0, "f4"))
    found = json.loads(lucid_("run", tmp_path / "model.onnx", "-i", tmp_path / "none.npy", "--json").stdout)
    assert (found["outputs"][0]["shape"], found["outputs"][0]["least"]) == ([0], None)


def piped(content: bytes, *args: Any) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=content, catch_exceptions=False)


def test_run_reads_csv_and_stdin_and_prints_csv(folder: Path, tmp_path: Path) -> None:
    """A sequence of (time, features) is a batch of one, and comes back as rows."""
    steps = np.random.default_rng(0).standard_normal((6, 3)).astype("f4")
    text = "a,b,c\n" + "".join(f"{a!r}, {b!r},{c!r}\n" for a, b, c in steps.tolist()) + "\n"
    (tmp_path / "x.csv").write_text(text)
    (tmp_path / "h0.csv").write_text("0,0,0,0\n")
    np.save(tmp_path / "x.npy", steps[:, None])
    np.savez(tmp_path / "x.npz", x=steps[:, None])
    model, h0 = folder / "rnn.onnx", ["-i", f"h0={tmp_path / 'h0.csv'}", "--csv", "output"]
    expected = lucid.runtime.Session(model)(steps[:, None], np.zeros((1, 1, 4), "f4"))["output"][:, 0]
    given = [lucid_("run", model, "-i", tmp_path / "x.csv", *h0), piped(text.encode(), "run", model, "-i", "-", *h0)]
    given += [piped((tmp_path / name).read_bytes(), "run", model, "-i", "-", *h0) for name in ("x.npy", "x.npz")]
    given.append(piped(text.encode(), "run", model, "-i", "x=-", *h0))
    for result in given:
        assert result.exit_code == 0, result.output
        found = np.array([row.split(",") for row in result.stdout.splitlines()], "f4")
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        (["n"], "1\n2\n", [1, 2]),
        (["n"], "1,2\n", [1, 2]),
        (["n", 2], "x,y\n1,nan\n", [[1, np.nan]]),
    ],
)
def test_rows_take_the_axes_of_the_input(shape: list[Any], text: str, expected: Any) -> None:
    (found,), _ = read_inputs_of(text, Spec("x", np.dtype("f4"), tuple(shape)))
    np.testing.assert_array_equal(found, np.array(expected, "f4"))
    assert found.dtype == np.float32


def test_integers_in_csv_stay_exact() -> None:
    (found,), _ = read_inputs_of("9007199254740993\n", Spec("x", np.dtype("i8"), ("n",)))
    assert found.tolist() == [2**53 + 1]


def read_inputs_of(text: str, spec: Spec) -> Any:
    with CliRunner().isolation(input=text):
        return read_inputs(["-"], (spec,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no row of numbers"),
        ("a,b\n", "it has no row of numbers"),
        ("1,2\n3\n", "its rows differ in length"),
        ("1,2\n3,x\n", "could not convert string to float"),
        ("1,2\n", "axis 2 of input 'x' must be 3; got 2"),
    ],
)
def test_csv_that_does_not_fit_is_refused(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    (tmp_path / "h0.csv").write_text("0,0,0,0\n")
    result = lucid_("run", folder / "rnn.onnx", "-i", tmp_path / "x.csv", "-i", tmp_path / "h0.csv")
    assert message in one_line(result)


def test_mistakes_around_stdin_and_csv(folder: Path, tmp_path: Path) -> None:
    model = folder / "rnn.onnx"
    assert "stdin can be read once" in one_line(piped(b"1,2,3\n", "run", model, "-i", "-", "-i", "-"), 2)
    assert "stdin is not a CSV of numbers" in one_line(piped(b"\xff\xfe", "run", model, "-i", "-"))
    assert "give one of them" in one_line(lucid_("run", model, "--csv", "output", "--json"), 2)
    assert "there is no output 'y'" in one_line(lucid_("run", model, "--csv", "y"), 2)
    with pytest.raises(LucidError, match=r"2 rows and 1 columns, which do not make x.*give a \.npy file"):
        read_inputs_of("1\n2\n", Spec("x", np.dtype("f4"), (1, "n", 1, 1)))


# --- summary and plot


def test_summary_is_that_of_the_model(folder: Path) -> None:
    found = json.loads(lucid_("summary", folder / "rnn.onnx", "--sizes", "batch=2,time=5", "--json").stdout)
    assert found["sizes"] == {"time": 5, "batch": 2}
    assert found["inputs"] == [[5, 2, 3], [1, 2, 4]]
    assert found["rows"][0]["parameters"] == 4 * (3 + 4 + 2)
    assert found["rows"][0]["multiply_adds"] == 5 * 2 * 4 * (3 + 4)
    text = lucid_("summary", folder / "rnn.onnx").stdout
    assert "at time=32, batch=1" in text
    assert f"multiply-adds {32 * 4 * (3 + 4):,}" in text


def test_summary_refuses_what_does_not_fit(folder: Path, tmp_path: Path) -> None:
    model = folder / "rnn.onnx"
    assert "there is time, batch" in one_line(lucid_("summary", model, "--sizes", "width=3"), 2)
    for text in ("batch", "batch=0", "batch=x", "=3"):
        one_line(lucid_("summary", model, "--sizes", text), 2)
    assert "digests" in one_line(lucid_("summary", folder / "altered.onnx"))
    assert lucid_("summary", folder / "altered.onnx", "--no-verify").exit_code == 0
    value = [oh.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [2, 2]), ("y", []))]
    graph = oh.make_graph([oh.make_node("Det", ["x"], ["y"])], "g", value[:1], value[1:])
    unknown = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)
    (tmp_path / "unknown.onnx").write_bytes(unknown.SerializeToString())
    assert "Det" in one_line(lucid_("summary", tmp_path / "unknown.onnx"))


def test_plot(folder: Path, tmp_path: Path) -> None:
    result = lucid_("plot", folder / "rnn.onnx", tmp_path / "out.dot", "--most", "50")
    assert result.exit_code == 0, result.output
    assert 'label="RNN"' in (tmp_path / "out.dot").read_text()
    assert "boxes" in result.stdout
    assert "a path ends in .dot" in one_line(lucid_("plot", folder / "rnn.onnx", tmp_path / "out.bmp"), 2)
    message = one_line(lucid_("plot", folder / "rnn.onnx", tmp_path / "no" / "out.dot"))
    assert message == f"Error: {tmp_path / 'no'}: the folder does not exist"
    assert [path.name for path in tmp_path.iterdir()] == ["out.dot"]


class Danger:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("exit 1",)


def test_arrays_are_read_without_pickle(folder: Path, tmp_path: Path) -> None:
    model = folder / "rnn.onnx"
    np.save(tmp_path / "objects.npy", np.array([Danger()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([Danger()], dtype=object))
    (tmp_path / "plain.npy").write_bytes(b"nothing like it")
    (tmp_path / "cut.npy").write_bytes((folder / "x.npy").read_bytes()[:-5])
    (tmp_path / "cut.npz").write_bytes((folder / "both.npz").read_bytes()[:-50])
    message = one_line(lucid_("run", model, "-i", tmp_path / "plain.npy"))
    assert "plain.npy is neither a .npy nor a .npz file" in message
    for name in ("objects.npy", "objects.npz", "cut.npy", "cut.npz", "missing.npy"):
        message = one_line(lucid_("run", model, "-i", tmp_path / name))
        assert f"{name} is not a .npy or .npz file that can be read" in message


def foreign(names: list[str]) -> bytes:
    graph = oh.make_graph(
        [oh.make_node("Identity", ["x"], [name]) for name in names],
        "g",
        [oh.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [oh.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in names],
    )
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def test_outputs_stay_in_their_folder_whatever_they_are_called(tmp_path: Path) -> None:
    names = ["../out", "/etc/out", "..", "a/b", "a b", "A_B", "\x1b[31mred", "x" * 300]
    (tmp_path / "model.onnx").write_bytes(foreign(names))
    np.save(tmp_path / "x.npy", np.arange(3, dtype="f4"))
    results = tmp_path / "deep" / "results"
    result = lucid_("run", tmp_path / "model.onnx", "-i", tmp_path / "x.npy", "-o", results)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert {p.name for p in tmp_path.iterdir()} == {"model.onnx", "x.npy", "deep"}
    assert len(list(results.iterdir())) == len(names)
    for path in results.iterdir():
        np.testing.assert_array_equal(np.load(path), [0, 1, 2])
    assert "\x1b" not in lucid_("info", tmp_path / "model.onnx").output


# --- bench


def test_bench(folder: Path) -> None:
    result = lucid_("bench", folder / "rnn.onnx", "--batch", "1,2", "--length", "3", "--seconds", "0.001")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["batch", "time"]
    assert [line.split()[:2] for line in lines[1:]] == [["1", "3"], ["2", "3"]]


def test_bench_as_json(folder: Path) -> None:
    options = ["--axis", "batch=4", "--length", "2,5", "--seconds", "0.001", "--threads", "1", "--json"]
    found = json.loads(lucid_("bench", folder / "rnn.onnx", *options).stdout)
    assert [row["sizes"] for row in found["results"]] == [{"batch": 4, "time": 2}, {"batch": 4, "time": 5}]
    for row in found["results"]:
        assert row["calls"] >= 5
        assert 0 < row["median_ms"] <= row["p95_ms"]
        assert row["sequences_per_second"] == pytest.approx(4 / row["median_ms"] * 1e3)
    assert found["threads"] == 1


def test_bench_refuses_what_makes_no_sense(folder: Path) -> None:
    model = folder / "rnn.onnx"
    assert "expected positive whole numbers" in one_line(lucid_("bench", model, "--batch", "1,0"), 2)
    assert "expected positive whole numbers" in one_line(lucid_("bench", model, "--axis", "batch=x"), 2)
    assert "has no free axis width; there is time, batch" in one_line(lucid_("bench", model, "--axis", "width=1"), 2)
    assert "takes a name and sizes" in one_line(lucid_("bench", model, "--axis", "batch"), 2)


# --- compile


def test_compile_is_lucids_own() -> None:
    assert lucid.compile is lucid.runtime.compile
    with pytest.raises(LucidError):
        lucid.compile(nn.RNN(3, 4))(lucid.randn(5, 2, 3))
