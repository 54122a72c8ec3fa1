"""Receipts: the id of a decision that was told to a proxy, with what its report will be about.

Nothing is kept for one: it says itself what was decided, and for whom, under a code of the peppers. So
whichever process is told of the outcome knows it, and believes nobody but the proxy that was answered.
"""

from __future__ import annotations

import base64
import hmac
from typing import NamedTuple

from keyrack.core.peppers import Pepper, Peppers

CODE_BYTES = 12
_CHARGED, _FREE = "c", "f"


class Receipt(NamedTuple):
    """What was decided."""

    id: str
    """The reservation's, where credits are held; else 128 random bits."""
    is_charged: bool
    """Whether credits were held: a reservation that is not known any more has ended then."""
    number: int
    """The version of the upstream's key that the proxy was handed; 0 where it was the user's own key."""
    key_id: str
    """The caller's key; empty for a caller without one."""
    group: str


def write(receipt: Receipt, reporter: str, peppers: Peppers) -> str:
    """The id to tell the proxy whose key has this id: a plain request id of at most 128 characters."""
    kind = _CHARGED if receipt.is_charged else _FREE
    text = f"{receipt.id}.{kind}.{receipt.number}.{receipt.key_id}.{receipt.group}"
    return f"{text}.{_code(text, reporter, peppers.first)}"


def read(written: str, reporter: str, peppers: Peppers) -> Receipt | None:
    """What was decided under this id; None for one that this reporter was never told."""
    text, _, code = written.rpartition(".")
    known = (_code(text, reporter, pepper) for pepper in peppers)
    if not any(hmac.compare_digest(code.encode(), one.encode()) for one in known):
        return None
    receipt_id, kind, number, key_id, group = text.split(".", 4)
    return Receipt(receipt_id, kind == _CHARGED, int(number), key_id, group)


def _code(text: str, reporter: str, pepper: Pepper) -> str:
    code = pepper.receipts.digest(f"{reporter}\n{text}".encode())
    return base64.urlsafe_b64encode(code[:CODE_BYTES]).decode()
