"""Our own trouble fails closed, and never as if the credential were bad."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from engine_bed import FOREIGN, OPERATOR, POLICY, STATIC, Bed, opened, other

from keyrack import Access, Allowed, Denied, Issuer, Reason, Verifier, Wish
from keyrack.admin.founding import found
from keyrack.core.credential import write
from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.events import Event, EventKind
from keyrack.core.peppers import Peppers
from keyrack.stores.counters import MemoryCounters, Spend, Taken
from keyrack.stores.journal import MemoryJournal
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Listing
from keyrack.stores.urls import beside, open_stores
from keyrack.testing import PEPPERS, FixedClock


class TestDoubt:
    """Our own trouble fails closed, and never as if the credential were bad."""

    @pytest.mark.spec("CO-13")
    def test_an_empty_environment_passes_nothing_and_says_unconfigured(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("BOT_KEY", raising=False)
        for url, table in [("env:", STATIC), ("env:NO_SUCH_VARIABLE", None)]:
            with Verifier.open(url, peppers=PEPPERS, policy=POLICY, static=table) as verifier:
                for text in ("", FOREIGN, write("kr", "live", "0" * 12, "A" * 32)):
                    assert verifier.verify(text, Access()) == Denied(Reason.UNCONFIGURED)
                assert verifier.doubt() is Reason.UNCONFIGURED

    @pytest.mark.spec("CO-14")
    def test_a_replica_that_was_not_confirmed_for_too_long_decides_nothing(self, memory: Bed) -> None:
        _, text = memory.mint("a:b")
        allowed = memory.verifier.verify(text, Access())
        assert isinstance(allowed, Allowed)
        memory.verifier.follower.max_stale = -1.0
        for one in (text, other(text), "x", ""):
            assert memory.verdict(one) == "stale"
        assert memory.verifier.identify(text, Access()) == Denied(Reason.STALE)
        assert memory.verifier.allow(allowed, Access()) == Denied(Reason.STALE)
        assert memory.verifier.doubt() is Reason.STALE

    def test_a_store_that_was_exchanged_decides_nothing(self, memory: Bed) -> None:
        _, text = memory.mint("a:b")
        assert memory.verifier.trouble is None
        memory.verifier.follower.abandon("Exchanged.")
        assert memory.verdict(text) == "store_down"
        assert memory.verifier.trouble == "Exchanged."

    def test_a_key_whose_tenant_is_missing_is_not_decided_on(self, memory: Bed) -> None:
        """Unknown never means not suspended."""
        minted, text = memory.mint("a:b")

        def orphan(draft: Any) -> None:
            ghost = type(minted.key)(
                **{name: getattr(minted.key, name) for name in minted.key.__slots__} | {"tenant": "ghost"}
            )
            draft.write_key(ghost, Event(EventKind.KEY_UPDATED, memory.at, "operator:tests"))

        memory.stores.ledger.commit(orphan)
        memory.verifier.follower.poll()
        assert memory.verdict(text) == "store_down"

    def test_counters_that_are_down_refuse_unless_they_were_said_to_be_optional(self) -> None:
        for optional, expected in [(False, "store_down"), (True, "ok")]:
            stores = Stores(
                "memory:", MemoryKeys(), MemoryJournal(), DownCounters(), Peppers.parse(PEPPERS), FixedClock()
            )
            found(stores)
            with Verifier(stores, policy=POLICY, open_when_down=optional) as verifier:
                verifier.start()
                bed = Bed(verifier, FixedClock(), Path())
                _, text = bed.mint("a:b")
                assert bed.verdict(text) == expected

    def test_a_forked_child_decides_nothing(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", FORK, str(tmp_path / "keys.db")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["parent:ok", "child:store_down", "parent:ok"]


FORK = f"""
import os, sys
from keyrack import Access, Authority, Denied, Verifier, Wish

def verdict():
    decision = verifier.verify(text, Access())
    return decision.reason.value if isinstance(decision, Denied) else "ok"

with Verifier.open("sqlite:///" + sys.argv[1], peppers={PEPPERS!r}, create=True) as verifier:
    text = verifier.issuer().mint(Wish("n", scopes=[]), by=Authority.operator("fork")).secret
    print("parent:" + verdict(), flush=True)
    if os.fork() == 0:
        print("child:" + verdict(), flush=True)
        os._exit(0)
    os.wait()
    print("parent:" + verdict(), flush=True)
"""


class DownCounters(MemoryCounters):
    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        raise Unavailable("The counters cannot be written.")


class TestOpening:
    def test_what_opening_left_open_is_closed_when_it_fails(self, tmp_path: Path) -> None:
        """Peppers of another store: refused, and neither a file nor a node is left behind."""
        with opened("sqlite", folder=tmp_path) as bed:
            bed.mint("a:b")
            url = bed.stores.url
        before = open_files(tmp_path)
        for peppers in ("p1:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U", "p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"):
            with pytest.raises(ConfigurationError, match="KEYRACK_PEPPERS"):
                Verifier.open(url, peppers=peppers)
        assert open_files(tmp_path) == before == []
        stores = open_stores(url, peppers=PEPPERS)
        assert stores.journal.nodes() == []
        stores.close()

    def test_a_closed_verifier_leaves_no_node_and_has_written_its_notes(self, tmp_path: Path) -> None:
        with opened("sqlite", folder=tmp_path) as bed:
            minted, text = bed.mint("a:b")
            assert bed.verdict(text) == "ok"
            url = bed.stores.url
            assert len(bed.stores.journal.nodes()) == 1
        stores = open_stores(url, peppers=PEPPERS)
        assert stores.journal.nodes() == []
        assert stores.journal.uses([minted.key.id])[minted.key.id, 1].uses == 1
        stores.close()

    def test_a_store_is_made_only_when_that_is_asked_for(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'none.db'}"
        with pytest.raises(ConfigurationError, match="does not exist"):
            Verifier.open(url, peppers=PEPPERS)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ConfigurationError, match="KEYRACK_PEPPERS"):
            Verifier.open(url, create=True)

    def test_a_store_that_was_never_founded_is_not_opened(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'keys.db'}"
        open_stores(url, peppers=PEPPERS, create=True).close()
        with pytest.raises(Unavailable, match="The store is empty"):
            Verifier.open(url, peppers=PEPPERS)
        assert beside(tmp_path / "keys.db", "journal").exists()

    def test_what_another_process_changes_is_followed(self, tmp_path: Path) -> None:
        with opened("sqlite", folder=tmp_path) as bed:
            stores = open_stores(bed.stores.url, peppers=PEPPERS, clock=bed.clock)
            elsewhere = Issuer(stores)
            text = str(elsewhere.mint(Wish("n", scopes=["a:b"]), by=OPERATOR).secret)
            bed.verifier.follower.poll()
            assert bed.verdict(text, "a:b") == "ok"
            (key,), _ = elsewhere.find(Listing(), by=OPERATOR)
            elsewhere.revoke(key.id, by=OPERATOR)
            bed.verifier.follower.poll()
            assert bed.verdict(text, "a:b") == "revoked"
            stores.close()


def open_files(folder: Path) -> list[str]:
    """What this process holds open there; empty where the system does not say."""
    held = Path("/proc/self/fd")
    names = [str(one.readlink()) for one in held.iterdir() if one.is_symlink()] if held.exists() else []
    return sorted(name for name in names if name.startswith(str(folder)))
