"""Settings: where a value comes from, for whom, and what is said of a bad one."""

from __future__ import annotations

import contextvars
import threading

import pytest

from mxconv import config
from mxconv.config import KNOBS, get, override, table
from mxconv.errors import MXNetError, ParamError

EXAMPLES = {config._count: ("7", 7), int: ("-3", -3), str: ("words", "words"), config._real: ("1e-3", 1e-3)}
"""A text for each way to read one, and what it means; another way takes a number."""
WORDS = {
    "accuracy": ("pointwise", "pointwise"),
    "reproducible": ("yes", True),
    "tune": ("fastest", "fastest"),
    "autotune": ("2", 2),
}
"""The same for knobs that take certain words only."""

BAD = {
    "num_threads": ["0", "-1", "two", "1.5", "2 threads"],
    "parallel_threshold": ["many", "1e5"],
    "block_pixels": ["0", "x"],
    "block_channels": ["0"],
    "block_reduction": ["-3"],
    "accuracy": ["exact"],
    "rtol": ["0", "-1e-5", "nan", "small"],
    "reproducible": ["2", "maybe"],
    "tune": ["on", "None"],
    "autotune": ["3", "off"],
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for knob in KNOBS.values():
        monkeypatch.delenv(knob.environment, raising=False)


@pytest.mark.parametrize("name", KNOBS)
def test_a_knob_is_what_it_says(name):
    knob = KNOBS[name]
    assert knob.name == name
    assert knob.environment == ("MXNET_CUDNN_AUTOTUNE_DEFAULT" if name == "autotune" else f"MXCONV_{name.upper()}")
    assert knob.meaning
    assert get(name) == knob.default


@pytest.mark.parametrize("name", KNOBS)
def test_override_beats_the_environment_and_that_beats_the_default(monkeypatch, name):
    text, value = WORDS.get(name) or EXAMPLES.get(KNOBS[name].parse, ("7", 7))
    monkeypatch.setenv(KNOBS[name].environment, text)
    assert get(name) == value
    other = object()
    with override(**{name: other}):
        assert get(name) is other
    assert get(name) == value
    monkeypatch.setenv(KNOBS[name].environment, "")
    assert get(name) == KNOBS[name].default, "an empty text is none"


def test_none_overrides_too(monkeypatch):
    monkeypatch.setenv("MXCONV_NUM_THREADS", "5")
    with override(num_threads=None):
        assert get("num_threads") is None


def test_overrides_nest():
    with override(num_threads=1, log="plan"):
        with override(num_threads=2):
            assert (get("num_threads"), get("log")) == (2, "plan")
            with override(log=""):
                assert (get("num_threads"), get("log")) == (2, "")
        assert (get("num_threads"), get("log")) == (1, "plan")
    assert (get("num_threads"), get("log")) == (None, "")


def test_an_override_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), override(num_threads=1):
        raise ZeroDivisionError
    assert get("num_threads") is None


def test_overrides_belong_to_their_thread_and_context():
    seen = []
    with override(num_threads=1):
        thread = threading.Thread(target=lambda: seen.append(get("num_threads")))
        thread.start()
        thread.join()
        context = contextvars.copy_context()
    assert seen == [None]
    assert context.run(get, "num_threads") == 1


def test_threads_do_not_see_each_other():
    barrier = threading.Barrier(4, timeout=20)
    seen = {}

    def work(number: int) -> None:
        with override(num_threads=number):
            barrier.wait()
            seen[number] = get("num_threads")
            barrier.wait()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1: 1, 2: 2, 3: 3, 4: 4}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_a_text_that_means_nothing_is_refused(monkeypatch, name, text):
    knob = KNOBS[name]
    monkeypatch.setenv(knob.environment, text)
    with pytest.raises(ParamError) as caught:
        get(name)
    error = caught.value
    assert (error.argument, error.got, error.expected) == (knob.environment, text, knob.meaning)
    for part in (knob.environment, repr(text), knob.meaning, "Unset it", f"(default: {knob.default})"):
        assert part in str(error)
    with override(**{name: 1}):
        assert get(name) == 1, "what is overridden is not read"


def test_a_name_that_is_no_knob_is_refused():
    with pytest.raises(ParamError) as caught, override(threads=1):
        pass
    assert caught.value.argument == caught.value.got == "threads"
    assert "num_threads" in str(caught.value)
    assert config._overrides.get() is None
    assert issubclass(ParamError, MXNetError)


def test_the_table_has_a_row_for_each_knob():
    header, rule, *rows = table().splitlines()
    assert header == "| setting | environment | default | meaning |"
    assert set(rule) == {"|", "-"}
    assert len(rows) == len(KNOBS)
    for row, knob in zip(rows, KNOBS.values(), strict=True):
        _, name, environment, default, meaning, _ = (cell.strip() for cell in row.split("|"))
        assert (name, environment, meaning) == (f"`{knob.name}`", f"`{knob.environment}`", knob.meaning)
        assert default == ("unset" if knob.default in (None, "") else str(knob.default))
