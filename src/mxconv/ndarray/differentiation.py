"""What NDArrays know of gradients: attach_grad, grad, backward, detach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ParamError
from ..ops.refusal import refusal
from .base import ArrayBase
from .recording import Leaf, Origin

if TYPE_CHECKING:
    from typing_extensions import Self

GRAD_REQS = ("null", "write", "add")


def check_grad_req(grad_req: Any) -> str:
    """The word itself. Raises: KeyError, as MXNet, for any but null, write and add."""
    if grad_req not in GRAD_REQS:
        raise KeyError(f"grad_req is {grad_req!r}, expected one of {', '.join(GRAD_REQS)}")
    return str(grad_req)


class GradientMethods(ArrayBase):
    """The part of NDArray in automatic differentiation."""

    __slots__ = ()

    def attach_grad(self, grad_req: str = "write", stype: str | None = None) -> None:
        """Make this array a variable: backward writes its gradient to `grad`, an array of zeros until then.

        With grad_req 'add' gradients are added to what is there, with 'null' none is computed. The array leaves the
        graph that it was part of.

        Raises: KeyError, for another grad_req; ParamError, for a storage type that is not dense.
        """
        if stype not in (None, "default"):
            fix = "Leave stype out."
            raise refusal(ParamError, "stype", repr(stype), "None or 'default'", "dense", fix=fix, op="attach_grad")
        self._origin = Origin(Leaf(self._result(np.zeros_like(self._array)), check_grad_req(grad_req)), 0)

    @property
    def grad(self) -> Self | None:
        """The array that receives our gradient; None without attach_grad."""
        node = None if self._origin is None else self._origin.node
        return node.grad if isinstance(node, Leaf) else None  # type: ignore[return-value]

    def backward(self, out_grad: Self | None = None, retain_graph: bool = False, train_mode: bool = True) -> None:
        """Compute the gradients of the variables that this array came from, given its own (ones by default).

        The graph is freed unless `retain_graph`.

        Raises: MXNetError, if this array was not computed while recording, or from no variable; ShapeError, if
        `out_grad` does not fit.
        """
        from .tape import backward

        backward([self], [out_grad], retain_graph=retain_graph, train_mode=train_mode)

    def detach(self) -> Self:
        """An array that shares our memory but not our part in the recorded graph."""
        return self._view(self._array)
