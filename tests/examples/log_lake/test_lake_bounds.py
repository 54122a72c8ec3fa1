"""What bounds a query: time, memory, rows, how many run, its session, and the rights of its key."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from lake_bed import OPERATOR, Lake, OpenLake, code, prepared
from lake_events import INGEST, QUERY, ask, send
from patience import soon

from examples.log_lake.engine import Task
from examples.log_lake.problems import QueryTooLarge
from examples.log_lake.sessions import MAX_RUNNING, MAX_SESSION, Running, Session, Sessions
from examples.log_lake.workers import Worker

COUNTING = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 1000000000)"
ENDLESS = f"{COUNTING} SELECT count(*) AS n FROM r, web"
SHORT = "SELECT count(*) AS n FROM web"
PATIENCE_SECONDS = 60.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def question(sql: str, key: str) -> dict[str, Any]:
    return prepared("POST", QUERY, key, json={"query": sql, "startTime": "1h", "endTime": "now"})


@contextmanager
def running(lake: Lake, key: str) -> Iterator[list[httpx.Response]]:
    """While an endless query runs; afterwards its answer stands in the list."""
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.extend(lake.send(question(ENDLESS, key))))
    thread.start()
    try:
        until(lambda: len(lake.service.queries.sessions) == 1)
        yield answers
    finally:
        thread.join(PATIENCE_SECONDS)
    assert answers
    assert len(lake.service.queries.sessions) == 0


@pytest.mark.spec("LL-35")
def test_a_query_ends_within_a_second_of_its_deadline_and_others_go_on_meanwhile(open_lake: OpenLake) -> None:
    lake = open_lake(LAKE_QUERY_SECONDS="4")
    key, writer = lake.key("streams/*:query"), lake.key("streams/*:ingest")
    send(lake, writer, {"n": 1})
    small = prepared("POST", INGEST, writer, json={"n": 2}, headers={"X-P-Stream": "other"})
    quick = [small, prepared("GET", "/livez"), question(SHORT, key)]
    assert {answer.status_code for answer in lake.send(*[question(SHORT, key)] * 2)} == {200}

    def lateness() -> float:
        began = time.monotonic()
        slow, *others = lake.send(question(ENDLESS, key), *quick)
        took = time.monotonic() - began
        assert (slow.status_code, code(slow)) == (504, "query_timeout")
        assert [answer.status_code for answer in others] == [200, 200, 200]
        assert took >= 4
        longest = max(answer.elapsed.total_seconds() for answer in others)
        return took - 4 if longest < 3 else math.inf

    soon(lateness, within=1)
    assert ask(lake, key, SHORT).json() == [{"n": 1}]


@pytest.mark.spec("LL-35")
def test_a_query_that_needs_too_much_memory_is_refused_and_the_next_one_works(open_lake: OpenLake) -> None:
    lake = open_lake(LAKE_QUERY_MEMORY=str(64 * 1024 * 1024))
    key = lake.key()
    send(lake, key, [{"n": number} for number in range(2000)])
    pool = "SELECT a.n AS a, b.n AS b FROM web a, web b ORDER BY a.n * b.n, a.n LIMIT 2000000"
    allocator = "SELECT length(repeat('x', 1000000000)) AS n FROM web LIMIT 1"
    for sql in (pool, allocator):
        answer = ask(lake, key, sql)
        assert (answer.status_code, code(answer)) == (422, "query_too_large")
    assert ask(lake, key, SHORT).json() == [{"n": 2000}]


@pytest.mark.spec("LL-35")
def test_an_answer_has_at_most_so_many_rows(open_lake: OpenLake) -> None:
    lake = open_lake(LAKE_QUERY_ROWS="100")
    key = lake.key()
    send(lake, key, [{"n": number} for number in range(101)])
    assert len(ask(lake, key, "SELECT n FROM web LIMIT 100").json()) == 100
    for flags in ({}, {"streaming": "true"}):
        assert code(ask(lake, key, "SELECT n FROM web", **flags)) == "query_too_large"


@pytest.mark.spec("LL-35", "LL-3")
def test_a_key_runs_at_most_ten_queries_at_once(open_lake: OpenLake) -> None:
    lake = open_lake(LAKE_QUERY_SECONDS="5")
    key, other = lake.key(), lake.key()
    send(lake, key, {"n": 1})
    answers = lake.send(*[question(ENDLESS, key)] * (MAX_RUNNING + 2), question(ENDLESS, other))
    assert [answer.status_code for answer in answers].count(429) == 2
    assert [answer.status_code for answer in answers].count(504) == MAX_RUNNING + 1
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert code(refused) == "rate_limited"
    assert int(refused.headers["Retry-After"]) > 0
    assert answers[-1].status_code == 504


@pytest.mark.spec("LL-36")
def test_after_a_thousand_requests_nothing_of_them_is_left(lake: Lake, tmp_path: Path) -> None:
    key, blind = lake.key("streams/*:*"), lake.key("streams/other:query")
    send(lake, key, {"n": 1})
    write = prepared("POST", INGEST, key, json={"n": 1}, headers={"X-P-Stream": "app"})
    mixed = [
        *[question(SHORT, key)] * 100,
        *[question(SHORT, blind)] * 100,
        *[question("SELECT nothing FROM web", key)] * 20,
        *[question("DROP TABLE web", key)] * 100,
        *[write] * 180,
    ]
    statuses = [answer.status_code for answer in lake.send(*mixed)]
    for _ in range(10):
        statuses += [answer.status_code for answer in lake.send(*[question(SHORT, key)] * 9, *[write] * 41)]
    assert len(statuses) == 1000
    assert set(statuses) == {200, 400, 403, 429}
    assert statuses.count(403) == 100
    assert len(lake.service.queries.sessions) == 0
    assert lake.service.ingest.is_idle
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, Session | Running | Task)] == []


@pytest.mark.spec("LL-36")
def test_a_session_names_its_query_and_can_be_ended_by_its_tenant_alone(lake: Lake) -> None:
    lake.tenant("acme")
    minted = lake.mint("streams/*:*")
    key, manager = str(minted.secret), lake.key("sessions:manage")
    foreign = lake.key("sessions:manage", tenant="acme")
    send(lake, key, {"n": 1})
    sessions = lake.service.queries.sessions
    with running(lake, key) as answers:
        [session] = sessions.of_tenant("default")
        assert (session.key_id, session.streams) == (minted.key.id, ("web",))
        assert session.deadline_at - session.started_at == MAX_SESSION
        others = other_loop(lake)
        assert others("GET", "/api/v1/query/sessions", foreign).json() == []
        [shown] = others("GET", "/api/v1/query/sessions", manager).json()
        assert shown == {
            "id": session.id,
            "keyId": minted.key.id,
            "tenant": "default",
            "streams": ["web"],
            "startedAt": "2030-01-01T12:00:00Z",
            "deadlineAt": "2030-01-01T12:05:00Z",
        }
        path = f"/api/v1/query/sessions/{session.id}"
        assert others("DELETE", path, foreign).status_code == 404
        assert others("DELETE", path, key).status_code == 403
        assert others("DELETE", path, manager).status_code == 204
    assert code(answers[0]) == "query_ended"


def other_loop(lake: Lake) -> Callable[[str, str, str], httpx.Response]:
    """Requests from a loop of their own, while that of the lake is busy."""

    async def one(method: str, path: str, key: str) -> httpx.Response:
        transport = httpx.ASGITransport(lake.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://lake") as client:
            return await client.request(method, path, headers={"X-API-Key": key})

    return lambda *request: asyncio.run(one(*request))


@pytest.mark.spec("LL-36")
def test_whoever_hangs_up_ends_its_query(lake: Lake) -> None:
    key = lake.key()
    send(lake, key, {"n": 1})
    lake.clock.pass_time(seconds=1)
    body = json.dumps({"query": ENDLESS, "startTime": "1h", "endTime": "now"}).encode()
    began = time.monotonic()
    lake.send_raw(QUERY, key, [{"type": "http.request", "body": body}, {"type": "http.disconnect"}])
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert len(lake.service.queries.sessions) == 0
    assert ask(lake, key, SHORT).json() == [{"n": 1}]


@pytest.mark.spec("LL-36")
def test_whoever_hangs_up_in_the_middle_of_an_answer_ends_its_session(lake: Lake) -> None:
    key = lake.key()
    send(lake, key, [{"text": "x" * 1000}] * 3000)
    body = json.dumps({"query": "SELECT text FROM web", "startTime": "1h", "endTime": "now"}).encode()
    lake.send_raw(QUERY, key, [{"type": "http.request", "body": body}], fail_after=2)
    assert len(lake.service.queries.sessions) == 0
    assert list(Path(lake.service.queries.folder).iterdir()) == []


@pytest.mark.spec("LL-37", "LL-15")
@pytest.mark.parametrize(
    "how", ["revoke", "disable", "grant", "suspend query", "suspend workspace", "delete"]
)
def test_the_end_of_rights_ends_the_query(lake: Lake, how: str) -> None:
    lake.tenant("acme")
    minted = lake.mint("streams/*:*", tenant="acme")
    key = str(minted.secret)
    send(lake, key, {"n": 1})
    began = time.monotonic()
    with running(lake, key) as answers:
        end_rights(lake, minted.key.id, how)
    assert time.monotonic() - began < 25, "it ended by itself"
    expected = {
        "revoke": "key_revoked",
        "disable": "key_disabled",
        "grant": "insufficient_scope",
        "suspend query": "tenant_suspended",
        "suspend workspace": "tenant_suspended",
    }
    assert answers[0].status_code in (401, 403)
    assert how not in expected or code(answers[0]) == expected[how]


def end_rights(lake: Lake, key_id: str, how: str) -> None:
    match how.split():
        case ["revoke"]:
            lake.issuer.revoke(key_id, by=OPERATOR)
        case ["disable"]:
            lake.issuer.disable(key_id, by=OPERATOR)
        case ["grant"]:
            lake.grant(key_id, "streams/*:ingest")
        case ["suspend", service]:
            lake.suspend("acme", service)
        case ["delete"]:
            lake.delete("acme")


@pytest.mark.spec("LL-37")
def test_a_key_that_another_node_revokes_ends_its_query_here(two_nodes: tuple[Lake, Lake]) -> None:
    one, other = two_nodes
    minted = one.mint("streams/*:*")
    key = str(minted.secret)
    send(one, key, {"n": 1})
    with running(one, key) as answers:
        other.issuer.revoke(minted.key.id, by=OPERATOR)
    assert code(answers[0]) == "key_revoked"


@pytest.mark.spec("LL-36", "LL-37")
def test_clean_up_takes_expired_sessions_and_leaves_live_ones(lake: Lake, tmp_path: Path) -> None:
    sessions, clock = Sessions(tmp_path), lake.clock
    old = sessions.open("key", "default", ("web",), now=clock())
    clock.pass_time(minutes=3)
    young = sessions.open("key", "default", ("web",), now=clock())
    clock.pass_time(minutes=2)
    sessions.sweep(clock())
    assert sessions.of_tenant("default") == [young.session]
    old_again = sessions.open("key", "default", ("web",), now=clock())
    assert old_again.session.id != old.session.id
    sessions.close_all()
    assert len(sessions) == 0


@pytest.mark.spec("LL-35")
def test_a_worker_holds_no_pepper_and_one_that_was_ended_says_nothing(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYRACK_PEPPERS", "p1:never-to-be-handed-on")
    worker = Worker(lake.settings.storage_url)
    assert b"KEYRACK" not in Path(f"/proc/{worker.pid}/environ").read_bytes()
    worker.end()
    with pytest.raises(QueryTooLarge):
        worker.ask(a_task(tmp_path), seconds=1)
    worker.close()


def a_task(folder: Path) -> Task:
    from datetime import UTC, datetime

    from examples.log_lake.rows import Shape

    at = datetime(2030, 1, 1, tzinfo=UTC)
    return Task("SELECT 1", "default", (), at, at, Shape(), 1, 1, folder / "result")
