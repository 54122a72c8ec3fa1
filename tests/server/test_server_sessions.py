"""Sessions over HTTP: the exchange, its bodies and refusals, the public keys, and what a session may call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from anyio.from_thread import BlockingPortal
from server_bed import Caller, House, problem
from session_bed import M1

from keyrack.server.table import ROWS, VERIFY_SCOPE, uncharged
from keyrack.settings import Settings


@pytest.fixture
def house(portal: BlockingPortal) -> Iterator[House]:
    """A server with a master key."""
    made = House(portal, settings=Settings(master_keys=M1))
    yield made
    made.verifier.close()


def exchange(caller: Caller, **wish: Any) -> dict[str, Any]:
    answer = caller("POST", "/v1/sessions", json=wish)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def verdict(house: House, token: str, **question: Any) -> dict[str, Any]:
    found: dict[str, Any] = house.root("POST", "/v1/verify", json={"key": token, **question}).json()
    return found


def test_a_key_is_exchanged_for_a_session(house: House) -> None:
    minted = house.root.mint("logs:read", "logs:write")
    caller = house.caller(minted["secret"])
    answer = caller("POST", "/v1/sessions", json={"scopes": ["logs:read"], "ttl_seconds": 60})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    told = answer.json()
    token = told.pop("token")
    assert told == {
        "token_type": "Bearer",
        "expires_at": "2027-01-15T08:01:00Z",
        "key_id": minted["id"],
        "version": 1,
        "tenant": "default",
        "scopes": ["logs:read"],
        "audience": None,
    }
    found = verdict(house, token, scopes=["logs:read"])
    assert found["valid"]
    assert found["session"] == {"expires_at": "2027-01-15T08:01:00Z", "audience": None}
    assert found["key_id"] == minted["id"]
    assert verdict(house, token, scopes=["logs:write"])["reason"] == "scope"
    assert "session" not in verdict(house, minted["secret"])


def test_everything_may_be_left_out(house: House) -> None:
    caller = house.holder("logs:read")
    for body in ({"json": {}}, {}):
        told = caller("POST", "/v1/sessions", **body).json()
        assert (told["scopes"], told["expires_at"]) == (["logs:read"], "2027-01-15T08:15:00Z")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"ttl_seconds": 901}, "ttl_seconds"),
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"ttl_seconds": True}, "ttl_seconds"),
        ({"ttl_seconds": "60"}, "ttl_seconds"),
        ({"ttl_seconds": 1.5}, "ttl_seconds"),
        ({"scopes": ["no scope"]}, "scopes"),
        ({"scopes": "logs:read"}, "scopes"),
        ({"audience": ""}, "audience"),
        ({"audience": 7}, "audience"),
        ({"tenant": "acme"}, "tenant"),
    ],
)
def test_what_is_wrong_in_a_wish_is_named(house: House, wish: dict[str, Any], field: str) -> None:
    answer = house.holder("logs:read")("POST", "/v1/sessions", json=wish)
    assert problem(answer) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == [field]


def test_more_than_the_key_holds_is_refused_by_name(house: House) -> None:
    answer = house.holder("logs:read")("POST", "/v1/sessions", json={"scopes": ["logs:read", "logs:write"]})
    assert problem(answer) == (403, "insufficient_scope")
    assert answer.json()["details"] == {"not_held": ["logs:write"]}


def test_without_a_key_there_is_no_session(house: House) -> None:
    assert problem(house.caller()("POST", "/v1/sessions")) == (401, "missing_credentials")
    assert problem(house.caller("nothing")("POST", "/v1/sessions")) == (401, "invalid_credentials")


def test_without_master_keys_it_is_unavailable_and_says_why(portal: BlockingPortal) -> None:
    house = House(portal)
    answer = house.root("POST", "/v1/sessions", json={})
    assert problem(answer) == (503, "unavailable")
    assert answer.json()["details"] == {"reason": "unconfigured"}
    assert house.root("GET", "/.well-known/jwks.json").json() == {"keys": []}
    assert house.root("GET", "/v1/keys").status_code == 200
    house.verifier.close()


def test_the_public_keys_are_for_everybody(house: House) -> None:
    token = exchange(house.root)["token"]
    answer = house.caller()("GET", "/.well-known/jwks.json")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "max-age=300")
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    said = jwt.decode(
        token,
        jwt.PyJWK(key).key,
        algorithms=["EdDSA"],
        audience="keyrack",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert said["sub"] == house.root_id


def test_the_public_keys_are_unavailable_while_nothing_can_be_decided(house: House) -> None:
    house.verifier.follower.abandon("tests")
    assert problem(house.caller()("GET", "/.well-known/jwks.json")) == (503, "unavailable")


CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
ASKING = uncharged(VERIFY_SCOPE)
"""What only asks about keys, or says what became of them elsewhere, changes none."""


def test_a_session_of_the_root_key_changes_nothing_at_any_operation(house: House) -> None:
    token = exchange(house.root)["token"]
    other = house.root.mint("logs:read")["id"]
    house.root("POST", "/v1/tenants", json={"id": "acme"})
    caller, before = house.caller(token), house.verifier.stores.keys.last()
    bodies = {
        "/v1/keys": {"name": "x", "scopes": ["logs:read"]},
        "/v1/tenants": {"id": "umbrella"},
        "/v1/tenants/{tenant_id}/suspend": {"service": "query"},
        "/v1/tenants/{tenant_id}/resume": {"service": "query"},
        "/v1/tenants/{tenant_id}": {"name": "x"},
        "/v1/keys/{key_id}": {"name": "x"},
    }
    asked = [row for row in ROWS if row.method in CHANGING and row.access != ASKING]
    assert len(asked) >= 14
    for row in asked:
        path = row.path.replace("{key_id}", other).replace("{tenant_id}", "acme")
        body = None if row.method == "DELETE" else bodies.get(row.path, {})
        answer = caller(row.method, path, json=body) if body is not None else caller(row.method, path)
        assert problem(answer) == (403, "session_presented"), row
    assert house.verifier.stores.keys.last() == before


def test_a_session_reads_what_its_scopes_allow(house: House) -> None:
    token = exchange(house.root, scopes=["keys:read"])["token"]
    caller = house.caller(token)
    assert caller("GET", "/v1/keys").status_code == 200
    assert caller("GET", "/v1/me").json()["id"] == house.root_id
    assert problem(caller("GET", "/v1/events")) == (403, "insufficient_scope")


def test_a_session_may_ask_about_keys(house: House) -> None:
    token = exchange(house.root, scopes=["keys:verify"])["token"]
    answer = house.caller(token)("POST", "/v1/verify", json={"key": house.root_key})
    assert answer.json()["valid"]


def test_forward_auth_takes_a_session_like_a_key(house: House) -> None:
    minted = house.root.mint("logs:read", "logs:write", owner="ada")
    token = exchange(house.caller(minted["secret"]), scopes=["logs:read"])["token"]
    for text, scopes in ((token, "logs:read"), (minted["secret"], "logs:read logs:write")):
        answer = house.caller(text)("GET", "/v1/forward-auth?scope=logs:read")
        assert answer.status_code == 200
        assert answer.headers["x-keyrack-key-id"] == minted["id"]
        assert answer.headers["x-keyrack-scopes"] == scopes
    assert problem(house.caller(token)("GET", "/v1/forward-auth?scope=logs:write"))[0] == 403


def test_two_sessions_of_one_key_are_never_answered_by_what_was_kept_for_the_other(house: House) -> None:
    caller = house.holder("logs:read")
    short, long = exchange(caller, ttl_seconds=60)["token"], exchange(caller)["token"]
    ends = [verdict(house, one)["session"]["expires_at"] for one in (short, long, short)]
    assert ends == ["2027-01-15T08:01:00Z", "2027-01-15T08:15:00Z", "2027-01-15T08:01:00Z"]


def test_a_revoked_key_takes_its_sessions_with_it(house: House) -> None:
    minted = house.root.mint("logs:read")
    token = exchange(house.caller(minted["secret"]))["token"]
    assert verdict(house, token)["valid"]
    house.root("POST", f"/v1/keys/{minted['id']}/revoke", json={})
    assert verdict(house, token)["reason"] == "revoked"
    assert problem(house.caller(token)("GET", "/v1/me")) == (401, "key_revoked")
