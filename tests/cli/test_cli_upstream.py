"""`keyrack upstream` and `keyrack api`: the same at a store and by a server, and no key on any screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
from cli_bed import Ran, Shell
from server.server_bed import Founded, make_store
from server.server_process import Running, serving
from session_bed import M1

from keyrack.core.records import read_time
from keyrack.testing import PEPPERS

OLD, NEW, NEWER = (f"upstream-key-number-{number}-of-three" for number in (1, 2, 3))
TIER = ("--tier", "basic=1000/monthly", "--tier", "big=5000/daily/1000000/-")
GRACE_SECONDS = {"planned": 86_400, "emergency": 3600, "gradual": 604_800}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def server(founded: Founded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {**founded.settings, "KEYRACK_MASTER_KEYS": M1}
    with serving(settings, tmp_path_factory.mktemp("home")) as running:
        yield running


class Side:
    """One way to reach the store: as its operator, or as the holder of a key by the server."""

    def __init__(self, shell: Shell, variables: dict[str, str], group: str):
        self._shell = shell
        self._variables = variables
        self.group = group
        self.screens: list[str] = []

    def __call__(self, *argv: str, stdin: str = "") -> Ran:
        for name, value in self._variables.items():
            self._shell.set(name, value)
        ran = self._shell(*argv, stdin=stdin)
        self.screens.append(ran.out + ran.err)
        return ran

    def json(self, *argv: str, stdin: str = "") -> Any:
        ran = self(*argv, "--json", stdin=stdin)
        assert ran.code == 0, ran
        return ran.json

    def create(self) -> Any:
        wish = ("--header", "Authorization", "--format", "Bearer {key}", *TIER)
        return self.json("upstream", "create", self.group, *wish, stdin=f"{OLD}\n")

    def rotate(self, *options: str, key: str = NEW) -> Any:
        return self.json("upstream", "rotate", self.group, *options, stdin=f"{key}\n")

    def rotation(self, operation: str, *options: str) -> Any:
        return self.json("upstream", operation, self.group, *options)


@pytest.fixture(params=["store", "server"])
def side(bare: Shell, founded: Founded, server: Running, request: pytest.FixtureRequest) -> Iterator[Side]:
    """Each test has a group of its own name, since the store is shared."""
    variables = {
        "store": {
            "KEYRACK_STORE": founded.url,
            "KEYRACK_PEPPERS": PEPPERS,
            "KEYRACK_MASTER_KEYS": M1,
            "KEYRACK_KEY": "",
        },
        "server": {
            "KEYRACK_STORE": server.url,
            "KEYRACK_PEPPERS": "",
            "KEYRACK_MASTER_KEYS": "",
            "KEYRACK_KEY": founded.root,
        },
    }
    name = f"g{crc32(request.node.name.encode()):x}"
    made = Side(bare, variables[request.param], name)
    yield made
    shown = "".join(made.screens)
    assert [key for key in (OLD, NEW, NEWER) if key in shown] == [], "a key was shown"


def seconds_of_grace(state: dict[str, Any]) -> float:
    return (read_time(state["api_key_rotation_expires"]) - read_time(state["started_at"])).total_seconds()


@pytest.mark.spec("UG-23")
@pytest.mark.parametrize(
    ("plan", "policy", "percent"),
    [("planned", None, None), ("emergency", "prefer_new", 100), ("gradual", "prefer_new", 1)],
)
def test_a_plan_is_followed_from_start_to_promotion(
    side: Side, plan: str, policy: str | None, percent: int | None
) -> None:
    made = side.create()
    assert made["credit_tiers"] == [
        {
            "tier_name": "basic",
            "credits": 1000,
            "input_limit": None,
            "output_limit": None,
            "reset_frequency": "monthly",
        },
        {
            "tier_name": "big",
            "credits": 5000,
            "input_limit": 1_000_000,
            "output_limit": None,
            "reset_frequency": "daily",
        },
    ]
    started = side.rotate("--plan", plan)
    assert (started["state"], started["plan"]) == ("active", plan)
    assert (started["policy"], started["rollout_percent"]) == (policy, percent)
    assert seconds_of_grace(started) == GRACE_SECONDS[plan]
    assert side.rotation("rotation")["new_version"] == 2
    assert side.rotation("promote")["state"] == "none"
    assert [one["state"] for one in side.rotation("versions")["data"]] == ["retired", "live"]
    assert side.rotation("undo")["new_version"] == 1


@pytest.mark.spec("UG-23")
def test_the_plan_is_planned_unless_another_is_named_and_its_grace_can_be_another(side: Side) -> None:
    side.create()
    assert side.rotate()["plan"] == "planned"
    side.rotation("abort")
    started = side.rotate("--grace-seconds", "7200", key=NEWER)
    assert seconds_of_grace(started) == 7200
    refused = side("upstream", "rotate", side.group, "--plan", "gradual", "--force", stdin=f"{NEWER}\n")
    assert (refused.code, "already" in refused.err) == (2, True)
    both = side(
        "upstream", "rotate", side.group, "--plan", "emergency", "--grace-seconds", "7200", stdin=f"{NEW}\n"
    )
    assert (both.code, "grace_seconds" in both.err) == (2, True)


@pytest.mark.spec("UG-23")
def test_the_share_is_stated_and_the_end_moved(side: Side) -> None:
    side.create()
    started = side.rotate("--plan", "gradual")
    assert side.rotation("rollout", "--percent", "50")["rollout_percent"] == 50
    sooner = started["started_at"].replace("Z", "+00:00")
    refused = side("upstream", "rollout", side.group, "--ends-at", sooner)
    assert (refused.code, "grace" in refused.err.lower()) == (2, True)
    assert side("upstream", "rollout", side.group, "--percent", "33").code == 2
    destroyed = side.rotation("promote", "--destroy")
    assert destroyed["state"] == "none"
    assert side("upstream", "undo", side.group).code == 1


def test_a_group_is_changed_listed_looked_at_and_deleted(side: Side) -> None:
    side.create()
    changed = side.json("upstream", "update", side.group, "--header", "x-api-key", "--format", "{key}")
    assert (changed["api_key_header"], changed["api_key_format"]) == ("x-api-key", "{key}")
    replaced = side.json("upstream", "update", side.group, "--with-key", stdin=f"{NEWER}\n")
    assert replaced["api_key_hint"] == f"{NEWER[:4]}…{NEWER[-4:]}"
    origin = ("--origin", "https://api.example")
    assert side("upstream", "update", side.group, *origin).code == 1
    bound = side.json("upstream", "update", side.group, "--with-key", *origin, stdin=f"{NEWER}\n")
    assert bound["api_key_origins"] == ["https://api.example:443"]
    assert side.json("upstream", "show", side.group) == bound
    listed = side.json("upstream", "list", "--limit", "100")["data"]
    assert [one for one in listed if one["api_credit_group"] == side.group] == [bound]
    actions = [one["action"] for one in side.rotation("history")["data"]]
    assert actions == ["upstream.created", *["upstream.updated"] * 3]
    assert side.json("upstream", "delete", side.group) == {"api_credit_group": side.group}
    gone = side("upstream", "show", side.group)
    assert (gone.code, "no credit group" in gone.err) == (1, True)


def test_people_see_tables_and_no_key(side: Side) -> None:
    side.create()
    for argv in (
        ("upstream", "show", side.group),
        ("upstream", "list"),
        ("upstream", "versions", side.group),
        ("upstream", "rotation", side.group),
        ("upstream", "history", side.group),
    ):
        ran = side(*argv)
        assert (ran.code, ran.err) == (0, "")
        assert side.group in ran.out or "state" in ran.out or "upstream.created" in ran.out
    assert "Deleted" in side("upstream", "delete", side.group).out


def test_without_a_key_on_standard_input_nothing_is_made(side: Side) -> None:
    ran = side("upstream", "create", side.group, "--header", "x-api-key", *TIER)
    assert (ran.code, "standard input" in ran.err) == (2, True)
    assert side("upstream", "show", side.group).code == 1


@pytest.mark.parametrize("text", ["basic", "basic=x/daily", "basic=5", "basic=5/daily/7", "=5/daily"])
def test_a_tier_that_is_none_is_refused(side: Side, text: str) -> None:
    ran = side("upstream", "create", side.group, "--header", "x-api-key", "--tier", text, stdin=OLD)
    assert (ran.code, "tier" in ran.err) == (2, True)


def test_an_api_is_applied_twice_shown_listed_and_deleted(side: Side, bare: Shell) -> None:
    document = {"api_name": side.group, "api_version": "v1", "api_servers": ["https://api.example/v1"]}
    file = bare.folder / "api.json"
    file.write_text(json.dumps(document))
    made = side.json("api", "apply", str(file))
    assert made["api_allowed_retry_count"] == 0
    endpoint = {"method": "GET", "uri": "/a", "scope": "a:b"}
    file.write_text(json.dumps({**document, "api_allowed_retry_count": 2, "endpoints": [endpoint]}))
    changed = side.json("api", "apply", str(file))
    assert (changed["api_allowed_retry_count"], changed["endpoints"][0]["cost"]) == (2, 1)
    assert side.json("api", "show", side.group, "v1") == changed
    assert changed in side.json("api", "list", "--limit", "100")["data"]
    assert "GET" in side("api", "show", side.group, "v1").out
    assert side.group in side("api", "list", "--limit", "100").out
    assert side.json("api", "delete", side.group, "v1") == {"api_name": side.group, "api_version": "v1"}
    assert side("api", "show", side.group, "v1").code == 1


@pytest.mark.parametrize(("text", "code"), [("[1]", 2), ("{", 2), ('{"api_name": "a"}', 2)])
def test_a_file_that_is_no_document_is_refused(side: Side, bare: Shell, text: str, code: int) -> None:
    file = bare.folder / "api.json"
    file.write_text(text)
    assert side("api", "apply", str(file)).code == code
    assert side("api", "apply", str(bare.folder / "none.json")).code == code


def test_without_master_keys_a_store_says_what_is_missing(bare: Shell, founded: Founded) -> None:
    bare.set("KEYRACK_STORE", founded.url)
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    ran = bare("upstream", "create", "more", "--header", "x-api-key", *TIER, stdin=OLD)
    assert (ran.code, "KEYRACK_MASTER_KEYS" in ran.err) == (3, True)
