"""Path templates: `/jobs/{id}`, `/files/{rest:path}`. Parsed into segments and compared."""

from __future__ import annotations

import re
from enum import Enum

from keyrack.guards.paths import is_plain

PARAM = "{}"
"""One segment, whatever it is, but not an empty one."""
REST = "{*}"
"""All that is left, slashes included; only at the end."""

Shape = tuple[str, ...]
"""The segments of a template; names of parameters tell nothing apart."""

_PARAM = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_REST = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*:path\}")
_STATIC = re.compile(r"[^{}<>?#*]*")


class Overlap(Enum):
    """What the paths of one shape are to those of another."""

    NONE = "none"
    SAME = "same"
    NARROWER = "narrower"
    """Some paths are of both, and the first is more precise wherever they differ."""
    WIDER = "wider"
    CROSSING = "crossing"
    """Some paths are of both, and which is the more precise one depends on the segment."""


def parse(template: str) -> Shape | None:
    """The segments of a template, or None when it is none."""
    if not is_plain(template):
        return None
    segments = [_segment(part) for part in split(template)]
    known = tuple(segment for segment in segments if segment is not None)
    return known if len(known) == len(segments) and REST not in known[:-1] else None


def split(path: str) -> list[str]:
    """The segments of a path; `/` is one empty segment."""
    return path.split("/")[1:]


def is_static(shape: Shape) -> bool:
    """Whether it stands for one path alone."""
    return PARAM not in shape and REST not in shape


def loosened(shape: Shape) -> Shape:
    """The shape as a reader sees it who ignores case and a slash at the end."""
    folded = tuple(segment.casefold() for segment in shape)
    return folded[:-1] if folded[-1:] == ("",) else folded


def overlap(one: Shape, other: Shape) -> Overlap:
    """How the paths of two shapes lie to each other."""
    if not _meet(one, other):
        return Overlap.NONE
    ranks = [(_rank(mine), _rank(theirs)) for mine, theirs in zip(one, other, strict=False)]
    narrower = any(mine > theirs for mine, theirs in ranks)
    wider = any(mine < theirs for mine, theirs in ranks)
    if narrower and wider:
        return Overlap.CROSSING
    if narrower or wider:
        return Overlap.NARROWER if narrower else Overlap.WIDER
    return Overlap.SAME


def _meet(one: Shape, other: Shape) -> bool:
    """Whether some path is of both shapes."""
    for mine, theirs in zip(one, other, strict=False):
        if REST in (mine, theirs):
            return True
        if mine != theirs and (PARAM not in (mine, theirs) or "" in (mine, theirs)):
            return False
    return len(one) == len(other)


def _rank(segment: str) -> int:
    return {REST: 0, PARAM: 1}.get(segment, 2)


def _segment(part: str) -> str | None:
    if _PARAM.fullmatch(part):
        return PARAM
    if _REST.fullmatch(part):
        return REST
    return part if _STATIC.fullmatch(part) else None
