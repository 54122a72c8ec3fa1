"""A guard that was given nothing to decide with."""

from __future__ import annotations

import pytest

from guards.bed import Bed
from keyrack import Access, Allowed, Denied, Reason
from keyrack.guards.means import Unconfigured
from keyrack.stores.journal import NOWHERE

REFUSED = Denied(Reason.UNCONFIGURED)


@pytest.mark.spec("CO-13")
def test_without_a_verifier_every_question_is_refused(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    nothing, access = Unconfigured(), Access(("logs:read",))
    key, text = bed.mint("logs:read")
    assert nothing.verify(text, access, NOWHERE) == REFUSED
    assert nothing.identify(text, access, NOWHERE) == REFUSED
    allowed = Allowed(key, key.versions[0], key.scopes)
    assert nothing.allow(allowed, access, NOWHERE) == REFUSED
    assert caplog.text.count("unconfigured") == 3
