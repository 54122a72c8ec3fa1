"""Keys that are not held are read from the store: seldom, not too many at once, never on an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from engine_bed import FOREIGN, OPERATOR, POLICY, STATIC, Bed, opened, other
from session_bed import desk_on

from keyrack import Access, Allowed, Denied, Reason
from keyrack.core.credential import write
from keyrack.core.errors import Unavailable
from keyrack.guards.asgi import Guard
from keyrack.guards.rows import Row
from keyrack.lookups import ATTEMPTS, MAX_READS, LookUps
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.protocols import Kind, Reading

READ = Access(("a:b",))
SECONDS = 60.0
"""How long a test waits for another thread before it fails."""


class SlowKeys:
    """A store whose reads wait until they are let go, or do something else before they return."""

    def __init__(self, keys: MemoryKeys):
        self._keys = keys
        self.let_go = threading.Event()
        self.let_go.set()
        self.started = threading.Semaphore(0)
        self.reads: list[str] = []
        self.fails = False
        self.meanwhile: Callable[[], object] = lambda: None

    def read(self, kind: Kind, record_id: str) -> Reading:
        self.reads.append(record_id)
        reading = self._keys.read(kind, record_id)
        self.started.release()
        assert self.let_go.wait(SECONDS)
        self.meanwhile()
        if self.fails:
            raise Unavailable("The key store failed.")
        return reading


class Many:
    """A verifier that holds one key of many, with the others' texts."""

    def __init__(self, bed: Bed, keys: int):
        self.bed = bed
        self.made = [bed.mint("a:b") for _ in range(keys)]
        assert isinstance(bed.stores.keys, MemoryKeys)
        self.keys = SlowKeys(bed.stores.keys)
        self.lookups = bed.verifier.lookups
        self.lookups._keys = self.keys

    def ids(self) -> list[str]:
        """Of keys that are not held."""
        records = self.bed.verifier.follower.replica._records
        return [one.key.id for one, _ in self.made if records.get(one.key.id) is None]

    def texts(self) -> list[str]:
        ids = set(self.ids())
        return [text for minted, text in self.made if minted.key.id in ids]

    def held(self) -> str:
        (text,) = {text for _, text in self.made} - set(self.texts())
        return text


@pytest.fixture
def many() -> Iterator[Many]:
    with opened(replica_max_keys=1) as bed:
        yield Many(bed, 12)


class TestDecisions:
    def test_every_key_is_decided_on_whether_it_is_held_or_not(self, many: Many) -> None:
        for _ in range(2):
            assert {many.bed.verdict(text, "a:b") for _, text in many.made} == {"ok"}
            assert {many.bed.verdict(other(text), "a:b") for _, text in many.made} == {"unknown"}
        assert len(many.bed.verifier.follower.replica) == 1

    def test_what_is_no_key_costs_no_read(self, many: Many) -> None:
        for text in ("", "x", write("kr", "live", "0" * 12, "A" * 32), many.held()):
            many.bed.verdict(text)
        assert many.keys.reads == []
        assert set(many.lookups.totals.values()) == {0}

    def test_what_is_asked_for_again_is_read_again_only_after_it_had_to_go(self, many: Many) -> None:
        first, second, *_ = many.texts()
        for text in (first, first, second, second, first):
            assert many.bed.verdict(text, "a:b") == "ok"
        assert len(many.keys.reads) == many.lookups.totals["found"] == 3

    def test_a_revocation_that_is_visible_before_a_slow_read_returns_is_obeyed(self, many: Many) -> None:
        (text, *_), (key_id, *_) = many.texts(), many.ids()

        def revoked() -> None:
            many.keys.meanwhile = lambda: None
            many.bed.issuer.revoke(key_id, by=OPERATOR, wait=True)

        many.keys.meanwhile = revoked
        assert many.bed.verdict(text, "a:b") == "revoked"
        assert many.keys.reads == [key_id, key_id]

    def test_a_change_elsewhere_that_this_node_has_not_seen_is_followed_first(self, many: Many) -> None:
        (text, *_), (key_id, *_) = many.texts(), many.ids()
        type(many.bed.issuer)(many.bed.stores, POLICY).revoke(key_id, by=OPERATOR)
        assert many.bed.verdict(text, "a:b") == "revoked"

    def test_a_node_that_went_stale_while_it_read_decides_nothing(self, many: Many) -> None:
        (text, *_) = many.texts()

        def stale() -> None:
            many.bed.verifier.follower.max_stale = -1.0

        many.keys.meanwhile = stale
        assert many.bed.verdict(text, "a:b") == "stale"

    def test_a_store_that_fails_refuses_what_is_not_held_and_nothing_else(self, many: Many) -> None:
        held = many.held()
        many.keys.fails = True
        assert [many.bed.verdict(text, "a:b") for text in many.texts()[:2]] == ["store_down"] * 2
        assert many.lookups.totals["failed"] == 2
        assert many.bed.verdict(held, "a:b") == "ok"
        many.keys.fails = False
        assert many.bed.verdict(many.texts()[0], "a:b") == "ok"

    def test_a_record_that_does_not_authenticate_refuses_its_key_and_is_logged(
        self, many: Many, caplog: pytest.LogCaptureFixture
    ) -> None:
        (text, *_), (key_id, *_) = many.texts(), many.ids()
        stored = many.keys._keys._records
        stored[Kind.KEY, key_id] = stored[Kind.KEY, key_id]._replace(mac=bytes(32))
        with caplog.at_level(logging.ERROR, "keyrack.lookups"):
            assert many.bed.verdict(text, "a:b") == "store_down"
        assert f"key {key_id} is refused" in caplog.text
        assert text not in caplog.text
        assert many.bed.verdict(many.texts()[1], "a:b") == "ok"

    def test_a_key_that_changes_each_time_it_is_read_is_refused_in_the_end(self, many: Many) -> None:
        (text, *_), (key_id, *_) = many.texts(), many.ids()
        names = iter("abcdef")
        many.keys.meanwhile = lambda: many.bed.issuer.update(key_id, {"name": next(names)}, by=OPERATOR)
        assert many.bed.verdict(text, "a:b") == "store_down"
        assert many.keys.reads == [key_id] * ATTEMPTS

    def test_a_key_that_has_to_go_each_time_it_was_read_is_refused_in_the_end(
        self, many: Many, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text, another, *_ = many.texts()
        _, another_id, *_ = many.ids()
        bring = LookUps.bring

        def crowded(lookups: LookUps, key_id: str) -> Reason | None:
            bring(lookups, key_id)
            return bring(lookups, another_id)

        monkeypatch.setattr(LookUps, "bring", crowded)
        assert many.bed.verdict(text, "a:b") == "store_down"
        assert many.bed.verdict(another, "a:b") == "ok"

    def test_the_second_half_of_a_decision_reads_what_has_gone_meanwhile(self, many: Many) -> None:
        verifier, (text, another, *_) = many.bed.verifier, many.texts()
        identified = verifier.identify(text, Access())
        assert isinstance(identified, Allowed)
        assert many.bed.verdict(another, "a:b") == "ok"
        assert isinstance(verifier.allow(identified, READ), Allowed)
        assert many.bed.verdict(another, "a:b") == "ok"
        assert isinstance(verifier.recheck(identified, READ), Allowed)
        many.bed.verdict(another)
        many.keys.fails = True
        assert verifier.recheck(identified, READ) == Denied(Reason.STORE_DOWN)

    def test_an_id_that_only_looks_like_one_is_counted(self, many: Many) -> None:
        many.bed.verifier.follower.replica._records._ids.add("0" * 12)
        text = write("kr", "live", "0" * 12, "A" * 32)
        assert [many.bed.verdict(text) for _ in range(3)] == ["unknown"] * 3
        assert many.lookups.totals == {"found": 0, "absent": 1, "failed": 0, "refused": 0}

    def test_foreign_keys_are_found_held_or_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BOT_KEY", FOREIGN)
        with opened(replica_max_keys=1, policy=POLICY, static=STATIC) as bed:
            (_, text) = bed.mint("a:b")
            for _ in range(2):
                assert bed.verdict(text, "a:b") == "ok"
                assert bed.verifier.waits(FOREIGN)
                assert bed.verdict(FOREIGN, "logs:read") == "ok"
                assert not bed.verifier.waits(FOREIGN)
            assert bed.verdict("x" * 40) == "unknown"
            assert bed.verifier.lookups.totals["found"] == 4

    def test_a_session_is_decided_on_with_its_key_held_or_not(self, many: Many) -> None:
        desk, (text, another, *_) = desk_on(many.bed), many.texts()
        token = desk.exchange(text)
        many.bed.verdict(another)
        assert many.bed.verifier.waits(token)
        assert many.bed.verdict(token, "a:b") == "ok"
        assert not many.bed.verifier.waits(token)
        many.bed.verdict(another)
        many.keys.fails = True
        assert many.bed.verdict(token, "a:b") == "store_down"


class TestReads:
    def test_all_who_ask_for_a_key_at_once_share_one_read(self, many: Many) -> None:
        (text, *_), (key_id, *_) = many.texts(), many.ids()
        many.keys.let_go.clear()
        with ThreadPoolExecutor(20) as threads:
            asked = [threads.submit(many.bed.verdict, text, "a:b") for _ in range(20)]
            assert many.keys.started.acquire(timeout=SECONDS)
            many.keys.let_go.set()
            assert {one.result(SECONDS) for one in asked} == {"ok"}
        # Whoever came when it was over found it held.
        assert many.keys.reads == [key_id]

    def test_beyond_eight_reads_at_once_the_answer_is_unavailable_at_once(self, many: Many) -> None:
        texts = many.texts()
        many.keys.let_go.clear()
        with ThreadPoolExecutor(MAX_READS) as threads:
            asked = [threads.submit(many.bed.verdict, text, "a:b") for text in texts[:MAX_READS]]
            assert all(many.keys.started.acquire(timeout=SECONDS) for _ in asked)
            assert [many.bed.verdict(text, "a:b") for text in texts[MAX_READS:]] == ["store_down"] * 3
            assert many.bed.verdict(write("kr", "live", "0" * 12, "A" * 32)) == "unknown"
            assert many.lookups.totals["refused"] == 3
            many.keys.let_go.set()
            # More keys at once than are held: some may have had to go before they were decided on.
            assert {one.result(SECONDS) for one in asked} <= {"ok", "store_down"}
        assert many.bed.verdict(texts[-1], "a:b") == "ok"

    def test_a_fault_reaches_all_who_wait_and_the_next_one_reads_anew(self, many: Many) -> None:
        (text, *_) = many.texts()

        def faulty() -> None:
            raise RuntimeError("a fault of a store")

        many.keys.meanwhile = faulty
        for _ in range(2):
            with pytest.raises(RuntimeError, match="a fault of a store"):
                many.bed.verdict(text)
        many.keys.meanwhile = lambda: None
        assert many.bed.verdict(text, "a:b") == "ok"


class TestEventLoops:
    def test_only_what_has_to_be_read_waits(self, many: Many) -> None:
        waits = many.bed.verifier.waits
        assert not waits(many.held())
        assert not waits("")
        assert not waits("x")
        assert not waits(other(many.held()))
        assert not waits(write("kr", "live", "0" * 12, "A" * 32))
        assert all(waits(text) for text in many.texts())
        assert many.keys.reads == []

    def test_nothing_waits_where_all_keys_are_held(self, memory: Bed) -> None:
        _, text = memory.mint("a:b")
        assert not memory.verifier.waits(text)
        assert not memory.verifier.waits(write("kr", "live", "0" * 12, "A" * 32))

    def test_a_guard_serves_held_keys_while_the_store_pauses(self, many: Many) -> None:
        """On one event loop: the read of one key ends only after another key was served."""
        held, (text, *_) = many.held(), many.texts()
        many.keys.let_go.clear()
        guard = Guard(answer_ok, many.bed.verifier, [Row("GET", "/", READ)])

        async def both() -> list[int]:
            slow = asyncio.create_task(status(guard, text))
            await asyncio.to_thread(many.keys.started.acquire, timeout=SECONDS)
            quick = await status(guard, held)
            many.keys.let_go.set()
            return [quick, await slow]

        assert asyncio.run(both()) == [200, 200]


async def answer_ok(scope: object, receive: object, send: Callable[..., object]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def status(guard: Guard, text: str) -> int:
    sent: list[dict[str, int]] = []

    async def send(message: dict[str, int]) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    headers = [(b"authorization", f"Bearer {text}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    await guard(scope, receive, send)
    return sent[0]["status"]
