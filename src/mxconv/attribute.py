"""`mx.attribute`: attributes for all nodes that are made within a block.

>>> import mxconv as mx
>>> with mx.AttrScope(ctx_group="stage1"):
...     mx.sym.Variable("x").list_attr()
{'__ctx_group__': 'stage1', 'ctx_group': 'stage1'}
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .errors import ParamError

if TYPE_CHECKING:
    from typing_extensions import Self

HIDDEN_KEYS = ("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage")
"""Attributes that are no parameters: kept as `__key__`, shown in both spellings."""


class _Current(type):
    """Gives the class of scopes its property `current`."""

    @property
    def current(cls) -> AttrScope:
        """The scope in use in this thread."""
        return _scopes.stack[-1]


class AttrScope(metaclass=_Current):
    """Within `with AttrScope(key="text"):` every new node has these attributes.

    Scopes nest, the inner one wins; an attribute that is given to a node itself wins over both. A key that is no
    hidden one (`lr_mult`, ...) and not `__dunder__` is refused by operators, as any unknown parameter.

    Raises: ValueError, for a value that is no str.
    """

    def __init__(self, **attributes: str) -> None:
        for key, value in attributes.items():
            if not isinstance(value, str):
                raise ValueError(f"AttrScope: {key} is {value!r}, expected a str: Attributes need to be string")
        self._own = attributes
        self._outer: Mapping[str, str] = {}

    def get(self, attributes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The attributes of a node to which these were given."""
        return {**self._outer, **self._own, **(attributes or {})}

    def __enter__(self) -> Self:
        self._outer = _scopes.stack[-1].get()
        _scopes.stack.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _scopes.stack.pop()


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.stack = [AttrScope()]


_scopes = _Scopes()


def stored_key(key: str) -> str:
    """The spelling under which an attribute is kept.

    >>> stored_key("lr_mult"), stored_key("kernel")
    ('__lr_mult__', 'kernel')

    Raises: ParamError, for a key like `weight_lr_mult`, which MXNet no longer allows.
    """
    for hidden in HIDDEN_KEYS:
        if key == hidden:
            return f"__{hidden}__"
        if key.endswith(hidden):
            argument = key[: -len(hidden)].rstrip("_") or "weight"
            raise ParamError(
                f"{key} is no attribute, expected {hidden} on the variable itself: setting variable attributes with "
                f"{key} is deprecated",
                argument=key, got=key, expected=hidden,
                fix=f"Make {argument} = mx.sym.Variable(name, {hidden}=...) and pass {argument}={argument}.",
            )  # fmt: skip
    return key


def listed(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes as users see them: hidden keys in both spellings."""
    both: dict[str, str] = {}
    for key, value in attributes.items():
        both[key] = value
        if key[2:-2] in HIDDEN_KEYS and key == f"__{key[2:-2]}__":
            both[key[2:-2]] = value
    return both
