"""Settings: read from the environment, overridden by what is given, refused by name and never by value."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from keyrack import pepper_file
from keyrack.core.errors import ConfigurationError
from keyrack.settings import Settings, variable
from keyrack.stores.urls import public_url

STRONG = "aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"
PEPPERS = f"p1:{STRONG}"


def test_without_an_environment_every_default_is_the_documented_one() -> None:
    settings = Settings.read({})
    assert settings.store == "sqlite:///keyrack.db"
    assert (settings.counters, settings.counters_down) == (None, "closed")
    assert (settings.max_stale, settings.poll, settings.replica_max_keys) == (None, 0.5, None)
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert (settings.internal, settings.dev, settings.key) == (None, False, None)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("store", "memory:", "memory:"),
        ("counters", "memory:", "memory:"),
        ("counters_down", "open", "open"),
        ("peppers", PEPPERS, PEPPERS),
        ("max_stale", "2.5", 2.5),
        ("poll", "0.1", 0.1),
        ("key", "kr_live_x", "kr_live_x"),
        ("host", "0.0.0.0", "0.0.0.0"),
        ("port", "0", 0),
        ("workers", "4", 4),
        ("replica_max_keys", "10000", 10_000),
        ("internal", "[::1]:9090", ("::1", 9090)),
        ("dev", "On", True),
    ],
)
def test_each_setting_is_read_from_the_variable_of_its_name(name: str, text: str, value: object) -> None:
    assert getattr(Settings.read({variable(name): text}), name) == value


def test_every_setting_has_a_variable_that_is_read() -> None:
    for field in fields(Settings):
        with pytest.raises(ConfigurationError, match=f"^{variable(field.name)}: ") as caught:
            Settings.read({variable(field.name): "\0"})
        assert caught.value.setting == variable(field.name)


def test_trusted_proxies_are_networks_joined_by_commas() -> None:
    settings = Settings.read({"KEYRACK_TRUSTED_PROXIES": "10.0.0.0/8, ::1/128"})
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_what_is_given_comes_before_the_environment_and_an_empty_variable_is_unset() -> None:
    environ = {"KEYRACK_PORT": "9000", "KEYRACK_HOST": ""}
    settings = Settings.read(environ, port=9001, host=None, dev=True)
    assert (settings.port, settings.host, settings.dev) == (9001, "127.0.0.1", True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("counters_down", "ajar"),
        ("peppers", "p1:tooshort"),
        ("peppers", STRONG),
        ("max_stale", "nan"),
        ("max_stale", "-1"),
        ("poll", "inf"),
        ("poll", "soon"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("policy", "/nowhere/policy.toml"),
        ("port", "65536"),
        ("workers", "0"),
        ("replica_max_keys", "-2"),
        ("replica_max_keys", "all"),
        ("internal", "9090"),
        ("dev", "perhaps"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_setting_and_never_quoted(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.read({variable(name): text})
    assert caught.value.setting == variable(name)
    assert text not in str(caught.value)


def test_a_node_that_polls_more_rarely_than_it_may_be_stale_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="KEYRACK_POLL"):
        Settings.read({"KEYRACK_MAX_STALE": "1", "KEYRACK_POLL": "1"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_dev_binds_to_loopback_only(host: str) -> None:
    with pytest.raises(ConfigurationError, match="KEYRACK_HOST"):
        Settings.read({"KEYRACK_HOST": host, "KEYRACK_DEV": "on"})
    assert Settings.read({"KEYRACK_HOST": "localhost", "KEYRACK_DEV": "on"}).dev


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "example.org"])
def test_dev_answers_proxies_on_loopback_only(host: str) -> None:
    with pytest.raises(ConfigurationError, match="KEYRACK_INTERNAL"):
        Settings.read({"KEYRACK_INTERNAL": f"{host}:9091", "KEYRACK_DEV": "on"})
    assert Settings.read({"KEYRACK_INTERNAL": "[::1]:9091", "KEYRACK_DEV": "on"}).dev


def test_two_listeners_of_one_port_are_refused_since_the_port_tells_them_apart() -> None:
    listeners = {"KEYRACK_HOST": "192.0.2.1", "KEYRACK_PORT": "9090"}
    with pytest.raises(ConfigurationError, match="KEYRACK_INTERNAL"):
        Settings.read({**listeners, "KEYRACK_INTERNAL": "127.0.0.1:9090"})
    assert Settings.read({**listeners, "KEYRACK_INTERNAL": "127.0.0.1:9091"}).internal
    assert Settings.read({"KEYRACK_PORT": "0", "KEYRACK_INTERNAL": "127.0.0.1:0"}).internal


def test_the_policy_is_read_from_the_file_that_its_setting_names(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('prefixes = ["acme"]\n[presets]\ningest = ["streams/*:ingest"]\n')
    policy = Settings.read({"KEYRACK_POLICY": str(path)}).policy
    assert policy.prefixes == ("acme",)
    assert policy.presets == {"ingest": ("streams/*:ingest",)}


def test_no_repr_shows_a_secret() -> None:
    shown = repr(Settings.read({"KEYRACK_PEPPERS": PEPPERS, "KEYRACK_KEY": "kr_live_text"}))
    assert STRONG not in shown
    assert "kr_live_text" not in shown


def test_peppers_are_made_once_for_their_owner_alone_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keyrack.peppers"
    assert pepper_file.make(path)
    first = pepper_file.read(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not pepper_file.make(path)
    assert pepper_file.read(path) == first
    assert [one.name for one in tmp_path.iterdir()] == ["keyrack.peppers"]


def test_peppers_that_others_may_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyrack.peppers"
    pepper_file.make(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        pepper_file.read(path)


def test_damaged_peppers_are_refused_without_being_quoted(tmp_path: Path) -> None:
    path = tmp_path / "keyrack.peppers"
    path.write_text(STRONG)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        pepper_file.read(path)
    assert STRONG not in str(caught.value)


def test_peppers_that_cannot_be_kept_are_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KEYRACK_PEPPERS"):
        pepper_file.make(tmp_path / "nowhere" / "keyrack.peppers")


def test_a_store_is_opened_with_the_peppers_that_are_set_before_those_in_its_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/keyrack.db"
    pepper_file.make(tmp_path / "keyrack.peppers")
    stored = pepper_file.with_peppers(Settings.read({}, store=url)).peppers
    assert stored == pepper_file.read(tmp_path / "keyrack.peppers")
    assert pepper_file.with_peppers(Settings.read({}, store=url, peppers=PEPPERS)).peppers == PEPPERS


def test_missing_peppers_are_made_only_on_the_default_file_or_in_dev() -> None:
    assert pepper_file.may_make(Settings.read({}))
    assert pepper_file.may_make(Settings.read({}, store="sqlite:///other.db", dev=True))
    assert not pepper_file.may_make(Settings.read({}, store="sqlite:///other.db"))
    assert not pepper_file.may_make(Settings.read({}, peppers=PEPPERS))


def test_keys_in_the_environment_have_passing_peppers_in_dev() -> None:
    assert pepper_file.with_peppers(Settings.read({}, store="env:", dev=True)).peppers
    assert pepper_file.with_peppers(Settings.read({}, store="env:")).peppers is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///keyrack.db", "sqlite:///keyrack.db"),
        ("memory:", "memory:"),
        ("postgresql://keyrack:pa/s@s@db:5432/keys", "postgresql://…@db:5432/keys"),
        ("s3://bucket/prefix?secret_access_key=text", "s3://bucket/prefix"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret_in_it(url: str, shown: str) -> None:
    assert public_url(url) == shown
    assert url not in repr(Settings.read({}, store=url, counters=url))
