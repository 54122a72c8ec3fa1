"""A user whose credits are used up is told of once in a period, whoever is first to find it."""

from __future__ import annotations

import logging

import pytest
from credits_bed import GROUP, Credits
from engine_bed import Bed

from keyrack import Access, Allowed
from keyrack.server.background import Background

pytestmark = [pytest.mark.anyio, pytest.mark.spec("UG-30")]


@pytest.fixture
def credits_here(memory: Bed) -> Credits:
    return Credits(memory)


async def test_what_a_decision_finds_is_told_by_the_server_once_in_a_period(
    credits_here: Credits, caplog: pytest.LogCaptureFixture
) -> None:
    background = Background(credits_here.bed.verifier)
    signals, verifier = background.monitoring.signals, credits_here.bed.verifier
    credits_here.given(available=1)
    text = credits_here.key()
    with caplog.at_level(logging.INFO, "keyrack.signals"):
        async with background.running():
            assert isinstance(verifier.verify(text, Access(cost=1)), Allowed)
            signals.flush()
            assert not signals.totals
            for _ in range(2):
                assert not isinstance(verifier.verify(text, Access(cost=1)), Allowed)
            identified = verifier.identify(text, Access(cost=1))
            assert isinstance(identified, Allowed)
            verifier.allow(identified, Access(cost=1))
            signals.flush()
            assert signals.totals == {"credits.exhausted": 1}
            credits_here.bed.passes(hours=24)
            for _ in range(11):
                verifier.verify(text, Access(cost=1))
            signals.flush()
            assert signals.totals == {"credits.exhausted": 2}
    first, _ = (one.__dict__["signal"] for one in caplog.records if one.message == "credits.exhausted")
    facts = [first[name] for name in ("tenant", "subject", "owner", "meter")]
    assert facts == ["default", GROUP, "ada", "credits"]
