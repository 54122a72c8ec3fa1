"""A server that is told something wrong does not start: exit code 78, one line that names the setting."""

from __future__ import annotations

import socket
import sqlite3
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from server_bed import Founded, make_store
from server_process import refused, serving
from session_bed import M2, ONE, master_key

from keyrack import open_stores
from keyrack.sessions.keys import SigningKeys
from keyrack.testing import PEPPERS
from keyrack.vault.secrets import Vault

OTHER_TEXT = "zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"
SECRET = "hunter2hunter2hunter2hunter2hunter2"
"""Stands wherever a value could be quoted."""
WEAK = b64encode(SECRET[:32].encode()).decode()


class Place(NamedTuple):
    """Where a server is started."""

    founded: Founded
    folder: Path

    def written(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(make_store(tmp_path), tmp_path)


def empty_store(place: Place) -> str:
    url = f"sqlite:///{place.folder / 'empty.db'}"
    open_stores(url, peppers=PEPPERS, create=True).close()
    return url


def sealed_store(place: Place) -> str:
    """The store, with a signing key in it that is sealed under the first master key."""
    with closing(open_stores(place.founded.url, peppers=PEPPERS)) as stores:
        SigningKeys(stores, Vault(ONE)).renew()
    return place.founded.url


Wrong = Callable[[Place], dict[str, str | None]]
WRONG: dict[str, tuple[str, Wrong]] = {
    "no peppers": ("KEYRACK_PEPPERS", lambda place: {"KEYRACK_PEPPERS": None}),
    "empty peppers": ("KEYRACK_PEPPERS", lambda place: {"KEYRACK_PEPPERS": ""}),
    "a weak pepper": ("KEYRACK_PEPPERS", lambda place: {"KEYRACK_PEPPERS": f"p1:{'a' * 40}"}),
    "a short pepper": ("KEYRACK_PEPPERS", lambda place: {"KEYRACK_PEPPERS": f"p1:{SECRET[:31]}"}),
    "a pepper without an id": ("KEYRACK_PEPPERS", lambda place: {"KEYRACK_PEPPERS": SECRET}),
    "another pepper of that id": (
        "KEYRACK_PEPPERS",
        lambda place: {"KEYRACK_PEPPERS": f"p1:{OTHER_TEXT}"},
    ),
    "another pepper": ("KEYRACK_PEPPERS", lambda place: {"KEYRACK_PEPPERS": f"p2:{OTHER_TEXT}"}),
    "a weak master key": ("KEYRACK_MASTER_KEYS", lambda place: {"KEYRACK_MASTER_KEYS": f"m1:{WEAK}"}),
    "a master key that is no base64": (
        "KEYRACK_MASTER_KEYS",
        lambda place: {"KEYRACK_MASTER_KEYS": f"m1:{SECRET}"},
    ),
    "a master key without an id": ("KEYRACK_MASTER_KEYS", lambda place: {"KEYRACK_MASTER_KEYS": SECRET}),
    "no master key for what is sealed": (
        "KEYRACK_MASTER_KEYS",
        lambda place: {"KEYRACK_STORE": sealed_store(place)},
    ),
    "another master key than what is sealed needs": (
        "KEYRACK_MASTER_KEYS",
        lambda place: {"KEYRACK_STORE": sealed_store(place), "KEYRACK_MASTER_KEYS": M2},
    ),
    "another master key of that id": (
        "KEYRACK_MASTER_KEYS",
        lambda place: {
            "KEYRACK_STORE": sealed_store(place),
            "KEYRACK_MASTER_KEYS": master_key("m1", "other"),
        },
    ),
    "a store that is not there": (
        "KEYRACK_STORE",
        lambda place: {"KEYRACK_STORE": f"sqlite:///{place.folder / 'nothing.db'}"},
    ),
    "a folder for a store": ("KEYRACK_STORE", lambda place: {"KEYRACK_STORE": f"sqlite:///{place.folder}"}),
    "an empty store": ("KEYRACK_STORE", lambda place: {"KEYRACK_STORE": empty_store(place)}),
    "an unknown kind of store": (
        "KEYRACK_STORE",
        lambda place: {"KEYRACK_STORE": f"mongodb://u:{SECRET}@h/x"},
    ),
    "no url": ("KEYRACK_STORE", lambda place: {"KEYRACK_STORE": SECRET}),
    "a server for a store": ("KEYRACK_STORE", lambda place: {"KEYRACK_STORE": f"https://{SECRET}.example"}),
    "an unknown kind of counters": (
        "KEYRACK_COUNTERS",
        lambda place: {"KEYRACK_COUNTERS": f"memcached://u:{SECRET}@h"},
    ),
    "a word for counters that are down": (
        "KEYRACK_COUNTERS_DOWN",
        lambda place: {"KEYRACK_COUNTERS_DOWN": "ajar"},
    ),
    "a policy that is not there": (
        "KEYRACK_POLICY",
        lambda place: {"KEYRACK_POLICY": str(place.folder / "nothing.toml")},
    ),
    "a policy that is no TOML": (
        "KEYRACK_POLICY",
        lambda place: {"KEYRACK_POLICY": place.written("p.toml", "= = =")},
    ),
    "a policy with an unknown member": (
        "KEYRACK_POLICY",
        lambda place: {"KEYRACK_POLICY": place.written("p.toml", "colour = 'red'")},
    ),
    "a policy with a bad scope": (
        "KEYRACK_POLICY",
        lambda place: {"KEYRACK_POLICY": place.written("p.toml", '[presets]\nx = ["y"]')},
    ),
    "no number of workers": ("KEYRACK_WORKERS", lambda place: {"KEYRACK_WORKERS": "many"}),
    "no workers": ("KEYRACK_WORKERS", lambda place: {"KEYRACK_WORKERS": "0"}),
    "no port": ("KEYRACK_PORT", lambda place: {"KEYRACK_PORT": "70000"}),
    "no host": ("KEYRACK_HOST", lambda place: {"KEYRACK_HOST": "no such host"}),
    "a host that is not here": ("KEYRACK_PORT", lambda place: {"KEYRACK_HOST": "192.0.2.77"}),
    "an internal listener without a port": (
        "KEYRACK_INTERNAL",
        lambda place: {"KEYRACK_INTERNAL": "localhost"},
    ),
    "no network": ("KEYRACK_TRUSTED_PROXIES", lambda place: {"KEYRACK_TRUSTED_PROXIES": "10.0.0.0/8, x"}),
    "a poll that is too slow": (
        "KEYRACK_POLL",
        lambda place: {"KEYRACK_POLL": "30", "KEYRACK_MAX_STALE": "30"},
    ),
    "a staleness of nothing": ("KEYRACK_MAX_STALE", lambda place: {"KEYRACK_MAX_STALE": "0"}),
    "a switch that is neither": ("KEYRACK_DEV", lambda place: {"KEYRACK_DEV": "maybe"}),
    "dev beyond this machine": (
        "KEYRACK_HOST",
        lambda place: {"KEYRACK_DEV": "on", "KEYRACK_HOST": "0.0.0.0"},
    ),
}


def settings(place: Place, wrong: dict[str, str | None]) -> dict[str, str]:
    given = place.founded.settings | {"KEYRACK_PORT": "0"} | wrong
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("name", WRONG)
def test_it_does_not_start_and_says_why_in_one_line(place: Place, name: str) -> None:
    setting, wrong = WRONG[name]
    given = settings(place, wrong(place))
    before = sorted(path.name for path in place.folder.iterdir())
    ended = refused(given, place.folder)
    assert (ended.returncode, ended.stdout) == (78, "")
    (line,) = ended.stderr.strip().splitlines()
    assert setting in line
    for secret in (SECRET, OTHER_TEXT, PEPPERS.partition(":")[2], "a" * 40):
        assert secret not in ended.stderr
    after = sorted(path.name for path in place.folder.iterdir() if path.suffix not in (".db-wal", ".db-shm"))
    assert set(after) - set(before) <= {"keyrack-journal.db"}


def test_a_port_that_is_in_use_is_named_by_its_setting(place: Place) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        for setting, value in (("KEYRACK_PORT", port), ("KEYRACK_INTERNAL", f"127.0.0.1:{port}")):
            ended = refused(settings(place, {setting: value}), place.folder)
            assert ended.returncode == 78
            (line,) = ended.stderr.strip().splitlines()
            assert line.startswith(f"keyrack: {setting}: cannot be listened on")


def test_a_port_that_another_server_has_is_in_use(place: Place) -> None:
    with serving(place.founded.settings, place.folder) as running:
        port = running.url.rpartition(":")[2]
        assert refused(settings(place, {"KEYRACK_PORT": port}), place.folder).returncode == 78


def test_two_listeners_cannot_share_a_port_on_different_hosts(place: Place) -> None:
    """Which of them a request came to is told by its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    given = settings(place, {"KEYRACK_PORT": port, "KEYRACK_INTERNAL": f"127.0.0.2:{port}"})
    ended = refused(given, place.folder)
    assert ended.returncode == 78
    assert "KEYRACK_INTERNAL" in ended.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_that_does_not_authenticate_is_not_served(place: Place, workers: str) -> None:
    with closing(sqlite3.connect(place.folder / "keyrack.db")) as database:
        database.execute("UPDATE records SET body = replace(body, 'root', 'boot')")
        database.commit()
    ended = refused(settings(place, {"KEYRACK_WORKERS": workers}), place.folder)
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
