"""A process that changes keys as fast as it can, says what was acknowledged, and expects to be killed."""

from __future__ import annotations

import itertools
import random
import threading
from multiprocessing.connection import Connection
from typing import NamedTuple

from keyrack import Authority, Issuer, Wish
from keyrack.core.errors import Conflict
from keyrack.core.model import Key
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

BY = Authority.operator("crash")
WRITERS = 3


class Ack(NamedTuple):
    """What a caller was told: a change of this key is durable as this event; a secret that was shown."""

    kind: str
    key_id: str
    revision: int
    secret: str | None = None


def write(url: str, seed: int, acks: Connection) -> None:
    """Open the store and never stop. One message is one write to the pipe, so none is half there."""
    stores = open_stores(url, peppers=PEPPERS)
    issuer, turn = Issuer(stores), threading.Lock()

    def tell(ack: Ack) -> None:
        with turn:
            acks.send(ack)

    for writer in range(WRITERS):
        chosen = random.Random(seed * WRITERS + writer)
        threading.Thread(target=_change_for_ever, args=(issuer, chosen, tell), daemon=True).start()
    threading.Event().wait()


def _change_for_ever(issuer: Issuer, chosen: random.Random, tell: object) -> None:
    keys: list[Key] = []
    for step in itertools.count():
        if step % 4 == 0 or not keys:
            minted = issuer.mint(Wish("n", scopes=["a:b"]), by=BY)
            keys.append(minted.key)
            tell(Ack("key.minted", minted.key.id, minted.key.revision, minted.secret))
            continue
        at = chosen.randrange(len(keys))
        try:
            ack, key = _changed(issuer, keys[at].id, chosen, step)
        except Conflict:
            continue
        keys[at] = key
        tell(ack)
        if ack.kind == "key.revoked":
            del keys[at]


def _changed(issuer: Issuer, key_id: str, chosen: random.Random, step: int) -> tuple[Ack, Key]:
    kind = chosen.choice(
        ["key.updated", "key.updated", "rotation.started", "rotation.promoted", "key.revoked"]
    )
    if kind == "rotation.started":
        minted = issuer.rotate(key_id, by=BY, force=True)
        return Ack(kind, key_id, minted.key.revision, minted.secret), minted.key
    if kind == "key.updated":
        key = issuer.update(key_id, {"metadata": {"step": step}}, by=BY)
    elif kind == "rotation.promoted":
        key = issuer.promote(key_id, by=BY)
    else:
        key = issuer.revoke(key_id, by=BY)
    return Ack(kind, key_id, key.revision), key
