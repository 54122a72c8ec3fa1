"""The policy as a TOML text: read whole, or refused with what is wrong in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Limit
from keyrack.core.policy import Policy

WHOLE = """
prefixes = ["kr", "ci"]
environments = ["live", "test", "staging"]
limits = [{name = "requests", limit = 600, window_seconds = 60}]
failure_limit = {name = "failures", limit = 30, window_seconds = 60}

[presets]
ingest = ["streams/*:ingest"]
nothing = []

[roles]
reader = ["*:read"]
"""


def test_a_whole_policy_is_read() -> None:
    assert Policy.read(WHOLE) == Policy(
        prefixes=("kr", "ci"),
        environments=("live", "test", "staging"),
        presets={"ingest": ("streams/*:ingest",), "nothing": ()},
        roles={"reader": ("*:read",)},
        limits=(Limit("requests", 600, 60),),
        failure_limit=Limit("failures", 30, 60),
    )


def test_an_empty_text_is_the_default_policy() -> None:
    assert Policy.read("") == Policy()
    assert Policy() == Policy(prefixes=("kr",), environments=("live", "test"), presets={}, roles={})
    assert Policy().limits == ()
    assert Policy().failure_limit is None


BAD = {
    "prefixes = [": "not a policy in TOML",
    "a = 1": "unknown members: a",
    "z = 1\na = 1": "unknown members: a, z",
    "prefixes = []": "prefixes must be",
    "prefixes = ['k']": "prefixes must be",
    "prefixes = ['Kr']": "prefixes must be",
    "prefixes = ['k_r']": "prefixes must be",
    "prefixes = ['kr\\n']": "prefixes must be",
    'prefixes = ["kr\\n"]': "prefixes must be",
    "prefixes = [1]": "not a policy in TOML",
    "prefixes = 'kr'": "prefixes must be a list",
    "environments = 'live'": "environments must be a list",
    "environments = {live = 1}": "environments must be a list",
    "environments = ['1']": "environments must be",
    "environments = []": "environments must be",
    "presets = []": "not a policy in TOML",
    "presets = {a = 'b:c'}": "presets",
    "presets = {a = ['b']}": "presets",
    "roles = {a = ['b', 'b:c']}": "roles",
    "roles = {a = {b = 'c'}}": "roles",
    "limits = [{name = 'a', limit = 1}]": "limits.0",
    "limits = [{name = 'a', limit = 0, window_seconds = 1}]": "limits.0.limit",
    "limits = {name = 'a', limit = 1, window_seconds = 1}": "limits",
    "failure_limit = 5": "failure_limit",
    "failure_limit = {name = 'a b', limit = 1, window_seconds = 1}": "failure_limit",
}


@pytest.mark.parametrize(("text", "why"), BAD.items())
def test_a_bad_policy_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Policy.read(text)
    assert error.value.setting == "KEYRACK_POLICY"
    assert why in error.value.detail


@pytest.mark.parametrize("members", [{"prefixes": ()}, {"prefixes": ("K",)}, {"environments": ("a-b",)}])
def test_a_policy_made_in_code_keeps_the_same_rules_for_names(members: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Policy(**members)


MEMBERS = ["prefixes", "environments", "presets", "roles", "limits", "failure_limit"]
values = st.sampled_from(["1", "'a'", "[]", "{}", "[1]", "['a:b']", "{a=1}", "[{}]", "true", "1979-05-27"])


@given(st.dictionaries(st.sampled_from(MEMBERS), values), st.text(max_size=30))
def test_no_text_does_more_than_be_refused(members: dict[str, str], tail: str) -> None:
    text = "\n".join(f"{name} = {value}" for name, value in members.items())
    for one in (text, f"{text}\n{tail}"):
        assert setting_refused(one) in (None, "KEYRACK_POLICY")


def setting_refused(text: str) -> str | None:
    try:
        Policy.read(text)
    except ConfigurationError as error:
        return error.setting
    return None
