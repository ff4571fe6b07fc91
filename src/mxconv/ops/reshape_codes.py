"""MXNet's codes for reshaping, for shapes that are known in part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..errors import ShapeError
from .axes import Extent, product
from .refusal import spell_shape


def resolve_shape(shape: Sequence[Extent], codes: Sequence[int], reverse: bool = False) -> tuple[Extent, ...]:
    """The shape that MXNet's reshape codes ask for, given the present shape, of which extents may be unknown.

    A positive code is a size. 0 copies the present axis, -1 is inferred (at most once), -2 copies all axes
    that are left, -3 merges the next two axes, and -4, a, b splits the next axis into a and b (one of which
    may be -1). With `reverse` the codes are matched from the right.

    >>> resolve_shape((2, 3, 4), (-3, 0))
    (6, 4)
    >>> resolve_shape((10, 5, 4), (-1, 0), reverse=True)
    (50, 4)
    >>> resolve_shape((None, 3, 4), (0, -3))
    (None, 12)

    Raises: ShapeError, if the codes do not fit the shape.
    """

    def refuse(why: str) -> ShapeError:
        expected = f"{product(shape) or '?'} elements"
        fix = "Codes: 0 copies an axis, -1 infers one, -2 copies the rest, -3 merges, -4 a b splits."
        text = f"cannot reshape {spell_shape(tuple(shape))} into shape {tuple(codes)}, expected {expected}: {why}"
        return ShapeError(text, argument="shape", got=tuple(codes), expected=expected, fix=fix)

    groups: list[tuple[int, ...]] = []  # one code each, or (-4, a, b)
    rest = list(codes)
    while rest:
        taken = 3 if rest[0] == -4 else 1
        if len(rest) < taken:
            raise refuse("-4 must be followed by two sizes")
        groups.append(tuple(rest[:taken]))
        del rest[:taken]
    source = list(shape)
    if reverse:
        source.reverse()
        groups.reverse()

    result: list[Extent] = []
    inferred: int | None = None

    def take() -> Extent:
        if not source:
            raise refuse("it refers to more axes than there are")
        return source.pop(0)

    for code, *split in groups:
        if code == 0:
            result.append(take())
        elif code == -2:
            result += source
            source.clear()
        elif code == -3:
            result.append(product((take(), take())))
        elif code == -4:
            result += _split(take(), split[::-1] if reverse else split, refuse)
        elif code < -4:
            raise refuse(f"{code} is not a code")
        else:
            if code == -1:
                if inferred is not None:
                    raise refuse("only one size can be inferred")
                inferred = len(result)
            result.append(1 if code == -1 else code)
            del source[:1]
    if inferred is not None:
        result[inferred] = _inferred(shape, result)
    if reverse:
        result.reverse()
    if None not in shape and None not in result and product(result) != product(shape):
        raise refuse(f"{product(shape)} elements do not fill {tuple(result)}")
    return tuple(result)


def _inferred(shape: Sequence[Extent], others: Sequence[Extent]) -> Extent:
    rest, size = product(others), product(shape)
    if rest is None or size is None:
        return None
    if not rest:  # no elements: infer from the sizes that are not 0
        rest, size = math.prod(n or 1 for n in others), math.prod(n or 1 for n in shape)
    return size // rest


def _split(size: Extent, parts: Sequence[int], refuse: Callable[[str], ShapeError]) -> list[Extent]:
    a, b = parts
    if a == -1 == b or min(a, b) < -1:
        raise refuse(f"the axis of {size} does not split into {tuple(parts)}")
    if size is None:
        return [None if a == -1 else a, None if b == -1 else b]
    if a == -1 and b > 0:
        a = size // b
    elif b == -1 and a > 0:
        b = size // a
    if a < 0 or b < 0 or a * b != size:
        raise refuse(f"the axis of {size} does not split into {tuple(parts)}")
    return [a, b]
