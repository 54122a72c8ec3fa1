"""What a carried request costs: reserved once before it is sent, and ended once as its answer says."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from typing import Any

import pytest
from engine_bed import OPERATOR
from gateway_bed import KEYS, SCOPE, TIER, Serve, Served, path_of
from patience import PATIENCE_SECONDS, eventually
from raw_upstream import Exchange, replying
from test_gateway_route import problem
from wire import begun, chunked, head

from keyrack.gateway.admin.balances import CreditBalances
from keyrack.stores.balances import Balance


def charged(gateway: Served, upstream: Any, amount: int = 10, **given: Any) -> tuple[str, str]:
    """A charged API: its path and its group, in which the caller has so much."""
    api = gateway.bed.api(upstream, api_credits_enabled=True, **given)
    gateway.bed.give(str(api.group), amount)
    return path_of(api), str(api.group)


def left(gateway: Served, group: str) -> int:
    return gateway.bed.balance(group).available


@pytest.mark.spec("UG-34")
@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 409, 422])
def test_an_answer_is_paid_for(gateway: Served, status: int) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(status)
    path, group = charged(gateway, upstream)
    assert gateway("GET", path, key=gateway.bed.key()).status == status
    assert left(gateway, group) == 9


@pytest.mark.spec("UG-34")
@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503, 599])
def test_a_refusal_or_failure_of_the_upstream_is_given_back(gateway: Served, status: int) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(status)
    path, group = charged(gateway, upstream)
    gateway("GET", path, key=gateway.bed.key())
    assert left(gateway, group) == 10


@pytest.mark.spec("UG-34")
def test_so_is_a_request_that_got_no_answer(serve: Serve) -> None:
    gateway = serve(silent_seconds=0.2)
    upstream = gateway.bed.upstream()

    async def silent(exchange: Exchange) -> None:
        await exchange.reader.read()

    upstream.answer = silent
    key = gateway.bed.key()
    for server, status in ((upstream, 504), ("http://127.0.0.1:1", 502)):
        path, group = charged(gateway, server)
        assert gateway("GET", path, key=key).status == status
        assert left(gateway, group) == 10


@pytest.mark.spec("UG-34")
def test_so_is_one_that_an_open_breaker_held_back(gateway: Served) -> None:
    path, group = charged(gateway, "http://127.0.0.1:1")
    key = gateway.bed.key()
    answers = [gateway("GET", path, key=key).status for _ in range(6)]
    assert answers == [502] * 5 + [503]
    assert left(gateway, group) == 10


@pytest.mark.spec("UG-34")
def test_a_request_is_charged_once_however_often_it_is_sent(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    statuses = [503, 401, 503, 200]

    async def troubled(exchange: Exchange) -> None:
        await exchange.reply(statuses.pop(0))

    upstream.answer = troubled
    path, group = charged(gateway, upstream, api_allowed_retry_count=2)
    gateway.bed.rotate(group)
    assert gateway("GET", path, key=gateway.bed.key()).status == 200
    assert len(upstream.requests) == 4
    assert left(gateway, group) == 9


@pytest.mark.spec("UG-34")
def test_the_clients_own_request_id_does_not_make_two_requests_one(gateway: Served) -> None:
    path, group = charged(gateway, gateway.bed.upstream())
    for _ in range(3):
        answer = gateway("GET", path, key=gateway.bed.key(), X_Request_ID="always-the-same")
        assert answer["x-request-id"] != "always-the-same"
    assert left(gateway, group) == 7


@pytest.mark.spec("UG-34")
def test_each_endpoint_costs_what_it_says(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    costs = {"/free": 0, "/dear": 7}
    endpoints = [{"method": "GET", "uri": uri, "scope": SCOPE, "cost": cost} for uri, cost in costs.items()]
    api = gateway.bed.api(upstream, api_credits_enabled=True, endpoints=endpoints)
    group, key = str(api.group), gateway.bed.key()
    gateway.bed.give(group, 10)
    assert gateway("GET", path_of(api, "/dear"), key=key).status == 200
    assert gateway("GET", path_of(api, "/dear"), key=key).status == 402
    assert gateway("GET", path_of(api, "/free"), key=key).status == 200
    assert left(gateway, group) == 3


@pytest.mark.spec("UG-34")
def test_a_key_that_names_a_group_itself_pays_what_the_endpoint_costs_and_no_more(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    path, group = charged(gateway, upstream)
    free = path_of(gateway.bed.api(upstream, api_credit_group=group))
    key = gateway.bed.key(credits=group)
    assert gateway("GET", path, key=key).status == 200
    assert gateway("GET", free, key=key).status == 200
    assert left(gateway, group) == 9


@pytest.mark.spec("UG-34")
def test_a_client_that_leaves_before_anything_was_sent_pays_nothing(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    path, group = charged(gateway, upstream)
    caller = [("Authorization", f"Bearer {gateway.bed.key()}"), ("Content-Length", "10")]
    with gateway.connect() as connection:
        connection.sendall(head("POST", path, caller))
        eventually(lambda: left(gateway, group) == 9)
    eventually(lambda: left(gateway, group) == 10)
    assert upstream.connections == 0


@pytest.mark.spec("UG-34")
def test_one_that_leaves_once_the_upstream_is_at_work_pays(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    arrived = threading.Event()

    async def slow(exchange: Exchange) -> None:
        arrived.set()
        await exchange.reader.read()

    upstream.answer = slow
    path, group = charged(gateway, upstream)
    with gateway.connect() as connection:
        connection.sendall(head("GET", path, [("Authorization", f"Bearer {gateway.bed.key()}")]))
        assert arrived.wait(PATIENCE_SECONDS)
    eventually(lambda: not gateway.bed.plane.charges._leases)
    assert left(gateway, group) == 9


@pytest.mark.spec("UG-34", "UG-37")
def test_and_for_the_input_that_was_sent_though_nobody_stated_its_length(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    arrived = threading.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.body()
        arrived.set()
        await exchange.reader.read()

    upstream.answer = slow
    path, group = limited(gateway, upstream, input_limit=100)
    caller = [("Authorization", f"Bearer {gateway.bed.key()}"), ("Transfer-Encoding", "chunked")]
    with gateway.connect() as connection:
        connection.sendall(head("POST", path, caller) + chunked(b"a" * 20, b"b" * 20))
        assert arrived.wait(PATIENCE_SECONDS)
    eventually(lambda: not gateway.bed.plane.charges._leases)
    assert used(gateway.bed.balance(group)) == (40, 0)


@pytest.mark.spec("UG-34", "UG-37")
@pytest.mark.parametrize("is_cut", [False, True], ids=["left", "cut"])
@pytest.mark.parametrize(
    ("status", "available", "output", "following"),
    [(200, 9, 1000, 402), (404, 9, 1000, 402), (429, 10, 0, 200), (503, 10, 0, 200)],
)
def test_an_answer_that_is_left_or_cut_costs_what_its_status_says_and_what_came_of_it(
    gateway: Served, status: int, available: int, output: int, following: int, is_cut: bool
) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()

    async def pausing(exchange: Exchange) -> None:
        await exchange.begin(status)
        await exchange.part(b"a" * 1000)
        await exchange.reader.read()

    upstream.answer = pausing
    path, group = limited(gateway, upstream, output_limit=50)
    key = bed.key()
    with gateway.connect() as connection:
        connection.sendall(head("GET", path, [("Authorization", f"Bearer {key}")]))
        with begun(connection) as response:
            assert response.read(1000) == b"a" * 1000
            if is_cut:
                upstream.hang_up()
                with pytest.raises(IncompleteRead):
                    response.read()
    eventually(lambda: not bed.plane.charges._leases)
    assert left(gateway, group) == available
    assert used(bed.balance(group)) == (0, output)
    upstream.answer = replying()
    assert gateway("GET", path, key=key).status == following


@pytest.mark.spec("UG-34")
def test_an_answer_ends_when_its_credits_are_no_longer_held(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    go_on = threading.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.part(b"first")
        while not go_on.is_set():
            await exchange.writer.drain()
            await _soon()
        await exchange.part(b"second")
        await exchange.part(b"")

    upstream.answer = slow
    path, group = charged(gateway, upstream)
    bed = gateway.bed
    with gateway.connect() as connection:
        connection.sendall(head("GET", path, [("Authorization", f"Bearer {bed.key()}")]))
        response = begun(connection)
        assert response.read(5) == b"first"
        bed.clock.advance(61)
        assert bed.stores.balances is not None
        assert bed.stores.balances.lapse(bed.clock.now) == 1
        bed.portal.call(bed.plane.charges.renew)
        go_on.set()
        with pytest.raises(Exception, match="IncompleteRead"):
            response.read()
    assert left(gateway, group) == 10


@pytest.mark.spec("UG-35")
def test_who_has_too_little_is_told_what_and_nothing_is_sent(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    path, group = charged(gateway, upstream, amount=1)
    key = gateway.bed.key(limits=[{"name": "few", "limit": 5, "window_seconds": 60}])
    assert gateway("GET", path, key=key).status == 200
    refused = [gateway("GET", path, key=key) for _ in range(2)]
    assert [problem(one) for one in refused] == [(402, "credits_exhausted", "GTW008")] * 2
    details = json.loads(refused[0].body)["details"]
    reset_date = details.pop("reset_date")
    assert reset_date.endswith("T00:00:00Z")
    assert details == {
        "gateway_code": "GTW008",
        "group": group,
        "meter": "credits",
        "available": 0,
        "required": 1,
    }
    assert len(upstream.requests) == 1
    assert refused[-1]["x-ratelimit-remaining"] == "4"
    assert gateway.bed.signals() == ["credits.exhausted"]


@pytest.mark.spec("UG-35")
@pytest.mark.parametrize("owner", ["nobody-with-a-balance", None])
def test_a_user_without_a_balance_has_none_left(gateway: Served, owner: str | None) -> None:
    path, _ = charged(gateway, gateway.bed.upstream())
    refused = gateway("GET", path, key=gateway.bed.key(owner=owner))
    assert problem(refused) == (402, "credits_exhausted", "GTW008")


@pytest.mark.spec("UG-34")
def test_many_at_once_get_as_much_as_there_is(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    path, group = charged(gateway, upstream, amount=15)
    key = gateway.bed.key()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: gateway("GET", path, key=key).status, range(40)))
    assert sorted(statuses) == [200] * 15 + [402] * 25
    assert len(upstream.requests) == 15
    assert left(gateway, group) == 0


def limited(gateway: Served, upstream: Any, **given: Any) -> tuple[str, str]:
    """A charged API whose tier limits units: its path and group."""
    tier = {
        **TIER,
        "input_limit": given.pop("input_limit", None),
        "output_limit": given.pop("output_limit", None),
    }
    group = gateway.bed.group(credit_tiers=[tier]).name
    return charged(gateway, upstream, api_credit_group=group, **given)


def used(balance: Balance) -> tuple[int, int]:
    return balance.input_used, balance.output_used


@pytest.mark.spec("UG-37")
def test_bytes_of_both_bodies_are_counted_and_output_that_is_used_up_refuses_the_next(
    gateway: Served,
) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(200, b"a" * 30)
    path, group = limited(gateway, upstream, input_limit=100, output_limit=50)
    key = gateway.bed.key()
    assert [gateway("POST", path, key=key, body=b"b" * 7).status for _ in range(3)] == [200, 200, 402]
    assert used(gateway.bed.balance(group)) == (14, 60)


@pytest.mark.spec("UG-37")
@pytest.mark.parametrize("framing", ["stated", "chunked"])
def test_input_beyond_its_limit_is_refused(gateway: Served, framing: str) -> None:
    upstream = gateway.bed.upstream()
    path, group = limited(gateway, upstream, input_limit=100)
    key = gateway.bed.key()
    assert gateway("POST", path, key=key, body=b"a" * 60).status == 200
    body = b"a" * 60 if framing == "stated" else iter([b"a" * 30] * 2)
    refused = gateway("POST", path, key=key, body=body)
    assert problem(refused) == (402, "credits_exhausted", "GTW008")
    assert json.loads(refused.body)["details"]["meter"] == "input"
    assert used(gateway.bed.balance(group))[0] == 60
    assert gateway("POST", path, key=key, body=iter([b"a" * 20] * 2)).status == 200
    assert used(gateway.bed.balance(group))[0] == 100


USAGE = {"input": "/usage/prompt_tokens", "output": "/usage/completion_tokens"}
REPORTS = {
    "json": ("application/json", b'{"usage":{"prompt_tokens":11,"completion_tokens":22}}'),
    "events": (
        "text/event-stream",
        b'data: {"usage":null}\n\ndata: {"usage":{"prompt_tokens":11,"completion_tokens":22}}\n\ndata: -\n\n',
    ),
    "lines": ("application/x-ndjson", b'{"a":1}\n{"usage":{"prompt_tokens":11,"completion_tokens":22}}'),
}


@pytest.mark.spec("UG-37")
@pytest.mark.parametrize("kind", REPORTS)
def test_what_the_upstream_reports_is_counted_in_place_of_bytes(gateway: Served, kind: str) -> None:
    upstream = gateway.bed.upstream()
    content_type, body = REPORTS[kind]
    upstream.answer = replying(200, body, content_type=content_type)
    path, group = limited(gateway, upstream, input_limit=100, api_usage_pointers=USAGE)
    assert gateway("POST", path, key=gateway.bed.key(), body=b"b" * 500).body == body
    assert used(gateway.bed.balance(group)) == (11, 22)


@pytest.mark.spec("UG-37")
@pytest.mark.parametrize(
    "body", [b"not json", b"{}", b'{"usage":{"prompt_tokens":-1,"completion_tokens":"9"}}']
)
def test_where_nothing_is_reported_bytes_are_counted(gateway: Served, body: bytes) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(200, body, content_type="application/json")
    path, group = limited(gateway, upstream, api_usage_pointers=USAGE)
    gateway("POST", path, key=gateway.bed.key(), body=b"bbb")
    assert used(gateway.bed.balance(group)) == (3, len(body))


@pytest.mark.spec("UG-38")
@pytest.mark.parametrize("is_charged", [True, False])
def test_a_users_own_key_is_sent_for_its_requests_and_the_groups_for_all_others(
    gateway: Served, is_charged: bool
) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    api = bed.api(upstream, api_credits_enabled=is_charged)
    group, balances = str(api.group), CreditBalances(bed.stores, bed.vault, spread=bed.verifier.spread)
    for owner, own in (("ada", KEYS[5]), ("bob", None)):
        given = {"tier_name": "basic", "user_api_key": own}
        balances.amend(owner, group, given, by=OPERATOR)
    bed.rotate(group)
    path, keys = path_of(api), [bed.key(owner=owner) for owner in ("ada", "bob", "eve")]
    statuses = [gateway("GET", path, key=key).status for key in keys]
    assert statuses == [200, 200, 402 if is_charged else 200]
    sent = [one.values("authorization")[0] for one in upstream.requests]
    assert sent[:2] == [f"Bearer {KEYS[5]}", f"Bearer {KEYS[2]}"]
    balances.amend("ada", group, {"user_api_key": None}, by=OPERATOR)
    assert gateway("GET", path, key=keys[0]).status == 200
    assert upstream.last.values("authorization") == [f"Bearer {KEYS[2]}"]


@pytest.mark.spec("UG-38")
def test_a_users_own_key_is_not_sent_to_public_apis_and_its_refusal_moves_no_rotation(
    gateway: Served,
) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    group = bed.group().name
    public, own = (
        bed.api(upstream, api_credit_group=group, api_public=True),
        bed.api(upstream, api_credit_group=group),
    )
    balances = CreditBalances(bed.stores, bed.vault, spread=bed.verifier.spread)
    balances.amend("ada", group, {"tier_name": "basic", "user_api_key": KEYS[5]}, by=OPERATOR)
    bed.rotate(group)
    upstream.answer = replying(401)
    key = bed.key()
    assert gateway("GET", path_of(own), key=key).status == 502
    assert [one.values("authorization")[0] for one in upstream.requests] == [f"Bearer {KEYS[5]}"]
    upstream.answer = replying(200)
    assert gateway("GET", path_of(public), key=key).status == 200
    assert upstream.last.values("authorization") == [f"Bearer {KEYS[2]}"]


@pytest.mark.spec("UG-38", "UG-41")
def test_a_users_own_key_is_not_sent_to_an_origin_that_was_taken_from_the_group(gateway: Served) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    origins = [upstream.url, "https://other.example:443"]
    group = bed.group(api_key_origins=origins).name
    path, key = path_of(bed.api(upstream, api_credit_group=group)), bed.key()
    balances = CreditBalances(bed.stores, bed.vault, spread=bed.verifier.spread)
    balances.amend("ada", group, {"tier_name": "basic", "user_api_key": KEYS[5]}, by=OPERATOR)
    assert gateway("GET", path, key=key).status == 200
    bed.upstreams.update(group, {"api_key_origins": origins[1:]}, by=OPERATOR)
    assert problem(gateway("GET", path, key=key)) == (503, "upstream_key_unavailable", "GTW018")
    assert [one.values("authorization") for one in upstream.requests] == [[f"Bearer {KEYS[5]}"]]


async def _soon() -> None:
    await asyncio.sleep(0.005)
