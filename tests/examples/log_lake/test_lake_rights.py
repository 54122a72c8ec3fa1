"""Rights on streams: a valid key never stands in for the right to this very stream."""

from __future__ import annotations

from typing import Any

import pytest
from lake_bed import STREAM_HEADER, Lake, code
from lake_requests import fill

KEYS = {
    "ingest everywhere": ["streams/*:ingest"],
    "query everywhere": ["streams/*:query"],
    "ingest web": ["streams/web:ingest"],
    "query web": ["streams/web:query"],
    "ingest of one, query of the other": ["streams/web:ingest", "streams/db:query"],
    "any action on web": ["streams/web:*"],
    "everything": ["*:*"],
    "all about streams one level deeper": ["streams/web/*:ingest", "streams/*/x:query"],
    "management": ["keys:manage", "tenants:manage", "sessions:manage", "health:read"],
    "nothing": [],
}
STREAMS = ("web", "db")
ACTIONS = ("ingest", "query")


def may(scopes: list[str], stream: str, action: str) -> bool:
    wide = {f"streams/{one}:{two}" for one in ("*", stream) for two in ("*", action)}
    return bool({*wide, "*:*"} & set(scopes))


def used(lake: Lake, key: str, stream: str, action: str) -> Any:
    if action == "query":
        question = {"query": f"SELECT * FROM {stream}", "startTime": "10m", "endTime": "now"}
        return lake.request("POST", "/api/v1/query", key, json=question)
    return lake.request("POST", "/api/v1/ingest", key, json={"a": 1}, headers={STREAM_HEADER: stream})


@pytest.mark.spec("LL-10", "LL-11")
def test_each_use_of_a_stream_needs_the_right_to_it(lake: Lake) -> None:
    for stream in STREAMS:
        fill(lake, stream)
    for name, scopes in KEYS.items():
        key = str(lake.mint(*scopes).secret)
        for stream in STREAMS:
            for action in ACTIONS:
                answer = used(lake, key, stream, action)
                if may(scopes, stream, action):
                    assert answer.status_code == 200, (name, stream, action, answer.text)
                else:
                    assert code(answer) == "insufficient_scope", (name, stream, action)


@pytest.mark.spec("LL-11")
@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/api/v1/ingest", {STREAM_HEADER: "db"}),
        ("POST", "/api/v1/logstream/db", {}),
        ("POST", "/v1/logs", {STREAM_HEADER: "db"}),
        ("POST", "/v1/metrics", {STREAM_HEADER: "db"}),
        ("POST", "/v1/traces", {STREAM_HEADER: "db"}),
        ("POST", "/v1/traces", {}),
    ],
)
def test_no_way_in_leads_to_a_stream_that_the_key_may_not_write(
    lake: Lake, method: str, path: str, headers: dict[str, str]
) -> None:
    key = lake.key("streams/web:ingest", "streams/*:query")
    answer = lake.request(method, path, key, json={"a": 1}, headers=headers)
    assert (answer.status_code, code(answer)) == (403, "insufficient_scope")
    assert not lake.service.storage.has_any("default/streams/db/")


@pytest.mark.spec("LL-1", "LL-10")
@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (["streams/*:query"], ["db", "web"]),
        (["streams/*:ingest"], ["db", "web"]),
        (["streams/web:ingest"], ["web"]),
        (["streams/db:query", "streams/none:query"], ["db"]),
        (["streams/none:query"], []),
        (["*:*"], ["db", "web"]),
    ],
)
def test_a_key_sees_the_streams_that_it_may_use(lake: Lake, scopes: list[str], seen: list[str]) -> None:
    for stream in STREAMS:
        fill(lake, stream)
    answer = lake.request("GET", "/api/v1/logstream", lake.key(*scopes))
    assert answer.status_code == 200
    assert all((f'"{stream}"' in answer.text) == (stream in seen) for stream in STREAMS)


@pytest.mark.spec("LL-10")
def test_keys_of_the_presets_do_what_they_are_called_and_nothing_else(lake: Lake) -> None:
    fill(lake)
    allowed = {"ingest": [200, 403], "query": [403, 200], "tenant-admin": [200, 200]}
    for preset, statuses in allowed.items():
        key = lake.key_of(preset)
        assert [used(lake, key, "web", action).status_code for action in ACTIONS] == statuses
        managed = [lake.request("GET", f"/api/v1/{what}", key).status_code for what in ("apikeys", "tenants")]
        assert managed == ([200, 403] if preset == "tenant-admin" else [403, 403])
