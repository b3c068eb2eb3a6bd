"""no_grad, enable_grad and set_grad_enabled as blocks, decorators and statements; in generators and threads."""

from __future__ import annotations

import contextvars
import threading

import pytest

import lucid
from lucid.tracer import trace


@pytest.fixture(autouse=True)
def _as_before():
    assert lucid.is_grad_enabled()
    yield
    assert lucid.is_grad_enabled()


def test_blocks_nest():
    with lucid.no_grad():
        assert not lucid.is_grad_enabled()
        with lucid.enable_grad():
            assert lucid.is_grad_enabled()
            with lucid.set_grad_enabled(False):
                assert not lucid.is_grad_enabled()
            assert lucid.is_grad_enabled()
        assert not lucid.is_grad_enabled()


def test_one_block_may_be_entered_again_and_inside_itself():
    block = lucid.no_grad()
    with block, lucid.enable_grad(), block:
        assert not lucid.is_grad_enabled()
    with block:
        assert not lucid.is_grad_enabled()


def test_an_error_ends_the_block():
    with pytest.raises(ZeroDivisionError), lucid.no_grad():
        raise ZeroDivisionError


def test_nothing_is_recorded():
    x = lucid.ones(2, requires_grad=True)
    with lucid.no_grad():
        y = x * 2
        z = lucid.ones(2, requires_grad=True)
    assert not y.requires_grad
    assert y.is_leaf
    assert y._value is None
    assert z.requires_grad


@pytest.mark.parametrize("switch", [lucid.no_grad, lambda: lucid.set_grad_enabled(False)])
def test_decorators(switch):
    @switch()
    def compute(x):
        """Doc."""
        inner = [lucid.is_grad_enabled()]
        if x.ndim:
            inner += compute(x.sum())
        return inner

    assert lucid.is_grad_enabled()
    assert compute(lucid.ones(2)) == [False, False]
    assert (compute.__name__, compute.__doc__) == ("compute", "Doc.")

    @lucid.enable_grad()
    def again():
        return lucid.is_grad_enabled()

    with lucid.no_grad():
        assert again()


def test_a_decorated_method():
    class Model:
        @lucid.no_grad()
        def mode(self, *, flag):
            return lucid.is_grad_enabled(), flag

    assert Model().mode(flag=3) == (False, 3)


def test_as_a_statement():
    lucid.set_grad_enabled(False)
    assert not lucid.is_grad_enabled()
    lucid.set_grad_enabled(True)
    assert lucid.is_grad_enabled()


def test_a_decorated_generator_leaves_its_caller_alone():
    log = []

    @lucid.no_grad()
    def steps():
        try:
            received = None
            while received != "stop":
                assert not lucid.is_grad_enabled()
                try:
                    received = yield received
                except KeyError as error:
                    received = f"caught {error}"
        finally:
            log.append(lucid.is_grad_enabled())
        return "done"

    generator = steps()
    assert next(generator) is None
    assert lucid.is_grad_enabled()
    assert generator.send("a") == "a"
    assert lucid.is_grad_enabled()
    assert generator.throw(KeyError("b")) == "caught 'b'"
    with pytest.raises(StopIteration) as stop:
        generator.send("stop")
    assert stop.value.value == "done"
    assert log == [False]

    generator = steps()
    next(generator)
    generator.close()
    assert log == [False, False]
    generator = steps()
    next(generator)
    with pytest.raises(ZeroDivisionError):
        generator.throw(ZeroDivisionError)
    assert lucid.is_grad_enabled()


def test_a_block_left_in_another_context():
    """A generator may be closed by the garbage collector, in another thread, or after the trace it began in."""

    def steps():
        with lucid.no_grad():
            yield

    held = steps()
    contextvars.copy_context().run(next, held)
    held.close()
    lucid.set_grad_enabled(True)

    kept = []

    def model(x):
        kept.append(steps())
        next(kept[0])
        return x * 2

    trace(model, lucid.ones(2))
    kept.pop().close()
    trace(lambda x: x * 2, lucid.ones(2))


def test_a_new_thread_records():
    seen = []
    with lucid.no_grad():
        thread = threading.Thread(target=lambda: seen.append(lucid.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_like_pytorch(torch):

    def observed(library):
        found = []
        with library.no_grad():
            found.append(library.is_grad_enabled())
            library.set_grad_enabled(True)
            found.append(library.is_grad_enabled())
        found.append(library.is_grad_enabled())
        block = library.set_grad_enabled(False)
        found.append(library.is_grad_enabled())
        with block:
            found.append(library.is_grad_enabled())
        found.append(library.is_grad_enabled())
        return found

    assert observed(lucid) == observed(torch)
