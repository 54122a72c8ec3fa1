"""`keyrack webhooks`: what was told to whom, and sending again what was given up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli_bed import Shell

from keyrack import open_stores
from keyrack.pepper_file import with_peppers
from keyrack.settings import Settings
from keyrack.stores.outbox import Delivery, DeliveryState, Notice, Outbox

NOW = 1_800_000_000.0
DEAD = Delivery("msg_1", "ops", "rotation.started", b"{}", NOW, 10, DeliveryState.DEAD, "answered 503")
WAITING = Delivery("msg_2", "ops", "alert.new_key_refused", b"{}", NOW + 60)
OTHER = DEAD._replace(message="msg_3", due_at=NOW - 60)


@pytest.fixture
def outbox(shell: Shell) -> Iterator[Outbox]:
    """The outbox of the shell's store, which owes three messages."""
    settings = with_peppers(Settings.read())
    stores = open_stores(settings.store, peppers=settings.peppers)
    made = stores.gateway.outbox
    made.claim([Notice("x", NOW)], [("x", one) for one in (DEAD, WAITING, OTHER)])
    yield made
    stores.close()


def test_messages_are_listed_by_state_the_newest_first(shell: Shell, outbox: Outbox) -> None:
    listed = shell.json("webhooks", "list")["data"]
    assert [one["message"] for one in listed] == ["msg_2", "msg_1", "msg_3"]
    assert listed[1] == {
        "message": "msg_1",
        "webhook": "ops",
        "event": "rotation.started",
        "state": "dead",
        "attempts": 10,
        "due_at": "2027-01-15T08:00:00Z",
        "trouble": "answered 503",
    }
    dead = shell.json("webhooks", "list", "--state", "dead", "--limit", "1")["data"]
    assert [one["message"] for one in dead] == ["msg_1"]
    shown = shell("webhooks", "list").out
    assert "msg_2" in shown
    assert "answered 503" in shown


def test_a_dead_message_is_sent_again(shell: Shell, outbox: Outbox) -> None:
    assert shell.json("webhooks", "retry", "msg_1") == {"retried": 1}
    (again,) = [one for one in outbox.deliveries(DeliveryState.WAITING, most=9) if one.message == "msg_1"]
    assert (again.attempts, again.trouble) == (0, None)
    assert [one.message for one in outbox.deliveries(DeliveryState.DEAD, most=9)] == ["msg_3"]
    assert shell("webhooks", "retry").out == "Dead messages that are sent again: 1.\n"
    assert outbox.deliveries(DeliveryState.DEAD, most=9) == []


def test_a_message_that_is_not_dead_is_not_found(shell: Shell, outbox: Outbox) -> None:
    ran = shell("webhooks", "retry", "msg_2")
    assert (ran.code, ran.out) == (1, "")
    assert "no dead message" in ran.err
