"""The order of the parts, what `import lucid` loads, the length of files, public names, and no local paths."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.names import PAGE, public_names
from tests.tiers import thinned

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lucid"

# A file imports only from its own part and from earlier parts.
ORDER = (
    ("catalogue",),
    ("errors", "malloc", "absent", "tables"),
    ("devices", "threads", "backends"),
    ("cuda", "accelerator"),
    ("tracer",),
    ("shape",),
    ("methods", "readout", "hookable", "layout"),
    ("tensor",),
    ("traced", "kinds"),
    ("autograd",),
    ("ops",),
    ("nn",),
    ("files", "structure"),
    ("optim", "data", "distributions", "io"),
    ("checkpoint", "utils"),
    ("proof",),
    ("export", "seeing"),
    ("importing", "runtime"),
    ("distributed", "plot"),
    ("cli",),
    ("__main__",),
)
PLACE = {part: place for place, parts in enumerate(ORDER) for part in parts}
# The order of the folders inside a part.
WITHIN = {
    "proof": (
        ("placement", "reach", "reads", "perturb", "ties"),
        ("isolation", "probes", "ranges", "separation", "states", "resize"),
        ("partition",),
        ("example",),
        ("proof", "runs", "naming"),
        ("sizeruns",),
        ("decisions",),
        ("axes", "carried"),
        ("streaming", "interface"),
    ),
    "export": (
        ("file", "names", "report"),
        ("lowering",),
        ("calling", "quantization", "rounding"),
        ("precision",),
        ("parity", "described"),
        ("timing",),
        ("fastest",),
        ("exported",),
        ("to_onnx",),
        ("training",),
    ),
    "runtime": (("session",), ("compiled",), ("scoring",)),
}
# Third-party packages other than NumPy, and the first part, if any, that may import each at the top of a file.
HEAVY = {
    "onnx": "export",
    "onnx_ir": "export",
    "onnxruntime": "runtime",
    "click": "cli",
    "safetensors": "io",
    "dask": "runtime",
    "distributed": "runtime",
    "pyarrow": "runtime",
    "tqdm": "",
    "matplotlib": "",
}
LINES = 430

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


@functools.cache
def imports(path):
    """Returns (name, line, whether at the top of the file) for each import outside `if TYPE_CHECKING`."""
    return list(walked(path))


def walked(path):
    tree = ast.parse(path.read_text())
    checking = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if node in checking:
            continue
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            if node.module or not node.level:
                yield name, node.lineno, top
            else:
                yield from ((f"{name}.{alias.name}", node.lineno, top) for alias in node.names)


def test_every_file_belongs_to_a_part():
    assert {part_of(path) for path in FILES} - {"__init__"} <= set(PLACE)


def test_parts_import_only_what_stands_before_them():
    wrong = []
    for path in FILES:
        part = part_of(path)
        if part == "__init__":
            continue
        for name, line, _ in imports(path):
            if name.startswith("lucid.") and name != "lucid.__version__":
                other = name.split(".")[1]
                if other not in PLACE:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}, which is in no part")
                elif other != part and PLACE[other] >= PLACE[part]:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} ({part}) imports {name}")
            elif name == "lucid":
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports the whole of lucid")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", WITHIN)
def test_folders_import_only_what_stands_before_them(part):
    place = {room: place for place, rooms in enumerate(WITHIN[part]) for room in rooms}
    wrong = []
    for path in sorted((PACKAGE / part).rglob("*.py")):
        room = path.relative_to(PACKAGE / part).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in place, f"{path.relative_to(ROOT)} has no place in the order of {part}"
        for name, line, _ in imports(path):
            if name.startswith(f"lucid.{part}."):
                other = name.split(".")[2]
                if other != room and place[other] >= place[room]:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} ({room}) imports {name}")
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_stay_where_they_belong():
    wrong = []
    for path in FILES:
        place = PLACE.get(part_of(path), -1)
        for name, line, top in imports(path):
            owner = HEAVY.get(name.split(".")[0])
            # Earlier parts import a heavy package where they use it, not at the top of the file.
            if owner is not None and top and not (owner and place >= PLACE[owner]):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def loaded_by(statement):
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


def test_import_lucid_loads_numpy_and_nothing_heavier():
    loaded = loaded_by("import lucid; lucid.nn.RNN(2, 3)(lucid.ones(4, 1, 2))[0].sum().backward()")
    assert "numpy" in loaded
    allowed = sys.stdlib_module_names | {"numpy", "lucid", "__mp_main__"}
    outside = {name for name in loaded - loaded_by("import numpy.random") - allowed if not name.startswith("_")}
    assert not outside
    assert not loaded & HEAVY.keys()


def test_export_loads_no_onnxruntime_before_it_is_used():
    loaded = loaded_by("import lucid; lucid.export")
    assert "onnx" in loaded


PARTS = [
    *(
        "checkpoint",
        "data",
        "distributions",
        "export",
        "importing",
        "io",
        "nn",
        "optim",
        "plot",
        "runtime",
        "seeing",
        "utils",
    ),
]


@pytest.mark.parametrize("name", thinned(PARTS, len(PARTS), sample=4))
@pytest.mark.parametrize(
    "form", thinned(["import lucid; lucid.{}.__file__", "from lucid import {}", "import lucid.{}"], 3)
)
def test_parts_are_reached_from_lucid(name, form):
    assert loaded_by(form.format(name))


def test_lucid_has_all_its_names_and_no_other():
    import lucid

    for name in (*lucid.__all__, *PARTS, "compile"):
        assert name in dir(lucid)
        assert getattr(lucid, name) is not None
    assert lucid.load is lucid.io.load
    assert lucid.compile is lucid.runtime.compile
    assert not hasattr(lucid, "recurrence")


def test_files_are_short():
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > LINES}
    assert not long


def tracked():
    git = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if git.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in git.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_knows_where_it_stands():
    """A local path would be wrong on any other machine."""
    pattern = re.compile(r"(?<![\w.~/}-])/(?:home|Users|work|root|mnt|tmp)/\w|[A-Z]:\\\\?Users")
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__).resolve():
            found += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in text.splitlines() if pattern.search(line)]
    assert not found, "\n".join(found)


def test_public_names_are_those_on_record():
    made, recorded = public_names().splitlines(), PAGE.read_text(encoding="utf-8").splitlines()
    changed = sorted(set(made) ^ set(recorded))
    assert made == recorded, f"public names differ: {changed}; if that is meant, run `python -m tests.project.names`"


def test_public_names_exist_and_are_documented():
    import lucid
    from lucid import nn

    for module in (nn, nn.utils, nn.utils.rnn, nn.functional, nn.init, lucid.tracer, lucid.ops):
        for name in module.__all__:
            thing = getattr(module, name)
            assert thing.__doc__, f"{module.__name__}.{name} has no docstring"
