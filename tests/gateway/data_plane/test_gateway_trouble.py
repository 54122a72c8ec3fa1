"""Upstreams in trouble: what is tried again, and when a server is left alone."""

from __future__ import annotations

import pytest
from engine_bed import OPERATOR
from gateway_bed import Serve, Served, path_of
from raw_upstream import Exchange, RawUpstream, replying
from test_gateway_route import problem

from keyrack.core.model import DEFAULT_TENANT


def failing(upstream: RawUpstream, *statuses: int, then: int = 200) -> None:
    """Answer so in this order, and then with one status."""
    left = list(statuses)

    async def answer(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.reply(left.pop(0) if left else then, b"body")

    upstream.answer = answer


@pytest.mark.spec("UG-47")
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_api_that_allows_it_is_tried_again_while_its_server_fails(gateway: Served, status: int) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, status, status)
    api = gateway.bed.api(upstream, api_allowed_retry_count=2)
    answer = gateway("PUT", path_of(api), key=gateway.bed.key(), body=b"again")
    assert (answer.status, len(upstream.requests)) == (200, 3)
    assert [one.body for one in upstream.requests] == [b"again"] * 3
    assert len({one.values("x-request-id")[0] for one in upstream.requests}) == 1


@pytest.mark.spec("UG-47")
def test_no_more_often_than_it_allows_and_not_at_all_unless_it_says_so(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, then=503)
    some, none = gateway.bed.api(upstream, api_allowed_retry_count=3), gateway.bed.api(upstream)
    key = gateway.bed.key()
    assert gateway("GET", path_of(some), key=key).status == 503
    assert len(upstream.requests) == 4
    assert gateway("GET", path_of(none), key=key).status == 503
    assert len(upstream.requests) == 5


@pytest.mark.spec("UG-47")
@pytest.mark.parametrize("status", [400, 404, 409, 429, 501])
def test_what_would_fail_again_is_not_tried_again(gateway: Served, status: int) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, then=status)
    api = gateway.bed.api(upstream, api_allowed_retry_count=5)
    assert gateway("GET", path_of(api), key=gateway.bed.key()).status == status
    assert len(upstream.requests) == 1


@pytest.mark.spec("UG-47")
@pytest.mark.parametrize(
    ("method", "headers", "sends"),
    [
        ("GET", {}, 2),
        ("HEAD", {}, 2),
        ("PUT", {}, 2),
        ("DELETE", {}, 2),
        ("POST", {}, 1),
        ("PATCH", {}, 1),
        ("POST", {"Idempotency_Key": "once"}, 2),
        ("POST", {"Idempotency_Key": ""}, 1),
    ],
)
def test_only_what_may_be_done_twice_is_tried_again(
    gateway: Served, method: str, headers: dict[str, str], sends: int
) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, 503)
    lists = {"api_allowed_headers": ["idempotency-key"]}
    api = gateway.bed.api(upstream, api_allowed_retry_count=1, **lists)
    gateway(method, path_of(api), key=gateway.bed.key(), **headers)
    assert len(upstream.requests) == sends


@pytest.mark.spec("UG-47")
def test_a_body_that_was_not_kept_is_not_tried_again(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, 503)
    api = gateway.bed.api(upstream, api_allowed_retry_count=1)
    answer = gateway("PUT", path_of(api), key=gateway.bed.key(), body=b"a" * (1024 * 1024 + 1))
    assert (answer.status, len(upstream.requests)) == (503, 1)


@pytest.mark.spec("UG-47")
def test_between_attempts_it_waits_longer_each_time_up_to_two_seconds(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, then=503)
    key = gateway.bed.key()
    seen: list[list[float]] = [[] for _ in range(5)]
    for _ in range(12):
        api = gateway.bed.api(upstream, api_allowed_retry_count=5)
        # Each time as another tenant's server, so that no breaker is open.
        gateway.bed.monitoring.breakers._breakers.succeeded(f"{DEFAULT_TENANT} {upstream.url}")
        gateway.bed.pauses.clear()
        gateway("GET", path_of(api), key=key)
        for waits, pause in zip(seen, gateway.bed.pauses, strict=False):
            waits.append(pause)
    for waits, most in zip(seen, [0.25, 0.5, 1.0, 2.0, 2.0], strict=False):
        assert all(0 <= wait <= most for wait in waits)
        assert len(set(waits)) == len(waits)


@pytest.mark.spec("UG-47")
def test_silence_is_tried_again(serve: Serve) -> None:
    gateway = serve(silent_seconds=1.0)
    upstream = gateway.bed.upstream()
    left = [True]

    async def once_silent(exchange: Exchange) -> None:
        if left:
            left.pop()
            await exchange.reader.read()
        else:
            await exchange.reply(200)

    upstream.answer = once_silent
    api = gateway.bed.api(upstream, api_allowed_retry_count=5)
    assert gateway("GET", path_of(api), key=gateway.bed.key()).status == 200
    assert len(gateway.bed.pauses) >= 1


@pytest.mark.spec("UG-47")
def test_a_server_that_cannot_be_reached_is_passed_over_for_the_next(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    api = gateway.bed.api(["http://127.0.0.1:1", upstream.url], api_allowed_retry_count=1)
    key = gateway.bed.key()
    assert [gateway("GET", path_of(api), key=key).status for _ in range(4)] == [200] * 4


@pytest.mark.spec("UG-47")
def test_after_five_failures_a_server_is_left_alone_for_thirty_seconds_then_one_request_tries(
    gateway: Served,
) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, then=500)
    path, key = path_of(gateway.bed.api(upstream)), gateway.bed.key()
    assert [gateway("GET", path, key=key).status for _ in range(5)] == [500] * 5
    for _ in range(3):
        assert problem(gateway("GET", path, key=key)) == (503, "circuit_open", "GTW999")
    assert len(upstream.requests) == 5
    gateway.bed.clock.advance(30)
    assert gateway("GET", path, key=key).status == 500
    assert gateway("GET", path, key=key).status == 503
    assert len(upstream.requests) == 6
    gateway.bed.clock.advance(30)
    upstream.answer = replying()
    assert [gateway("GET", path, key=key).status for _ in range(3)] == [200] * 3


@pytest.mark.spec("UG-47")
def test_an_answer_in_between_begins_the_count_anew(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    failing(upstream, 500, 502, 503, 504, 404, 500, 500, 500, 500, then=200)
    path, key = path_of(gateway.bed.api(upstream)), gateway.bed.key()
    assert gateway.bed.verifier.doubt() is None
    answers = [gateway("GET", path, key=key).status for _ in range(10)]
    assert answers == [500, 502, 503, 504, 404, 500, 500, 500, 500, 200]


def test_what_a_tenant_does_to_a_server_opens_no_breaker_of_another(gateway: Served) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    failing(upstream, *[500] * 5)
    bed.tenants.create("acme", by=OPERATOR)
    ours, theirs = bed.api(upstream, api_name="same"), bed.api("http://203.0.113.1", tenant="acme")
    apis = bed.verifier.follower.replica.apis
    assert {ours.tenant, theirs.tenant} == {api.tenant for api in apis.values()}
    for _ in range(5):
        gateway("GET", path_of(ours), key=bed.key())
    assert gateway("GET", path_of(ours), key=bed.key()).status == 503
    breakers = bed.monitoring.breakers
    may_send = bed.portal.call(breakers.may_send, f"acme {upstream.url}")
    assert may_send is True


@pytest.mark.spec("UG-41")
def test_apis_of_tenants_reach_public_addresses_alone_unless_networks_are_listed(serve: Serve) -> None:
    """Judged is the address: a name that leads to this machine is no way around."""
    from ipaddress import ip_network

    closed, opened = serve(), serve(networks=[ip_network("127.0.0.0/8"), ip_network("::1/128")])
    for gateway, expected in ((closed, 502), (opened, 200)):
        bed, upstream = gateway.bed, gateway.bed.upstream()
        bed.tenants.create("acme", by=OPERATOR)
        for host in ("127.0.0.1", "localhost"):
            api = bed.api(f"http://{host}:{upstream.port}", tenant="acme")
            assert gateway("GET", path_of(api), key=bed.key(tenant="acme")).status == expected
        assert len(upstream.requests) == (0 if expected == 502 else 2)
        assert upstream.connections == 0 or expected == 200


@pytest.mark.spec("UG-41")
def test_no_tenant_is_lent_a_connection_that_another_may_make(gateway: Served) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    bed.tenants.create("acme", by=OPERATOR)
    ours, theirs = bed.api(upstream), bed.api(upstream, tenant="acme")
    assert gateway("GET", path_of(ours), key=bed.key()).status == 200
    assert gateway("GET", path_of(theirs), key=bed.key(tenant="acme")).status == 502
    assert len(upstream.requests) == 1
