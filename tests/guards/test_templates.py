"""Path templates: what is one, and how two of them lie to each other."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.guards.matching import Matcher
from keyrack.guards.templates import PARAM, REST, Overlap, Shape, is_static, loosened, overlap, parse


@pytest.mark.parametrize(
    ("template", "shape"),
    [
        ("/", ("",)),
        ("/jobs", ("jobs",)),
        ("/jobs/", ("jobs", "")),
        ("/jobs/{id}/status", ("jobs", PARAM, "status")),
        ("/{rest:path}", (REST,)),
        ("/files/{path:path}", ("files", REST)),
        ("/v1/keys:verify", ("v1", "keys:verify")),
    ],
)
def test_a_template_is_read_by_its_segments(template: str, shape: Shape) -> None:
    assert parse(template) == shape


@pytest.mark.parametrize(
    "template",
    ["", "jobs", "//", "/a//b", "/..", "/a/{b", "/a/b}", "/{}", "/{a}{b}", "/{a}-{b}", "/{a}.json", "/x{a}",
     "/{a:int}", "/{1a}", "/{a:path}/b", "/{a:path}/{b:path}", "/<int:a>", "/a*", "/a?b", "/a#b", "/a%20b",
     "/a\n"],
)  # fmt: skip
def test_anything_else_is_no_template(template: str) -> None:
    assert parse(template) is None


def test_a_lenient_reader_ignores_case_and_the_last_slash() -> None:
    assert loosened(("Jobs", PARAM, "")) == ("jobs", PARAM)
    assert loosened(("",)) == ()
    assert not is_static(("a", REST))


SEGMENTS = ["a", "b", "", PARAM, REST]
SHAPES = (
    st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3)
    .map(tuple)
    .filter(lambda shape: not {REST, ""} & set(shape[:-1]))
)
TAILS = ["a", "b", "c", ""]
PATHS = [path for length in (1, 2, 3, 4) for path in product(TAILS, repeat=length) if "" not in path[:-1]]


def is_of(shape: Shape, path: tuple[str, ...]) -> bool:
    """The rule, one segment at a time."""
    if shape[-1] == REST:
        head = shape[:-1]
        return len(path) > len(head) and is_of_all(head, path[: len(head)])
    return len(path) == len(shape) and is_of_all(shape, path)


def is_of_all(shape: Shape, path: tuple[str, ...]) -> bool:
    return all(bool(part) if one == PARAM else one == part for one, part in zip(shape, path, strict=True))


def ranks(shape: Shape) -> list[int]:
    return [{REST: 0, PARAM: 1}.get(segment, 2) for segment in shape]


@given(SHAPES, SHAPES)
def test_overlap_is_what_the_paths_of_two_shapes_say(one: Shape, other: Shape) -> None:
    lie = overlap(one, other)
    assert (lie is Overlap.NONE) == (not any(is_of(one, path) and is_of(other, path) for path in PATHS))
    assert (lie is Overlap.SAME) == (one == other)
    turned = {Overlap.NARROWER: Overlap.WIDER, Overlap.WIDER: Overlap.NARROWER}
    assert overlap(other, one) is turned.get(lie, lie)


@given(st.lists(SHAPES, unique=True, max_size=5))
def test_the_most_precise_shape_is_found(shapes: list[Shape]) -> None:
    matcher = Matcher({shape: shape for shape in shapes})
    for path in PATHS:
        own = [shape for shape in shapes if is_of(shape, path)]
        assert matcher.find(path) == max(own, key=ranks, default=None)
