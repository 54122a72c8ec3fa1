"""Processes on one store: writers that say what they were told, and a node that says what it decides."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.connection import Connection

from objects_bed import BY, verdict
from patience import PATIENCE_SECONDS

from keyrack import Issuer, Verifier, Wish
from keyrack.stores.objects import bucket, keys
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

# A fork of this process would share its threads' locks; a new one shares nothing.
spawning = multiprocessing.get_context("spawn")
ASK_SECONDS = 0.05


def write(url: str, name: str, times: int, told: Connection) -> None:
    """Mint and change keys, and say the id and the revision of each acknowledged change."""
    # Others may be faster for long on a loaded machine, which is no matter here.
    bucket.REQUEST_SECONDS = keys.COMMIT_SECONDS = PATIENCE_SECONDS
    stores = open_stores(url, peppers=PEPPERS)
    issuer = Issuer(stores)
    for number in range(times):
        minted = issuer.mint(Wish(f"{name}-{number}", scopes=("a:b",)), by=BY).key
        told.send((minted.id, minted.revision))
        changed = issuer.update(minted.id, {"metadata": {"by": name}}, by=BY)
        told.send((changed.id, changed.revision))
    stores.close()
    told.send(None)


def decide(url: str, texts: list[str], told: Connection) -> None:
    """Say what these texts are worth, each time that it changes, until the other end is gone."""
    said: list[str] = []
    with Verifier.open(url, peppers=PEPPERS) as verifier:
        while not told.poll():
            found = [verdict(verifier, text) for text in texts]
            if found != said:
                told.send(found)
                said = found
            threading.Event().wait(ASK_SECONDS)
