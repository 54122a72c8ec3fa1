"""Changes become commits: together where they wait together, each by its own fate, the urgent first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from drawing import LIVE, NOW
from engine_bed import Bed

from keyrack.core.errors import Conflict, Unavailable
from keyrack.core.events import EMPTY, Event, EventKind, open_entry
from keyrack.core.model import Key
from keyrack.core.peppers import Peppers
from keyrack.stores.ledger import MAX_GROUP, Draft, Ledger
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.protocols import Batch, Excerpt, Kind, Mark, Plan
from keyrack.testing import PEPPERS
from keyrack.vault.secrets import Unconfigured, Vault

OURS = Peppers.parse(PEPPERS)
MINTED = Event(EventKind.KEY_MINTED, NOW, "operator:tests")


def key(key_id: str, name: str = "n") -> Key:
    return Key(
        id=key_id,
        prefix="kr",
        environment="live",
        tenant="default",
        name=name,
        scopes=(),
        created_at=NOW,
        created_by="operator:tests",
        versions=(LIVE,),
        ending="wxyz",
    )


class SlowKeys(MemoryKeys):
    """Counts its commits, and holds the first one until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.fails = False

    def commit(self, plan: Plan) -> Batch:
        self.commits += 1
        if self.commits == 1:
            self.begun.set()
            self.go_on.wait(30)
        if self.fails:
            raise Unavailable("The key store failed.")
        return super().commit(plan)


class Queue:
    """A ledger whose first commit is held, so that everything after it waits in one group."""

    def __init__(self) -> None:
        self.keys = SlowKeys()
        self.ledger = Ledger(self.keys, OURS)
        self.answers: dict[str, object] = {}
        self._threads: list[threading.Thread] = []

    def put(self, name: str, change: Callable[[Draft], object], *, urgent: bool = False) -> None:
        def run() -> None:
            try:
                self.answers[name] = self.ledger.commit(change, urgent=urgent)
            except Exception as error:  # noqa: BLE001  # what came back is what is looked at
                self.answers[name] = error

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)
        while len(self.ledger._waiting) < len(self._threads) - 1:
            self.keys.begun.wait(0.001)

    def finish(self) -> None:
        self.keys.go_on.set()
        for thread in self._threads:
            thread.join()

    def numbers(self) -> dict[str, int]:
        """The event of each change that wrote one key of its own name."""
        found = {}
        for entry in self.keys.entries(Excerpt(most=1000)):
            event, _ = open_entry(entry, OURS)
            if event.subject is not None:
                found[event.subject] = event.number
        return found


@pytest.fixture
def queue() -> Iterator[Queue]:
    one = Queue()
    one.put("first", lambda draft: None)
    one.keys.begun.wait(30)
    yield one
    one.finish()


def minting(key_id: str) -> Callable[[Draft], Key]:
    return lambda draft: draft.write_key(key(key_id), MINTED)


def test_changes_that_wait_together_are_committed_together_and_chained(queue: Queue) -> None:
    for number in range(5):
        queue.put(f"k{number}", minting(f"k{number}"))
    queue.finish()
    assert queue.keys.commits == 2
    head = EMPTY
    for entry in queue.keys.entries(Excerpt(most=100)):
        _, head = open_entry(entry, OURS, after=head)
    assert head.number == 5
    revisions = {name: answer.revision for name, answer in queue.answers.items() if isinstance(answer, Key)}
    assert revisions == queue.numbers()


def test_what_is_urgent_goes_first(queue: Queue) -> None:
    for name in ("a", "b"):
        queue.put(name, minting(name))
    queue.put("urgent", minting("urgent"), urgent=True)
    queue.finish()
    assert queue.numbers() == {"urgent": 1, "a": 2, "b": 3}


def test_a_group_has_a_hundred_changes_at_most(queue: Queue) -> None:
    for number in range(MAX_GROUP + 20):
        queue.put(f"k{number}", minting(f"k{number}"))
    queue.finish()
    assert queue.keys.commits == 3
    assert len(queue.numbers()) == MAX_GROUP + 20


def test_a_change_that_refuses_leaves_the_others_of_its_group_alone(queue: Queue) -> None:
    def refuse(draft: Draft) -> None:
        draft.write_key(key("written"), MINTED)
        raise Conflict("no")

    queue.put("a", minting("a"))
    queue.put("refused", refuse)
    queue.put("b", minting("b"))
    queue.finish()
    assert isinstance(queue.answers["refused"], Conflict)
    assert queue.numbers() == {"a": 1, "b": 2}
    assert queue.keys.commits == 2


def test_a_fault_in_one_change_is_told_to_its_own_caller_alone(queue: Queue) -> None:
    def fault(draft: Draft) -> None:
        draft.write_key(key("written"), MINTED)
        raise ZeroDivisionError

    queue.put("a", minting("a"))
    queue.put("fault", fault)
    queue.put("another", fault)
    queue.put("b", minting("b"))
    queue.finish()
    assert isinstance(queue.answers["fault"], ZeroDivisionError)
    assert isinstance(queue.answers["another"], ZeroDivisionError)
    assert queue.numbers() == {"a": 1, "b": 2}


def test_a_store_that_fails_is_told_to_everybody_and_nothing_is_written(queue: Queue) -> None:
    for name in ("a", "b"):
        queue.put(name, minting(name))
    queue.keys.fails = True
    queue.finish()
    assert {type(answer) for answer in queue.answers.values()} == {Unavailable}
    assert queue.keys.last() is None
    queue.keys.fails = False
    assert queue.ledger.commit(minting("later")).revision == 1


def test_a_change_sees_what_earlier_changes_of_its_group_wrote(queue: Queue) -> None:
    seen: dict[str, object] = {}

    def look(draft: Draft) -> None:
        found = draft.key("a")
        seen["name"] = found and found.name
        seen["named"] = [[one.id for one in draft.keys_named("default", name)] for name in ("n", "m")]
        seen["mark"] = draft.mark(b"token")
        seen["changed"] = [record.id for record in draft.changed_since(0)]
        seen["head"] = draft.head.number

    mark = Mark(b"token", b"body", "a", 1.0)
    queue.put("mint", minting("a"))
    queue.put("rename", lambda draft: draft.write_key(replace(key("a"), name="m"), MINTED))
    queue.put("mark", lambda draft: draft.write_mark(mark))
    queue.put("look", look)
    queue.finish()
    assert seen == {"name": "m", "named": [[], ["a"]], "mark": mark, "changed": ["a"], "head": 2}


class ForgetfulKeys(MemoryKeys):
    """Runs every plan twice, as a store does when another writer came first."""

    def commit(self, plan: Plan) -> Batch:
        plan(self)
        return super().commit(plan)


def test_a_plan_that_is_run_again_gives_what_its_last_run_gave() -> None:
    runs: list[int] = []
    keys = ForgetfulKeys()
    ledger = Ledger(keys, OURS)

    def change(draft: Draft) -> int:
        runs.append(1)
        draft.write_key(key(f"k{len(runs)}"), MINTED)
        return len(runs)

    assert ledger.commit(change) == 2
    assert keys.record(Kind.KEY, "k1") is None
    assert keys.record(Kind.KEY, "k2") is not None

    def refuse_once(draft: Draft) -> str:
        runs.append(1)
        if len(runs) == 3:
            raise Conflict("not yet")
        return "done"

    assert ledger.commit(refuse_once) == "done"


def test_a_record_keeps_the_serial_of_the_event_that_made_it(bed: Bed) -> None:
    ledger = bed.stores.ledger
    made = ledger.commit(minting("a" * 12))
    changed = ledger.commit(minting("a" * 12))
    record = bed.stores.keys.record(Kind.KEY, "a" * 12)
    assert record is not None
    assert (record.serial, record.revision) == (made.revision, changed.revision)


def test_a_change_that_finds_the_store_failing_is_committed_with_none_of_its_group(queue: Queue) -> None:
    def unreadable(draft: Draft) -> None:
        raise Unavailable("The key store failed.")

    queue.put("a", minting("a"))
    queue.put("unreadable", unreadable)
    queue.finish()
    assert {type(queue.answers[name]) for name in ("a", "unreadable")} == {Unavailable}
    assert queue.numbers() == {}


def test_a_change_whose_secret_cannot_be_sealed_fails_alone(queue: Queue) -> None:
    """Else whoever may ask for a session could hold up revocations on a server without master keys."""

    def unsealable(draft: Draft) -> None:
        assert Vault(None).master_keys

    queue.put("a", minting("a"))
    queue.put("unsealable", unsealable)
    queue.finish()
    assert isinstance(queue.answers["unsealable"], Unconfigured)
    assert queue.numbers() == {"a": 1}
