"""Each signal is told once: one log line, one count, one message to each webhook, by one process of all."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from engine_bed import Bed, opened
from gateway.rotation_bed import lines

from keyrack.core.errors import Unavailable
from keyrack.core.webhooks import Webhook, Webhooks
from keyrack.gateway.monitoring import signals as signals_module
from keyrack.gateway.monitoring.signals import Signal, SignalKind, Signals
from keyrack.gateway.monitoring.webhooks import Messages
from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.outbox import MemoryOutbox

FALLBACK = Signal(SignalKind.FALLBACK, "default", "openai", {"version": 2, "to": "old"})
LEVELS = {
    "rotation.started": "INFO",
    "rotation.grace_expired": "INFO",
    "rotation.old_key_used": "DEBUG",
    "rotation.old_key_rejected": "WARNING",
    "rotation.promoted": "INFO",
    "rotation.aborted": "INFO",
    "rotation.undone": "INFO",
    "rotation.cleaned_up": "INFO",
    "rotation.fallback": "WARNING",
    "upstream_key.unavailable": "ERROR",
    "upstream_key.echoed": "ERROR",
    "credits.exhausted": "INFO",
    "alert.old_key_late_use": "WARNING",
    "alert.old_key_rejected": "WARNING",
    "alert.old_key_not_falling": "WARNING",
    "alert.new_key_refused": "WARNING",
    "alert.rotation_not_cleaned": "WARNING",
    "alert.unreadable_end": "WARNING",
}


@pytest.fixture(params=["memory", "sqlite"])
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    with opened(request.param) as made:
        yield made


@pytest.mark.spec("UG-30")
@pytest.mark.parametrize("kind", SignalKind)
def test_each_event_has_a_line_of_its_level_and_a_count(
    kind: SignalKind, memory: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signals = Signals(memory.stores)
    signals.tell(Signal(kind, "acme", "openai", {"version": 2}))
    signals.flush()
    (line,) = lines(caplog.records, kind.value)
    assert line.levelname == LEVELS[kind.value]
    said = line.__dict__["signal"]
    assert said == {"at": "2027-01-15T08:00:00Z", "tenant": "acme", "subject": "openai", "version": 2}
    assert signals.totals == {kind.value: 1}


@pytest.mark.spec("UG-30")
def test_every_event_has_its_level_in_the_table() -> None:
    assert set(LEVELS) == {kind.value for kind in SignalKind}


@pytest.mark.spec("UG-30")
def test_a_signal_is_told_once_in_an_hour_by_one_of_all_processes(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    processes = [Signals(bed.stores) for _ in range(4)]
    for _ in range(2):
        for one in processes:
            one.tell(FALLBACK)
            one.flush()
    assert len(lines(caplog.records, "rotation.fallback")) == 1
    assert sum(one.totals["rotation.fallback"] for one in processes) == 1
    bed.passes(hours=1)
    for one in processes:
        one.tell(FALLBACK)
        one.flush()
    assert len(lines(caplog.records, "rotation.fallback")) == 2


def test_what_a_signal_is_told_once_for_can_be_stated(memory: Bed) -> None:
    signals = Signals(memory.stores)
    for once in ("ada/first", "ada/first", "bob/first", "ada/second"):
        signals.tell(Signal(SignalKind.CREDITS_EXHAUSTED, "default", "openai", {}, once))
    memory.passes(days=2)
    signals.tell(Signal(SignalKind.CREDITS_EXHAUSTED, "default", "openai", {}, "ada/first"))
    signals.tell(Signal(SignalKind.CREDITS_EXHAUSTED, "other", "openai", {}, "ada/first"))
    signals.flush()
    assert signals.totals == {"credits.exhausted": 4}


class FailingOutbox(MemoryOutbox):
    """A store that cannot be written for a while."""

    fails = True

    def claim(self, notices, deliveries):  # as in MemoryOutbox
        if self.fails:
            raise Unavailable("away")
        return super().claim(notices, deliveries)


def test_what_could_not_be_told_is_told_later_with_its_own_time(
    memory: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = FailingOutbox()
    signals = Signals(replace(memory.stores, gateway=GatewayState(outbox=outbox)))
    signals.tell(FALLBACK)
    with pytest.raises(Unavailable):
        signals.flush()
    memory.passes(60)
    signals.tell(FALLBACK)
    assert signals.totals == {}
    outbox.fails = False
    signals.flush()
    (line,) = lines(caplog.records, "rotation.fallback")
    assert line.__dict__["signal"]["at"] == "2027-01-15T08:00:00Z"


def test_what_happened_long_ago_says_so_and_is_remembered_from_when_it_is_told(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = bed.stores.gateway.outbox
    webhooks = Webhooks((Webhook("all", "https://a.example", b"s" * 24),))
    signal = replace(FALLBACK, at=bed.clock(), once="x")
    bed.passes(days=50)
    for _ in range(2):
        signals = Signals(bed.stores, Messages(webhooks))
        signals.tell(signal)
        signals.flush()
        outbox.forget(bed.clock() - 1)
    (line,) = lines(caplog.records, "rotation.fallback")
    (owed,) = outbox.deliveries(None, most=9)
    assert line.__dict__["signal"]["at"] == json.loads(owed.body)["timestamp"] == "2027-01-15T08:00:00Z"
    assert owed.due_at == bed.clock()


def test_only_so_many_signals_wait(memory: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_module, "MAX_WAITING", 3)
    signals = Signals(memory.stores)
    for number in range(9):
        signals.tell(Signal(SignalKind.CREDITS_EXHAUSTED, "default", "openai", {}, str(number)))
    signals.flush()
    assert signals.totals == {"credits.exhausted": 3}


def test_ids_that_were_let_go_are_not_told_again(memory: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_module, "MAX_REMEMBERED", 3)
    signals = Signals(memory.stores)
    for _ in range(2):
        for number in range(9):
            signals.tell(Signal(SignalKind.CREDITS_EXHAUSTED, "default", "openai", {}, str(number)))
            signals.flush()
    assert signals.totals == {"credits.exhausted": 9}


@pytest.mark.spec("UG-30")
def test_a_webhook_is_owed_one_message_for_each_signal_that_it_wants(bed: Bed) -> None:
    webhooks = Webhooks(
        (
            Webhook("all", "https://a.example", b"s" * 24),
            Webhook("mine", "https://b.example", b"s" * 24, tenant="acme"),
            Webhook("alerts", "https://c.example", b"s" * 24, events=("alert.*", "credits.exhausted")),
        )
    )
    for _ in range(2):
        signals = Signals(bed.stores, Messages(webhooks))
        signals.tell(FALLBACK)
        signals.tell(Signal(SignalKind.ALERT_NEW_KEY_REFUSED, "acme", "maps", {"version": 3}, "x"))
        signals.flush()
    found = bed.stores.gateway.outbox.deliveries(None, most=99)
    owed = sorted((one.kind, one.webhook) for one in found)
    assert owed == [
        ("alert.new_key_refused", "alerts"),
        ("alert.new_key_refused", "all"),
        ("alert.new_key_refused", "mine"),
        ("rotation.fallback", "all"),
    ]
    assert len({one.message for one in found}) == 2
    bodies = {one.kind: json.loads(one.body) for one in found}
    assert bodies["rotation.fallback"] == {
        "type": "rotation.fallback",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": {"tenant": "default", "subject": "openai", "version": 2, "to": "old"},
    }
