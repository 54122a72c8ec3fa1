"""The first commit of a store, and keys from the environment: read strictly, and brought in once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engine_bed import OPERATOR, Bed, opened

from keyrack import Policy, StaticKeys, Verifier
from keyrack.admin.founding import found, import_static, static_callers
from keyrack.core.credential import write
from keyrack.core.errors import ConfigurationError
from keyrack.core.events import EventKind, open_entry
from keyrack.core.model import Key
from keyrack.stores.protocols import Excerpt, Listing
from keyrack.stores.static import StaticCaller, read_variable, static_id
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

POLICY = Policy(presets={"reader": ("logs:read",), "writer": ("logs:write",)})
TABLE = StaticKeys({"bot": ("BOT_KEY", "reader"), "job": ("JOB_KEY", "writer")}, required=("bot",))
ONE = "nT3kQz0yV5mX8bL1pR7wJ2hF9cD4gS6aE0uI5oYtKrM="
TWO = "Zp8Vd1Qs6Xn3Ka9Wt4Fh7Lc2Gy5Jm0Rb8Ue1Oi6Ts3N="
THREE = "aQ9sW2dE4fR6gT8hY1jU3kI5lO7zP0xCvBnM-qAzWsX="
WEAK = "nT3kQz0yV5mX8bL1pR7wJ2hF9cD4gS6"


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("BOT_KEY", "BOT_KEY_PREVIOUS", "JOB_KEY", "JOB_KEY_PREVIOUS", "LIST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BOT_KEY", ONE)
    return monkeypatch


def kinds(bed: Bed) -> list[str]:
    entries = bed.stores.keys.entries(Excerpt(most=100))
    return [open_entry(entry, bed.stores.peppers)[0].kind.value for entry in entries]


def test_a_store_is_founded_once(tmp_path: Path) -> None:
    stores = open_stores(f"sqlite:///{tmp_path / 'keys.db'}", peppers=PEPPERS, create=True)
    assert found(stores, max_stale=7.5) is True
    assert found(stores, max_stale=1.0) is False
    first, second = stores.keys.entries(Excerpt())
    event, _ = open_entry(first, stores.peppers)
    assert (event.kind, event.actor, event.data) == (
        EventKind.STORE_CREATED,
        "operator:init",
        {"max_stale": 7.5},
    )
    tenant, _ = open_entry(second, stores.peppers)
    assert (tenant.kind, tenant.subject) == (EventKind.TENANT_CREATED, "default")
    stores.close()


@pytest.mark.spec("CO-22")
def test_keys_are_brought_in_once_and_stay_as_the_store_has_them(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ.setenv("JOB_KEY", TWO)
    with opened("sqlite", folder=tmp_path, policy=POLICY, static=TABLE) as bed:
        assert [bed.verdict(text, "logs:read") for text in (ONE, TWO)] == ["ok", "scope"]
        keys, _ = bed.issuer.find(Listing(), by=OPERATOR)
        assert {key.name: (key.owner, key.preset, key.created_by) for key in keys} == {
            "bot": ("bot", "reader", "service:environment"),
            "job": ("job", "writer", "service:environment"),
        }
        assert kinds(bed)[2:] == ["key.imported", "key.imported"]
        bot = next(key for key in keys if key.name == "bot")
        bed.issuer.revoke(bot.id, by=OPERATOR)
    with opened("sqlite", folder=tmp_path, policy=POLICY, static=TABLE) as bed:
        assert [bed.verdict(text) for text in (ONE, TWO)] == ["revoked", "ok"]
        assert kinds(bed)[2:] == ["key.imported", "key.imported", "key.revoked"]
    environ.delenv("JOB_KEY")
    with opened("sqlite", folder=tmp_path, policy=POLICY, static=TABLE) as bed:
        assert bed.verdict(TWO) == "ok"


def test_a_variable_that_changed_after_the_import_stops_the_start(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with opened("sqlite", folder=tmp_path, policy=POLICY, static=TABLE) as bed:
        url = bed.stores.url
    environ.setenv("BOT_KEY", TWO)
    with pytest.raises(ConfigurationError, match=r"BOT_KEY: differs .* rotate this key in the store"):
        Verifier.open(url, peppers=PEPPERS, policy=POLICY, static=TABLE)
    environ.setenv("BOT_KEY", ONE)
    environ.setenv("BOT_KEY_PREVIOUS", TWO)
    with pytest.raises(ConfigurationError, match="BOT_KEY_PREVIOUS"):
        Verifier.open(url, peppers=PEPPERS, policy=POLICY, static=TABLE)


def test_an_imported_key_of_two_secrets_is_promoted_and_rotated_like_any_other(
    environ: pytest.MonkeyPatch,
) -> None:
    environ.setenv("BOT_KEY_PREVIOUS", TWO)
    with opened(policy=POLICY, static=TABLE) as bed:
        assert [bed.verdict(text) for text in (TWO, ONE)] == ["ok", "ok"]
        (key,), _ = bed.issuer.find(Listing(), by=OPERATOR)
        bed.issuer.promote(key.id, by=OPERATOR)
        assert [bed.verdict(text) for text in (TWO, ONE)] == ["retired", "ok"]
        new = str(bed.issuer.rotate(key.id, by=OPERATOR).secret)
        assert [bed.verdict(text) for text in (ONE, new)] == ["ok", "ok"]
        bed.issuer.promote(key.id, by=OPERATOR)
        assert [bed.verdict(text) for text in (ONE, new)] == ["retired", "ok"]


def test_an_imported_secret_that_was_rotated_out_is_forgotten_like_any_other(
    environ: pytest.MonkeyPatch,
) -> None:
    with opened(policy=POLICY, static=TABLE) as bed:
        (key,), _ = bed.issuer.find(Listing(), by=OPERATOR)
        bed.issuer.rotate(key.id, by=OPERATOR)
        bed.passes(days=20)
        assert bed.verdict(ONE) == "retired"
        bed.passes(days=20)
        assert bed.verdict(ONE) == "unknown"
        rotated = bed.issuer.rotate(key.id, by=OPERATOR)
        assert [version.number for version in rotated.key.versions] == [2, 3]
        assert [bed.verdict(text) for text in (ONE, str(rotated.secret))] == ["unknown", "ok"]


def test_an_imported_key_is_found_all_the_time_while_it_is_changed(environ: pytest.MonkeyPatch) -> None:
    with opened(policy=POLICY, static=TABLE) as bed:
        (key,), _ = bed.issuer.find(Listing(), by=OPERATOR)
        for number in range(20):
            bed.issuer.update(key.id, {"metadata": {"number": number}}, by=OPERATOR)
            assert bed.verdict(ONE, "logs:read") == "ok"


def test_a_previous_key_without_a_current_one_stops_the_start(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("JOB_KEY_PREVIOUS", TWO)
    with pytest.raises(ConfigurationError, match="JOB_KEY: is missing"):
        TABLE.read(POLICY)
    environ.delenv("JOB_KEY_PREVIOUS")
    assert [caller.name for caller in TABLE.read(POLICY)] == ["bot"]
    environ.delenv("BOT_KEY")
    with pytest.raises(ConfigurationError, match="BOT_KEY: is missing"):
        TABLE.read(POLICY)


BAD_VALUES = {
    "too short": (WEAK, "too weak: it has fewer than 32"),
    "a word": ("changeme" + ONE, "placeholder"),
    "our form with a wrong checksum": (
        write("kr", "live", "A" * 12, "bC4dE5fG" * 4)[:-6] + "000000",
        "checksum",
    ),
}


@pytest.mark.spec("CO-20")
@pytest.mark.parametrize(("value", "why"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_bad_value_is_named_by_its_variable_and_not_shown(
    environ: pytest.MonkeyPatch, value: str, why: str
) -> None:
    environ.setenv("BOT_KEY", value)
    for read in (lambda: TABLE.read(POLICY), lambda: read_variable("BOT_KEY")):
        with pytest.raises(ConfigurationError, match=why) as error:
            read()
        assert error.value.setting == "BOT_KEY"
        assert value not in str(error.value)


@pytest.mark.spec("CO-20")
def test_two_callers_with_one_key_are_refused(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("JOB_KEY", ONE)
    with pytest.raises(ConfigurationError, match="JOB_KEY: holds the same key as another caller"):
        TABLE.read(POLICY)
    environ.setenv("JOB_KEY", TWO)
    environ.setenv("JOB_KEY_PREVIOUS", ONE)
    with pytest.raises(ConfigurationError, match="JOB_KEY_PREVIOUS"):
        TABLE.read(POLICY)


def test_a_variable_may_hold_one_key_that_may_do_everything(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("LIST", f"  {ONE}\n")
    (caller,) = read_variable("LIST")
    assert (caller.name, caller.scopes, caller.preset) == ("list", ("*:*",), None)
    assert static_callers("env:LIST", None, POLICY) == [caller]
    assert static_callers("env:", None, POLICY) == static_callers("memory:", None, POLICY) == []


def test_a_variable_may_hold_a_list_of_keys(environ: pytest.MonkeyPatch) -> None:
    rows = [{"name": "a", "key": ONE, "scopes": ["logs:read"]}, {"name": "b", "key": TWO, "scopes": []}]
    environ.setenv("LIST", json.dumps(rows))
    with Verifier.open("env:LIST", peppers=PEPPERS) as verifier:
        bed = Bed(verifier, verifier.stores.clock, Path())
        assert [bed.verdict(text, "logs:read") for text in (ONE, TWO, THREE)] == ["ok", "scope", "unknown"]


BAD_LISTS = {
    "no JSON": ("[", "is not a JSON list"),
    "no object": ('["a"]', "has a row that is not exactly"),
    "a member too many": (json.dumps([{"name": "a", "key": ONE, "scopes": [], "x": 1}]), "not exactly"),
    "no name": (json.dumps([{"name": "", "key": ONE, "scopes": []}]), "has a bad row"),
    "scopes out of grammar": (json.dumps([{"name": "a", "key": ONE, "scopes": ["a"]}]), "has a bad row"),
    "a key that is no text": (json.dumps([{"name": "a", "key": 5, "scopes": []}]), "no text"),
    "a weak key": (json.dumps([{"name": "a", "key": WEAK, "scopes": []}]), "too weak"),
    "one name twice": (
        json.dumps([{"name": "a", "key": ONE, "scopes": []}, {"name": "a", "key": TWO, "scopes": []}]),
        "names one caller twice",
    ),
    "one key twice": (
        json.dumps([{"name": "a", "key": ONE, "scopes": []}, {"name": "b", "key": ONE, "scopes": []}]),
        "holds the same key",
    ),
}


@pytest.mark.parametrize(("value", "why"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_a_bad_list_is_refused_and_shows_no_key(environ: pytest.MonkeyPatch, value: str, why: str) -> None:
    environ.setenv("LIST", value)
    with pytest.raises(ConfigurationError, match=why) as error:
        read_variable("LIST")
    assert error.value.setting == "LIST"
    assert ONE not in str(error.value)


def test_an_id_follows_from_a_name_alike_in_every_process() -> None:
    assert static_id("bot") == "J46fq3JIptTr"
    assert static_id("job") != static_id("bot")


def test_what_came_in_is_told_and_what_was_there_is_not(environ: pytest.MonkeyPatch) -> None:
    with opened(policy=POLICY) as bed:
        callers: list[StaticCaller] = TABLE.read(POLICY)
        (key,) = import_static(bed.stores, callers, POLICY)
        assert isinstance(key, Key)
        assert import_static(bed.stores, callers, POLICY) == []
