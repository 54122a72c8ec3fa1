"""A quota is never passed, in any period, and what fails gives its units back."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from lake_bed import Clock, Lake, OpenLake, code, prepared

from examples.log_lake.claims import Claims
from examples.log_lake.periods import period_of
from examples.log_lake.storage import Storage
from keyrack import Unavailable

EVENTS = {"type": "eventCount", "limit": 10, "period": "Monthly"}


def sent(key: str, events: int = 1, size: int = 1) -> dict[str, Any]:
    body = json.dumps([{"a": "x" * size}] * events).encode()
    headers = {"X-P-Stream": "web", "Content-Type": "application/json"}
    return prepared("POST", "/api/v1/ingest", key, content=body, headers=headers)


def key_with(lake: Lake, **quota: Any) -> str:
    return lake.key(tenant=lake.tenant("acme", quota=EVENTS | quota))


@pytest.mark.spec("LL-17", "LL-3")
def test_beyond_its_quota_a_tenant_stores_nothing(lake: Lake) -> None:
    key = key_with(lake)
    assert [lake.send(sent(key, 4))[0].status_code for _ in range(2)] == [200, 200]
    refused = lake.send(sent(key, 3))[0]
    assert (refused.status_code, code(refused)) == (402, "credits_exhausted")
    assert refused.json()["details"] == {
        "type": "eventCount",
        "limit": 10,
        "used": 8,
        "resetAt": "2030-02-01T00:00:00Z",
    }
    assert [lake.send(sent(key, 1))[0].status_code for _ in range(3)] == [200, 200, 402]
    assert lake.request("GET", "/api/v1/logstream", key).status_code == 200
    others = lake.key(tenant=lake.tenant("other"))
    assert lake.send(sent(others, 20))[0].status_code == 200


@pytest.mark.spec("LL-17")
def test_sizes_are_those_of_the_bodies(lake: Lake) -> None:
    key = key_with(lake, type="sizeBytes", limit=100_000)
    statuses = [lake.send(sent(key, size=30_000))[0].status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 402]
    assert lake.send(sent(key, size=5_000))[0].status_code == 200


@pytest.mark.spec("LL-17")
def test_a_request_that_fails_gives_its_units_back(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_with(lake)

    def broken(*args: object, **options: object) -> None:
        raise Unavailable("The storage cannot be used.")

    assert lake.send(sent(key, 5))[0].status_code == 200
    with monkeypatch.context() as patched:
        patched.setattr(type(lake.service.ingest), "store", broken)
        assert lake.send(sent(key, 5))[0].status_code == 503
    assert (
        lake.send(prepared("POST", "/api/v1/ingest", key, json=[1], headers={"X-P-Stream": "web"}))[
            0
        ].status_code
        == 400
    )
    assert [lake.send(sent(key, 5))[0].status_code for _ in range(2)] == [200, 402]


@pytest.mark.spec("LL-17")
def test_a_new_period_has_a_new_quota(lake: Lake, clock: Clock) -> None:
    key = key_with(lake)
    found = []
    for at in ("2030-01-01T00:00:00Z", "2030-01-31T23:59:59Z", "2030-02-01T00:00:00Z"):
        clock.now = datetime.fromisoformat(at)
        found.append(lake.send(sent(key, 10))[0].status_code)
    assert found == [200, 402, 200]


@pytest.mark.spec("LL-17")
def test_a_changed_quota_counts_what_was_claimed_before(lake: Lake) -> None:
    key = key_with(lake)
    assert lake.send(sent(key, 10))[0].status_code == 200
    lake.change("acme", quota=EVENTS | {"limit": 12})
    assert [lake.send(sent(key, 1))[0].status_code for _ in range(3)] == [200, 200, 402]
    lake.change("acme", quota=EVENTS | {"limit": 5})
    assert lake.send(sent(key, 1))[0].status_code == 402
    lake.change("acme", quota=None)
    assert lake.send(sent(key, 99))[0].status_code == 200


@pytest.mark.spec("LL-17")
def test_nodes_share_a_quota_and_lose_no_more_than_a_block_each(two_nodes: tuple[Lake, Lake]) -> None:
    one, other = two_nodes
    key = one.key(tenant=one.tenant("acme", quota=EVENTS | {"limit": 1000}))
    other.service.verifier.follower.poll()
    stored = 0
    for number in range(28):
        node = two_nodes[number % 2]
        stored += 40 * (node.send(sent(key, 40))[0].status_code == 200)
    assert 1000 - 2 - 40 < stored <= 1000


@pytest.mark.spec("LL-17")
def test_a_claim_is_written_once_whoever_tries(tmp_path: Path) -> None:
    storage = Storage.open(f"file:{tmp_path}")
    nodes = [Claims(storage, "acme/.quota/x/") for _ in range(3)]
    claimed = [node.claim(7, block=10, limit=95) for node in nodes * 4]
    assert claimed == [10] * 8 + [10, None, None, None]
    assert sum(filter(None, claimed)) == 90
    assert nodes[0].claim(5, block=10, limit=95) == 5
    assert [node.claim(1, block=10, limit=95) for node in nodes] == [None] * 3
    fresh = Claims(storage, "acme/.quota/x/")
    assert (fresh.claim(1, block=10, limit=95), fresh.total) == (None, 95)
    assert fresh.claim(25, block=10, limit=1000) == 30


@pytest.mark.spec("LL-17")
def test_a_claim_that_cannot_be_read_stops_the_spending(open_lake: OpenLake, tmp_path: Path) -> None:
    lake = open_lake()
    key = key_with(lake)
    path = "acme/.quota/eventCount/2030-01/00000000000000000001.json"
    lake.service.storage.put(path, b"{}")
    answer = lake.send(sent(key))[0]
    assert (answer.status_code, code(answer)) == (503, "unavailable")


@pytest.mark.spec("LL-17")
@pytest.mark.parametrize(
    ("kind", "at", "name", "ends"),
    [
        ("Monthly", "2030-01-31T23:59:59+00:00", "2030-01", "2030-02-01"),
        ("Monthly", "2030-12-31T23:59:59+00:00", "2030-12", "2031-01-01"),
        ("Monthly", "2030-02-01T00:30:00+01:00", "2030-01", "2030-02-01"),
        ("Yearly", "2030-12-31T23:59:59+00:00", "2030", "2031-01-01"),
        ("Lifetime", "2030-12-31T23:59:59+00:00", "lifetime", None),
    ],
)
def test_periods_are_those_of_the_calendar_in_utc(kind: str, at: str, name: str, ends: str | None) -> None:
    period = period_of(kind, datetime.fromisoformat(at))
    assert period.name == name
    assert period.ends_at == (ends and datetime.fromisoformat(f"{ends}T00:00:00+00:00"))
