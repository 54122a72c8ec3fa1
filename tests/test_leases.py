"""Nobody decides without an event that a change has waited for: not late, not unannounced, not closed."""

from __future__ import annotations

from pathlib import Path

from engine_bed import OPERATOR, opened

from keyrack import Verifier, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.core.model import Reason
from keyrack.stores.follower import Follower, steady
from keyrack.stores.journal import Node
from keyrack.testing import PEPPERS


def test_a_change_waits_as_long_as_the_store_allows_and_not_as_this_node_was_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    stores = open_stores(url, peppers=PEPPERS, create=True)
    found(stores, max_stale=0.6)
    with Verifier.open(url, peppers=PEPPERS, max_stale=0.1, poll=0.05) as verifier:
        issuer = verifier.issuer()
        key = issuer.mint(Wish(name="n", scopes=["a:b"]), by=OPERATOR).key
        hung_at = steady()
        stores.journal.renew(Node("hung", 0, b"", hung_at))
        issuer.revoke(key.id, by=OPERATOR, wait=True)
        assert steady() >= hung_at + 0.6
    stores.close()


def test_what_a_node_reads_after_its_last_word_confirms_nothing_beyond_it() -> None:
    with opened() as bed:
        follower = Follower(bed.stores.keys, bed.stores.peppers)
        follower.load()
        follower.announced_at = steady() - follower.max_stale - 1
        follower.poll()
        assert follower.doubt() is Reason.STALE


def test_a_closed_verifier_decides_nothing() -> None:
    with opened() as bed:
        _, text = bed.mint("a:b")
        bed.verifier.close()
        assert bed.verdict(text, "a:b") == "store_down"
