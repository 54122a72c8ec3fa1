"""A server that fails is left alone by every process, and one request at a time finds out if it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from engine_bed import Bed, opened

from keyrack.core.errors import Unavailable
from keyrack.gateway.monitoring.breaker import FRESH_SECONDS, CircuitBreakers
from keyrack.stores.breakers import Breaker, MemoryBreakers
from keyrack.stores.gateway_state import GatewayState

SERVER, OTHER = "https://one.example", "https://two.example"


class Steady:
    """A clock that runs through everything, and only when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Process:
    """The breakers of one process, asked without an event loop."""

    def __init__(self, bed: Bed, steady: Steady):
        self._breakers = CircuitBreakers(bed.stores, steady=steady)
        self.refresh = self._breakers.refresh

    def may_send(self, server: str = SERVER) -> bool:
        return asyncio.run(self._breakers.may_send(server))

    def failed(self, times: int = 1) -> None:
        for _ in range(times):
            asyncio.run(self._breakers.failed(SERVER))

    def succeeded(self) -> None:
        asyncio.run(self._breakers.succeeded(SERVER))

    @property
    def open(self) -> int:
        return self._breakers.open


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    store = request.param
    with opened(request.getfixturevalue("postgresql_url") if store == "postgresql" else store) as made:
        yield made


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.mark.spec("UG-47")
def test_it_opens_after_five_failures_in_a_row_for_thirty_seconds(bed: Bed, steady: Steady) -> None:
    one = Process(bed, steady)
    one.failed(4)
    assert one.may_send()
    one.failed()
    assert not one.may_send()
    assert one.may_send(OTHER)
    assert one.open == 1
    bed.passes(29)
    assert not one.may_send()
    bed.passes(1)
    assert one.may_send()


@pytest.mark.spec("UG-47")
def test_a_success_between_begins_the_count_anew(bed: Bed, steady: Steady) -> None:
    one = Process(bed, steady)
    one.failed(4)
    one.succeeded()
    one.failed(4)
    assert one.may_send()


@pytest.mark.spec("UG-47")
def test_one_request_tries_and_decides(bed: Bed, steady: Steady) -> None:
    one = Process(bed, steady)
    one.failed(5)
    bed.passes(30)
    assert [one.may_send() for _ in range(3)] == [True, False, False]
    one.failed()
    bed.passes(29)
    assert not one.may_send()
    bed.passes(1)
    assert [one.may_send() for _ in range(2)] == [True, False]
    one.succeeded()
    assert [one.may_send() for _ in range(3)] == [True, True, True]
    assert one.open == 0


@pytest.mark.spec("UG-48")
def test_four_processes_have_one_breaker(bed: Bed, steady: Steady) -> None:
    processes = [Process(bed, steady) for _ in range(4)]
    for one in processes:
        assert one.may_send()
        one.failed()
    processes[0].failed()
    steady.now += FRESH_SECONDS + 0.1
    assert [one.may_send() for one in processes] == [False] * 4
    bed.passes(30)
    assert [one.may_send() for one in processes].count(True) == 1
    processes[2].refresh()
    processes[2].succeeded()
    steady.now += FRESH_SECONDS + 0.1
    assert [one.may_send() for one in processes] == [True] * 4


class CountedBreakers(MemoryBreakers):
    """Counts how often it is called, and fails if need be."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.fails = False

    def all(self) -> dict[str, Breaker]:
        self.calls += 1
        if self.fails:
            raise Unavailable("away")
        return dict(super().all())

    def succeeded(self, server: str) -> None:
        self.calls += 1
        super().succeeded(server)


@pytest.mark.spec("UG-48")
def test_a_store_that_cannot_be_read_stops_sending_once_too_little_is_known(steady: Steady) -> None:
    store = CountedBreakers()
    with opened() as bed:
        breakers = CircuitBreakers(replace(bed.stores, gateway=GatewayState(breakers=store)), steady=steady)
        assert asyncio.run(breakers.may_send(SERVER))
        store.fails = True
        assert asyncio.run(breakers.may_send(SERVER))
        steady.now += FRESH_SECONDS + 0.1
        with pytest.raises(Unavailable):
            asyncio.run(breakers.may_send(SERVER))
        store.fails = False
        assert asyncio.run(breakers.may_send(SERVER))


def test_a_server_that_answers_costs_no_call_of_the_store(steady: Steady) -> None:
    store = CountedBreakers()
    with opened() as bed:
        breakers = CircuitBreakers(replace(bed.stores, gateway=GatewayState(breakers=store)), steady=steady)
        for _ in range(100):
            assert asyncio.run(breakers.may_send(SERVER))
            asyncio.run(breakers.succeeded(SERVER))
    assert store.calls == 1
