"""The text of a session token: what is read of it before anything is proved, and what is none."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core import session
from keyrack.core.model import Session

SESSION = Session("aaaaaaaaaaaa", 3, "acme", ("logs:read", "streams/*:ingest"), 1_900, "billing")
SAID = session.claims(SESSION, issued_at=1_000, token_id="j")
SIGNATURE = "A" * 86


def part(members: Any) -> str:
    data = members if isinstance(members, bytes) else json.dumps(members).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def token(said: Any = None, header: Any = None, signature: str = SIGNATURE) -> str:
    return f"{part(header or session.header('kid'))}.{part(SAID if said is None else said)}.{signature}"


def test_a_token_says_whose_session_it_is_and_who_signed_it() -> None:
    assert session.read(token()) == ("kid", SESSION)
    anywhere = session.claims(Session("aaaaaaaaaaaa", 1, "t", (), 1_001), issued_at=1_000, token_id="j")
    found = session.read(token(anywhere))
    assert found is not None
    assert (found.session.audience, found.session.scopes) == (None, ())


HEADERS: dict[str, Any] = {
    "no algorithm": {"alg": "none", "kid": "kid", "typ": session.TYPE},
    "a shared secret": {"alg": "HS256", "kid": "kid", "typ": session.TYPE},
    "an algorithm in lower case": {"alg": "eddsa", "kid": "kid", "typ": session.TYPE},
    "another type": {"alg": "EdDSA", "kid": "kid", "typ": "JWT"},
    "no type": {"alg": "EdDSA", "kid": "kid"},
    "no key": {"alg": "EdDSA", "typ": session.TYPE},
    "a number for a key": {"alg": "EdDSA", "kid": 1, "typ": session.TYPE},
    "a key of its own": {**session.header("kid"), "jwk": {"kty": "OKP"}},
    "a place for keys": {**session.header("kid"), "jku": "https://evil.example"},
    "something critical": {**session.header("kid"), "crit": ["b64"], "b64": False},
    "a list": ["EdDSA"],
    "a name twice": b'{"alg":"EdDSA","alg":"EdDSA","kid":"kid","typ":"kr-session+jwt"}',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=list(HEADERS))
def test_any_other_header_is_none_of_ours(header: Any) -> None:
    assert session.read(token(header=header)) is None


CLAIMS: dict[str, Any] = {
    "no issuer": {**SAID, "iss": None},
    "another issuer": {**SAID, "iss": "somebody"},
    "a list for an audience": {**SAID, "aud": ["keyrack"]},
    "a subject that is no key id": {**SAID, "sub": "../etc"},
    "no subject": {name: value for name, value in SAID.items() if name != "sub"},
    "a claim more": {**SAID, "admin": True},
    "a text for a version": {**SAID, "ver": "3"},
    "true for a version": {**SAID, "ver": True},
    "an end in fractions": {**SAID, "exp": 1_900.5},
    "an end before its beginning": {**SAID, "exp": 1_000},
    "16 minutes": {**SAID, "exp": 1_901, "iat": 1_000},
    "a list of scopes": {**SAID, "scope": ["a:b"]},
    "a number": 7,
    "no JSON": b"\xff\xfe",
    "nested without end": b"[" * 2_000,
    "a name twice": json.dumps(SAID).replace("{", '{"ver": 1, ', 1).encode(),
}


@pytest.mark.parametrize("said", CLAIMS.values(), ids=list(CLAIMS))
def test_claims_that_are_not_exactly_those_of_a_session_are_none(said: Any) -> None:
    assert session.read(token(said)) is None


def test_15_minutes_is_the_most() -> None:
    assert session.read(token({**SAID, "exp": 1_900})) is not None


@pytest.mark.parametrize("last", "BCDEFxyz019-_")
def test_a_signature_has_one_text(last: str) -> None:
    """Its last character has four bits to spare: with them set a library would read the same signature."""
    assert session.read(token(signature=SIGNATURE[:-1] + last)) is None


@pytest.mark.parametrize("last", "AQgw")
def test_the_four_ends_that_a_signature_can_have_are_read(last: str) -> None:
    assert session.read(token(signature=SIGNATURE[:-1] + last)) is not None


def test_a_token_has_at_most_4096_characters() -> None:
    room = session.MAX_LENGTH - len(token({**SAID, "tenant": ""}))
    fitting = next(
        text for size in range(room, 0, -1) if len(text := token({**SAID, "tenant": "t" * size})) <= 4096
    )
    assert len(fitting) > 4000
    assert session.read(fitting) is not None
    assert session.read(token({**SAID, "tenant": "t" * room})) is None


@given(st.text(max_size=300))
def test_other_text_is_no_token_and_never_raises(text: str) -> None:
    assert session.read(text) is None
    assert session.read(f"eyJ{text}.{text}.{SIGNATURE}") is None


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_parts_that_decode_to_anything_are_no_token_and_never_raise(header: bytes, said: bytes) -> None:
    assert session.read(f"eyJ{part(header)}.{part(said)}.{SIGNATURE}") is None
    assert session.read(token(said or b"x")) is None
