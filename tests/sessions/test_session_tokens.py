"""Texts that look like session tokens: none but the one that was signed passes, and most cost little."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from engine_bed import OPERATOR, Bed, opened, other
from hypothesis import given
from hypothesis import strategies as st
from session_bed import HERE, Desk, desk_on, parts

from keyrack import Limit, Policy
from keyrack.core import session as format_
from keyrack.sessions import signing


@pytest.fixture
def desk(memory: Bed) -> Desk:
    return desk_on(memory)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text whose signature is checked."""
    seen: list[str] = []
    checked = signing.is_signed

    def counting(text: str, x: str) -> bool:
        seen.append(text)
        return checked(text, x)

    monkeypatch.setattr(signing, "is_signed", counting)
    return seen


def test_no_mutation_of_a_token_passes() -> None:
    with opened() as bed:
        _, _, token = desk_on(bed).holder("logs:read")
        assert bed.verdict(token, "logs:read") == "ok"
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="

        @given(place=st.integers(0, len(token) - 1), put=st.sampled_from(alphabet))
        def changed(place: int, put: str) -> None:
            mutated = token[:place] + put + token[place + 1 :]
            if mutated != token:
                assert bed.verdict(mutated, "logs:read") in ("unknown", "malformed")

        @given(start=st.integers(0, len(token)), length=st.integers(1, 30))
        def cut(start: int, length: int) -> None:
            mutated = token[:start] + token[start + length :]
            if mutated != token:
                assert bed.verdict(mutated, "logs:read") in ("unknown", "malformed")

        changed()
        cut()


def test_every_other_end_of_a_signature_is_refused(desk: Desk) -> None:
    _, _, token = desk.holder("logs:read")
    ends = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    passed = [end for end in ends if desk.bed.verdict(token[:-1] + end, "logs:read") == "ok"]
    assert passed == [token[-1]]


def public_key(desk: Desk) -> Ed25519PublicKey:
    x = desk.sessions.jwks()["keys"][0]["x"]
    return Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(x + "="))


def test_forgeries_are_refused(desk: Desk) -> None:
    _, text, token = desk.holder("logs:read")
    said = jwt.decode(token, options={"verify_signature": False})
    wider = {**said, "scope": "*:*"}
    kid = jwt.get_unverified_header(token)["kid"]
    header = format_.header(kid)
    theirs = Ed25519PrivateKey.generate()
    raw = public_key(desk).public_bytes_raw()
    none = f"{encoded({**header, 'alg': 'none'})}.{encoded(wider)}."
    shared = jwt.encode(wider, raw, algorithm="HS256", headers={**header, "alg": "HS256"})
    forged = {
        "none": none,
        "none with a signature": none + parts(token)[2],
        "a public key for a shared secret": shared,
        "another key": jwt.encode(wider, theirs, algorithm="EdDSA", headers=header),
        "another key of its own id": jwt.encode(
            wider, theirs, algorithm="EdDSA", headers={**header, "kid": "theirs"}
        ),
        "another type": jwt.encode(said, theirs, algorithm="EdDSA", headers={**header, "typ": "JWT"}),
        "wider, with the old signature": ".".join([parts(token)[0], encoded(wider), parts(token)[2]]),
        "parts in another order": ".".join(reversed(parts(token))),
        "a key's text and a token": f"{text}.{token}",
        "twice": f"{token}{token}",
    }
    for name, one in forged.items():
        assert desk.bed.verdict(one, "logs:read") in ("unknown", "malformed"), name
    assert desk.bed.verdict(token, "logs:read") == "ok"


def encoded(members: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")


def test_all_that_is_cheap_comes_before_the_signature(desk: Desk, counted: list[str]) -> None:
    bed = desk.bed
    _, _, token = desk.holder("logs:read")
    said = jwt.decode(token, options={"verify_signature": False})
    head, claims, signature = parts(token)
    none = encoded(format_.header("nobody") | {"alg": "none"})

    def told(**claims: Any) -> str:
        return f"{head}.{encoded({**said, **claims})}.{signature}"

    with opened() as elsewhere:
        stranger = desk_on(elsewhere).holder("logs:read")[2]
    cheap = {
        "too long": f"{token}{'A' * 4096}",
        "no ascii": token + "é",
        "another form": token.replace(".", "!"),
        "another header": f"{none}.{claims}.{signature}",
        "a claim more": told(admin=1),
        "16 minutes": told(exp=said["iat"] + 901),
        "no such signing key": stranger,
        "no such key": told(sub="zzzzzzzzzzzz"),
        "no such version": told(ver=2),
        "another tenant": told(tenant="acme"),
    }
    assert {bed.verdict(one, "logs:read") for one in cheap.values()} <= {"unknown", "malformed"}
    assert counted == []
    assert bed.verdict(told(scope="*:*"), "logs:read") == "unknown"
    assert len(counted) == 1


def test_a_signature_is_checked_once_for_each_token(desk: Desk, counted: list[str]) -> None:
    key, _, token = desk.holder("logs:read")
    for _ in range(3):
        assert desk.bed.verdict(token, "logs:read") == "ok"
    assert counted == [token]
    desk.bed.issuer.update(key.id, {"name": "x"}, by=OPERATOR)
    assert desk.bed.verdict(token, "logs:read") == "ok"
    desk.bed.issuer.revoke(key.id, by=OPERATOR)
    assert desk.bed.verdict(token, "logs:read") == "revoked"
    assert counted == [token]


def test_no_more_tokens_are_remembered_than_there_is_room_for(
    desk: Desk, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyrack.sessions.proofs.MAX_REMEMBERED", 3)
    _, text = desk.bed.mint("logs:read")
    tokens = [desk.exchange(text) for _ in range(7)]
    for token in tokens * 2:
        assert desk.bed.verdict(token, "logs:read") == "ok"
    assert len(desk.bed.verifier._prover._session_proofs._remembered) <= 3
    assert len(counted) > 7


def test_refused_tokens_count_against_their_address() -> None:
    with opened(policy=Policy(failure_limit=Limit("failures", 2, 60))) as bed:
        _, _, token = desk_on(bed).holder("logs:read")
        head, claims, signature = parts(token)
        forged = f"{head}.{claims}.{'B' + signature[1:]}"
        verdicts = [bed.verdict(forged, "logs:read", address=HERE) for _ in range(3)]
        assert verdicts == ["unknown", "unknown", "rate"]
        assert bed.verdict(token, "logs:read", address=HERE) == "ok"


def test_a_token_and_a_foreign_text_of_that_form_are_told_apart(static: Bed) -> None:
    """Where foreign texts are known, a text in three parts that is no token of ours is one of those."""
    assert static.verdict("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "logs:read") == "unknown"
    assert static.verdict(other(static.mint("logs:read")[1]), "logs:read") == "unknown"
