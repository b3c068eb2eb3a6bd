"""Scoring of files: values against each row by itself, and errors that name the file, the column and the rows."""

from __future__ import annotations

import os
import pickle
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import DtypeError, FileError, LucidError, RangeError, RuntimeUnavailableError, ShapeError
from lucid.export import to_onnx
from lucid.nn.utils.rnn import pack_padded_sequence
from lucid.runtime import Session, score_file
from lucid.runtime.scoring import table

from .rows import FEATURES, alone, sequences, tagger, write_parquet

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(tagger()[1], threads=1)


@pytest.fixture
def pa() -> Any:
    return pytest.importorskip("pyarrow", reason="Parquet needs the extra [score]")


def as_parquet(path: Path, columns: dict[str, Any]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


def as_npz(path: Path, **arrays: Array) -> Path:
    np.savez(path, **arrays)
    return path


# --- values


def test_parquet_sequences_of_any_length(session: Session, pa: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(table, "_ROWS", 37)
    rows = sequences(100)
    write_parquet(tmp_path / "in.parquet", rows, row_group_size=40)
    done = []
    scored = score_file(session, tmp_path / "in.parquet", tmp_path / "out.parquet", batch_size=4, progress=done.append)
    assert scored == (str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"), 100, False)
    assert sum(done) == 100
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.names == ["id", "note", "labels", "score"]
    assert found.schema.field("labels").type == pa.list_(pa.list_(pa.float32(), 2))
    assert found.schema.field("score").type == pa.float32()
    assert found["id"].to_pylist() == list(range(100))
    assert found["note"].to_pylist() == [f"n{i}" for i in range(100)]
    expected = alone(tagger()[0], rows)
    for labels, score, (its_labels, its_score) in zip(
        found["labels"].to_pylist(), found["score"].to_pylist(), expected, strict=True
    ):
        assert np.shape(labels) == its_labels.shape
        np.testing.assert_allclose(labels, its_labels, atol=1e-6)
        np.testing.assert_allclose(score, its_score, atol=1e-6)
    assert os.listdir(tmp_path).count("out.parquet") == len(os.listdir(tmp_path)) - 1


def test_results_do_not_depend_on_the_batch_to_the_last_bit(session: Session, pa: Any, tmp_path: Path) -> None:
    rows = sequences(60)
    rows[7] *= 1e9  # an infinity in a guard's sum would change how a whole batch is computed
    rows[8] *= 1e20
    write_parquet(tmp_path / "in.parquet", rows)
    results = []
    for size in (1, 2, 7, 1000):
        score_file(session, tmp_path / "in.parquet", tmp_path / f"{size}.parquet", batch_size=size)
        results.append((tmp_path / f"{size}.parquet").read_bytes())
    assert results.count(results[0]) == len(results)
    write_parquet(tmp_path / "one.parquet", rows[5:6])
    score_file(session, tmp_path / "one.parquet", tmp_path / "alone.parquet")
    one, whole = (pa.parquet.read_table(tmp_path / f"{name}.parquet") for name in ("alone", "1000"))
    assert one["labels"].to_pylist() == whole["labels"].to_pylist()[5:6]


def test_npz_rows_of_one_length(session: Session, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(table, "_ROWS", 4)
    x = np.random.default_rng(0).standard_normal((10, 6, FEATURES)).astype("f4")
    source = as_npz(tmp_path / "in.npz", frames=x, names=np.array([f"n{i}" for i in range(10)]), extra=np.eye(10))
    score_file(session, source, tmp_path / "out.npz", columns={"x": "frames"}, keep=["names"], batch_size=3)
    with np.load(tmp_path / "out.npz") as found:
        assert found.files == ["names", "labels", "score"]
        assert found["names"].tolist() == [f"n{i}" for i in range(10)]
        expected = alone(tagger()[0], list(x))
        np.testing.assert_allclose(found["labels"], np.stack([labels for labels, _ in expected]), atol=1e-6)
        np.testing.assert_allclose(found["score"], [score for _, score in expected], atol=1e-6)


def test_a_compressed_archive_and_lengths_of_its_own(session: Session, tmp_path: Path) -> None:
    x, lengths = np.random.default_rng(0).standard_normal((5, 6, FEATURES)).astype("f4"), np.array([6, 1, 3, 3, 2])
    np.savez_compressed(tmp_path / "in.npz", x=x, n=lengths)
    score_file(session, tmp_path / "in.npz", tmp_path / "out.npz", columns={"lengths": "n"})
    with np.load(tmp_path / "out.npz") as found:
        expected = alone(tagger()[0], [row[:n] for row, n in zip(x, lengths, strict=True)])
        for i, n in enumerate(lengths):
            np.testing.assert_allclose(found["labels"][i, :n], expected[i][0], atol=1e-6)
        np.testing.assert_allclose(found["score"], [score for _, score in expected], atol=1e-6)


def test_padding_would_change_what_this_model_gives(pa: Any, tmp_path: Path) -> None:
    """A mean over time has no lengths: rows of one length share a call, so it is the mean of each row."""
    session = Session(to_onnx(lambda x: x.mean(0), lucid.randn(5, 2, 3), dynamic={"x": {0: "time", 1: "batch"}}))
    rows = sequences(30)
    write_parquet(tmp_path / "in.parquet", rows)
    score_file(session, tmp_path / "in.parquet", tmp_path / "out.parquet")
    found = pa.parquet.read_table(tmp_path / "out.parquet")["output"].to_pylist()
    np.testing.assert_allclose(found, [row.mean(0) for row in rows], atol=1e-6)


def test_all_kinds_of_inputs_and_outputs(pa: Any, tmp_path: Path) -> None:
    """Ids, states that may be left out, lengths after arithmetic, integers, booleans, and rows without axes."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.rnn = nn.Embedding(7, 3), nn.GRU(3, 4)

        def forward(self, ids: Any, lengths: Any, offset: Any, h0: Any = None) -> Any:
            x = self.table(ids)[: (ids.shape[0] + 1) // 2 * 2 : 2]
            packed = pack_padded_sequence(x, (lengths + 1) // 2, enforce_sorted=False)
            last = self.rnn(packed, h0)[1]
            return last, last.sum((0, 2)) + offset, ids + 1, ids > 3

    lucid.manual_seed(0)
    model = Model().eval()
    example = lucid.tensor([[1, 2], [3, 4], [5, 6]]), lucid.tensor([3, 2]), lucid.zeros(2), lucid.zeros(1, 2, 4)
    session = Session(to_onnx(model, *example, output_names=["last", "total", "next", "over"]))
    assert session.interface.computed
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, 7, n).tolist() for n in rng.integers(1, 8, 20)]
    columns = {"ids": pa.array(ids, pa.large_list(pa.int32())), "offset": np.arange(20, dtype="f4")}
    score_file(session, as_parquet(tmp_path / "in.parquet", columns), tmp_path / "out.parquet")
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.field("last").type == pa.list_(pa.list_(pa.float32(), 4), 1)
    for i, row in enumerate(found.to_pylist()):
        with lucid.no_grad():
            expected = model(
                lucid.tensor(ids[i])[:, None],
                lucid.tensor([len(ids[i])]),
                lucid.tensor([float(i)]),
                lucid.zeros(1, 1, 4),
            )
        np.testing.assert_allclose(row["last"], expected[0].numpy()[:, 0], atol=1e-6)
        np.testing.assert_allclose(row["total"], expected[1].item(), atol=1e-5)
        assert row["next"] == [n + 1 for n in ids[i]]
        assert row["over"] == [n > 3 for n in ids[i]]


def test_files_without_rows(session: Session, pa: Any, tmp_path: Path) -> None:
    kind = pa.list_(pa.list_(pa.float32(), FEATURES))
    as_parquet(tmp_path / "in.parquet", {"id": pa.array([], pa.int64()), "x": pa.array([], kind)})
    assert score_file(session, tmp_path / "in.parquet", tmp_path / "out.parquet").rows == 0
    assert pa.parquet.read_table(tmp_path / "out.parquet").to_pydict() == {"id": [], "labels": [], "score": []}
    score_file(session, as_npz(tmp_path / "in.npz", x=np.zeros((0, 6, FEATURES), "f4")), tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        assert found["score"].shape == (0,)
        assert found["labels"].shape == (0, 0, 2)


def test_any_engine_can_map_it(session: Session, tmp_path: Path) -> None:
    work = pickle.loads(pickle.dumps(partial(score_file, session, batch_size=2)))
    x = np.ones((3, 2, FEATURES), "f4")
    work(as_npz(tmp_path / "in.npz", x=x), tmp_path / "a.npz")
    score_file(session, tmp_path / "in.npz", tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


# --- which axis counts rows


def test_rows_that_depend_on_one_another_are_refused(tmp_path: Path) -> None:
    source = as_npz(tmp_path / "in.npz", x=np.random.default_rng(0).standard_normal((5, 4, 3)).astype("f4"))
    axes = {"x": {0: "time", 1: "batch"}}
    for mixing in (lambda x: x - x.mean(1, keepdim=True), lambda x: x.sum(1), lambda x: x.cumsum(1)):
        mixed = Session(to_onnx(mixing, lucid.randn(5, 2, 3), dynamic=axes))
        with pytest.raises(LucidError, match="does not prove that the rows of a batch do not depend"):
            score_file(mixed, source, tmp_path / "out.npz")
    centred = Session(to_onnx(lambda x: x - x.mean(1, keepdim=True), lucid.randn(5, 2, 3), dynamic=axes))
    with pytest.raises(LucidError, match="row 0: the output 'output' depends on the other rows"):
        score_file(centred, source, tmp_path / "out.npz", batch="batch")
    with pytest.raises(LucidError, match="no free axis 'rows'; there is time, batch"):
        score_file(centred, source, tmp_path / "out.npz", batch="rows")
    assert not (tmp_path / "out.npz").exists()


def test_a_file_without_the_proof_takes_the_name_of_the_axis(tmp_path: Path) -> None:
    proto = to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3)).proto
    proto.producer_name = "another"
    del proto.metadata_props[:]
    session = Session(proto.SerializeToString(), threads=1)
    x = np.random.default_rng(0).standard_normal((5, 4, 3)).astype("f4")
    source = as_npz(tmp_path / "in.npz", x=x)
    with pytest.raises(LucidError, match="name it, of time, batch"):
        score_file(session, source, tmp_path / "out.npz")
    score_file(session, source, tmp_path / "out.npz", batch="batch")
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_allclose(found["output"], session(x.swapaxes(0, 1))[0].swapaxes(0, 1), atol=1e-6)


def test_either_axis_may_count_rows(tmp_path: Path) -> None:
    session = Session(to_onnx(nn.Linear(3, 2), lucid.randn(5, 2, 3)))
    source = as_npz(tmp_path / "in.npz", input=np.ones((5, 4, 3), "f4"))
    with pytest.raises(LucidError, match="any could count rows; say which does: batch='input_dim_0'"):
        score_file(session, source, tmp_path / "out.npz")
    assert score_file(session, source, tmp_path / "out.npz", batch="input_dim_1").rows == 5


def test_an_input_that_is_not_one_of_each_row(tmp_path: Path) -> None:
    session = Session(
        to_onnx(lambda x, scale: x * scale, lucid.randn(5, 3), lucid.randn(3), dynamic={"x": {0: "batch"}})
    )
    with pytest.raises(LucidError, match=r"input scale: .* does not have the axis 'batch' once"):
        score_file(session, as_npz(tmp_path / "in.npz", x=np.ones((5, 3), "f4")), tmp_path / "out.npz")


# --- what is whole


def test_a_whole_file_is_skipped_and_any_other_is_redone(session: Session, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((5, 4, 3)).astype("f4")
    source, target = as_npz(tmp_path / "in.npz", x=x, id=np.arange(5)), tmp_path / "out.npz"

    def again(model: Session = session, **options: Any) -> bool:
        return not score_file(model, source, target, **options).skipped

    assert again()
    first = target.read_bytes()
    assert not again()
    assert not again(batch_size=1)
    assert again(keep=[])
    assert again()
    target.write_bytes(first[: len(first) // 2])
    assert again()
    assert target.read_bytes() == first
    os.utime(source, ns=(0, 0))
    assert again()
    assert again(Session(to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3))))
    as_npz(target, x=x)
    assert again()


def test_a_whole_parquet_file_is_skipped(session: Session, pa: Any, tmp_path: Path) -> None:
    write_parquet(tmp_path / "in.parquet", sequences(5))
    target = tmp_path / "out.parquet"
    assert not score_file(session, tmp_path / "in.parquet", target).skipped
    assert score_file(session, tmp_path / "in.parquet", target).skipped
    target.write_bytes(target.read_bytes()[:-10])
    assert not score_file(session, tmp_path / "in.parquet", target).skipped


def test_a_failure_leaves_the_old_results_and_no_temporary_file(session: Session, tmp_path: Path) -> None:
    x = np.ones((5, 4, 3), "f4")
    source, target = as_npz(tmp_path / "in.npz", x=x), tmp_path / "out.npz"
    score_file(session, source, target)
    before = target.read_bytes()
    x[3] = np.nan
    as_npz(source, x=x)
    with pytest.raises(RangeError):
        score_file(session, source, target)
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["in.npz", "out.npz"]


# --- errors


def lists(pa: Any, rows: list[Any], dtype: Any = None) -> Any:
    return pa.array(rows, pa.list_(pa.list_(dtype or pa.float32())))


def test_columns_that_do_not_hold_rows(session: Session, pa: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(table, "_ROWS", 2)
    step, nan = [1.0, 2.0, 3.0], float("nan")
    good = [[step], [step, step]]
    cases: list[tuple[Any, type[Exception], str]] = [
        (lists(pa, [*good, [step], [step, [1.0, 2.0]]]), ShapeError, "column 'x', row 3: it is ragged"),
        (lists(pa, [*good, [[1.0, 2.0]], [[1.0]]]), ShapeError, "column 'x', rows 2, 3: axis 1 must be 3; got 2"),
        (lists(pa, [*good, []]), ShapeError, "column 'x', row 2: it has no steps"),
        (lists(pa, [*good, [step], None]), RangeError, "column 'x', row 3: it is null"),
        (lists(pa, [*good, [step, None]]), RangeError, "column 'x', row 2: it is null"),
        (lists(pa, [*good, [step, [1.0, None, 2.0]]]), RangeError, "column 'x', row 2: it is null"),
        (lists(pa, [*good, [step], [step, [1.0, nan, 2.0]]]), RangeError, "column 'x', row 3: it holds NaN"),
        (lists(pa, good, pa.float64()), DtypeError, "column 'x': it holds float64, but the input 'x' is float32"),
        (lists(pa, good, pa.int64()), DtypeError, "column 'x': it holds int64, but"),
        (lists(pa, [[["a"]]], pa.string()), DtypeError, "its type is list<.*string.* lists nested 2 deep, of float32"),
        (pa.array([[1.0]], pa.list_(pa.float32())), DtypeError, r"a row of input 'x' is \(time, 3\)"),
        (pa.array([1.0], pa.float32()), DtypeError, "column 'x': its type is float"),
    ]
    for column, kind, message in cases:
        source = as_parquet(tmp_path / "in.parquet", {"x": column})
        with pytest.raises(kind, match=message) as found:
            score_file(session, source, tmp_path / "out.parquet")
        assert str(found.value).startswith(f"{source}, column 'x'")
    with pytest.raises(
        LucidError, match=r"in\.parquet: there is no column 'x' for the input 'x'; there is y; columns="
    ):
        score_file(session, as_parquet(tmp_path / "in.parquet", {"y": [1]}), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_arrays_that_do_not_hold_rows(session: Session, tmp_path: Path) -> None:
    x = np.ones((5, 4, 3), "f4")
    bad = x.copy()
    bad[2:4, 1] = np.nan
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"x": x[..., :2]}, ShapeError, "rows 0, 1, 2, 3, 4: axis 1 must be 3; got 2"),
        ({"x": x[0]}, ShapeError, r"its shape is \(4, 3\), but a row of input 'x' is \(time, 3\)"),
        ({"x": x[:, :0]}, ShapeError, "it has no steps"),
        ({"x": bad}, RangeError, "column 'x', rows 2, 3: it holds NaN"),
        ({"x": x.astype("f8")}, DtypeError, "it holds float64"),
        ({"x": np.full((5, 4, 3), "a")}, DtypeError, "it holds <U1"),
        ({"x": x, "lengths": np.ones(4, int)}, ShapeError, r"its shape is \(4,\).*and there are 5 rows"),
        ({"x": x, "classes": np.ones(9)}, ShapeError, "array 'classes': its shape .* does not begin with the 5 rows"),
        ({"x": x, "lengths": np.array([1, 5, 2, 9, 4])}, ShapeError, "rows 1, 3: input 'lengths' must hold lengths"),
        ({"x": x, "score": np.ones(5)}, LucidError, "the column 'score' has the name of an output"),
        ({"x": np.asfortranarray(x)}, FileError, "Fortran order"),
        ({"x": x, "o": np.array([None])}, FileError, "pickled objects"),
    ]
    for arrays, kind, message in cases:
        with pytest.raises(kind, match=message) as found:
            score_file(session, as_npz(tmp_path / "in.npz", **arrays), tmp_path / "out.npz")
        assert str(tmp_path / "in.npz") in str(found.value)
    assert os.listdir(tmp_path) == ["in.npz"]


def test_wrong_arguments(session: Session, tmp_path: Path) -> None:
    source = as_npz(tmp_path / "in.npz", x=np.ones((5, 4, 3), "f4"))
    target = tmp_path / "out.npz"
    with pytest.raises(LucidError, match="no input 'z'; the inputs are x, lengths"):
        score_file(session, source, target, columns={"z": "x"})
    with pytest.raises(LucidError, match="there is no column 'n' for the input 'lengths'"):
        score_file(session, source, target, columns={"lengths": "n"})
    with pytest.raises(LucidError, match="would both read the column 'x'"):
        score_file(session, source, target, columns={"lengths": "x"})
    with pytest.raises(LucidError, match="there is no column 'id' to keep; there is x"):
        score_file(session, source, target, keep=["id"])
    with pytest.raises(FileError, match="would replace the file of rows"):
        score_file(session, source, source)
    with pytest.raises(FileError, match="must end as"):
        score_file(session, source, tmp_path / "out.parquet")
    with pytest.raises(FileError, match=r"must end in \.parquet or \.npz"):
        score_file(session, tmp_path / "in.csv", tmp_path / "out.csv")
    with pytest.raises(FileError, match=r"missing\.npz is not a \.npz file that can be read: No such file"):
        score_file(session, tmp_path / "missing.npz", target)
    (tmp_path / "cut.npz").write_bytes(source.read_bytes()[:100])
    with pytest.raises(FileError, match=r"cut\.npz is not a \.npz file that can be read"):
        score_file(session, tmp_path / "cut.npz", target)
    with pytest.raises(ValueError, match="batch_size must be positive"):
        score_file(session, source, target, batch_size=0)


def test_a_damaged_parquet_file(session: Session, pa: Any, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    write_parquet(source, sequences(50))
    data = bytearray(source.read_bytes())
    data[30:300] = bytes(270)
    (tmp_path / "spoiled.parquet").write_bytes(data)
    (tmp_path / "cut.parquet").write_bytes(data[:200])
    for name in ("spoiled", "cut", "missing"):
        with pytest.raises(FileError, match=rf"{name}\.parquet is not a Parquet file that can be read"):
            score_file(session, tmp_path / f"{name}.parquet", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_without_pyarrow_the_error_says_what_to_install(session: Session, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "lucid.runtime.scoring.parquet", None)
    with pytest.raises(RuntimeUnavailableError, match=r"pyarrow is needed.* pip install 'lucid-onnx\[score\]'"):
        score_file(session, tmp_path / "in.parquet", tmp_path / "out.parquet")
