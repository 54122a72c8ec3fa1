"""Shapes in a tree by their segments: which of them a path is of, the most precise one first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from keyrack.guards.templates import PARAM, REST, Shape

T = TypeVar("T")


class Tree(Generic[T]):
    """What belongs to each shape. A static segment beats a parameter, a parameter the rest of a path."""

    __slots__ = ("leaf", "param", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[str, Tree[T]] = {}
        self.param: Tree[T] | None = None
        self.rest: T | None = None
        self.leaf: T | None = None

    def plant(self, shape: Shape, value: T) -> Tree[T]:
        """Put a value where its shape ends; returns that node. The last one planted there stays."""
        node = self
        for segment in shape:
            if segment == REST:
                node.rest = value
                return node
            node = node._grown(segment)
        node.leaf = value
        return node

    def find(self, segments: Sequence[str], index: int = 0) -> T | None:
        """What belongs to the path of these segments, looked at from `index` on."""
        if index == len(segments):
            return self.leaf
        segment = segments[index]
        following = self.static.get(segment)
        found = following.find(segments, index + 1) if following is not None else None
        if found is None and self.param is not None and segment:
            found = self.param.find(segments, index + 1)
        return self.rest if found is None else found

    def _grown(self, segment: str) -> Tree[T]:
        if segment != PARAM:
            return self.static.setdefault(segment, Tree())
        self.param = self.param or Tree()
        return self.param
