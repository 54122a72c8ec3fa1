"""Path templates: what is one, and how two of them lie to each other."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.guards.templates import PARAM, REST, Overlap, Shape, is_static, loosened, overlap, parse
from keyrack.guards.tree import Tree


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
    .filter(lambda s: REST not in s[:-1])
)
PATHS = [path for length in (1, 2, 3, 4) for path in product(["a", "b", "c", ""], repeat=length)]


def matched(shape: Shape) -> set[tuple[str, ...]]:
    tree: Tree[bool] = Tree()
    tree.plant(shape, True)
    return {path for path in PATHS if tree.find(path)}


@given(SHAPES, SHAPES)
def test_overlap_is_what_the_paths_of_two_shapes_say(one: Shape, other: Shape) -> None:
    lie, both = overlap(one, other), matched(one) & matched(other)
    assert (lie is Overlap.NONE) == (not both)
    if lie is Overlap.SAME:
        assert one == other
    turned = {Overlap.NARROWER: Overlap.WIDER, Overlap.WIDER: Overlap.NARROWER}
    assert overlap(other, one) is turned.get(lie, lie)


@given(SHAPES, SHAPES)
def test_the_tree_finds_the_narrower_of_two_shapes(one: Shape, other: Shape) -> None:
    if overlap(one, other) is not Overlap.NARROWER:
        return
    for shapes in [(one, other), (other, one)]:
        tree: Tree[Shape] = Tree()
        for shape in shapes:
            tree.plant(shape, shape)
        assert {tree.find(path) for path in matched(one) & matched(other)} == {one}
