"""Operations done once: an `Idempotency-Key` is remembered in the change's own commit for a day.

Only codes are kept, of the header and of the body, each for one caller and one operation; no
response and no secret is ever stored.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from keyrack.core.authority import Authority
from keyrack.core.errors import Conflict
from keyrack.core.peppers import Pepper
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Mark

REMEMBERED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Once:
    """What a client sent to have an operation done at most once: the header's text and the body."""

    key: str
    body: bytes = field(repr=False)


def recall(draft: Draft, stores: Stores, once: Once | None, by: Authority, operation: str) -> str | None:
    """The id of what this very operation made before. Raises Conflict when its body was another."""
    if once is None:
        return None
    for pepper in stores.peppers:
        mark = draft.mark(_token(pepper, once, by, operation))
        if mark is None or stores.clock() - mark.at >= REMEMBERED_SECONDS:
            continue
        if not hmac.compare_digest(mark.body, pepper.marks.digest(once.body)):
            raise Conflict("This Idempotency-Key was used before with another body.")
        return mark.subject
    return None


def remember(
    draft: Draft, stores: Stores, once: Once | None, by: Authority, operation: str, subject: str
) -> None:
    """Write down, with the change itself, that it was done."""
    if once is not None:
        pepper = stores.peppers.first
        token = _token(pepper, once, by, operation)
        draft.write_mark(Mark(token, pepper.marks.digest(once.body), subject, stores.clock()))


def _token(pepper: Pepper, once: Once, by: Authority, operation: str) -> bytes:
    return pepper.marks.digest(f"{by.name}\n{by.tenant}\n{operation}\n{once.key}".encode())
