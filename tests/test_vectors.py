"""The vectors in tests/vectors, run against this implementation. The JSON is the truth; nothing writes it.

They are for whoever writes a guard or a store in another language: see docs/vectors.md.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from engine_bed import Bed, opened

from keyrack import Access, Allowed, Denied, Policy, Reason
from keyrack.core import credential, records
from keyrack.core.events import Event, EventKind
from keyrack.core.http import ANSWERS, denial, extract
from keyrack.core.peppers import Pepper
from keyrack.stores.ledger import Draft
from keyrack.testing import FixedClock

VECTORS = Path(__file__).parent / "vectors"


def read(name: str) -> dict[str, Any]:
    return dict(json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8")))


CREDENTIALS, DIGESTS, DECISIONS = read("credentials"), read("digests"), read("decisions")
REQUESTS, RESPONSES = read("requests"), read("responses")


def why(case: object) -> str | None:
    return str(case.get("why") or case.get("reason")) if isinstance(case, dict) else None


@pytest.mark.parametrize("case", CREDENTIALS["valid"], ids=why)
def test_a_valid_text_parses_into_its_parts_and_is_written_from_them(case: dict[str, str]) -> None:
    parsed = credential.parse(case["text"])
    assert parsed is not None
    assert (parsed.prefix, parsed.environment, parsed.key_id) == (
        case["prefix"],
        case["environment"],
        case["key_id"],
    )
    assert credential.write(parsed.prefix, parsed.environment, parsed.key_id, case["secret"]) == case["text"]
    assert credential.checksum(case["text"][:-6].encode()) == case["checksum"]


@pytest.mark.parametrize("case", CREDENTIALS["invalid"], ids=why)
def test_an_invalid_text_does_not_parse(case: dict[str, Any]) -> None:
    text = case["text"] * case.get("times", 1)
    assert credential.parse(text) is None
    assert credential.looks_written(text) is case["has_our_form"]


def test_the_alphabet_is_the_one_of_the_vectors() -> None:
    assert CREDENTIALS["alphabet"] == credential.ALPHABET


@pytest.mark.parametrize("pepper", DIGESTS["peppers"], ids=lambda pepper: pepper["id"])
def test_a_pepper_digests_as_the_vectors_say(pepper: dict[str, Any]) -> None:
    ours = Pepper(pepper["id"], pepper["text"])
    assert ours.check == pepper["check"]
    for label, key in pepper["keys"].items():
        mac = {"idempotency": "marks"}.get(label, label)
        if label != "check":
            code = hmac.digest(bytes.fromhex(key), b"any data", "sha256")
            assert getattr(ours, mac).digest(b"any data") == code
    for one in pepper["digests"]:
        assert getattr(ours, one["of"]).digest(one["data"].encode()).hex() == one["code"]


@pytest.fixture(scope="module")
def stored() -> Iterator[Bed]:
    """An engine whose store holds the records of the vectors, byte for byte."""
    given = DECISIONS["policy"]
    policy = Policy(
        prefixes=tuple(given["prefixes"]),
        roles={name: tuple(scopes) for name, scopes in given["roles"].items()},
    )
    with opened(policy=policy, peppers=DECISIONS["peppers"]) as bed:
        bed.stores.ledger.commit(put_records)
        bed.verifier.follower.poll()
        yield bed


def put_records(draft: Draft) -> None:
    at = datetime.fromisoformat("2026-12-01T00:00:00Z")
    for record in DECISIONS["tenants"]:
        tenant = records.read_tenant(json.dumps(record).encode())
        draft.write_tenant(tenant, Event(EventKind.TENANT_CREATED, at, "operator:vectors"))
    for record in DECISIONS["keys"]:
        key = records.read_key(json.dumps(record).encode())
        draft.write_key(key, Event(EventKind.KEY_IMPORTED, at, "operator:vectors"))


def access_of(asked: dict[str, Any]) -> Access:
    named = {name: value for name, value in asked.items() if name in ("tenant", "service")}
    lists = {name: tuple(asked[name]) for name in ("scopes", "environments", "prefixes") if name in asked}
    return replace(Access(), **named, **lists, address=ip_address(asked["ip"]) if "ip" in asked else None)


@pytest.mark.parametrize("case", DECISIONS["cases"], ids=why)
def test_a_decision_is_the_one_of_the_vectors(stored: Bed, case: dict[str, Any]) -> None:
    clock = stored.stores.clock
    assert isinstance(clock, FixedClock)
    clock.now = datetime.fromisoformat(case["at"]).timestamp()
    decision = stored.verifier.verify(DECISIONS["texts"][case["text"]], access_of(case["access"]))
    assert told(decision) == case["answer"]


def told(decision: Allowed | Denied) -> dict[str, Any]:
    """A decision in the words of the vectors."""
    if isinstance(decision, Allowed):
        return {"allowed": True, "key_id": decision.key.id, "scopes": list(decision.scopes)}
    answer = ANSWERS[decision.reason]
    return {
        "allowed": False,
        "reason": decision.reason.value,
        "code": answer.code,
        "status": answer.status,
        "details": dict(decision.details),
        "key_id": decision.key.id if decision.key else None,
    }


@pytest.mark.spec("CO-7", "CO-9")
@pytest.mark.parametrize("case", REQUESTS["cases"], ids=why)
def test_a_request_holds_the_credential_of_the_vectors(case: dict[str, Any]) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in case["headers"]]
    found = extract(headers)
    assert ({"reason": found.value} if isinstance(found, Reason) else {"text": found}) == case["found"]


@pytest.mark.spec("CO-11")
@pytest.mark.parametrize("case", RESPONSES["cases"], ids=why)
def test_a_reason_has_the_response_of_the_vectors(case: dict[str, Any]) -> None:
    denied = Denied(Reason(case["reason"]), details=case["details"], retry_after=case.get("retry_after"))
    response = denial(denied, realm=RESPONSES["realm"], request_id=RESPONSES["request_id"])
    assert {
        "status": response.status,
        "headers": dict(response.headers),
        "body": json.loads(response.body),
    } == case["response"]


def test_every_reason_and_every_stored_text_has_a_vector() -> None:
    assert {case["reason"] for case in RESPONSES["cases"]} == {reason.value for reason in Reason}
    decided = {case["answer"]["reason"] for case in DECISIONS["cases"] if not case["answer"]["allowed"]}
    others = {"missing", "ambiguous", "credits", "rate", "unconfigured", "store_down", "stale"}
    assert decided | others == {reason.value for reason in Reason}
    assert {case["text"] for case in DECISIONS["cases"]} == set(DECISIONS["texts"])
