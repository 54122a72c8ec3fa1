"""The forms in which a key may come, and that two of them are never one."""

from __future__ import annotations

import base64
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from lake_bed import Lake, OpenLake, but_its_id, code, wrong

from examples.log_lake.operations import FIREHOSE_PATH
from keyrack import Access, Allowed

HEALTH = "/api/v1/health"
README = Path(__file__).parents[3] / "examples" / "log_lake" / "README.md"
ACCESS_KEY = "X-Amz-Firehose-Access-Key"
ATTRIBUTES = "X-Amz-Firehose-Common-Attributes"


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def attributes(**given: str) -> str:
    return json.dumps({"commonAttributes": {name.replace("_", "-"): text for name, text in given.items()}})


PLAIN: dict[str, Any] = {
    "X-API-Key": lambda key: ("X-API-Key", key),
    "x-api-key": lambda key: ("x-api-key", f" {key} "),
    "Bearer": lambda key: ("Authorization", f"Bearer {key}"),
    "bearer": lambda key: ("AUTHORIZATION", f"bEaReR  {key}"),
}
FIREHOSE: dict[str, Any] = {
    "access key": lambda key: (ACCESS_KEY, key),
    "access key in JSON": lambda key: (ACCESS_KEY, json.dumps({"api_key": key})),
    "attribute X-API-KEY": lambda key: (ATTRIBUTES, attributes(X_API_KEY=key)),
    "attribute x-api-key": lambda key: (ATTRIBUTES, attributes(x_Api_key=key)),
    "attribute Authorization": lambda key: (ATTRIBUTES, attributes(authorization=f"Bearer {key}")),
}


PAIRS = list(itertools.combinations_with_replacement(["X-API-Key", "Bearer", "Basic"], 2))
FIREHOSE_PAIRS = [
    pair
    for pair in itertools.combinations([*PLAIN, *FIREHOSE], 2)
    if not all(form.startswith("attribute") for form in pair)
]


@pytest.mark.spec("LL-4")
@pytest.mark.parametrize("form", PLAIN)
def test_a_key_may_come_in_either_header(lake: Lake, form: str) -> None:
    key = lake.key("health:read")
    assert lake.request("GET", HEALTH, headers=[PLAIN[form](key)]).status_code == 200
    assert lake.request("GET", HEALTH, headers=[PLAIN[form](wrong(key))]).status_code == 401


@pytest.mark.spec("LL-4")
def test_basic_is_a_form_only_where_it_is_switched_on(lake: Lake, open_lake: OpenLake) -> None:
    key = lake.key("health:read")
    assert lake.request("GET", HEALTH, headers={"Authorization": basic(key)}).status_code == 401
    switched = open_lake(LAKE_BASIC_AUTH="on")
    key = switched.key("health:read")
    forms = [basic(key), basic(key).replace("Basic", "bAsIc"), f"Bearer {key}"]
    for form in forms:
        assert switched.request("GET", HEALTH, headers={"Authorization": form}).status_code == 200
    for form in [basic(key, "x"), basic("", key), basic(wrong(key)), "Basic", "Basic !", f"Basic {key}"]:
        assert switched.request("GET", HEALTH, headers={"Authorization": form}).status_code == 401


@pytest.mark.spec("LL-4")
@pytest.mark.parametrize("switch", ["on", "off"])
@pytest.mark.parametrize("pair", PAIRS)
def test_two_credentials_are_refused_whatever_they_are(
    open_lake: OpenLake, pair: tuple[str, str], switch: str
) -> None:
    lake = open_lake(LAKE_BASIC_AUTH=switch)
    forms = {**PLAIN, "Basic": lambda key: ("Authorization", basic(key))}
    keys = lake.key("health:read"), lake.key("health:read")
    headers = [forms[form](key) for form, key in zip(pair, keys, strict=True)]
    answer = lake.request("GET", HEALTH, headers=headers)
    assert (answer.status_code, code(answer)) == (400, "ambiguous_credentials")
    headers = [forms[form](keys[0]) for form in pair]  # not even one key twice
    assert code(lake.request("GET", HEALTH, headers=headers)) == "ambiguous_credentials"


@pytest.mark.spec("LL-4")
@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token", "access_token", "API_KEY"])
def test_a_key_in_the_query_string_is_refused(lake: Lake, name: str) -> None:
    key = lake.key("health:read")
    for headers in ({}, {"X-API-Key": key}):
        answer = lake.request("GET", f"{HEALTH}?{name}={key}", headers=headers)
        assert (answer.status_code, code(answer)) == (400, "invalid_request")
        assert key not in answer.text


def delivered(lake: Lake, *headers: tuple[str, str]) -> int:
    """The status of a Firehose request that carries a key so, but no body."""
    return lake.request("POST", FIREHOSE_PATH, headers=list(headers)).status_code


def refusals(lake: Lake) -> list[str]:
    """The exact reasons for which the guard refused."""
    lake.service.verifier.notebook.flush(lake.service.verifier.stores.journal)
    found = lake.service.verifier.stores.journal.refusals(after=0, most=100, tenant=None)
    return [refusal.reason.value for _, refusal in found]


@pytest.mark.spec("LL-4", "LL-26")
@pytest.mark.parametrize("form", {**PLAIN, **FIREHOSE})
def test_a_firehose_request_may_carry_its_key_in_forms_of_its_own(lake: Lake, form: str) -> None:
    form_of = {**PLAIN, **FIREHOSE}[form]
    key = lake.key("streams/*:ingest")
    assert delivered(lake, form_of(key)) == 400  # it is nobody's fault but the body's
    assert delivered(lake, form_of(wrong(key))) == 401


@pytest.mark.spec("LL-26")
@pytest.mark.parametrize("pair", FIREHOSE_PAIRS)
def test_a_firehose_request_has_exactly_one_credential(lake: Lake, pair: tuple[str, str]) -> None:
    forms = {**PLAIN, **FIREHOSE}
    key = lake.key("streams/*:ingest")
    assert delivered(lake, *(forms[form](key) for form in pair)) == 400
    assert refusals(lake) == ["ambiguous"]


@pytest.mark.spec("LL-25", "LL-26")
@pytest.mark.parametrize(
    "headers",
    [
        [(ATTRIBUTES, "{")],
        [(ATTRIBUTES, "[]")],
        [(ATTRIBUTES, '{"commonAttributes": {"X-API-Key": 1}}')],
        [(ATTRIBUTES, '{"commonAttributes": {"X-API-Key": "a", "x-api-key": "b"}}')],
        [(ATTRIBUTES, "{}")],
        [(ATTRIBUTES, attributes(X_API_KEY="a")), (ATTRIBUTES, attributes(X_API_KEY="a"))],
    ],
)
def test_attributes_that_cannot_be_read_are_refused_before_any_key_is(
    lake: Lake, headers: list[tuple[str, str]]
) -> None:
    assert delivered(lake, *headers) == 400
    assert delivered(lake, *headers, ("X-API-Key", lake.key())) == 400
    assert refusals(lake) == []


@pytest.mark.spec("LL-26")
def test_attributes_with_two_credentials_are_ambiguous(lake: Lake) -> None:
    key = lake.key("streams/*:ingest")
    both = attributes(X_API_KEY=key, Authorization=f"Bearer {key}")
    assert delivered(lake, (ATTRIBUTES, both)) == 400
    assert refusals(lake) == ["ambiguous"]


@pytest.mark.spec("LL-26")
@pytest.mark.parametrize(
    "text", ["{}", '{"api_key": 1}', '{"api_key": ""}', '{"key": "x"}', "{", "[]", "x" * 4097]
)
def test_an_access_key_that_is_none_is_refused_like_any_other(lake: Lake, text: str) -> None:
    assert delivered(lake, (ACCESS_KEY, text)) == 401


@pytest.mark.spec("LL-26")
def test_an_empty_access_key_is_none_at_all(lake: Lake) -> None:
    key = lake.key("streams/*:ingest")
    assert delivered(lake, (ACCESS_KEY, ""), ("X-API-Key", key)) == 400
    assert refusals(lake) == []


@pytest.mark.spec("LL-26")
@pytest.mark.parametrize("form", FIREHOSE)
def test_elsewhere_those_forms_are_no_credential(lake: Lake, form: str) -> None:
    key = lake.key()
    assert lake.request("GET", HEALTH, headers=[FIREHOSE[form](key)]).status_code == 401
    with_another = [FIREHOSE[form](key), ("X-API-Key", lake.key("health:read"))]
    assert lake.request("GET", HEALTH, headers=with_another).status_code == 200


@pytest.mark.spec("LL-5")
def test_a_scanner_finds_keys_by_the_documented_pattern(lake: Lake) -> None:
    pattern = re.search(r"^    (lake_\S+)$", README.read_text(), re.MULTILINE)
    assert pattern is not None
    key = lake.key("health:read")
    assert re.fullmatch(r"lake_live_[0-9A-Za-z]{50}", key)
    text = f'{{"token":"{key}"}} and lake_live_short and kr_live_{key[10:]}'
    assert re.findall(pattern[1], text) == [key]
    assert lake.service.verifier.verify(key, Access()).key.id == key[10:22]
    assert isinstance(lake.service.verifier.verify(key, Access()), Allowed)


@pytest.mark.spec("LL-6")
def test_whoever_has_no_valid_key_learns_nothing_of_tenants(lake: Lake) -> None:
    for tenant in ("healthy", "suspended", "ended", "deleted"):
        lake.tenant(tenant)
    keys = {
        name: lake.key("health:read", tenant=name) for name in ("healthy", "suspended", "ended", "deleted")
    }
    lake.suspend("suspended", "workspace")
    lake.change("ended", ends_at=lake.clock().isoformat())
    lake.delete("deleted")
    bodies = [
        but_its_id(lake.request("GET", HEALTH, wrong(key), headers={"X-P-Tenant": named}))
        for key in keys.values()
        for named in (*keys, "unknown", "default")
    ]
    assert len(set(bodies)) == 1
    without = [lake.request("GET", HEALTH, headers={"X-P-Tenant": named}) for named in (*keys, "unknown")]
    assert {answer.status_code for answer in without} == {401}
    assert len({but_its_id(answer) for answer in without}) == 1


@pytest.mark.spec("LL-6")
def test_what_is_asked_first_is_answered_first(lake: Lake) -> None:
    """A request with everything wrong; each row mends the first thing that it was refused for."""
    lake.tenant("acme", ends_at="2029-12-31T00:00:00Z")
    limits = [{"name": "few", "limit": 1, "window_seconds": 60}]
    minted = lake.mint(tenant="acme", networks=["10.0.0.0/8"], limits=limits)
    key = str(minted.secret)

    def refused(*headers: tuple[str, str], address: str = "192.0.2.1") -> str:
        sent = [("X-P-Stream", "web"), *headers]
        return code(lake.request("POST", "/api/v1/ingest", headers=sent, content=b"{", address=address))

    own, foreign = ("X-API-Key", key), ("X-P-Tenant", "other")
    assert refused(own, own, foreign) == "ambiguous_credentials"
    assert refused(("X-API-Key", wrong(key)), foreign) == "invalid_credentials"
    assert refused(own, foreign) == "tenant_mismatch"
    assert refused(own) == "tenant_suspended"
    lake.change("acme", ends_at=None)
    assert refused(own) == "ip_denied"
    assert refused(own, address="10.1.2.3") == "insufficient_scope"
    lake.grant(minted.key.id, "streams/*:ingest")
    assert refused(own, address="10.1.2.3") in ("invalid_request", "unsupported_media_type")
    assert refused(own, address="10.1.2.3") == "rate_limited"
