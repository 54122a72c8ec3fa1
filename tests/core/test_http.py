"""Between HTTP and a decision: which credential a request holds, and the one answer for each reason."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from drawing import LIVE, NOW, json_values, names
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core import errors
from keyrack.core.credential import write
from keyrack.core.errors import KeyrackError, NotHeld, Unavailable, ValidationFailed
from keyrack.core.http import (
    ANSWERS,
    PROBLEM_TYPE,
    QUERY_NAMES,
    by_name,
    denial,
    extract,
    failure,
    key_in_query,
    values,
)
from keyrack.core.model import Denied, Key, Reason

TEXT = write("kr", "live", "A" * 12, "B" * 32)
KEY = Key(
    id="A" * 12,
    prefix="kr",
    environment="live",
    tenant="acme",
    name="n",
    scopes=(),
    created_at=NOW,
    created_by="operator:a",
    versions=(LIVE,),
    ending=TEXT[-4:],
)

TABLE = {
    Reason.MISSING: (401, "missing_credentials"),
    Reason.MALFORMED: (401, "invalid_credentials"),
    Reason.UNKNOWN: (401, "invalid_credentials"),
    Reason.REVOKED: (401, "key_revoked"),
    Reason.DISABLED: (401, "key_disabled"),
    Reason.EXPIRED: (401, "key_expired"),
    Reason.RETIRED: (401, "secret_retired"),
    Reason.AMBIGUOUS: (400, "ambiguous_credentials"),
    Reason.TENANT: (403, "tenant_mismatch"),
    Reason.SUSPENDED: (403, "tenant_suspended"),
    Reason.NETWORK: (403, "ip_denied"),
    Reason.SCOPE: (403, "insufficient_scope"),
    Reason.CREDITS: (402, "credits_exhausted"),
    Reason.RATE: (429, "rate_limited"),
    Reason.UNCONFIGURED: (503, "unavailable"),
    Reason.STORE_DOWN: (503, "unavailable"),
    Reason.STALE: (503, "unavailable"),
}
"""DESIGN.md, "A decision", row by row."""


def test_every_reason_has_one_answer() -> None:
    assert set(ANSWERS) == set(TABLE) == set(Reason)


@pytest.mark.spec("CO-11")
@pytest.mark.parametrize(("reason", "row"), TABLE.items())
def test_a_reason_has_its_status_its_code_and_its_headers(reason: Reason, row: tuple[int, str]) -> None:
    status, code = row
    retry_after = 7 if reason is Reason.RATE else None
    denied = Denied(reason, KEY, LIVE, {"a": [1]}, retry_after=retry_after)
    response = denial(denied, realm="jobs", request_id="r-1")
    headers = dict(response.headers)
    assert len(headers) == len(response.headers)
    assert response.status == status
    assert headers.pop("content-type") == PROBLEM_TYPE == "application/problem+json"
    assert headers.pop("cache-control") == "no-store"
    assert headers.pop("x-request-id") == "r-1"
    challenge = 'Bearer realm="jobs"' + ("" if reason is Reason.MISSING else ', error="invalid_token"')
    assert headers.pop("www-authenticate", None) == (challenge if status == 401 else None)
    assert headers.pop("retry-after", None) == ("7" if reason is Reason.RATE else None)
    assert headers == {}
    body = json.loads(response.body)
    assert body == {
        "type": f"urn:keyrack:problem:{code}",
        "title": ANSWERS[reason].title,
        "status": status,
        "detail": ANSWERS[reason].detail,
        "code": code,
        "details": {"a": [1]},
        "request_id": "r-1",
    }


@pytest.mark.spec("CO-11")
def test_reasons_of_one_code_have_one_answer() -> None:
    by_code: dict[str, set[bytes]] = {}
    for reason in Reason:
        body = denial(Denied(reason), realm="r", request_id="r-1").body
        by_code.setdefault(ANSWERS[reason].code, set()).add(body)
    assert [code for code, bodies in by_code.items() if len(bodies) > 1] == []


@pytest.mark.parametrize("reason", Reason)
def test_no_answer_shows_anything_of_the_key(reason: Reason) -> None:
    response = denial(Denied(reason, KEY, LIVE), realm="r", request_id="r-1")
    shown = response.body.decode() + str(response.headers)
    assert not any(one in shown for one in (TEXT, "B" * 32, KEY.id, KEY.hint, KEY.tenant))


@given(st.sampled_from(Reason), st.dictionaries(names, json_values, max_size=3))
def test_details_of_any_shape_make_a_problem_document(reason: Reason, details: dict[str, object]) -> None:
    body = json.loads(denial(Denied(reason, details=details), realm="r", request_id="r").body)
    assert body["details"] == details


ERRORS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, KeyrackError)]
OF_THEIR_OWN = {
    NotHeld: NotHeld(["a:b"]),
    ValidationFailed: ValidationFailed({"name": ["Too long."]}),
    errors.ConfigurationError: errors.ConfigurationError("KEYRACK_STORE", "is wrong."),
}


@pytest.mark.spec("CO-12")
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_tree_is_a_problem_document(kind: type[KeyrackError]) -> None:
    error = OF_THEIR_OWN.get(kind) or _made(kind)
    response = failure(error, request_id="r-1")
    body = json.loads(response.body)
    assert response.status == error.status == body["status"]
    assert body["code"] == error.code
    assert body["title"] == error.title
    assert body["detail"].startswith(error.detail)
    assert body["details"] == error.details
    headers = dict(response.headers)
    assert headers["content-type"] == PROBLEM_TYPE
    assert headers["cache-control"] == "no-store"
    assert headers["x-request-id"] == "r-1"


def _made(kind: type[KeyrackError]) -> KeyrackError:
    for arguments in (("It went wrong.",), (["GET"],), ("path", "is gone")):
        with suppress(TypeError):
            return kind(*arguments)
    raise AssertionError(f"{kind} takes none of these")


def test_our_own_trouble_asks_to_try_again() -> None:
    body = json.loads(failure(Unavailable("The key store failed."), request_id="r").body)
    assert body["detail"] == "The key store failed. Try again shortly."


KEY_HEADERS = [b"x-api-key", b"authorization"]


@pytest.mark.spec("CO-7")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("blanks", ["", " ", "\t", " \t "])
def test_a_key_is_found_in_either_form_with_blanks_around_it(scheme: str, blanks: str) -> None:
    found = [
        extract([(b"host", b"a"), (b"x-api-key", f"{blanks}{TEXT}{blanks}".encode())]),
        extract([(b"authorization", f"{blanks}{scheme} {blanks}{TEXT}{blanks}".encode())]),
    ]
    assert found == [TEXT, TEXT]


@pytest.mark.spec("CO-9")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"a"), (b"x-api-keys", b"a"), (b"proxy-authorization", b"Bearer a")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b" \t ")],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer   ")],
        [(b"authorization", b"Basic YTpi")],
        [(b"authorization", TEXT.encode())],
        [(b"authorization", b"Digest " + TEXT.encode())],
    ],
)
def test_a_request_without_a_key_has_none(headers: list[tuple[bytes, bytes]]) -> None:
    assert extract(headers) is Reason.MISSING


header_values = st.sampled_from([b"", b" ", TEXT.encode(), b"Bearer " + TEXT.encode(), b"Basic YTpi"])


@pytest.mark.spec("CO-9")
@given(
    st.lists(st.tuples(st.sampled_from(KEY_HEADERS), header_values), min_size=2, max_size=4),
    st.lists(st.tuples(st.sampled_from([b"host", b"accept"]), header_values), max_size=3),
    st.randoms(use_true_random=False),
)
def test_two_credential_headers_are_ambiguous_equal_or_not_empty_or_not(
    credentials: list[tuple[bytes, bytes]], others: list[tuple[bytes, bytes]], order: object
) -> None:
    headers = [*credentials, *others]
    order.shuffle(headers)
    assert extract(headers) is Reason.AMBIGUOUS


@pytest.mark.spec("CO-9")
@given(
    st.lists(
        st.tuples(st.sampled_from([*KEY_HEADERS, b"host"]) | st.binary(max_size=20), st.binary(max_size=80))
    )
)
def test_no_bytes_in_headers_do_more_than_be_found_or_not(headers: list[tuple[bytes, bytes]]) -> None:
    found = extract(headers)
    assert isinstance(found, Reason) or found == found.strip(" \t") != ""


@pytest.mark.parametrize("name", sorted(QUERY_NAMES))
def test_a_key_in_the_query_is_seen_whatever_its_spelling(name: str) -> None:
    queries = [
        f"{name}=x",
        f"a=b&{name.upper()}=",
        f"{name}",
        f"%{ord(name[0]):x}{name[1:]}=x",
        f"a&&{name}=x",
    ]
    assert all(key_in_query(query.encode()) for query in queries)


@pytest.mark.parametrize(
    "query", [b"", b"a=b", b"a=key", b"keys=x", b"x_key=1", b"k%65yy=1", b"\xff=\xfe", b"&=&"]
)
def test_other_parameters_are_no_keys(query: bytes) -> None:
    assert not key_in_query(query)


@given(st.binary(max_size=100))
def test_any_query_can_be_looked_at(query: bytes) -> None:
    assert key_in_query(query) in (True, False)
    assert key_in_query(query.replace(b"&", b"") + b"&token=x")


@pytest.mark.parametrize("name", [b"x-api-key", b"authorization"])
def test_of_what_surrounds_a_text_only_blanks_are_dropped(name: bytes) -> None:
    scheme = b"Bearer " if name == b"authorization" else b""
    assert extract([(name, scheme + b"\x0bkeyX\x0b")]) == "\x0bkeyX\x0b"
    assert extract([(name, scheme + b" \tXkeyX\t ")]) == "XkeyX"


def test_headers_that_stand_once_are_read_by_name_and_others_one_by_one() -> None:
    once, twice = [(b"a", b"1"), (b"b", b"2")], [(b"a", b"1"), (b"a", b"2")]
    assert by_name(once) == {b"a": b"1", b"b": b"2"}
    assert by_name(twice) is twice
    assert [list(values(by_name(one), b"a")) for one in (once, twice, [])] == [[b"1"], [b"1", b"2"], []]


@pytest.mark.parametrize("query", [b"a=%20&key=", b"a=%20&key", b"%6bey=1", b"a+b=1&api_key=2"])
def test_a_key_is_found_in_a_query_that_is_escaped(query: bytes) -> None:
    assert key_in_query(query)
