"""The exceptions of mxconv: what was got, what was expected, and how to mend it.

`MXNetError` is the base, as in MXNet, so that old `except mx.base.MXNetError` clauses hold. Each class also derives
from the built-in exception that a Python user would expect. Where MXNet raises a plain TypeError, KeyError or
IndexError, mxconv raises that plain class too.
"""

from __future__ import annotations

from typing import Any


class MXNetError(RuntimeError):
    """Base of all errors of mxconv; public as `mx.MXNetError` and `mx.base.MXNetError`.

    The text reads *operator: what was got and what was expected. How to mend it.* Inner code raises with the parts
    that it knows; `with_context` lets the public function add the operator's name once.
    """

    def __init__(
        self,
        message: str,
        *,
        op: str = "",
        argument: str = "",
        got: Any = None,
        expected: Any = None,
        fix: str = "",
    ) -> None:
        self.message = message
        self.op = op
        self.argument = argument
        self.got = got
        self.expected = expected
        self.fix = fix
        super().__init__(message)

    def __str__(self) -> str:
        head = f"{self.op}: " if self.op else ""
        body = self.message if self.message.endswith((".", "?", "!")) or not self.fix else self.message + "."
        return f"{head}{body} {self.fix}".rstrip()

    def with_context(self, *, op: str) -> MXNetError:
        """Name the operator whose call failed, unless it is known already; returns self for `raise ... from`."""
        self.op = self.op or op
        return self


class ParamError(MXNetError, ValueError):
    """A parameter's text or value is not allowed (MXNet: "Invalid Parameter format", bounds, unknown names)."""


class ShapeError(MXNetError, ValueError):
    """Shapes do not fit each other or the parameters."""


class FormatError(MXNetError, ValueError):
    """A file or text is damaged or of an unknown format."""


class DTypeError(MXNetError, TypeError):
    """Data types are mixed, or not supported."""


class UnsupportedError(MXNetError):
    """A request that is well formed, but that this build or this algorithm does not serve."""


class NotImplementedForSymbol(UnsupportedError):
    """Something that only arrays can do was asked of a Symbol."""


class WorkspaceError(MXNetError, MemoryError):
    """No algorithm fits in the workspace that was allowed."""
