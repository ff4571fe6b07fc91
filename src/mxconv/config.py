"""Every knob of mxconv, declared once: name, environment variable, type, default, meaning.

A knob's value is looked up in this order: an `override` block around the call, the environment, the default.

>>> with override(num_threads=1):
...     get("num_threads")
1
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from .errors import ParamError


class Knob(NamedTuple):
    """One setting."""

    name: str
    environment: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _real(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError(text)
    return value


def _yes(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.strip().lower()]


def _one_of(*words: Any) -> Callable[[str], Any]:
    table = {str(word): word for word in words}
    return lambda text: table[text.strip()]


KNOBS: dict[str, Knob] = {
    k.name: k
    for k in (
        Knob("cache_dir", "MXCONV_CACHE_DIR", str, None, 
             "folder of compiled kernels and of what was measured; unset: the user's cache folder"),
        Knob("target", "MXCONV_TARGET", str, "native", "CPU to compile for: native, avx512, avx2 or x86-64"),
        Knob("num_threads", "MXCONV_NUM_THREADS", _count, None, "threads of one call; unset: the CPUs that we may use"),
        Knob("spin_us", "MXCONV_SPIN_US", _whole, 100,
             "microseconds that a worker without a job spins before it sleeps; read when threads start"),
        Knob("pool", "MXCONV_POOL", str, "native",
             "native or portable (threads that Python starts); read when threads start"),
        Knob("pack_cache_mb", "MXCONV_PACK_CACHE_MB", _whole, 256,
             "MB of packed weights kept for later calls; 0 keeps none"),
        Knob("sparse_mb", "MXCONV_SPARSE_MB", _whole, 16,
             "MB that sparse arrays may take as dense ones when a .params file is loaded, beyond twice its size"),
        Knob("log", "MXCONV_LOG", str, "",
             "'plan' prints a line for each plan that is made, with the reasons, to standard error"),
        Knob("dump_dir", "MXCONV_DUMP_DIR", str, None, "folder that receives the .ll and .s of each compiled kernel"),
        Knob("algorithms", "MXCONV_ALGORITHMS", str, "",
             "comma list of the algorithms that may be used; unset: all"),
        Knob("accuracy", "MXCONV_ACCURACY", _one_of("default", "pointwise"), "default",
             "'default' admits algorithms with errors up to 1.5e-5 of the result's standard deviation (in float64 as "
             "many roundings), 'pointwise' only those that add up the products as they are"),
        Knob("rtol", "MXCONV_RTOL", _real, None,
             "the error that is admitted, in units of the result's standard deviation; unset: as accuracy says"),
        Knob("reproducible", "MXCONV_REPRODUCIBLE", _yes, False,
             "1: a sample's bits depend neither on the rest of its batch nor on anything that was measured"),
        Knob("tune", "MXCONV_TUNE", _one_of("off", "limited_workspace", "fastest"), None,
             "off, limited_workspace or fastest, whatever operators and checkpoints say as cudnn_tune; unset: they do"),
        Knob("autotune", "MXNET_CUDNN_AUTOTUNE_DEFAULT", _one_of(0, 1, 2), 1,
             "what operators without cudnn_tune do: 0 off, 1 limited_workspace, 2 fastest"),
        Knob("machine", "MXCONV_MACHINE", str, "measured",
             "speeds that estimates count on: 'measured' once and remembered, or 'typical', the same everywhere"),
        Knob("parallel_threshold", "MXCONV_PARALLEL_THRESHOLD", int, 200_000,
             "multiply-adds below which a call stays on its own thread"),
        Knob("block_pixels", "MXCONV_BLOCK_PIXELS", _count, None, "upper bound of pixels in a block (for tests)"),
        Knob("block_channels", "MXCONV_BLOCK_CHANNELS", _count, None, "upper bound of channels in a block (for tests)"),
        Knob("block_reduction", "MXCONV_BLOCK_REDUCTION", _count, None, "upper bound of terms in a chain (for tests)"),
    )
}  # fmt: skip

# A call asks for several knobs, of which the environment has none as a rule; os.environ takes a microsecond to say so,
# the dictionary that it stands upon a twentieth of that.
_environment: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
_environment_key = getattr(os.environ, "encodekey", str)
_SOURCES = {k.name: (_environment_key(k.environment), k.default) for k in KNOBS.values()}
"""Of each knob the environment's key for it, and its default."""

_overrides: ContextVar[dict[str, Any] | None] = ContextVar("mxconv_overrides", default=None)
_NONE: dict[str, Any] = {}


def get(name: str) -> Any:
    """The value of a knob now.

    Raises: ParamError, if the environment holds a text that the knob cannot read.
    """
    overrides = _overrides.get()
    if overrides is not None and name in overrides:
        return overrides[name]
    key, default = _SOURCES[name]
    if key not in _environment:
        return default
    knob = KNOBS[name]
    text = os.environ.get(knob.environment)
    if not text:
        return knob.default
    try:
        return knob.parse(text)
    except (ValueError, KeyError) as error:
        raise ParamError(
            f"the environment variable {knob.environment} is {text!r}, expected {knob.meaning}",
            argument=knob.environment,
            got=text,
            expected=knob.meaning,
            fix=f"Unset it or set it as described (default: {knob.default}).",
        ) from error


def get_all(names: tuple[str, ...]) -> list[Any]:
    """The values of several knobs now.

    Raises: ParamError, as `get`.
    """
    overrides = _overrides.get() or _NONE
    return [
        overrides[name] if name in overrides else get(name) if key in _environment else default
        for name in names
        for key, default in (_SOURCES[name],)
    ]


def watch(names: tuple[str, ...]) -> Callable[[], tuple[Any, ...]]:
    """A function that returns what the values of some knobs follow from now, which takes less than reading them: as
    long as it is the same, so are they."""
    keys = tuple(_SOURCES[name][0] for name in names)
    look, has_none = _environment.get, _environment.keys().isdisjoint

    def state() -> tuple[Any, ...]:
        overrides = _overrides.get()
        texts = () if has_none(keys) else tuple(map(look, keys))
        return texts if overrides is None else (texts, *overrides.items())

    return state


@contextmanager
def override(**values: Any) -> Iterator[None]:
    """Set knobs inside a `with` block, for this thread or task only.

    Raises: ParamError, for a name that is no knob.
    """
    unknown = sorted(set(values) - set(KNOBS))
    if unknown:
        raise ParamError(
            f"unknown setting {unknown[0]!r}, expected one of {', '.join(KNOBS)}",
            argument=unknown[0],
            got=unknown[0],
            expected=tuple(KNOBS),
        )
    token = _overrides.set({**(_overrides.get() or {}), **values})
    try:
        yield
    finally:
        _overrides.reset(token)


def table() -> str:
    """All knobs as a Markdown table; docs/knobs.md is made from it."""
    rows = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for k in KNOBS.values():
        default = "unset" if k.default in (None, "") else k.default
        rows.append(f"| `{k.name}` | `{k.environment}` | {default} | {k.meaning} |")
    return "\n".join(rows) + "\n"
