"""Which shape a path is of, the most precise one first: by dictionaries, one look-up for each pattern.

A pattern is where shapes have parameters. Those of the same pattern differ in their static segments,
so these are the key that a path is looked up by.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from operator import itemgetter
from typing import Generic, TypeVar

from keyrack.guards.templates import PARAM, REST, Shape

T = TypeVar("T")
Key = Callable[[Sequence[str]], Hashable]


class Matcher(Generic[T]):
    """What belongs to each shape. A static segment beats a parameter, a parameter the rest of a path."""

    def __init__(self, values: Mapping[Shape, T]):
        patterns: dict[Shape, _Pattern[T]] = {}
        for shape, value in values.items():
            pattern = _pattern_of(shape)
            patterns.setdefault(pattern, _Pattern(pattern)).add(shape, value)
        ordered = [patterns[pattern] for pattern in sorted(patterns, key=_precision, reverse=True)]
        longest = max((len(pattern) for pattern in patterns), default=0)
        self._by_length = [[one for one in ordered if one.fits(length)] for length in range(longest + 1)]
        self._longer = [one for one in ordered if one.fits(longest + 1)]

    def find(self, segments: Sequence[str]) -> T | None:
        """What belongs to the path of these segments. No segment is empty, but for the last."""
        length = len(segments)
        for pattern in self._by_length[length] if length < len(self._by_length) else self._longer:
            found = pattern.values.get(pattern.key(segments))
            if found is not None and not (pattern.ends_in_parameter and not segments[-1]):
                return found
        return None


class _Pattern(Generic[T]):
    """The shapes that have their parameters in the same segments, told apart by the static ones."""

    def __init__(self, pattern: Shape):
        self.values: dict[Hashable, T] = {}
        self.key = _key([index for index, segment in enumerate(pattern) if not segment])
        self.ends_in_parameter = pattern[-1:] == (PARAM,)
        self._length = len(pattern)
        self._takes_rest = pattern[-1:] == (REST,)

    def add(self, shape: Shape, value: T) -> None:
        self.values[self.key(shape)] = value

    def fits(self, length: int) -> bool:
        """Whether a path of so many segments can be of it."""
        return length >= self._length if self._takes_rest else length == self._length


def _pattern_of(shape: Shape) -> Shape:
    """The shape with its static segments blanked out."""
    return tuple(segment if segment in (PARAM, REST) else "" for segment in shape)


def _precision(pattern: Shape) -> tuple[int, ...]:
    return tuple({REST: 0, PARAM: 1}.get(segment, 2) for segment in pattern)


def _key(indexes: Sequence[int]) -> Key:
    return itemgetter(*indexes) if indexes else lambda segments: ()
