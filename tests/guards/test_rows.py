"""Rows and their table: who wins, what is refused at the start, what never matches."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keyrack import Access
from keyrack.core.errors import ConfigurationError
from keyrack.guards import LATER, OPEN, WEBSOCKET, Row
from keyrack.guards.table import Table

READ, WRITE, ADMIN = Access(("a:read",)), Access(("a:write",)), Access(("*:*",))


def found(table: Table, method: str, path: str) -> str | None:
    place = table.find(method, path)
    return None if place is None else place.operation


@pytest.mark.parametrize(
    ("method", "path", "access", "told"),
    [
        ("get", "/a", OPEN, "upper case"),
        ("GET ", "/a", OPEN, "upper case"),
        ("", "/a", OPEN, "upper case"),
        ("GET", "a", OPEN, "template"),
        ("GET", "/{a}.json", OPEN, "template"),
        ("GET", "/a", Access(), "no scope"),
        ("GET", "/a", Access(("a:read", "read")), "'read'"),
        (WEBSOCKET, "/a", LATER, "web socket"),
    ],
)
def test_a_row_that_cannot_be_meant_stops_the_start(
    method: str, path: str, access: Access, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Row(method, path, access)


def test_a_static_segment_beats_a_parameter_and_a_parameter_the_rest() -> None:
    paths = ["/{rest:path}", "/jobs/{id}", "/jobs/last", "/jobs/{id}/status", "/jobs/last/{rest:path}", "/"]
    for order in (paths, paths[::-1]):
        table = Table([Row("GET", path, READ) for path in order])
        assert found(table, "GET", "/jobs/last") == "GET /jobs/last"
        assert found(table, "GET", "/jobs/7") == "GET /jobs/{id}"
        assert found(table, "GET", "/jobs/7/status") == "GET /jobs/{id}/status"
        assert found(table, "GET", "/jobs/last/status/x") == "GET /jobs/last/{rest:path}"
        assert found(table, "GET", "/jobs/7/other") == "GET /{rest:path}"
        assert found(table, "GET", "/jobs/") == "GET /{rest:path}"
        assert found(table, "GET", "/") == "GET /"


def test_a_parameter_is_one_segment_and_never_empty() -> None:
    table = Table([Row("GET", "/jobs/{id}", READ)])
    assert [found(table, "GET", path) for path in ("/jobs/", "/jobs", "/jobs/7/8", "/jobs//7")] == [None] * 4


def test_the_rest_may_be_empty_behind_a_slash_only() -> None:
    table = Table([Row("GET", "/files/{rest:path}", READ)])
    assert found(table, "GET", "/files/") == found(table, "GET", "/files/a/b/") == "GET /files/{rest:path}"
    assert found(table, "GET", "/files") is None


def test_methods_do_not_shade_each_other() -> None:
    table = Table([Row("GET", "/jobs/last", READ), Row("DELETE", "/jobs/{id}", WRITE)])
    assert found(table, "DELETE", "/jobs/last") == "DELETE /jobs/{id}"
    assert table.methods("/jobs/last") == ["DELETE", "GET", "HEAD"]
    assert table.methods("/jobs/7") == ["DELETE"]
    assert table.methods("/other") == table.methods("") == []


def test_head_is_get_unless_it_has_a_row() -> None:
    table = Table([Row("GET", "/a", READ), Row("HEAD", "/a", WRITE), Row("GET", "/b/{id}", READ)])
    assert found(table, "HEAD", "/a") == "HEAD /a"
    assert found(table, "HEAD", "/b/7") == "GET /b/{id}"


@pytest.mark.parametrize("method", ["OPTIONS", "get", "Get", "TRACE", "WEBSOCKET", WEBSOCKET, "*", ""])
def test_no_other_method_is_served(method: str) -> None:
    assert found(Table([Row("GET", "/a", OPEN), Row("POST", "/a", OPEN)]), method, "/a") is None


def test_a_web_socket_has_a_row_of_its_own() -> None:
    table = Table([Row(WEBSOCKET, "/chat", READ), Row("GET", "/chat", OPEN)])
    assert found(table, WEBSOCKET, "/chat") == "websocket: /chat"
    assert table.methods("/chat") == ["GET", "HEAD"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("/jobs/{id}", "/jobs/{name}"), ("/jobs", "/jobs"), ("/{a:path}", "/{b:path}")],
)
def test_the_same_operation_twice_stops_the_start(first: str, second: str) -> None:
    with pytest.raises(ConfigurationError, match="the same operation"):
        Table([Row("GET", first, READ), Row("GET", second, READ)])


CONFUSABLE = [
    ("/jobs", "/jobs/"),
    ("/jobs", "/Jobs"),
    ("/jobs/{id}", "/JOBS/{id}"),
    ("/users/{id}/settings", "/users/me/{section}"),
    ("/{a}/b/c", "/a/{rest:path}"),
]


@pytest.mark.parametrize(("first", "second"), CONFUSABLE)
def test_rows_that_a_lenient_reader_mixes_up_must_ask_for_the_same(first: str, second: str) -> None:
    Table([Row("GET", first, READ), Row("GET", second, READ), Row("POST", second, WRITE)])
    with pytest.raises(ConfigurationError, match="different things"):
        Table([Row("GET", first, READ), Row("GET", second, OPEN)])


@pytest.mark.parametrize(
    "path",
    ["/Admin", "/ADMIN", "/admin/", "/Admin/", "/users/Me", "/users/me/", "/files", "/Files/x", "/files/X/"],
)
def test_a_path_that_a_lenient_reader_gives_to_another_row_has_none(path: str) -> None:
    table = Table(
        [
            Row("GET", "/{rest:path}", OPEN),
            Row("GET", "/admin", ADMIN),
            Row("GET", "/users/{id}", READ),
            Row("GET", "/users/me", ADMIN),
            Row("GET", "/files/{rest:path}", READ),
            Row("GET", "/files/x", WRITE),
        ]
    )
    assert found(table, "GET", path) is None
    assert found(table, "GET", "/users/Adam") == "GET /users/{id}"
    assert found(table, "GET", "/files/") == "GET /files/{rest:path}"
    assert found(table, "GET", "/Else/") == "GET /{rest:path}"


def test_below_a_root_the_stricter_of_two_readings_counts() -> None:
    table = Table(
        [
            Row("GET", "/{rest:path}", OPEN),
            Row("GET", "/jobs", READ),
            Row("GET", "/api/admin", ADMIN),
            Row("GET", "/x", READ),
            Row("GET", "/api/x", WRITE),
            Row("GET", "/y", READ),
            Row("GET", "/api/y", READ),
            Row("POST", "/api/z", READ),
        ]
    )

    def mounted(path: str, method: str = "GET") -> str | None:
        place = table.find_mounted(method, path, "/api")
        return None if place is None else place.operation

    assert mounted("/api/jobs") == "GET /jobs"
    assert mounted("/api/else") == "GET /{rest:path}"
    assert mounted("/api/admin") == "GET /api/admin"
    assert mounted("/api/x") is None
    assert mounted("/api/y") == "GET /y"
    assert mounted("/api/z", "POST") == "POST /api/z"
    assert mounted("/api/none", "POST") is None


READERS: list[Callable[[str], str]] = [
    str.lower,
    lambda path: path.rstrip("/") or "/",
    lambda path: path + "/",
    unquote,
    lambda path: unquote(unquote(path)),
    lambda path: path.replace("\\", "/"),
    lambda path: posixpath.normpath("/" + path.lstrip("/")),
    lambda path: "/" + path.lstrip("/"),
    lambda path: path.strip(),
    lambda path: path.split("\0")[0],
    lambda path: path.split("\n")[0],
]
"""What frameworks and proxies do to a path before they route it."""

WORDS = st.sampled_from(
    ["admin", "Admin", "jobs", "7", "..", ".", "", "%61dmin", "admin%00", "admin\n", " admin"]
)
TRIED = st.lists(WORDS, min_size=1, max_size=4).map(lambda words: "/" + "/".join(words))
OPEN_PATHS = ["/{rest:path}", "/{page}", "/jobs/{id}", "/{page}/{part}"]
GUARDED = ["/admin", "/jobs/admin", "/admin/jobs", "/jobs/admin/7"]


@given(
    TRIED, st.lists(st.sampled_from(OPEN_PATHS), unique=True), st.lists(st.sampled_from(READERS), max_size=3)
)
def test_what_any_reader_takes_for_a_guarded_path_is_never_open(
    path: str, open_paths: list[str], readers: list[Callable[[str], str]]
) -> None:
    try:
        table = Table(
            [Row("GET", one, OPEN) for one in open_paths] + [Row("GET", one, ADMIN) for one in GUARDED]
        )
    except ConfigurationError:
        assume(False)
    read = path
    for reader in readers:
        read = reader(read)
    place = table.find("GET", path)
    if read in GUARDED:
        assert place is None or place.access is ADMIN
