"""Vectors of numbers read where they lie in an array, whatever the distance from one lane to the next."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I1, I32, Function, Value
from ..numbers import Numbers

_NO_LANE = 1 << 30


def near_distance(parts: int, distance: int) -> int:
    """The distance between lanes that whole vectors can be read at, 1 or (for real numbers) 2; 0: gather each lane."""
    return distance if distance * parts in (1, 2) else 0


@dataclass(frozen=True, slots=True)
class LaneRange:
    """The lanes of a tile that may be read, as two i32 splats: the first, and how many."""

    first: Value
    count: Value


class LaneReader:
    """Emits reads of vectors whose lanes are `distance` numbers apart, `near` being its near_distance."""

    def __init__(self, f: Function, numbers: Numbers, lanes: int, near: int, distance: Value) -> None:
        self.f = f
        self.numbers = numbers
        self.lanes = lanes
        self.near = near
        self.stored = numbers.stored.of(lanes)
        self.step: Value | int = near * lanes * numbers.parts or distance * (lanes * numbers.parts)
        """Stored elements from one vector to the next."""
        self._index = f.lane_numbers(lanes) * f.splat(distance * numbers.parts, lanes)

    def read(self, pointer: Value, lane: int = 0, within: LaneRange | None = None) -> list[Value]:
        """The vector that begins at `pointer`, widened, a value for each part of its numbers.

        With `within`, lanes out of that range are 0 and are not read; `lane` is the number of the vector's first.
        Nothing is read between or beyond the lanes, but for the gaps between lanes at distance 2.
        """
        f, lanes, parts = self.f, self.lanes, self.numbers.parts
        if self.near == 0:
            mask = self._mask(within, [lane + i for i in range(lanes)])
            if mask is None:
                mask = f.constant(-1, I1.of(lanes))
            starts = (f.offset(pointer, p, self.stored) for p in range(parts))
            read = [f.gather(self.stored, f.offset(start, self._index, self.stored), mask) for start in starts]
        elif self.near * parts == 1:
            read = [self._load(pointer, within, [lane + i for i in range(lanes)])]
        elif parts == 2:
            low, high = (
                self._load(
                    f.offset(pointer, half * lanes, self.stored),
                    within,
                    [lane + (half * lanes + i) // 2 for i in range(lanes)],
                )
                for half in range(2)
            )
            read = [f.shuffle(low, high, range(p, 2 * lanes, 2)) for p in range(2)]
        else:
            # The lower lanes are the even elements of one vector; the upper ones are the odd elements of another,
            # which begins one element early so that it ends with the last lane.
            low, high = (
                self._load(
                    f.offset(pointer, half * (lanes - 1), self.stored),
                    within,
                    [lane + i // 2 + half * (lanes // 2) if i % 2 == half else _NO_LANE for i in range(lanes)],
                )
                for half in range(2)
            )
            read = [f.shuffle(low, high, [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])]
        return [self.numbers.widen(f, r) for r in read]

    def _load(self, pointer: Value, within: LaneRange | None, numbers: list[int]) -> Value:
        mask = self._mask(within, numbers)
        if mask is None:
            return self.f.load(self.stored, pointer)
        return self.f.masked_load(self.stored, pointer, mask)

    def _mask(self, within: LaneRange | None, numbers: list[int]) -> Value | None:
        """Which of these lane numbers lie in the range."""
        return None if within is None else (self.f.vector(I32, numbers) - within.first).below(within.count)
