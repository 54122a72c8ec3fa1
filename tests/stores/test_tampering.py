"""Whoever can write to the database, and has no pepper, makes nothing new and brings nothing old back.

Every way of tampering is tried on a real SQLite file, with raw SQL, under a node that runs and before
one that starts; of nodes that hold all keys, and of nodes that hold two. Each text may then be worth what
it was worth, or nothing is decided on it.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import shutil
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_bed import OPERATOR, Bed, opened, refusal

from keyrack import Access, Denied, Issuer, Verifier
from keyrack.core.credential import write
from keyrack.core.errors import KeyrackError, Tampered, Unavailable
from keyrack.core.events import EMPTY, Head, open_entry
from keyrack.core.peppers import Pepper
from keyrack.stores.protocols import Excerpt
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

DOWN = {"store_down", "stale"}
GUESSED = write("kr", "live", "Guessed00000", "A" * 32)
Row = dict[str, Any]


class World:
    """A store with keys of every fate, the rows that they had before it, and what they are worth."""

    def __init__(self, path: Path):
        self.bed: Bed
        self.path = path
        self.ids: dict[str, str] = {}
        self.texts: dict[str, str] = {"guessed": GUESSED}
        self.before: dict[str, Row] = {}
        self.truth: dict[str, str] = {}
        self.max_keys: int | None = None

    def fill(self, bed: Bed) -> None:
        for name in ("good", "wide", "disabled", "revoked", "rotated", "narrowed"):
            minted, text = bed.mint("*:*" if name == "wide" else "a:b", name=name)
            self.ids[name], self.texts[name] = minted.key.id, text
        self.before = {row["id"]: row for row in self.rows("records")}
        bed.issuer.disable(self.ids["disabled"], by=OPERATOR)
        bed.issuer.revoke(self.ids["revoked"], by=OPERATOR)
        bed.issuer.rotate(self.ids["rotated"], by=OPERATOR, grace=timedelta(0), compromised=True)
        bed.issuer.update(self.ids["narrowed"], {"scopes": []}, by=OPERATOR)
        self.truth = self.verdicts(bed.verifier)

    def verdicts(self, verifier: Verifier) -> dict[str, str]:
        found = {}
        for name, text in self.texts.items():
            decision = verifier.verify(text, Access(("a:b",)))
            found[name] = decision.reason.value if isinstance(decision, Denied) else "ok"
        return found

    def starts(self) -> Verifier:
        """One more node on the file, as it is now."""
        url, clock = self.bed.stores.url, self.bed.clock
        return Verifier.open(url, peppers=PEPPERS, clock=clock, replica_max_keys=self.max_keys)

    def right_or_unavailable(self, verifier: Verifier) -> bool:
        """A complete replica is right about all texts or refuses all. One that reads finds out one by one,
        and cannot tell a key that was deleted from one that never was."""
        found = self.verdicts(verifier)
        if self.max_keys is None:
            return found == self.truth or set(found.values()) <= DOWN
        return all(one == self.truth[name] or one in DOWN | {"unknown"} for name, one in found.items())

    def rows(self, table: str) -> list[Row]:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]

    def sql(self, statement: str, *values: object) -> None:
        """Raw SQL, committed, by somebody else."""
        with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            done = connection.execute(statement, values)
        assert done.rowcount != 0

    def row(self, name: str) -> Row:
        return next(row for row in self.rows("records") if row["id"] == self.ids[name])

    def put(self, row: Row) -> None:
        """Make the record of this id be this row."""
        names = [name for name in row if name not in ("id", "serial", "kind")]
        changed = ", ".join(f"{name} = ?" for name in names)
        self.sql(f"UPDATE records SET {changed} WHERE id = ?", *(row[name] for name in names), row["id"])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once and never tampered with itself."""
    folder = tmp_path_factory.mktemp("filled")
    world = World(folder / "keys.db")
    with opened("sqlite", folder=folder) as bed:
        world.fill(bed)
    return world


@pytest.fixture(params=[None, 2], ids=["whole", "partial"])
def world(filled: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    world = copy.copy(filled)
    world.max_keys = request.param
    world.path = tmp_path / "keys.db"
    shutil.copy(filled.path, world.path)
    with opened("sqlite", folder=tmp_path, replica_max_keys=world.max_keys) as bed:
        world.bed = bed
        yield world


def altered_body(world: World, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    row = world.row(name)
    body = json.loads(row["body"])
    change(body)
    world.put(row | {"body": json.dumps(body, separators=(",", ":")).encode()})


def own_digest(body: dict[str, Any]) -> None:
    """A digest of the attacker's text, as it is without the pepper."""
    digest = hmac.digest(b"", GUESSED.encode(), "sha256")
    body["versions"][0]["digest"] = b64encode(digest).decode()


def anothers_digest(world: World) -> None:
    """The digest of a key whose text the attacker has, in the record of a key that may do more."""
    theirs = json.loads(world.row("narrowed")["body"])["versions"][0]["digest"]
    altered_body(world, "wide", lambda body: body["versions"][0].update(digest=theirs))


def resealed_by_a_stranger(world: World) -> None:
    """A record that is sealed as ours are, by somebody whose pepper has the same id."""
    stranger = Pepper("p1", "zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U")
    row = world.row("revoked")
    body = world.before[row["id"]]["body"]
    mac = stranger.record.digest(f"key/{row['id']}/".encode() + body)
    world.put(row | {"body": body, "mac": mac})


def swap(world: World, *columns: str) -> None:
    good, wide = world.row("good"), world.row("wide")
    for one, other in ((good, wide), (wide, good)):
        world.put(one | {column: other[column] for column in columns})


def swap_ids(world: World) -> None:
    for old, new in (("good", "x"), ("wide", "good"), ("x", "wide")):
        ids = {"x": "x" * 12} | world.ids
        world.sql("UPDATE records SET id = ? WHERE id = ?", ids[new], ids[old])


def cloned(world: World) -> None:
    """The record of a wide key once more, under an id of the attacker's."""
    row = world.row("wide") | {"id": "Guessed00000", "serial": 10_000}
    marks = ", ".join("?" * len(row))
    world.sql(f"INSERT INTO records ({', '.join(row)}) VALUES ({marks})", *row.values())


def put_back(world: World, name: str) -> None:
    world.put(world.before[world.ids[name]])


def swap_events(world: World) -> None:
    for old, new in ((3, -1), (4, 3), (-1, 4)):
        world.sql("UPDATE log SET number = ? WHERE number = ?", new, old)


LAST = "(SELECT max(number) FROM log)"
REPEAT = (
    "INSERT INTO log SELECT number + 1, body, pepper, mac, kind, subject, tenant"
    f" FROM log WHERE number = {LAST}"
)

REFUSED: dict[str, Callable[[World], object]] = {
    "a digest altered": lambda world: altered_body(world, "good", own_digest),
    "a digest of another key": anothers_digest,
    "a status altered": lambda world: altered_body(world, "revoked", lambda body: body.pop("status")),
    "scopes altered": lambda world: altered_body(world, "narrowed", lambda body: body.update(scopes=["*:*"])),
    "one bit of a body flipped": lambda world: world.sql(
        "UPDATE records SET body = CAST(replace(body, 'a:b', 'a:c') AS BLOB) WHERE name = 'good'"
    ),
    "a code altered": lambda world: world.sql("UPDATE records SET mac = zeroblob(32) WHERE name = 'good'"),
    "a record resealed by a stranger": resealed_by_a_stranger,
    "a disabled key put back": lambda world: put_back(world, "disabled"),
    "a revoked key put back": lambda world: put_back(world, "revoked"),
    "a rotated key put back": lambda world: put_back(world, "rotated"),
    "a narrowed key put back": lambda world: put_back(world, "narrowed"),
    "a record deleted": lambda world: world.sql("DELETE FROM records WHERE name = 'revoked'"),
    "every record deleted": lambda world: world.sql("DELETE FROM records"),
    "the tenant deleted": lambda world: world.sql("DELETE FROM records WHERE kind = 'tenant'"),
    "two ids swapped": swap_ids,
    "two bodies swapped": lambda world: swap(world, "body"),
    "two whole records swapped": lambda world: swap(world, "body", "mac", "revision"),
    "a record cloned": cloned,
    "a key made a tenant": lambda world: world.sql("UPDATE records SET kind = 'tenant' WHERE name = 'good'"),
    "a pepper that nobody has": lambda world: world.sql(
        "UPDATE records SET pepper = 'p9' WHERE name = 'good'"
    ),
    "the last event deleted": lambda world: world.sql(f"DELETE FROM log WHERE number = {LAST}"),
    "the last event altered": lambda world: world.sql(
        f"UPDATE log SET body = CAST(replace(body, 'tests', 'guest') AS BLOB) WHERE number = {LAST}"
    ),
    "the last event's code altered": lambda world: world.sql(
        f"UPDATE log SET mac = zeroblob(32) WHERE number = {LAST}"
    ),
    "the last event repeated": lambda world: world.sql(REPEAT),
    "an event given a number behind the last": lambda world: world.sql(
        "UPDATE log SET number = 99 WHERE number = 4"
    ),
    "the first event deleted": lambda world: world.sql("DELETE FROM log WHERE number = 1"),
    "every event deleted": lambda world: world.sql("DELETE FROM log"),
}
"""What a node that starts finds out, and refuses the store for."""

FOUND_BY_THE_CHAIN: dict[str, Callable[[World], object]] = {
    "an event deleted": lambda world: world.sql("DELETE FROM log WHERE number = 4"),
    "two events swapped": swap_events,
    "an event altered": lambda world: world.sql(
        "UPDATE log SET body = CAST(replace(body, 'tests', 'guest') AS BLOB) WHERE number = 4"
    ),
    "an event's code altered": lambda world: world.sql("UPDATE log SET mac = zeroblob(32) WHERE number = 4"),
}
"""What changes no decision, and shows when the log is walked."""

HARMLESS: dict[str, Callable[[World], object]] = {
    "a tenant column altered": lambda world: world.sql("UPDATE records SET tenant = 'x' WHERE name = 'good'"),
    "a name column altered": lambda world: world.sql("UPDATE records SET name = 'x' WHERE name = 'good'"),
    "an owner column altered": lambda world: world.sql("UPDATE records SET owner = 'x'"),
    "a revision column altered": lambda world: world.sql("UPDATE records SET revision = 999"),
    "columns of the log altered": lambda world: world.sql("UPDATE log SET subject = 'x', tenant = 'x'"),
}
"""What records are found by decides nothing."""

ALL = REFUSED | FOUND_BY_THE_CHAIN | HARMLESS


def walked(url: str) -> Head:
    """The head of the log, each entry of which has to stand behind the one before it."""
    stores = open_stores(url, peppers=PEPPERS)
    with closing(stores):
        head = EMPTY
        for entry in stores.keys.entries(Excerpt(most=1000)):
            _, head = open_entry(entry, stores.peppers, after=head)
        return head


def test_what_is_worth_something_is_so_only_before_anybody_tampers(world: World) -> None:
    expected = {"guessed": "unknown", "good": "ok", "wide": "ok", "disabled": "disabled"}
    expected |= {"revoked": "revoked", "rotated": "retired", "narrowed": "scope"}
    assert world.truth == expected
    assert walked(world.bed.stores.url).number == len(world.rows("log"))


@pytest.mark.parametrize("tamper", REFUSED.values(), ids=REFUSED)
def test_a_node_that_starts_refuses_the_store(world: World, tamper: Callable[[World], object]) -> None:
    tamper(world)
    with pytest.raises(KeyrackError) as error:
        world.starts()
    assert error.value.code in ("store_tampered", "configuration_error", "unavailable")


@pytest.mark.parametrize("tamper", ALL.values(), ids=ALL)
def test_a_node_that_runs_accepts_nothing_more(world: World, tamper: Callable[[World], object]) -> None:
    tamper(world)
    for _ in range(2):
        world.bed.verifier.follower.poll()
        assert world.right_or_unavailable(world.bed.verifier)


@pytest.mark.parametrize("tamper", ALL.values(), ids=ALL)
def test_nothing_more_is_accepted_after_changes_of_the_same_and_of_another_key(
    world: World, tamper: Callable[[World], object]
) -> None:
    """The next change may be built on what was tampered with; it must not carry it into a replica."""
    tamper(world)
    stores = open_stores(world.bed.stores.url, peppers=PEPPERS, clock=world.bed.clock)
    with closing(stores):
        elsewhere = Issuer(stores)
        for name in ("good", "narrowed", "disabled", "rotated", "revoked"):
            refusal(elsewhere.update, world.ids[name], {"metadata": {"a": 1}}, by=OPERATOR)
            world.bed.verifier.follower.poll()
            assert world.right_or_unavailable(world.bed.verifier)
    try:
        late = world.starts()
    except KeyrackError:
        return
    with late:
        assert world.verdicts(late) == world.truth


@pytest.mark.parametrize("tamper", FOUND_BY_THE_CHAIN.values(), ids=FOUND_BY_THE_CHAIN)
def test_a_log_that_was_tampered_with_does_not_walk(world: World, tamper: Callable[[World], object]) -> None:
    tamper(world)
    with pytest.raises(Tampered):
        walked(world.bed.stores.url)
    with world.starts() as verifier:
        assert world.verdicts(verifier) == world.truth


@pytest.mark.parametrize("tamper", HARMLESS.values(), ids=HARMLESS)
def test_what_records_are_found_by_decides_nothing(world: World, tamper: Callable[[World], object]) -> None:
    tamper(world)
    with world.starts() as verifier:
        assert world.verdicts(verifier) == world.truth
    assert walked(world.bed.stores.url).number == len(world.rows("log"))


class TestTheWholeFile:
    def test_an_earlier_state_under_a_running_node_is_refused_naming_both_heads(self, world: World) -> None:
        """Restored as an operator would, with SQLite's own backup, into the file that is open."""
        with closing(sqlite3.connect(world.path)) as live, closing(sqlite3.connect(":memory:")) as backup:
            live.backup(backup)
            theirs = walked(world.bed.stores.url)
            world.bed.issuer.revoke(world.ids["good"], by=OPERATOR)
            ours = world.bed.verifier.follower.replica.head
            backup.backup(live)
        assert not world.bed.verifier.follower.poll()
        trouble = str(world.bed.verifier.follower.trouble)
        assert f"{ours.number}:{ours.hash.hex()}" in trouble
        assert f"{theirs.number} ({theirs.hash.hex()[:16]})" in trouble
        assert set(world.verdicts(world.bed.verifier).values()) == {"store_down"}
        world.bed.mint("a:b")
        assert set(world.verdicts(world.bed.verifier).values()) == {"store_down"}

    def test_another_history_from_the_same_beginning_is_refused(self, world: World, tmp_path: Path) -> None:
        with closing(sqlite3.connect(world.path)) as live, closing(sqlite3.connect(":memory:")) as backup:
            live.backup(backup)
            world.bed.issuer.revoke(world.ids["good"], by=OPERATOR)
            backup.backup(live)
        stores = open_stores(world.bed.stores.url, peppers=PEPPERS, clock=world.bed.clock)
        with closing(stores):
            for name in ("wide", "narrowed", "disabled"):
                Issuer(stores).revoke(world.ids[name], by=OPERATOR)
        assert not world.bed.verifier.follower.poll()
        assert "rolled back, forked or exchanged" in str(world.bed.verifier.follower.trouble)
        assert set(world.verdicts(world.bed.verifier).values()) == {"store_down"}

    @pytest.mark.parametrize("how", ["replaced", "removed"])
    def test_a_file_that_was_replaced_or_removed_confirms_nothing_and_takes_no_change(
        self, world: World, how: str
    ) -> None:
        """What is open goes on existing without its name; a change written there would be lost."""
        if how == "replaced":
            shutil.copy(world.path, world.path.with_name("copy.db"))
            world.path.with_name("copy.db").replace(world.path)
        else:
            world.path.unlink()
        follower = world.bed.verifier.follower
        # A poll of the node's own thread may have been under way; this one waits for its turn.
        follower.poll()
        confirmed_at = follower.confirmed_at
        for _ in range(3):
            assert not follower.poll()
            assert "replaced or removed" in str(follower.trouble)
        assert follower.confirmed_at == confirmed_at
        with pytest.raises(Unavailable, match="replaced or removed"):
            world.bed.mint("a:b")
        with pytest.raises(Unavailable, match="replaced or removed"):
            world.bed.issuer.get(world.ids["good"], by=OPERATOR)
        found = world.verdicts(world.bed.verifier)
        unread = {name: one for name, one in found.items() if one == "store_down"}
        assert found == world.truth | unread
        assert bool(unread) == (world.max_keys is not None)
        follower.max_stale = -1.0
        assert set(world.verdicts(world.bed.verifier).values()) == {"stale"}


class TestLeaks:
    """A leak of the database alone, or of the pepper alone, forges nothing."""

    def test_no_file_of_a_store_holds_a_text_or_its_secret_part(self, world: World) -> None:
        world.verdicts(world.bed.verifier)
        world.bed.verifier.notebook.flush(world.bed.stores.journal)
        written = b"".join(path.read_bytes() for path in world.path.parent.iterdir())
        assert world.ids["good"].encode() in written
        for name, text in world.texts.items():
            assert text.encode() not in written, name
            assert text[-38:-6].encode() not in written, name

    def test_digests_are_made_with_more_than_what_the_database_holds(self, world: World) -> None:
        """Nothing that is in the database, used as a key or on its own, makes a text's digest."""
        (version,) = json.loads(world.row("good")["body"])["versions"]
        text = world.texts["good"].encode()
        kept = [str(value).encode() for row in (world.row("good"), version) for value in row.values()]
        guesses = {hashlib.sha256(text).digest(), *(hmac.digest(key, text, "sha256") for key in (b"", *kept))}
        assert version["digest"] not in {b64encode(guess).decode() for guess in guesses}

    def test_a_pepper_without_the_database_makes_no_key(self, world: World) -> None:
        """Who has the pepper digests any text, but no record names what was digested."""
        with opened() as elsewhere:
            assert elsewhere.stores.peppers.first.check == world.bed.stores.peppers.first.check
            _, text = elsewhere.mint("*:*")
            assert elsewhere.verdict(text) == "ok"
        assert world.bed.verdict(text) == "unknown"
        assert world.bed.verdict(write("kr", "live", world.ids["wide"], "A" * 32)) == "unknown"
