"""Several processes on one directory and on one bucket: nothing acknowledged is lost, all keep in step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from objects_bed import BY
from objects_processes import decide, spawning, write
from patience import PATIENCE_SECONDS, soon
from servers.s3 import S3Server, running, s3_server, s3_url  # noqa: F401  # fixtures

from keyrack import Issuer, Wish
from keyrack.admin.audit import audit
from keyrack.admin.founding import found
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind
from keyrack.stores.urls import open_stores
from keyrack.tenancy import Tenants
from keyrack.testing import PEPPERS

WRITERS, TIMES = 3, 6
MAX_STALE = 2.0


@pytest.fixture(params=["directory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found_at: str = (
        f"file://{tmp_path}/keys" if request.param == "directory" else request.getfixturevalue("s3_url")
    )
    return found_at


def made(url: str) -> Stores:
    """A new store, whose nodes may be stale for two seconds."""
    stores = open_stores(url, peppers=PEPPERS, create=True)
    found(stores, max_stale=MAX_STALE)
    return stores


@contextmanager
def process(work: Any, *args: object) -> Iterator[Any]:
    """A process that tells things; the near end of its pipe."""
    here, there = spawning.Pipe()
    child = spawning.Process(target=work, args=(*args, there), daemon=True)
    child.start()
    try:
        yield here
    finally:
        here.close()
        child.join(PATIENCE_SECONDS)
        child.kill()


def heard(pipe: Any) -> Any:
    assert pipe.poll(PATIENCE_SECONDS), "the process says nothing"
    return pipe.recv()


def acknowledged(pipe: Any) -> list[tuple[str, int]]:
    """All that a writer was told."""
    told = []
    while (one := heard(pipe)) is not None:
        told.append(one)
    return told


@pytest.mark.spec("LL-46", "LL-49")
def test_writers_of_several_processes_lose_nothing_and_keep_the_chain(url: str) -> None:
    with closing(made(url)) as stores:
        pipes = [process(write, url, f"writer{number}", TIMES) for number in range(WRITERS)]
        with pipes[0] as first, pipes[1] as second, pipes[2] as third:
            told = [one for pipe in (first, second, third) for one in acknowledged(pipe)]
        assert len(told) == WRITERS * TIMES * 2
        assert len({revision for _, revision in told}) == len(told), "each change has its own event"
        latest = dict(sorted(told, key=lambda one: one[1]))
        for key_id, revision in latest.items():
            record = stores.keys.record(Kind.KEY, key_id)
            assert record is not None
            assert record.revision == revision
        checked = audit(stores)
        assert checked.fault is None
        assert (checked.events, checked.records) == (len(told) + 2, WRITERS * TIMES + 1)


@pytest.mark.spec("LL-54", "LL-57")
def test_what_one_process_takes_back_another_refuses_within_the_bound(url: str) -> None:
    with closing(made(url)) as stores:
        soon(lambda: refused_after(stores), within=MAX_STALE)


def refused_after(stores: Stores) -> float:
    """The most seconds that another process took to refuse what was taken back here."""
    issuer, tenants = Issuer(stores), Tenants(stores)
    kept, revoked, disabled = [
        issuer.mint(Wish(name, scopes=("a:b",)), by=BY) for name in ("kept", "revoked", "disabled")
    ]
    texts = [str(one.secret) for one in (kept, revoked, disabled)]
    with process(decide, stores.url, texts) as node:
        _until(node, ["ok", "ok", "ok"])
        issuer.revoke(revoked.key.id, by=BY)
        taken = [_until(node, ["ok", "revoked", "ok"])]
        issuer.disable(disabled.key.id, by=BY)
        taken.append(_until(node, ["ok", "revoked", "disabled"]))
        tenants.suspend("default", "workspace", by=BY)
        taken.append(_until(node, ["suspended", "revoked", "disabled"]))
    tenants.resume("default", "workspace", by=BY)
    return max(taken)


@pytest.mark.spec("LL-54")
def test_a_process_whose_directory_is_gone_refuses_everything_and_comes_back_with_it(tmp_path: Path) -> None:
    root = tmp_path / "keys"
    with closing(made(f"file://{root}")) as stores:
        text = str(Issuer(stores).mint(Wish("n", scopes=("a:b",)), by=BY).secret)
        with process(decide, f"file://{root}", [text]) as node:
            _until(node, ["ok"])
            root.rename(tmp_path / "away")
            _until(node, ["stale"])
            assert not root.exists(), "nobody made it anew"
            (tmp_path / "away").rename(root)
            _until(node, ["ok"])


@pytest.mark.spec("LL-54")
def test_a_process_whose_bucket_is_cut_off_refuses_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{server.make_bucket()}"
        with closing(made(url)) as stores:
            text = str(Issuer(stores).mint(Wish("n", scopes=("a:b",)), by=BY).secret)
            with process(decide, url, [text]) as node:
                _until(node, ["ok"])
                server.stop()
                _until(node, ["stale"])


def _until(node: Any, expected: list[str]) -> float:
    """The seconds until a node says so."""
    begun = time.monotonic()
    while heard(node) != expected:
        pass
    return time.monotonic() - begun
