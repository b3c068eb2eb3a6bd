"""The distribution: what it needs, what it contains, and that it works where nothing else is installed."""

from __future__ import annotations

import ast
import email
import functools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import lucid
from tests.project.readme import ROOT, program, same_output, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="Python 3.10 has no tomllib")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSIONS = [
    pytest.param(version, marks=[] if version == f"3.{sys.version_info.minor}" else pytest.mark.exhaustive)
    for version in ("3.10", "3.11", "3.12", "3.13")
]


def modules_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement)[0].replace("-", "_") for requirement in requirements}


@functools.cache
def imported() -> frozenset[str]:
    """Returns the packages that lucid and the models import, at the top of a file or inside of a function."""
    names: set[str] = set()
    for path in (path for folder in ("lucid", "models") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.split(".")[0])
    return frozenset(names - sys.stdlib_module_names)


def test_each_dependency_is_imported_and_each_import_is_a_dependency() -> None:
    needed = modules_of(PROJECT["dependencies"])
    optional = modules_of([one for extra in PROJECT["optional-dependencies"].values() for one in extra])
    assert needed <= imported()
    assert imported() - needed - optional == {
        "lucid",
        "google",
        "dask",
    }  # protobuf comes with onnx, Dask with distributed


def test_the_version_is_the_same_everywhere() -> None:
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert lucid.__version__ == PROJECT["version"] == cited


def run(*command: Any, folder: Path, status: int = 0) -> str:
    """Runs a command that is to end with a status, and knows nothing of this checkout; returns what it printed."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == status, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


@functools.cache
def interpreter(version: str) -> str | None:
    """Returns an interpreter of a version: the one that runs here, one on the path, or one of pyenv's."""
    if version == f"3.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    shims = Path(found).parents[1] / "versions"
    for path in (found, *map(str, sorted(shims.glob(f"{version}.*/bin/python{version}")))):
        done = subprocess.run([path, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip() == f"(3, {version[2:]})":
            return path
    return None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution, and the environment that built them."""
    folder = tmp_path_factory.mktemp("built")
    venv.create(folder / "env", with_pip=True)
    pip = [folder / "env" / "bin" / "python", "-m", "pip", "install", "-q", "hatchling>=1.27"]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=300)
    if "No matching distribution" in done.stderr:
        pytest.skip("no index of packages can be reached")
    assert done.returncode == 0, done.stderr
    build(folder, ROOT, "sdist", "wheel")
    return folder


def build(folder: Path, source: Path, *targets: str) -> None:
    options = [option for target in targets for option in ("-t", target)]
    run(folder / "env" / "bin" / "python", "-m", "hatchling", "build", "-d", folder, *options, folder=source)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.mark.slow
def test_the_wheel_has_what_running_needs_and_no_more(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    files = contents(wheel)
    info = f"lucid_onnx-{lucid.__version__}.dist-info"
    assert {name.split("/")[0] for name in files} == {"lucid", "models", info}
    data = [f"models/data/{name}" for name in ("README.md", "japanese_vowels.npz", "electricity_halfhourly.csv")]
    assert {"lucid/py.typed", f"{info}/licenses/LICENSE", *data} <= set(files)
    for folder in ("lucid", "models"):
        sources = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py")}
        assert sources == {name for name in files if name.startswith(f"{folder}/") and name.endswith(".py")}


@pytest.mark.slow
def test_the_description_is_the_first_screen_and_all_its_links_are_absolute(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    metadata = email.message_from_bytes(contents(wheel)[f"lucid_onnx-{lucid.__version__}.dist-info/METADATA"])
    text = metadata.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert program() in text.decode()
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)]+)\)", text.decode()))


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    (archive,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(archive) as file:
        names = {name.split("/", 1)[1] for name in file.getnames()}
        file.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    assert {"README.md", "CHANGELOG.md", "Makefile", "docs/design.md", "tests/project/test_packaging.py"} <= names
    before = contents(wheel)
    build(built, tmp_path / archive.name.removesuffix(".tar.gz"), "wheel")
    assert contents(wheel) == before


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_it_works_where_nothing_else_is_installed(built: Path, tmp_path: Path, version: str) -> None:
    found = interpreter(version)
    if found is None:
        pytest.skip(f"python{version} is not on this machine")
    run(found, "-m", "venv", tmp_path / "env", folder=tmp_path)
    folder, python = tmp_path / "elsewhere", tmp_path / "env" / "bin" / "python"
    folder.mkdir()
    (wheel,) = built.glob("*.whl")
    run(python, "-m", "pip", "install", "-q", wheel, folder=folder)
    assert "No broken requirements" in run(python, "-m", "pip", "check", folder=folder)
    assert "score" in run(tmp_path / "env" / "bin" / "lucid", "--help", folder=folder)
    assert str(tmp_path / "env") in run(python, "-c", "import lucid; print(lucid.__file__)", folder=folder)

    (folder / "speakers.py").write_text(program(), encoding="utf-8")
    same_output(run(python, "speakers.py", folder=folder), shown())
    assert "lengths" in run(tmp_path / "env" / "bin" / "lucid", "info", "speakers.onnx", folder=folder)

    vowels = [python, "-m", "models.vowels", "--seed", "0", "--epochs", "3"]
    assert "pip install 'lucid-onnx[plot]'" in run(*vowels, folder=folder, status=1)
    run(python, "-m", "pip", "install", "-q", f"{wheel}[plot]", folder=folder)
    assert "accuracy, seed 0" in run(*vowels, folder=folder)
    assert {path.name for path in (folder / "out").iterdir()} == {"vowels.onnx", "vowels.png"}
