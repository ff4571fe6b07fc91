"""Where an array lives.

Every context that works here is host memory; the others exist so that old code can name them.

>>> cpu(1), cpu() == Context("cpu", 0)
(cpu(1), True)
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import ClassVar

from .errors import MXNetError


class Context:
    """A device by type and number: `Context("cpu", 0)` or a copy of another.

    In a `with` block it is the default for new arrays.


    Raises: KeyError, if the device type is unknown (as in MXNet).
    """

    __slots__ = ("device_id", "device_typeid")

    devtype2str: ClassVar[dict[int, str]] = {1: "cpu", 2: "gpu", 3: "cpu_pinned", 5: "cpu_shared"}
    devstr2type: ClassVar[dict[str, int]] = {name: number for number, name in devtype2str.items()}

    device_typeid: int
    device_id: int

    def __init__(self, device_type: str | Context, device_id: int = 0) -> None:
        if isinstance(device_type, Context):
            self.device_typeid, self.device_id = device_type.device_typeid, device_type.device_id
        else:
            self.device_typeid, self.device_id = self.devstr2type[device_type], device_id

    @property
    def device_type(self) -> str:
        """The name of the device type, for example "cpu"."""
        return self.devtype2str[self.device_typeid]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{self.device_type}({self.device_id})"

    def __enter__(self) -> Context:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, *exception: object) -> None:
        _entered.set(_entered.get()[:-1])

    def _key(self) -> tuple[int, int]:
        return self.device_typeid, self.device_id


_entered: ContextVar[tuple[Context, ...]] = ContextVar("mxconv_contexts", default=())
_HOST = Context("cpu", 0)


def cpu(device_id: int = 0) -> Context:
    """Host memory; the number changes nothing."""
    return Context("cpu", device_id)


def cpu_pinned(device_id: int = 0) -> Context:
    """Host memory as well."""
    return Context("cpu_pinned", device_id)


def gpu(device_id: int = 0) -> Context:
    """A GPU's memory: it may be named, but an array cannot be made there."""
    return Context("gpu", device_id)


def num_gpus() -> int:
    """How many GPUs can hold arrays: none."""
    return 0


def current_context() -> Context:
    """The context of the innermost `with` block, else cpu(0)."""
    entered = _entered.get()
    return entered[-1] if entered else _HOST


def host_context(ctx: Context | None) -> Context:
    """The context for a new array: the current one where `ctx` is None.

    Raises: MXNetError, for a GPU; TypeError, for what is no Context.
    """
    context = current_context() if ctx is None else ctx
    if not isinstance(context, Context):
        raise TypeError(f"ctx is {context!r}, expected a Context such as mx.cpu()")
    if context.device_type == "gpu":
        raise MXNetError(
            f"GPU is not enabled: got the context {context}, expected a cpu context",
            argument="ctx",
            got=context,
            expected="cpu(n)",
            fix="Pass ctx=mx.cpu().",
        )
    return context
