"""What a lake needs to start, and how it says what is wrong: exit code 78, one line, never a value."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from lake_bed import environment, make_store
from lake_process import run

from examples.log_lake.example import EXAMPLE
from examples.log_lake.service import Service, probe
from examples.log_lake.settings import DEFAULTS, MIB, Settings
from examples.log_lake.storage import Storage
from examples.run import prepared
from keyrack import ConfigurationError, Unavailable

README = Path(__file__).parents[3] / "examples" / "log_lake" / "README.md"
PEPPERS = {"KEYRACK_PEPPERS": "p1:" + secrets.token_hex(32)}


@pytest.mark.spec("LL-2")
def test_what_is_not_set_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.read(PEPPERS | dict.fromkeys(DEFAULTS.keys() - PEPPERS.keys(), "")) == Settings(
        storage_url="file:lake-data",
        key_store=f"file://{tmp_path}/lake-data",
        peppers=PEPPERS["KEYRACK_PEPPERS"],
        multi_tenant=False,
        poll_seconds=0.5,
        max_body=10 * MIB,
        flatten_depth=10,
        query_seconds=30,
        query_memory=256 * MIB,
        query_rows=100_000,
        basic_auth=False,
        trusted_proxies=(),
        nodes=1,
        limiter_url="sqlite:///lake-limiter.db",
    )


@pytest.mark.spec("LL-2")
@pytest.mark.parametrize(
    ("storage", "store"),
    [
        ("file:///data/lake", "file:///data/lake"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
    ],
)
def test_keys_live_where_events_do_unless_something_else_is_said(storage: str, store: str) -> None:
    assert Settings.read(PEPPERS | {"LAKE_STORAGE_URL": storage}).key_store == store
    other = PEPPERS | {"LAKE_STORAGE_URL": storage, "KEYRACK_STORE": "sqlite:///a.db"}
    assert Settings.read(other).key_store == "sqlite:///a.db"


WRONG = {
    "LAKE_STORAGE_URL": ["ftp://x", "file:", "s3:", "lake"],
    "KEYRACK_STORE": ["ftp://x"],
    "KEYRACK_PEPPERS": ["", "p1:short", "p1:" + "a" * 40, "nonsense"],
    "LAKE_MULTI_TENANT": ["yes", "ON", "1"],
    "LAKE_POLL_SECONDS": ["0", "-1", "nan", "6", "x"],
    "LAKE_MAX_BODY": ["99", "100000001", "10MiB", "1.5"],
    "LAKE_FLATTEN_DEPTH": ["0", "x"],
    "LAKE_QUERY_SECONDS": ["0", "301", "inf"],
    "LAKE_QUERY_MEMORY": ["0", "-1", "lots"],
    "LAKE_QUERY_ROWS": ["0", "x"],
    "LAKE_BASIC_AUTH": ["true"],
    "LAKE_TRUSTED_PROXIES": ["10.0.0.1/8", "proxy"],
    "LAKE_NODES": ["0", "x"],
    "LAKE_LIMITER_URL": ["ftp://x"],
}


@pytest.mark.spec("LL-2")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_wrong_value_is_named_and_never_quoted(tmp_path: Path, name: str, value: str) -> None:
    variables = environment(tmp_path) | {name: value}
    with pytest.raises(ConfigurationError) as error:
        Service.open(Settings.read(variables)).close()
    assert error.value.setting == name
    assert len(value) < 6 or value not in str(error.value)


@pytest.mark.spec("LL-2")
def test_every_variable_can_be_wrong_and_is_documented_with_its_default() -> None:
    assert set(WRONG) == set(DEFAULTS)
    rows = [line.split("|")[1:3] for line in README.read_text().splitlines() if line.startswith("| `")]
    documented = {name.strip().strip("`"): default.strip().strip("`") for name, default in rows}
    unset = {
        "KEYRACK_STORE": "the same storage",
        "KEYRACK_PEPPERS": "required",
        "LAKE_TRUSTED_PROXIES": "none",
    }
    assert {name: documented.get(name) for name in DEFAULTS} == {**DEFAULTS, **unset}


class Careless(Storage):
    """A storage that writes what is there already."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        self.put(path, data)
        return True


class Gone(Storage):
    """A storage that cannot be reached."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        raise Unavailable("The storage cannot be used.")


@pytest.mark.spec("LL-2")
@pytest.mark.parametrize("kind", [Careless, Gone])
def test_a_storage_on_which_two_writers_could_write_the_same_is_refused(
    tmp_path: Path, kind: type[Storage]
) -> None:
    good = Storage.open(f"file:{tmp_path}")
    probe(good)
    probe(good)
    with pytest.raises(ConfigurationError, match="LAKE_STORAGE_URL"):
        probe(kind(good.store, tmp_path))


@pytest.mark.spec("LL-61")
@pytest.mark.parametrize("url", ["sqlite:///limiter.db", "memory:", "SQLITE:///limiter.db"])
def test_several_nodes_need_a_limiter_that_they_share(url: str) -> None:
    variables = PEPPERS | {"LAKE_NODES": "2", "LAKE_LIMITER_URL": url}
    with pytest.raises(ConfigurationError, match="LAKE_LIMITER_URL"):
        Settings.read(variables)
    assert Settings.read(variables | {"LAKE_LIMITER_URL": "redis://localhost/0"}).nodes == 2


@pytest.mark.spec("LL-2")
def test_the_process_ends_with_78_and_one_line(tmp_path: Path) -> None:
    for changed in ({"LAKE_NODES": "none"}, {"KEYRACK_STORE": f"sqlite:///{tmp_path}/none.db"}):
        ended = run("serve", "--port", "0", environment=environment(tmp_path, **changed), folder=tmp_path)
        assert ended.returncode == 78
        assert ended.stderr.startswith(next(iter(changed)))
        assert len(ended.stderr.splitlines()) == 1


@pytest.mark.spec("LL-9")
@pytest.mark.parametrize("tenant", ["../default", "default/streams", "a" * 37])
def test_what_is_purged_is_a_tenant(tmp_path: Path, tenant: str) -> None:
    kept = tmp_path / "lake" / "default" / "streams" / "web" / "streams" / "kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    ended = run("purge", tenant, environment=environment(tmp_path), folder=tmp_path)
    assert ended.returncode == 2
    assert kept.exists()


@pytest.mark.spec("LL-12")
def test_a_root_key_is_shown_once_when_the_key_store_is_made(tmp_path: Path) -> None:
    variables = environment(tmp_path, KEYRACK_STORE=f"sqlite:///{tmp_path}/keys.db")
    assert make_store(variables).startswith("lake_live_")
    ended = run("init", environment=variables, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (78, "")


def test_what_the_example_is_given_suits_its_own_rules(tmp_path: Path) -> None:
    made: Any = prepared(EXAMPLE, tmp_path, {})
    assert set(made) <= set(DEFAULTS)
    assert Settings.read(made).multi_tenant
    assert made["KEYRACK_PEPPERS"] not in EXAMPLE.try_out(8123)
