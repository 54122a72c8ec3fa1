"""What only WSGI has: joined headers, latin-1 paths, the raw URI in a server's own variable."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.bed import Bed, call_wsgi, wsgi_echo
from keyrack import Access
from keyrack.guards import OPEN, Row
from keyrack.guards.wsgi import Guard

ROWS = (Row("GET", "/livez", OPEN), Row("GET", "/jobs/{id}", Access(("a:read",))))


@pytest.fixture
def guard(bed: Bed) -> Guard:
    return Guard(wsgi_echo, bed.verifier, ROWS)


@pytest.mark.parametrize(
    "joined", ["{},{}", "{}, {}", "{},", ",{}", ",", "Bearer {},{}", "Bearer {}, Bearer {}"]
)
def test_headers_that_the_server_joined_are_several(bed: Bed, guard: Guard, joined: str) -> None:
    value = joined.replace("{}", bed.text("a:read"))
    for variable in ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY"):
        assert call_wsgi(guard, "GET", "/jobs/7", **{variable: value}).code == "ambiguous_credentials"


def test_what_a_server_cannot_have_sent_is_no_key(guard: Guard) -> None:
    assert call_wsgi(guard, "GET", "/jobs/7", HTTP_X_API_KEY="☃" * 60).code == "invalid_credentials"
    assert call_wsgi(guard, "GET", "/jobs/7", QUERY_STRING="☃").code == "missing_credentials"


def test_a_path_is_utf8_or_it_is_none(bed: Bed, guard: Guard) -> None:
    key = [("x-api-key", bed.text("a:read"))]
    assert call_wsgi(guard, "GET", "/jobs/é", key).status == 200
    for path in ("/jobs/\xff", "/jobs/☃"):
        assert call_wsgi(guard, "GET", "/", key, PATH_INFO=path).status == 404


@pytest.mark.parametrize("variable", ["REQUEST_URI", "RAW_URI"])
@pytest.mark.parametrize("raw", ["/live%7A", "/x%2F..%2Flivez", "http://host/%6civez?a=b", "/☃%00"])
def test_a_path_that_is_encoded_in_an_odd_way_is_not_open(guard: Guard, variable: str, raw: str) -> None:
    assert call_wsgi(guard, "GET", "/livez", **{variable: raw}).code == "missing_credentials"


def test_a_raw_uri_is_not_needed_and_brings_its_query(guard: Guard) -> None:
    assert call_wsgi(guard, "GET", "/livez").status == 200
    assert call_wsgi(guard, "GET", "/livez", REQUEST_URI="/livez?next=%2Fx").status == 200


def test_an_environment_without_a_path_has_no_row(guard: Guard) -> None:
    answer: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        answer.append(status)

    assert b"".join(guard({"REQUEST_METHOD": "GET"}, start_response))
    assert answer == ["401 Unauthorized"]


def test_an_open_row_finds_no_key_in_its_environment(guard: Guard) -> None:
    assert call_wsgi(guard, "GET", "/livez", [("keyrack.key", "x")]).body == b"nobody"


@given(
    environ=st.dictionaries(
        st.sampled_from(
            ["HTTP_X_API_KEY", "HTTP_AUTHORIZATION", "HTTP_X_REQUEST_ID", "HTTP_X_FORWARDED_FOR"]
        ),
        st.text(max_size=40),
    ),
    path=st.text(max_size=12),
    query=st.text(max_size=20),
)
def test_no_text_opens_what_is_guarded_or_breaks_the_guard(
    shared_bed: Bed, environ: dict[str, str], path: str, query: str
) -> None:
    guard = Guard(
        wsgi_echo,
        shared_bed.verifier,
        (Row("GET", "/a", Access(("a:read",))),),
        trusted_proxies=["10.0.0.0/8"],
    )
    answer = call_wsgi(guard, peer="10.0.0.1", **{**environ, "PATH_INFO": path, "QUERY_STRING": query})
    assert answer.status in (400, 401)
