"""Which version of its key an upstream is sent, before, within and after a rotation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_bed import OPERATOR
from gateway_bed import KEYS, Served, path_of
from raw_upstream import Exchange, RawUpstream
from test_gateway_route import problem

from keyrack.core.sealed import Ciphertext, parse

HOUR = 3600


class Choosy:
    """An upstream that knows some keys, and says with which status it refuses the others."""

    def __init__(self, server: RawUpstream, *known: int, refusal: int = 401):
        self.server = server
        self.known = {f"Bearer {KEYS[number]}" for number in known}
        self.refusal = refusal
        server.answer = self._answer

    async def _answer(self, exchange: Exchange) -> None:
        body = await exchange.body()
        sent = [value for name, value in exchange.headers if name.lower() == "authorization"]
        await exchange.reply(200 if set(sent) <= self.known else self.refusal, body or b"ok")

    @property
    def sent(self) -> list[int]:
        """The numbers of the keys that came, one for each request."""
        numbers = {f"Bearer {key}": number for number, key in enumerate(KEYS)}
        found = [one.values("authorization") for one in self.server.requests]
        assert all(len(values) == 1 for values in found)
        return [numbers[values[0]] for values in found]


@pytest.fixture
def choosy(gateway: Served) -> Choosy:
    return Choosy(gateway.bed.upstream(), 1)


def made(gateway: Served, choosy: Choosy, **given: Any) -> tuple[str, str, str]:
    """An API on this upstream: its path, its group, and a key for it."""
    api = gateway.bed.api(choosy.server, **given)
    return path_of(api), str(api.group), gateway.bed.key()


def uses(gateway: Served, group: str) -> dict[int, tuple[int, int]]:
    """How often each version was sent, and refused."""
    tally = gateway.bed.monitoring.tally
    tally.flush()
    upstream = gateway.bed.verifier.follower.replica.upstreams[f"default/{group}"]
    return {number: (use.uses, use.refusals) for number, use in tally.use_of(upstream).versions.items()}


@pytest.mark.spec("UG-20", "UG-21")
@pytest.mark.parametrize(("known", "sent"), [((1,), [2, 1]), ((2,), [2]), ((1, 2), [2])])
@pytest.mark.parametrize("policy", ["prefer_new", "hold_old"])
def test_whichever_version_an_upstream_knows_every_request_of_grace_succeeds(
    gateway: Served, choosy: Choosy, policy: str, known: tuple[int, ...], sent: list[int]
) -> None:
    path, group, key = made(gateway, choosy)
    gateway.bed.rotate(group)
    choosy.known = {f"Bearer {KEYS[number]}" for number in known}
    if policy == "hold_old":
        rotating = gateway.bed.verifier.follower.replica.upstreams
        record = rotating[f"default/{group}"]
        rotating[record.id] = replace(record, rollout=replace(record.rollout, policy=policy))
        sent = {(1,): [1], (2,): [1, 2], (1, 2): [1]}[known]
    for _ in range(3):
        assert gateway("POST", path, key=key, body=b"text").body == b"text"
    assert choosy.sent == sent * 3
    assert all(one.body == b"text" for one in choosy.server.requests)


@pytest.mark.spec("UG-21")
def test_a_refusal_counts_only_where_the_other_version_passed(gateway: Served, choosy: Choosy) -> None:
    path, group, key = made(gateway, choosy)
    gateway.bed.rotate(group)
    gateway("GET", path, key=key)
    assert uses(gateway, group) == {1: (1, 0), 2: (1, 1)}
    choosy.known = set()
    assert problem(gateway("GET", path, key=key))[1] == "upstream_refused_key"
    assert uses(gateway, group) == {1: (2, 0), 2: (2, 1)}
    assert choosy.sent == [2, 1, 2, 1]
    tally = gateway.bed.monitoring.tally
    assert sum(count for labels, count in tally.totals.items() if labels[3] == "fallback_to_old") == 2
    assert gateway.bed.signals() == ["rotation.fallback"]


@pytest.mark.spec("UG-21")
@pytest.mark.parametrize(("size", "again"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
def test_bodies_up_to_a_mebibyte_are_sent_again_and_larger_ones_are_counted(
    gateway: Served, choosy: Choosy, size: int, again: bool
) -> None:
    path, group, key = made(gateway, choosy)
    gateway.bed.rotate(group)
    answer = gateway("POST", path, key=key, body=b"a" * size)
    if again:
        assert (answer.status, choosy.sent, len(answer.body)) == (200, [2, 1], size)
        return
    assert problem(answer)[1] == "upstream_refused_key"
    assert choosy.sent == [2]
    assert uses(gateway, group) == {2: (1, 0)}
    totals = gateway.bed.monitoring.tally.totals
    assert [labels[3] for labels in totals] == ["not_replayed"]


@pytest.mark.spec("UG-21")
@pytest.mark.parametrize(
    ("method", "headers", "again"),
    [
        ("GET", {}, True),
        ("PUT", {}, True),
        ("DELETE", {}, True),
        ("POST", {}, False),
        ("PATCH", {}, False),
        ("POST", {"Idempotency_Key": "once"}, True),
    ],
)
def test_after_a_403_only_what_may_be_done_twice_is_sent_again(
    gateway: Served, choosy: Choosy, method: str, headers: dict[str, str], again: bool
) -> None:
    choosy.refusal = 403
    path, group, key = made(gateway, choosy, api_allowed_headers=["idempotency-key"])
    gateway.bed.rotate(group)
    answer = gateway(method, path, key=key, **headers)
    assert (answer.status, choosy.sent) == ((200, [2, 1]) if again else (403, [2]))


@pytest.mark.spec("UG-21")
def test_a_key_that_the_upstream_is_not_told_of_makes_nothing_repeatable(
    gateway: Served, choosy: Choosy
) -> None:
    choosy.refusal = 403
    path, group, key = made(gateway, choosy)
    gateway.bed.rotate(group)
    assert gateway("POST", path, key=key, Idempotency_Key="once").status == 403
    assert choosy.sent == [2]


@pytest.mark.spec("UG-21")
def test_with_more_than_two_versions_the_one_that_passed_last_is_tried(
    gateway: Served, choosy: Choosy
) -> None:
    path, group, key = made(gateway, choosy)
    gateway("GET", path, key=key)
    gateway.bed.rotate(group, 2)
    gateway.bed.clock.advance(1)
    gateway.bed.rotate(group, 3, force=True)
    gateway("GET", path, key=key)
    assert choosy.sent == [1, 3, 1]
    choosy.known = {f"Bearer {KEYS[2]}"}
    gateway.bed.clock.advance(1)
    upstream = gateway.bed.verifier.follower.replica.upstreams[f"default/{group}"]
    gateway.bed.monitoring.tally.sent(upstream, 2, accepted=True)
    assert gateway("GET", path, key=key).status == 200
    assert choosy.sent == [1, 3, 1, 3, 2]


@pytest.mark.spec("UG-21")
def test_in_an_emergency_the_old_version_is_sent_no_more_once_the_new_one_was_accepted(
    gateway: Served, choosy: Choosy
) -> None:
    path, group, key = made(gateway, choosy)
    gateway.bed.rotate(group, plan="emergency")
    assert gateway("GET", path, key=key).status == 200
    choosy.known = {f"Bearer {KEYS[2]}"}
    assert gateway("GET", path, key=key).status == 200
    choosy.known = {f"Bearer {KEYS[1]}"}
    assert problem(gateway("GET", path, key=key))[1] == "upstream_refused_key"
    assert choosy.sent == [2, 1, 2, 2]


@pytest.mark.spec("UG-12", "UG-24")
def test_after_grace_the_old_version_is_never_sent_though_nobody_acts_and_the_new_one_fails(
    gateway: Served, choosy: Choosy
) -> None:
    path, group, key = made(gateway, choosy)
    gateway.bed.rotate(group, grace_seconds=HOUR)
    gateway.bed.clock.advance(HOUR - 1)
    assert gateway("GET", path, key=key).status == 200
    gateway.bed.clock.advance(1)
    for status in (401, 403):
        choosy.refusal = status
        assert gateway("GET", path, key=key).status in (502, 403)
    assert choosy.sent == [2, 1, 2, 2]


@pytest.mark.spec("UG-24")
def test_outside_of_a_rotation_a_refusal_is_final(gateway: Served, choosy: Choosy) -> None:
    choosy.known = set()
    path, group, key = made(gateway, choosy)
    assert problem(gateway("GET", path, key=key))[1] == "upstream_refused_key"
    assert choosy.sent == [1]
    assert uses(gateway, group) == {1: (1, 0)}


@pytest.mark.spec("UG-20")
@pytest.mark.parametrize("percent", [1, 25, 50, 100])
def test_the_share_of_a_roll_out_is_kept(gateway: Served, choosy: Choosy, percent: int) -> None:
    """Each request has an id of ours, and with it a place; places are spread evenly (tests/core)."""
    choosy.known = {f"Bearer {KEYS[number]}" for number in (1, 2)}
    path, group, key = made(gateway, choosy)
    gateway.bed.rotate(group)
    gateway.bed.upstreams.change_rotation(group, {"rollout_percent": percent}, by=OPERATOR)
    for _ in range(60):
        assert gateway("GET", path, key=key, X_Request_ID="always-the-same").status == 200
    new = choosy.sent.count(2)
    assert {1: new < 15, 25: 0 < new < 45, 50: 8 < new < 52, 100: new == 60}[percent]


BROKEN: dict[str, Any] = {
    "master key": lambda text: text._replace(master_key="m9"),
    "check value": lambda text: text._replace(check="0" * 16),
    "nonce": lambda text: text._replace(payload=_flipped(text.payload, 0)),
    "ciphertext": lambda text: text._replace(payload=_flipped(text.payload, 20)),
    "tag": lambda text: text._replace(payload=_flipped(text.payload, -2)),
    "length": lambda text: text._replace(payload=text.payload[:8]),
    "everything": lambda text: None,
}


def _flipped(payload: str, at: int) -> str:
    changed = "A" if payload[at] != "A" else "B"
    place = at % len(payload)
    return payload[:place] + changed + payload[place + 1 :]


@pytest.mark.spec("UG-9")
@pytest.mark.parametrize("part", BROKEN)
def test_a_key_that_does_not_open_is_never_sent_in_any_form(
    gateway: Served, choosy: Choosy, part: str
) -> None:
    path, group, key = made(gateway, choosy, api_credits_enabled=True)
    gateway.bed.give(group, 5)
    sealed = gateway.bed.verifier.follower.replica.upstream_secrets
    name = next(iter(sealed))
    text = sealed[name].ciphertext
    assert isinstance(text, Ciphertext)
    assert parse(text.text) == text
    sealed[name] = replace(sealed[name], ciphertext=BROKEN[part](text))
    answer = gateway("POST", path, key=key, body=b"x")
    assert problem(answer) == (503, "upstream_key_unavailable", "GTW018")
    assert choosy.server.connections == 0
    assert gateway.bed.signals() == ["upstream_key.unavailable"]
    assert gateway.bed.balance(group).available == 5


@pytest.mark.spec("UG-41", "UG-9")
def test_a_key_is_not_opened_for_a_server_that_it_is_not_bound_to(gateway: Served, choosy: Choosy) -> None:
    """The document was checked when it was written; whoever could write one past that gets nothing."""
    elsewhere = gateway.bed.upstream()
    path, _, key = made(gateway, choosy)
    apis = gateway.bed.verifier.follower.replica.apis
    api = next(iter(apis.values()))
    apis[api.id] = replace(api, servers=(elsewhere.url,))
    assert problem(gateway("GET", path, key=key)) == (503, "upstream_key_unavailable", "GTW018")
    assert elsewhere.connections == 0
