"""Every fenced block of a page is what it seems to be.

A block is one of these:

- a doctest, which pytest runs (`testpaths` has README.md and docs);
- ``python``: it runs here, the blocks of a page one after the other, or is quoted from a file (`QUOTED`), or runs in a
  test elsewhere (`ELSEWHERE`);
- no language: shell commands. Those of lucid, make, pip and Python's are parsed here; others are listed (`COMMANDS`);
- ``text``: no code, such as what a program prints;
- a directive of the site's, in braces;
- another language: quoted from a file in examples, which a test compiles or runs.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import shell_complete

from lucid.cli import main
from tests.project.pages import PAGES, ROOT, Block, blocks

QUOTED = {
    "docs/design.md": ("lucid/ops/elementwise.py",),
    "CONTRIBUTING.md": ("lucid/ops/elementwise.py", "lucid/ops/sizes_of_layers.py"),
}
"""The files that the ``python`` blocks of a page are quoted from, without annotations and docstrings."""
ELSEWHERE = {
    "docs/from_pytorch.md": ("tests/importing/test_from_torch.py", "needs PyTorch"),
    "docs/errors.md": ("tests/project/test_errors.py", "every other program raises an error"),
    "docs/deploy.md": ("tests/examples/test_deploy.py", "quotes programs of examples/deploy in several languages"),
}
"""The test that runs the blocks of a page, and why this one does not."""
SLOW = {"docs/start.md"}
"""Pages whose blocks take seconds."""
COMMANDS = {
    "cc": "compiles C; tests/examples/test_deploy.py does it",
    "mkdir": "makes a folder",
    "cp": "copies a library that every wheel of onnxruntime has; tests/examples/test_deploy.py links it",
    "ln": "names the same library for the linker",
    "java": "runs Java; tests/examples/test_deploy.py does it",
    "run": "the program that cc made",
    "until": "starts a program again on many machines",
    "mpiexec": "starts several processes; tests/distributed does it with programs of its own",
}
"""Shell commands that are neither run nor parsed, with the reason."""
IN_EXAMPLES = {"html", "c", "java", "js", "javascript", "mjs"}
"""Languages of programs in examples."""
SKETCHES = {
    (
        "docs/training_anywhere.md",
        "html",
    ): "a page of the reader's own; tests/examples/test_web.py runs ours, which is longer",
}
"""Programs that are in no file of examples, with the reason."""

ALL = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in ALL if block.language in ("", "sh", "bash") and not block.is_doctest]


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


def of_python(page: str) -> list[Block]:
    """Returns the blocks of a page that run here."""
    return [block for block in blocks(page) if block.language == "python" and not block.is_doctest]


PROGRAMS = [page for page in PAGES if of_python(page) and page not in QUOTED and page not in ELSEWHERE]


def test_every_block_is_of_a_known_kind() -> None:
    known = {"", "sh", "bash", "python", "pycon", "text"} | IN_EXAMPLES
    unknown = [f"{named(b)}: {b.language}" for b in ALL if b.language not in known and not b.language.startswith("{")]
    assert not unknown
    assert all(block.language in ("python", "pycon") for block in ALL if block.is_doctest)
    assert {"README.md", "docs/start.md"} <= set(PROGRAMS)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else []) for page in PROGRAMS]
)
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for block in of_python(page):
        exec(compile("\n" * block.line + block.text, page, "exec"), names)
        printed += capsys.readouterr().out
    if page == "docs/start.md":
        (share,) = re.findall(r"([\d.]+)% of 370 utterances", printed)
        assert float(share) > 90
        (shown,) = [block.text for block in blocks(page) if block.language == "text"]
        assert masked(shown) in masked(printed), "docs/start.md: print(exported) prints something else"


def masked(text: str) -> str:
    """Returns what an export prints without its differences."""
    return re.sub(r"\d\S*e-\d+", "difference", text)


@pytest.mark.parametrize("page", QUOTED)
def test_blocks_are_quoted_rightly(page: str) -> None:
    there = set().union(*(functions((ROOT / name).read_text(encoding="utf-8")) for name in QUOTED[page]))
    for block in of_python(page):
        quoted = functions(block.text)
        assert quoted
        assert quoted <= there, f"{named(block)} is not in {QUOTED[page]}: {quoted - there}"


def functions(source: str) -> set[str]:
    """Returns the functions of a source, without annotations and docstrings."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            if ast.get_docstring(node) is not None:
                del node.body[0]
            node.returns = None
            for argument in ast.walk(node):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            found.add(ast.unparse(node))
    return found


@pytest.mark.parametrize("page", ELSEWHERE)
def test_a_test_elsewhere_runs_the_blocks_of_a_page(page: str) -> None:
    test, _ = ELSEWHERE[page]
    assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")
    assert of_python(page)


def test_programs_are_those_of_examples() -> None:
    sources = [path for path in (ROOT / "examples").rglob("*") if path.suffix[1:] in IN_EXAMPLES]
    programs = [unindented(path.read_text(encoding="utf-8")) for path in sources if "node_modules" not in path.parts]
    assert programs
    for block in ALL:
        if block.page in ELSEWHERE:
            continue
        if block.language in IN_EXAMPLES and (block.page, block.language) not in SKETCHES:
            assert any(unindented(block.text) in program for program in programs), f"{named(block)} is not in examples"


def unindented(text: str) -> str:
    """Returns the lines of a program without indentation and empty lines."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("block", SHELL, ids=named)
def test_commands_are_understood(block: Block) -> None:
    commands = [shlex.split(line, comments=True) for line in block.text.replace("\\\n", " ").splitlines()]
    for words in filter(None, commands):
        understand(words)


def understand(words: list[str]) -> None:
    """Fails for a command that its program would not understand."""
    if "|" in words:
        words = words[: words.index("|")]
    words = [word for word in words if not word.startswith(("OPENBLAS_", "_LUCID_"))] or words
    name = Path(words[0]).name
    if name == "lucid":
        parse(words[1:])
    elif name.startswith("python"):
        assert words[1] == "-m", words
        a_module(words[2], words[3:])
    elif name == "make":
        targets = [word for word in words[1:] if "=" not in word]
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^[\w ]*\b{target}\b[\w ]*:", makefile, re.MULTILINE) for target in targets), words
    elif name == "pip":
        extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        asked = re.findall(r"(?:\.|lucid-onnx)\[([\w,]+)\]", " ".join(words))
        assert all(extra in extras for group in asked for extra in group.split(",")), words
    elif name == "eval":
        assert re.fullmatch(r"\$\(_LUCID_COMPLETE=(bash|zsh)_source lucid\)", words[1]), words
    else:
        assert name in COMMANDS, f"{words}: give the block a language, or the command a reason in COMMANDS"


def parse(words: list[str]) -> None:
    """Parses a command line of lucid's, without looking for its files."""
    if "<" in words:
        words = words[: words.index("<")]
    if not words or words == ["--help"]:
        return
    command: Any = main.commands[words[0]]  # type: ignore[attr-defined]
    context = click.Context(command, info_name=words[0])
    options, *_ = command.make_parser(context).parse_args(list(words[1:]))
    for parameter in command.params:
        given = isinstance(options.get(parameter.name), (str, tuple)) and options[parameter.name]
        assert given or not parameter.required, f"{words}: {parameter.name} is missing"


def a_module(name: str, words: list[str]) -> None:
    """Fails if there is no such module, or if its source has no option of those given."""
    found = importlib.util.find_spec(name)
    assert found is not None, name
    assert found.origin
    if name.split(".")[0] in ("models", "benchmarks", "examples", "tests"):
        origin = Path(found.origin)
        own = origin.parent.glob("*.py") if origin.stem == "__init__" else (origin, origin.parent / "options.py")
        source = "".join(path.read_text(encoding="utf-8") for path in own if path.exists())
        assert all(f'"{word}"' in source for word in words if word.startswith("--")), (name, words)


def test_mistakes_in_commands_are_found() -> None:
    for line in (
        "lucid convert a.onnx b.onnx --lowring scan",
        "lucid convert a.onnx",
        "make nothing",
        "pip install '.[none]'",
        "python -m models.nothing",
        "python -m models.vowels --sed 0",
        "rm -r .",
    ):
        with pytest.raises((AssertionError, click.UsageError, ModuleNotFoundError)):
            understand(shlex.split(line))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell_complete(main, {}, "lucid", "_LUCID_COMPLETE", f"{shell}_source") == 0
    assert "_LUCID_COMPLETE" in capsys.readouterr().out
