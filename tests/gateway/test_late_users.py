"""A retired secret that is presented after its grace is told of: once an hour, for each address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address

import pytest
from engine_bed import OPERATOR, Bed, opened
from gateway.rotation_bed import happened_at

from keyrack import Access
from keyrack.gateway.monitoring.late_users import LateUsers
from keyrack.gateway.monitoring.signals import Signals

HERE, THERE = ip_address("192.0.2.1"), ip_address("192.0.2.2")
REJECTED, ALERT = "rotation.old_key_rejected", "alert.old_key_rejected"


@pytest.fixture
def bed() -> Iterator[Bed]:
    with opened() as made:
        yield made


def told(bed: Bed, signals: Signals) -> dict[str, int]:
    """What has been told so far, by kind."""
    bed.verifier.notebook.flush(bed.stores.journal)
    signals.flush()
    return dict(signals.totals)


@pytest.mark.spec("UG-28")
def test_an_old_secret_after_grace_is_told_with_key_and_address(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    signals = Signals(bed.stores)
    bed.verifier.notebook.watchers.append(LateUsers(signals))
    minted, old = bed.mint("a:b", owner="ada")
    bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1))
    bed.verifier.verify(old, Access(address=HERE))
    assert told(bed, signals) == {}
    bed.passes(hours=1)
    for address in (HERE, HERE, THERE):
        bed.verifier.verify(old, Access(address=address))
    assert told(bed, signals) == {REJECTED: 2, ALERT: 2}
    said = [record for record in caplog.records if record.message == REJECTED]
    signal = said[0].__dict__["signal"]
    assert (said[0].levelname, signal["tenant"], signal["subject"]) == ("WARNING", "default", minted.key.id)
    assert (signal["key_id"], signal["address"], signal["caller"]) == (minted.key.id, str(HERE), "ada")
    assert old not in caplog.text
    bed.verifier.verify(old, Access(address=HERE))
    assert told(bed, signals) == {REJECTED: 2, ALERT: 2}
    bed.passes(hours=1)
    bed.verifier.verify(old, Access(address=HERE))
    assert told(bed, signals) == {REJECTED: 3, ALERT: 3}


def test_what_is_told_late_says_when_the_old_secret_came(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    signals = Signals(bed.stores)
    bed.verifier.notebook.watchers.append(LateUsers(signals))
    minted, old = bed.mint("a:b")
    bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1))
    bed.passes(hours=1)
    bed.verifier.verify(old, Access(address=HERE))
    bed.passes(60)
    told(bed, signals)
    assert happened_at(caplog.records) == {REJECTED: "2027-01-15T09:00:00Z", ALERT: "2027-01-15T09:00:00Z"}


@pytest.mark.spec("UG-28")
def test_a_secret_that_is_recognised_no_more_and_other_refusals_are_not_told(bed: Bed) -> None:
    signals = Signals(bed.stores)
    bed.verifier.notebook.watchers.append(LateUsers(signals))
    minted, old = bed.mint("a:b")
    bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1))
    bed.passes(hours=1)
    bed.passes(days=30, seconds=-1)
    bed.verifier.verify(old, Access(address=HERE))
    assert told(bed, signals) == {REJECTED: 1, ALERT: 1}
    bed.passes(seconds=3601)
    bed.verifier.verify(old, Access(address=HERE))
    bed.verifier.verify("kr_live_nobody", Access(address=HERE))
    assert told(bed, signals) == {REJECTED: 1, ALERT: 1}
