"""A session is refused as its key is: by every shape, for every reason, with one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from guards.bed import BY, Answer, Bed
from session_bed import ONE

from keyrack import Access, Allowed, Limit, Policy, Reason
from keyrack.core.http import ANSWERS
from keyrack.core.model import Key
from keyrack.guards import Row
from keyrack.sessions.exchange import Sessions
from keyrack.tenancy import Tenants
from parity.cases import ROW, presented
from parity.server_shapes import CANNOT, SERVER_SHAPES, ThroughNginx
from parity.shapes import SHAPES

INSIDE = {name: made for name, made in (SHAPES | SERVER_SHAPES).items() if made is not ThroughNginx}
OTHER_TENANT = replace(ROW, access=Access(("logs:read",), tenant="other"))
Change = Callable[[Bed, Key], object]


def retire(bed: Bed, key: Key) -> None:
    bed.issuer.rotate(key.id, by=BY)
    bed.issuer.promote(key.id, by=BY)


CHANGES: dict[Reason, Change] = {
    Reason.REVOKED: lambda bed, key: bed.issuer.revoke(key.id, by=BY),
    Reason.DISABLED: lambda bed, key: bed.issuer.disable(key.id, by=BY),
    Reason.RETIRED: retire,
    Reason.TENANT: lambda bed, key: None,
    Reason.SUSPENDED: lambda bed, key: Tenants(bed.verifier.stores).suspend("default", "workspace", by=BY),
    Reason.NETWORK: lambda bed, key: bed.issuer.update(key.id, {"networks": ["198.51.100.0/24"]}, by=BY),
    Reason.SCOPE: lambda bed, key: bed.issuer.update(key.id, {"scopes": ["logs:write"]}, by=BY),
}
ASKED = [(name, reason) for name in INSIDE for reason in CHANGES if reason not in CANNOT.get(name, ())]


def exchanged(bed: Bed, text: str) -> str:
    allowed = bed.verifier.verify(text, Access())
    assert isinstance(allowed, Allowed)
    return Sessions(bed.verifier, ONE).exchange(allowed).token


class Door:
    """A shape in front of an engine, opened once, and what it says to each text."""

    def __init__(self, name: str, bed: Bed):
        self._bed = bed
        self._shape = INSIDE[name]()
        self._shape.open(bed.verifier)

    def __call__(self, text: str, row: Row = ROW) -> Answer:
        return self._shape.ask(presented(self._bed, text, row=row).case)


def face(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that whoever asked is told."""
    return answer.status, sorted(answer.headers), answer.body


@pytest.mark.parametrize(("name", "reason"), ASKED, ids=[f"{name}-{reason}" for name, reason in ASKED])
def test_a_session_is_refused_as_its_key_is(name: str, reason: Reason) -> None:
    bed = Bed()
    key, text = bed.mint("logs:read")
    token, ask = exchanged(bed, text), Door(name, bed)
    assert ask(token).status < 400
    CHANGES[reason](bed, key)
    bed.verifier.follower.poll()
    row = OTHER_TENANT if reason is Reason.TENANT else ROW
    ours = ask(token, row)
    assert face(ours) == face(ask(text, row))
    assert (ours.status, ours.code) == (ANSWERS[reason].status, ANSWERS[reason].code)


@pytest.mark.parametrize("name", INSIDE)
def test_a_limit_is_used_up_by_key_and_session_together(name: str) -> None:
    bed = Bed(Policy(limits=(Limit("burst", 3, 60),)))
    text = bed.text("logs:read")
    token, ask = exchanged(bed, text), Door(name, bed)
    assert [ask(one).status < 400 for one in (token, text)] == [True, True]
    refused = ask(token)
    assert (refused.status, refused.code) == (429, "rate_limited")


@pytest.mark.parametrize("name", INSIDE)
def test_a_session_that_is_over_is_refused_alike(name: str) -> None:
    bed = Bed()
    token = exchanged(bed, bed.text("logs:read"))
    bed.clock.advance(timedelta(minutes=15).total_seconds())
    ours = Door(name, bed)(token)
    assert (ours.status, ours.code) == (401, "key_expired")
    assert ours.json()["details"] == {"session": "expired"}


@pytest.mark.parametrize("name", INSIDE)
def test_a_forged_session_is_answered_like_any_bad_credential(name: str) -> None:
    bed = Bed()
    head, claims, signature = exchanged(bed, bed.text("logs:read")).split(".")
    turned = "".join(reversed(signature[:-1])) + signature[-1]
    ask = Door(name, bed)
    assert face(ask(f"{head}.{claims}.{turned}")) == face(ask(Bed().text("logs:read")))
