"""Several processes on one store: what one of them does, all of them know; and how each of them ends."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from patience import PATIENCE_SECONDS, eventually, soon
from server_bed import Caller, Founded, make_store
from server_process import Running, serving, start, stop
from server_workers import each_worker, process_ids, workers
from servers.ports import free_port

from keyrack import open_stores
from keyrack.stores.follower import steady
from keyrack.stores.journal import Node
from keyrack.testing import PEPPERS
from keyrack.upkeep import SETTLE_SECONDS

LIMIT = {"name": "minute", "limit": 10, "window_seconds": 60}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "keyrack.db"


@pytest.fixture(scope="module")
def founded(store: Path) -> Founded:
    return make_store(store.parent)


@pytest.fixture(scope="module")
def two(founded: Founded, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of two workers."""
    settings = founded.settings | {"KEYRACK_WORKERS": "2", "KEYRACK_INTERNAL": "127.0.0.1:0"}
    with serving(settings, tmp_path_factory.mktemp("home")) as running:
        workers(store, 2)
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Founded:
    """A store for a test that ends its server."""
    return make_store(tmp_path)


def uses(founded: Founded, key_id: str) -> int:
    stores = open_stores(founded.url, peppers=PEPPERS)
    try:
        return sum(use.uses for use in stores.journal.uses([key_id]).values())
    finally:
        stores.close()


class TestTwoWorkers:
    """Two processes answer at one port."""

    def test_a_key_is_usable_on_every_worker_when_its_minting_is_answered(
        self, two: Running, founded: Founded, store: Path
    ) -> None:
        with each_worker(two, workers(store, 2)) as (one, other):
            for _ in range(30):
                began = time.monotonic()
                _, minted = one("POST", "/v1/keys", founded.root, {"name": "k"})
                # A change waits for the other nodes, but not for ever for one that stands still.
                has_settled = time.monotonic() - began < SETTLE_SECONDS
                assert other("GET", "/v1/me", minted["secret"])[0] == 200 or not has_settled

    def test_a_revocation_on_one_worker_is_obeyed_by_the_other_within_a_second(
        self, two: Running, founded: Founded, store: Path, record_property: pytest.RecordProperty
    ) -> None:
        with each_worker(two, workers(store, 2)) as (one, other):

            def refused_after() -> float:
                _, minted = one("POST", "/v1/keys", founded.root, {"name": "k"})
                eventually(lambda: other("GET", "/v1/me", minted["secret"])[0] == 200)
                asked_at = time.monotonic()
                status, _ = one("POST", f"/v1/keys/{minted['key']['id']}/revoke", founded.root)
                assert status == 200
                eventually(lambda: other("GET", "/v1/me", minted["secret"])[0] == 401)
                return time.monotonic() - asked_at

            delays = [soon(refused_after, within=1.0) for _ in range(20)]
        record_property("seconds_until_refused_everywhere", max(delays))

    @pytest.mark.spec("UG-29")
    def test_a_network_that_one_worker_blocks_is_refused_by_the_other_within_two_seconds(
        self, two: Running, founded: Founded, store: Path
    ) -> None:
        with each_worker(two, workers(store, 2)) as (one, other):
            question = {"key": founded.root, "ip": "203.0.113.9"}

            def code() -> str:
                found: str = other("POST", "/v1/verify", founded.root, question)[1]["code"]
                return found

            def refused_after() -> float:
                eventually(lambda: code() == "ok")
                asked_at = time.monotonic()
                _, made = one("POST", "/v1/network-blocks", founded.root, {"cidr": "203.0.113.0/24"})
                eventually(lambda: code() == "ip_denied")
                taken = time.monotonic() - asked_at
                assert one("DELETE", f"/v1/network-blocks/{made['id']}", founded.root)[0] == 204
                return taken

            soon(refused_after, within=2.0)

    def test_a_revocation_that_waits_is_answered_once_all_workers_obey(
        self, two: Running, founded: Founded, store: Path
    ) -> None:
        with each_worker(two, workers(store, 2)) as (one, other):

            def answered_after() -> float:
                _, minted = one("POST", "/v1/keys", founded.root, {"name": "k"})
                asked_at = time.monotonic()
                one("POST", f"/v1/keys/{minted['key']['id']}/revoke", founded.root, {"wait": True})
                assert other("GET", "/v1/me", minted["secret"])[0] == 401
                return time.monotonic() - asked_at

            for _ in range(5):
                soon(answered_after, within=5)  # long before the end of max_stale

    def test_every_worker_knows_the_internal_listener_by_its_port(self, two: Running, store: Path) -> None:
        workers(store, 2)
        for _ in range(20):  # a connection each
            assert httpx.get(f"{two.internal_url}/readyz").status_code == 200
            assert httpx.get(f"{two.url}/readyz").status_code == 401

    @pytest.mark.parametrize("operation", ["disable", "rotation"])
    def test_every_other_change_is_known_likewise(
        self, two: Running, founded: Founded, store: Path, operation: str
    ) -> None:
        with each_worker(two, workers(store, 2)) as (one, other):
            _, minted = one("POST", "/v1/keys", founded.root, {"name": "k"})
            _, changed = one("POST", f"/v1/keys/{minted['key']['id']}/{operation}", founded.root)
            text = changed.get("secret", minted["secret"])
            eventually(lambda: other("GET", "/v1/me", text)[0] == (401 if operation == "disable" else 200))

    def test_one_limit_is_one_limit(self, two: Running, founded: Founded, store: Path) -> None:
        with each_worker(two, workers(store, 2)) as both:
            _, minted = both[0]("POST", "/v1/keys", founded.root, {"name": "k", "limits": [LIMIT]})
            statuses = [both[n % 2]("GET", "/v1/me", minted["secret"])[0] for n in range(16)]
        assert statuses == [200] * 10 + [429] * 6

    def test_metrics_are_summed_over_the_workers(self, two: Running, founded: Founded, store: Path) -> None:
        def malformed(worker: httpx.Client) -> float:
            text = worker.get("/metrics").text
            found = re.search(r'^keyrack_decisions_total\{outcome="malformed"\} (\S+)', text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        with two.client(founded.root) as client:
            before = malformed(client)
            with each_worker(two, workers(store, 2)) as both:
                for worker in both:
                    worker("GET", "/v1/me", "nonsense")
            eventually(lambda: malformed(client) == before + 2)

    def test_a_worker_that_dies_is_replaced_and_its_metrics_do_not_stand_still(
        self, two: Running, founded: Founded, store: Path
    ) -> None:
        victim, survivor = workers(store, 2)
        os.kill(victim, signal.SIGKILL)
        replaced = set(
            eventually(lambda: len(pids := process_ids(store)) == 2 and victim not in pids and pids)
        )
        assert survivor in replaced
        with two.client(founded.root) as client:
            head = Caller(client).mint("logs:read")["revision"]

            def log_number() -> float:
                text = client.get("/metrics").text
                (found,) = re.findall(r"^keyrack_log_number (\S+)", text, re.MULTILINE)
                return float(found)

            eventually(lambda: log_number() >= head)


def test_workers_are_told_what_the_command_line_says(own: Founded, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    options = ("--store", own.url, "--workers", "2", "--host", "127.0.0.1", "--port", "0")
    with serving({"KEYRACK_PEPPERS": PEPPERS}, home, *options) as running:
        workers(tmp_path / "keyrack.db", 2)
        with running.client(own.root) as client:
            assert client.get("/v1/me").status_code == 200


def test_a_worker_that_cannot_start_says_why_and_the_others_serve_on(own: Founded, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('environments = ["live"]')
    settings = own.settings | {"KEYRACK_WORKERS": "2", "KEYRACK_POLICY": str(policy)}
    with serving(settings, tmp_path) as running:
        victim, _ = workers(tmp_path / "keyrack.db", 2)
        policy.write_text("environments = 7")
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: "this worker cannot start: KEYRACK_POLICY" in running.output)
        with running.client(own.root) as client:
            assert client.get("/v1/me").status_code == 200
        policy.write_text('environments = ["live"]')
        workers(tmp_path / "keyrack.db", 2)
        assert "Traceback" not in running.output


class TestEnding:
    """Signals of every kind."""

    @pytest.mark.parametrize("count", ["1", "2"])
    def test_a_kind_signal_ends_all_within_10_seconds_and_loses_no_use(
        self, own: Founded, tmp_path: Path, count: str
    ) -> None:
        def ended_after() -> float:
            with serving(own.settings | {"KEYRACK_WORKERS": count}, tmp_path) as running:
                with running.client(own.root) as client:
                    key = Caller(client).mint("logs:read")
                for _ in range(40):  # a connection each, so that every worker gets some
                    with running.client(own.root) as client:
                        eventually(lambda: Caller(client).verify(key["secret"])["valid"])
                asked_at = time.monotonic()
                running.signal(signal.SIGTERM)
                running.wait()
                took = time.monotonic() - asked_at
                assert "Traceback" not in running.output
            assert uses(own, key["id"]) == 40
            assert process_ids(tmp_path / "keyrack.db") == set()
            return took

        soon(ended_after, within=10)

    def test_a_revocation_that_waits_for_a_node_does_not_hold_up_the_end(
        self, own: Founded, tmp_path: Path
    ) -> None:
        with serving(own.settings, tmp_path) as running, running.client(own.root) as client:
            key = Caller(client).mint("logs:read")
            stores = open_stores(own.url, peppers=PEPPERS)
            stores.journal.renew(Node("silent", 0, b"", steady()))
            stores.close()
            answers: list[httpx.Response | httpx.HTTPError] = []

            def revoke() -> None:
                try:
                    answers.append(client.post(f"/v1/keys/{key['id']}/revoke", json={"wait": True}))
                except httpx.HTTPError as error:
                    answers.append(error)

            waiting = threading.Thread(target=revoke)
            waiting.start()
            with running.client(key["secret"]) as holder:
                eventually(lambda: holder.get("/v1/me").status_code == 401)
            running.signal(signal.SIGTERM)
            running.wait(25)  # less than max_stale
            waiting.join()
        (answer,) = answers
        assert isinstance(answer, httpx.HTTPError) or answer.status_code == 503

    @pytest.mark.parametrize("count", ["1", "2"])
    def test_after_everything_was_killed_it_starts_again_on_the_same_port(
        self, own: Founded, tmp_path: Path, count: str
    ) -> None:
        settings = own.settings | {"KEYRACK_WORKERS": count, "KEYRACK_PORT": str(free_port())}
        with serving(settings, tmp_path) as running:
            with running.client(own.root) as client:
                key = Caller(client).mint("logs:read")
            running.signal(signal.SIGKILL)
            running.wait()
        with serving(settings, tmp_path) as again, again.client(key["secret"]) as holder:
            assert holder.get("/v1/me").status_code == 200

    def test_workers_whose_supervisor_was_killed_give_the_port_back(
        self, own: Founded, tmp_path: Path
    ) -> None:
        settings = own.settings | {"KEYRACK_WORKERS": "2", "KEYRACK_PORT": str(free_port())}
        first = start(settings, tmp_path)
        try:
            first.wait_until_it_serves()
            workers(tmp_path / "keyrack.db", 2)
            first.signal(signal.SIGKILL, group=False)
            first.process.wait(PATIENCE_SECONDS)
            with serving(settings, tmp_path) as again:
                with again.client(own.root) as client:
                    assert client.get("/v1/me").status_code == 200
                eventually(lambda: len(process_ids(tmp_path / "keyrack.db")) == 2)
        finally:
            stop(first)

    def test_nodes_of_killed_processes_delay_a_change_by_a_second_at_most(
        self, own: Founded, tmp_path: Path
    ) -> None:
        with serving(own.settings, tmp_path) as running:
            running.signal(signal.SIGKILL)
            running.wait()
        with serving(own.settings, tmp_path) as again, again.client(own.root) as client:

            def minted_after() -> float:
                asked_at = time.monotonic()
                Caller(client).mint("logs:read")
                return time.monotonic() - asked_at

            soon(minted_after, within=5)
        with closing(sqlite3.connect(tmp_path / "keyrack-journal.db")) as journal:
            assert len(journal.execute("SELECT id FROM nodes").fetchall()) == 1, (
                "the killed one never retires"
            )
