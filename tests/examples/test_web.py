"""The page trains as eager lucid does, in a headless Chromium, by the clicks and strokes of a person."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from examples.web import npm
from examples.web.build import build
from examples.web.chromium import chromium, missing
from examples.web.serve import server
from examples.web.tasks import TASKS, Task
from lucid.export import TrainingStep
from models import vowels
from tests.tiers import sampled

ROOT = Path(__file__).resolve().parents[2]
needs_chromium = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Site:
    """The page, built and served.

    Attributes:
        folder: where it is.
        steps: the training steps, by name.
        address: the page's.
    """

    def __init__(self, folder: Path, steps: dict[str, TrainingStep], address: str) -> None:
        self.folder, self.steps, self.address = folder, steps, address


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    try:
        npm.onnxruntime_web()
    except npm.NpmError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("web")
    steps = build(folder)
    with server(folder) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield Site(folder, steps, f"http://127.0.0.1:{running.server_port}/")
        running.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def opened(site: Site, browser: Any) -> Iterator[Callable[..., Any]]:
    """A function that opens the page; afterwards its console must be empty."""
    said: list[str] = []
    contexts = []

    def opener(address: str = site.address, **options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.goto(address)
        page.wait_for_function("!document.querySelector('#gestures').inert")
        return page

    yield opener
    for context in contexts:
        context.close()
    assert said == []


def of(page: Any, part: str, expression: str) -> Any:
    """Returns the value of a JavaScript expression, in which `it` is a part of the page."""
    code = f"async (part) => {{ const it = (await import('{page.url}main.js'))[part]; return {expression}; }}"
    return page.evaluate(code, part)


def vowel_batches(page: Any, steps: range) -> list[list[lucid.Tensor]]:
    """Returns the batches that the page takes in some steps."""
    train, _ = vowels.load()
    code = """async ([url, steps, count]) => {
        const { chosen } = await import(url);
        return steps.map((step) => chosen(step, count, 32));
    }"""
    orders = page.evaluate(code, [f"{page.url}batches.js", list(steps), len(train.lengths)])
    batches = []
    for order in orders:
        some = train.where(np.array(order))
        some = some._replace(frames=some.frames[:, : some.lengths.max()])
        batches.append([lucid.tensor(array) for array in some])
    return batches


def eager_losses(task: Task, batches: list[list[lucid.Tensor]]) -> list[float]:
    return [task.train(*batch) for batch in batches]


def downloaded(page: Any, part: str, path: Path) -> Path:
    with page.expect_download() as download:
        page.click(f"#{part} [data-do=save]")
    download.value.save_as(path)
    return path


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(("rate", "steps"), [("0.001", 100), pytest.param("0.005", 50, marks=pytest.mark.exhaustive)])
def test_the_losses_are_those_of_eager_training(rate: str, steps: int, site: Site, opened: Callable[..., Any]) -> None:
    """The higher the rate, the faster runs drift apart that differ in the last digit; eager ones in float64, too."""
    page = opened()
    page.select_option("#vowels select", rate)
    page.click("#vowels [data-do=train]")
    page.wait_for_function(
        "steps => Number(document.querySelector('#vowels [data-fact=step]').textContent) >= steps", arg=steps
    )
    page.click("#vowels [data-do=train]")
    page.wait_for_function("document.querySelector('#vowels [data-do=train]').textContent === 'Train'")
    losses = of(page, "vowels", "it.trainer.losses")
    task = TASKS["vowels"]()
    task.optimizer.param_groups[0]["lr"] = float(rate)
    expected = eager_losses(task, vowel_batches(page, range(steps)))
    np.testing.assert_allclose(losses[:steps], expected, rtol=1e-4)
    assert losses[steps - 1] < 0.7 * losses[0]

    # It is paused.
    page.wait_for_timeout(300)
    assert of(page, "vowels", "it.trainer.count") == len(losses)

    # What the page shows is what eager lucid answers on the test set, with the parameters of the page.
    _, test = vowels.load()
    of(page, "vowels", f"await it.loop.run({-len(losses) % 9 or 9})")
    state = downloaded(page, "vowels", site.folder / "shown.safetensors")
    site.steps["vowels"].load_into(task.model, task.optimizer, lucid.load(state))
    scores = vowels.score(vowels.eager(task.model), test)  # type: ignore[arg-type]
    shown = page.eval_on_selector_all(
        "#vowels .confusion tbody tr",
        "rows => rows.map(row => [...row.cells].slice(1).map(cell => Number(cell.textContent)))",
    )
    counts = np.zeros((9, 9), int)
    np.add.at(counts, (test.speakers, scores.argmax(1)), 1)
    np.testing.assert_array_equal(shown, counts)
    percent = f"{100 * vowels.accuracy(scores, test):.1f} %"
    assert page.text_content("#vowels [data-fact=accuracy]") == percent


@needs_chromium
@pytest.mark.slow
def test_a_saved_state_goes_on_in_the_page_and_eagerly(site: Site, opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened()
    of(page, "vowels", "await it.loop.run(20)")
    saved = downloaded(page, "vowels", tmp_path / "state.safetensors")
    of(page, "vowels", "await it.loop.run(20)")
    losses = of(page, "vowels", "it.trainer.losses")
    assert len(losses) == 40

    page.click("#vowels [data-do=reset]")
    page.wait_for_function("document.querySelector('#vowels [data-fact=step]').textContent === '0'")
    of(page, "vowels", "await it.loop.run(3)")
    assert of(page, "vowels", "it.trainer.losses") == losses[:3]

    page.set_input_files("#vowels input[type=file]", saved)
    page.wait_for_function("document.querySelector('#vowels [data-fact=step]').textContent === '20'")
    of(page, "vowels", "await it.loop.run(20)")
    assert of(page, "vowels", "it.trainer.losses") == losses[20:]

    # Eager training goes on from there, too.
    step, task = site.steps["vowels"], TASKS["vowels"]()
    step.load_into(task.model, task.optimizer, lucid.load(saved))
    assert float(lucid.load(saved)["step"].item()) == 20
    np.testing.assert_allclose(eager_losses(task, vowel_batches(page, range(20, 40))), losses[20:], rtol=1e-4)

    # And the page goes on where eager training stopped, with its learning rate.
    task.optimizer.param_groups[0]["lr"] = 0.003
    lucid.save(step.state_of(task.model, task.optimizer), tmp_path / "eager.safetensors")
    page.set_input_files("#vowels input[type=file]", tmp_path / "eager.safetensors")
    page.wait_for_function("document.querySelector('#vowels [data-fact=step]').textContent === '40'")
    assert page.eval_on_selector("#vowels select", "menu => menu.selectedOptions[0].textContent") == "0.00300"
    of(page, "vowels", "await it.loop.run(10)")
    losses = of(page, "vowels", "it.trainer.losses")
    np.testing.assert_allclose(eager_losses(task, vowel_batches(page, range(40, 50))), losses, rtol=1e-4)


@needs_chromium
@pytest.mark.slow
def test_a_file_that_does_not_fit_changes_nothing(site: Site, opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened()
    of(page, "vowels", "await it.loop.run(2)")
    saved = downloaded(page, "vowels", tmp_path / "state.safetensors")
    (tmp_path / "text.safetensors").write_text("not a state")
    (tmp_path / "short.safetensors").write_bytes(saved.read_bytes()[:-4])
    gestures = downloaded(page, "gestures", tmp_path / "gestures.safetensors")
    for path, expected in (
        (tmp_path / "text.safetensors", "this is no safetensors file"),
        (tmp_path / "short.safetensors", "are incomplete"),
        (gestures, "rnn.weight_ih_l0: nothing instead of float32[64,12]"),
    ):
        page.set_input_files("#vowels input[type=file]", path)
        page.wait_for_function("text => document.getElementById('problem').textContent.includes(text)", arg=expected)
        assert path.name in page.text_content("#problem")
        assert page.is_visible("#problem")
        assert of(page, "vowels", "it.trainer.count") == 2
    page.set_input_files("#vowels input[type=file]", saved)
    page.wait_for_selector("#problem", state="hidden")


Shape = Callable[[float], tuple[float, float]]
SHAPES: list[Shape] = [
    lambda t: (math.sin(2 * math.pi * t), -math.cos(2 * math.pi * t)),  # a circle
    lambda t: (2 * t - 1, 2 * abs(6 * t % 2 - 1) - 1),  # a zigzag
    lambda t: (2 * t - 1, 1 - 2 * abs(2 * t - 1)),  # a tick
]


def draw(page: Any, shape: Shape, seed: int) -> None:
    """Draws a shape with the mouse, at another place and size for each seed, with a trembling hand."""
    rng = np.random.default_rng(seed)
    pad = page.locator("#gestures .pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]) + rng.uniform(-20, 20, 2)
    scale = box["height"] * rng.uniform(0.2, 0.35, 2)
    points = [middle + scale * shape(t) + rng.normal(0, 1.5, 2) for t in np.linspace(0, 1, int(rng.integers(12, 24)))]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("phone", sampled([True, False], 2))
def test_drawn_gestures_are_learned_and_recognized(phone: bool, opened: Callable[..., Any]) -> None:
    page = opened(viewport={"width": 360, "height": 740} if phone else {"width": 900, "height": 700})
    train = page.locator("#gestures [data-do=train]")
    for gesture, (name, shape) in enumerate(zip(("circle", "zigzag", "tick"), SHAPES, strict=True)):
        assert train.is_enabled() is (gesture == 2)  # two gestures can be told apart
        page.check(f"#mode-{gesture}")
        page.fill(f"[aria-label='Name of gesture {gesture + 1}']", name)
        for number in range(3):
            draw(page, shape, 10 * gesture + number)
    assert [len(strokes) for strokes in of(page, "gestures", "it.examples.strokes")] == [3, 3, 3]
    batches = of(
        page,
        "gestures",
        "Array.from({ length: 40 }, (_, step) => Object.values(it.batch(step)).map("
        "({ type, dims, data }) => ({ type, dims, data: Array.from(data, Number) })))",
    )
    train.click()
    page.wait_for_function("document.querySelector('#mode-ask').checked")
    losses = of(page, "gestures", "it.trainer.losses")
    arrays = [[lucid.tensor(np.array(x["data"], x["type"]).reshape(x["dims"])) for x in batch] for batch in batches]
    assert len({points.shape[1] for points, _, _ in arrays}) > 1  # strokes differ in length
    np.testing.assert_allclose(losses[:40], eager_losses(TASKS["gestures"](), arrays), rtol=1e-4)
    for name, shape in zip(("circle", "zigzag", "tick"), SHAPES, strict=True):
        page.evaluate("document.querySelector('[data-fact=answer]').textContent = ''")
        draw(page, shape, 101 if phone else 100)
        page.wait_for_function("document.querySelector('[data-fact=answer]').textContent")
        assert page.text_content("[data-fact=answer]") == name


@needs_chromium
@pytest.mark.slow
def test_the_page_fits_a_phone(opened: Callable[..., Any]) -> None:
    page = opened(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    of(page, "vowels", "await it.loop.run(9)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    heights = page.eval_on_selector_all(
        "button, select, input[type=text]", "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert len(heights) >= 14
    assert min(heights) >= 44


@needs_chromium
@pytest.mark.slow
def test_any_web_server_can_host_it_in_any_folder(site: Site, opened: Callable[..., Any]) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site.folder.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = opened(f"http://127.0.0.1:{other.server_port}/{site.folder.name}/")
        of(page, "vowels", "await it.loop.run(2)")
        assert of(page, "vowels", "it.trainer.count") == 2
        other.shutdown()


TYPES = {
    "": "text/html",
    "style.css": "text/css",
    "step.js": "text/javascript",
    "models/vowels.onnx": "application/octet-stream",
    "ort/ort-wasm-simd-threaded.wasm": "application/wasm",
}


@pytest.mark.slow
def test_the_command_builds_and_serves(site: Site) -> None:
    command = [sys.executable, "-m", "examples.web", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            line = run.stdout.readline()
            address = next(word for word in line.split() if word.startswith("http"))
            for path, kind in TYPES.items():
                with urllib.request.urlopen(address + path) as answer:
                    assert answer.headers.get_content_type() == kind, path
        finally:
            run.terminate()


def test_without_npm_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "INSTALLED", tmp_path / "node_modules" / "onnxruntime-web")
    monkeypatch.setattr(npm.shutil, "which", lambda _: None)
    with pytest.raises(npm.NpmError, match=r"^onnxruntime-web [\d.]+ is not installed in .*; install Node\.js, which"):
        npm.onnxruntime_web()
