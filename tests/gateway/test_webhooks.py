"""Messages reach a real receiver, signed; are tried again when they do not; and are given up in the end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
import standardwebhooks
from engine_bed import Bed, opened
from gateway.receiver import Receiver, receiving

from keyrack.core.webhooks import Webhook, Webhooks
from keyrack.gateway.monitoring.outgoing import Outgoing
from keyrack.gateway.monitoring.signals import Signal, SignalKind, Signals
from keyrack.gateway.monitoring.webhooks import LEASE_SECONDS, Courier, Messages
from keyrack.gateway.redelivery import BACK_OFF, JITTER, attempted, retried
from keyrack.stores.outbox import Delivery, DeliveryState

SECRET = b"MfKQ9r8GKYqrTwjUPD8ILPZI"
NOW = 1_800_000_000.0
WAITING, DELIVERED, DEAD = DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.DEAD


class Process:
    """One process that tells signals to one webhook."""

    def __init__(self, bed: Bed, webhooks: Webhooks, networks: tuple[str, ...] = ()):
        self.outbox = bed.stores.gateway.outbox
        self.totals: Counter[str] = Counter()
        self._stores = bed.stores
        self._webhooks = webhooks
        self._networks = tuple(ip_network(one) for one in networks)
        self._signals = Signals(bed.stores, Messages(webhooks))

    def tell(self, once: str = "x", *, tenant: str = "acme") -> None:
        kind = SignalKind.ALERT_NEW_KEY_REFUSED
        self._signals.tell(Signal(kind, tenant, "openai", {"version": 2}, once))
        self._signals.flush()

    def send(self) -> int:
        """Send what is due; returns how many attempts that were."""

        async def send() -> int:
            outgoing = Outgoing(self._networks)
            sent = await Courier(self._stores, self._webhooks, outgoing, self.totals).send_due()
            await outgoing.close()
            return sent

        return asyncio.run(send())

    def states(self) -> list[tuple[DeliveryState, int, str | None]]:
        return [(one.state, one.attempts, one.trouble) for one in self.outbox.deliveries(None, most=99)]


def to(receiver: Receiver, *, tenant: str | None = None) -> Webhooks:
    return Webhooks((Webhook("ops", receiver.url, SECRET, tenant),))


@pytest.fixture(params=["memory", "sqlite"])
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    with opened(request.param) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.mark.spec("UG-30")
def test_a_signal_arrives_signed_and_once(bed: Bed, receiver: Receiver) -> None:
    processes = [Process(bed, to(receiver)) for _ in range(2)]
    for one in processes:
        one.tell()
    assert [one.send() for one in processes] == [1, 0]
    (message,) = receiver.received
    assert json.loads(message.body) == {
        "type": "alert.new_key_refused",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": {"tenant": "acme", "subject": "openai", "version": 2},
    }
    assert (message.path, message.headers["content-type"]) == ("/hook", "application/json")
    message_id, at = message.headers["webhook-id"], datetime.fromtimestamp(NOW, UTC)
    signed = standardwebhooks.Webhook(SECRET).sign(message_id, at, message.body.decode())
    assert message.headers["webhook-timestamp"] == "1800000000"
    assert message.headers["webhook-signature"] == signed
    assert processes[0].states() == [(DELIVERED, 1, None)]
    assert processes[0].totals == {"delivered": 1}
    bed.passes(days=30)
    assert [one.send() for one in processes] == [0, 0]


@pytest.mark.spec("UG-30")
def test_a_message_that_failed_is_sent_again_with_its_own_id_and_a_new_time(
    bed: Bed, receiver: Receiver
) -> None:
    process = Process(bed, to(receiver))
    receiver.status = 500
    process.tell()
    assert process.send() == 1
    assert process.send() == 0
    bed.passes(4.9)
    assert process.send() == 0
    receiver.status = 204
    bed.passes(1.2)
    assert process.send() == 1
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.headers["webhook-timestamp"] == "1800000006"
    assert first.body == second.body
    assert process.states() == [(DELIVERED, 2, None)]
    assert process.totals == {"failed": 1, "delivered": 1}


@pytest.mark.spec("UG-30")
def test_a_message_is_given_up_in_the_end_and_can_be_sent_again(bed: Bed, receiver: Receiver) -> None:
    process = Process(bed, to(receiver))
    receiver.status = 503
    process.tell()
    for wait in (*BACK_OFF, 0):
        assert process.send() == 1
        bed.passes(wait * (1 + JITTER))
    bed.passes(days=3)
    assert process.send() == 0
    assert process.states() == [(DEAD, 10, "answered 503")]
    assert process.totals == {"failed": 9, "dead": 1}
    (dead,) = process.outbox.deliveries(DEAD, most=9)
    process.outbox.put(retried(dead, bed.clock()))
    receiver.status = 200
    assert process.send() == 1
    assert process.states() == [(DELIVERED, 1, None)]


def test_a_receiver_that_is_gone_is_not_asked_again(memory: Bed, receiver: Receiver) -> None:
    process = Process(memory, to(receiver))
    receiver.status = 410
    process.tell()
    process.send()
    assert process.states() == [(DEAD, 1, "answered 410")]


def test_no_redirect_is_followed(memory: Bed, receiver: Receiver) -> None:
    process = Process(memory, to(receiver))
    receiver.status = 307
    process.tell()
    process.send()
    assert [one.path for one in receiver.received] == ["/hook"]
    assert process.states() == [(WAITING, 1, "answered 307")]


def test_a_receiver_that_is_not_there_is_tried_again(memory: Bed) -> None:
    with receiving() as gone:
        webhooks = to(gone)
    process = Process(memory, webhooks)
    process.tell()
    process.send()
    ((state, attempts, trouble),) = process.states()
    assert (state, attempts) == (WAITING, 1)
    assert trouble is not None
    assert "127.0.0.1" not in trouble


def test_a_webhook_that_was_taken_from_the_file_is_told_nothing_more(memory: Bed, receiver: Receiver) -> None:
    Process(memory, to(receiver)).tell()
    process = Process(memory, Webhooks())
    process.send()
    assert receiver.received == []
    assert process.states() == [(WAITING, 1, "no webhook of this name is configured")]


@pytest.mark.spec("UG-41")
@pytest.mark.parametrize(
    ("tenant", "networks", "arrives"),
    [(None, (), True), ("default", (), True), ("acme", (), False), ("acme", ("127.0.0.0/8",), True)],
)
def test_a_webhook_of_a_tenant_reaches_public_addresses_and_those_that_are_listed(
    tenant: str | None, networks: tuple[str, ...], arrives: bool, memory: Bed, receiver: Receiver
) -> None:
    process = Process(memory, to(receiver, tenant=tenant), networks)
    process.tell(tenant=tenant or "acme")
    process.send()
    assert len(receiver.received) == arrives
    (state, _, _) = process.states()[0]
    assert state is (DELIVERED if arrives else WAITING)


def test_a_process_that_dies_while_it_sends_leaves_the_message_to_others(
    bed: Bed, receiver: Receiver
) -> None:
    process = Process(bed, to(receiver))
    process.tell()
    assert len(process.outbox.lease(bed.clock(), bed.clock() + LEASE_SECONDS, 9)) == 1
    assert process.send() == 0
    bed.passes(LEASE_SECONDS)
    assert process.send() == 1
    assert len(receiver.received) == 1


def test_a_fault_of_one_receiver_is_none_of_another(memory: Bed, receiver: Receiver) -> None:
    with receiving() as gone:
        absent = Webhook("absent", gone.url, SECRET)
    process = Process(memory, Webhooks((absent, Webhook("ops", receiver.url, SECRET))))
    process.tell()
    assert process.send() == 2
    assert sorted(state for state, _, _ in process.states()) == [DELIVERED, WAITING]


def test_attempts_lie_ever_further_apart_and_not_all_at_the_same_time() -> None:
    waits: list[set[float]] = [set() for _ in BACK_OFF]
    for number in range(20):
        delivery = Delivery(f"m{number}", "ops", "x", b"{}", NOW)
        for turn, seconds in enumerate(BACK_OFF):
            delivery = attempted(delivery, "TimeoutError", NOW)
            assert delivery.state is WAITING
            assert seconds <= delivery.due_at - NOW <= seconds * (1 + JITTER)
            waits[turn].add(delivery.due_at)
        assert attempted(delivery, "TimeoutError", NOW).state is DEAD
    assert all(len(found) > 10 for found in waits)
