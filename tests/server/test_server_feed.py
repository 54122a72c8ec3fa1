"""What a service needs to decide by itself: the feed, proofs, and reports of use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_bed import other
from patience import eventually
from server_bed import Caller, House, make_store, problem

from keyrack import Limit, Policy, Unavailable, Verifier
from keyrack.admin.restoring import holds
from keyrack.server import feed as feed_module
from keyrack.server import reported as reported_module
from keyrack.server.remote_bodies import FeedQuery
from keyrack.server.reported import Reported
from keyrack.stores.journal import Node
from keyrack.testing import PEPPERS

HOLDER = ("keys:verify", "tenants:verify")


def feed(caller: Caller, **query: Any) -> dict[str, Any]:
    answer = caller("GET", "/v1/feed", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def followers(house: House) -> list[Node]:
    """The remote stores that a change waits for."""
    return [one for one in house.verifier.stores.journal.nodes() if one.id.startswith("remote-")]


def prove(caller: Caller, text: str, **more: Any) -> dict[str, Any]:
    answer = caller("POST", "/v1/prove", {"key": text, **more})
    assert answer.status_code == 200, answer.text
    proof: dict[str, Any] = answer.json()
    return proof


def test_the_feed_begins_at_the_end_and_names_what_comes(house: House) -> None:
    start = feed(house.root)
    assert (start["data"], start["number"], start["reset"]) == ([], house.head(), False)
    key = house.root.mint("logs:read")
    house.root("POST", "/v1/tenants", {"id": "acme"})
    page = feed(house.root, after=start["number"], hash=start["hash"])
    assert page["data"] == [
        {"number": start["number"] + 1, "key_id": key["id"], "tenant": None},
        {"number": start["number"] + 2, "key_id": None, "tenant": "acme"},
    ]
    assert page["number"] == page["head"] == house.head()
    assert 0 <= page["age_seconds"] < page["max_stale_seconds"]
    assert page["foreign"] is False


def test_what_concerns_the_whole_store_names_nobody(house: House) -> None:
    assert feed(house.root, after=0, limit=1)["data"] == [{"number": 1, "key_id": None, "tenant": None}]


def test_a_page_is_bounded_and_the_next_one_goes_on(house: House) -> None:
    for _ in range(3):
        house.root.mint("logs:read")
    first = feed(house.root, after=0, limit=2)
    assert len(first["data"]) == first["number"] == 2
    rest = feed(house.root, after=first["number"], hash=first["hash"])
    assert [one["number"] for one in rest["data"]] == list(range(3, house.head() + 1))


def test_without_tenants_verify_it_is_the_feed_of_ones_own_tenant(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    holder, other_holder = house.holder("keys:verify", tenant="acme"), house.holder(*HOLDER)
    start = house.head()
    theirs, ours = house.root.mint("a:b"), house.root.mint("a:b", tenant="acme")
    page = feed(holder, after=start)
    assert ([one["key_id"] for one in page["data"]], page["number"]) == ([ours["id"]], house.head())
    assert [one["key_id"] for one in feed(other_holder, after=start)["data"]] == [theirs["id"], ours["id"]]


def test_another_log_than_the_one_that_was_followed_is_a_reset(house: House) -> None:
    assert feed(house.root, after=1, hash="0" * 16)["reset"] is True
    ahead = feed(house.root, after=house.head() + 5)
    assert (ahead["reset"], ahead["number"], ahead["data"]) == (True, house.head(), [])


ROLES = {"reader": ("logs:read", "logs:write"), "writer": ("logs:write",)}
POLICY = Policy(roles=ROLES, presets={"a": ("a:b", "c:d")})
TURNED = Policy(
    roles={"writer": ("logs:write",), "reader": ("logs:write", "logs:read")}, presets={"a": ("c:d", "a:b")}
)
NARROW = replace(POLICY, roles={**ROLES, "reader": ("logs:read",)})


@pytest.mark.parametrize(
    ("now", "resets"), [(NARROW, True), (Policy(), True), (TURNED, False)], ids=["narrower", "none", "equal"]
)
def test_another_policy_than_the_one_that_was_followed_is_a_reset(
    tmp_path: Path, now: Policy, resets: bool
) -> None:
    url = make_store(tmp_path).url
    with Verifier.open(url, peppers=PEPPERS, policy=POLICY) as before:
        followed = feed_module.page(before, FeedQuery(), waited=0, within=None)
    with Verifier.open(url, peppers=PEPPERS, policy=now) as after:
        query = FeedQuery(after=followed["number"], hash=followed["hash"])
        page = feed_module.page(after, query, waited=0, within=None)
    assert page["reset"] is resets


def test_what_a_policy_says_has_one_digest_in_whatever_order() -> None:
    limit = Limit("m", 2, 60)
    others = [
        NARROW,
        replace(POLICY, presets={}),
        replace(POLICY, prefixes=("ab",)),
        replace(POLICY, environments=("live",)),
        replace(POLICY, limits=(limit,)),
        replace(POLICY, failure_limit=limit),
    ]
    assert POLICY.digest() == TURNED.digest()
    assert len({one.digest() for one in (POLICY, *others)}) == 1 + len(others)


def test_a_feed_that_waits_answers_at_once_when_something_comes(house: House) -> None:
    after = house.head()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(feed, house.root, after=after, wait=30)
        key = house.root.mint("logs:read")
        page = waiting.result(25)
    assert [one["key_id"] for one in page["data"]] == [key["id"]]
    assert page["waited_seconds"] < 10


def test_a_feed_that_waited_in_vain_says_for_how_long(house: House) -> None:
    page = feed(house.root, after=house.head(), wait=0.05)
    assert (page["data"], page["number"]) == ([], house.head())
    assert page["waited_seconds"] >= 0.05


def test_waiting_holds_no_thread(house: House) -> None:
    after = house.head()
    with ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(feed, house.root, after=after, wait=30) for _ in range(60)]
        house.root.mint("logs:read")
        assert all(one.result(25)["data"] for one in waiting)


def test_a_node_that_follows_is_waited_for_and_one_that_went_is_dropped(house: House) -> None:
    journal = house.verifier.stores.journal
    feed(house.root, node="a" * 8)
    (mine,) = followers(house)
    assert mine.applied == house.head()
    journal.renew(mine._replace(renewed_at=mine.renewed_at - house.verifier.follower.max_stale - 1))
    feed(house.root, node="b" * 8)
    (left,) = followers(house)
    assert left.id != mine.id


def test_a_node_that_went_leaves_its_place_to_the_first_that_comes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MAX_REMOTE_NODES", 1)
    journal = house.verifier.stores.journal
    feed(house.root, node="a" * 8)
    assert problem(house.root("GET", "/v1/feed", params={"node": "b" * 8})) == (503, "unavailable")
    (first,) = followers(house)
    journal.renew(first._replace(renewed_at=first.renewed_at - house.verifier.follower.max_stale - 1))
    feed(house.root, node="b" * 8)
    (left,) = followers(house)
    assert left.id != first.id


def test_no_tenant_takes_the_places_of_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_OF_A_TENANT", 2)
    monkeypatch.setattr(feed_module, "MAX_REMOTE_NODES", 3)
    for tenant in ("acme", "umbrella", "initech"):
        house.root("POST", "/v1/tenants", {"id": tenant})
    first, second = (house.holder("keys:verify", tenant="acme") for _ in range(2))
    feed(first, node="a" * 8)
    feed(second, node="a" * 8)
    full = (503, "unavailable")
    assert problem(first("GET", "/v1/feed", params={"node": "b" * 8})) == full
    feed(first, node="a" * 8)
    feed(house.holder("keys:verify", tenant="umbrella"), node="a" * 8)
    late = house.holder("keys:verify", tenant="initech")
    assert problem(late("GET", "/v1/feed", params={"node": "a" * 8})) == full
    for node in ("a" * 8, "b" * 8, "c" * 8):
        feed(house.root, node=node)


def test_a_node_that_says_that_it_is_ahead_has_passed_nothing(house: House) -> None:
    feed(house.root, node="a" * 8, after=house.head() + 1000)
    (mine,) = followers(house)
    assert (mine.applied, mine.hash) == (0, bytes(32))
    assert holds(house.verifier.stores, mine), "which alarms nobody"


def test_a_node_from_a_quicker_process_counts_once_this_one_has_caught_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when the whole call is over: a change that waits for it would wait so long as well."""
    monkeypatch.setattr(feed_module, "CATCH_UP_SECONDS", 20)
    after = house.head() + 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(feed, house.root, node="a" * 8, after=after, wait=20)
        house.root.mint("logs:read")
        assert house.head() == after
        eventually(lambda: [one.applied for one in followers(house)] == [after])
        house.root.mint("logs:read")
        assert [one["number"] for one in waiting.result(25)["data"]] == [after + 1]


def test_a_node_that_leaves_is_waited_for_no_more(house: House) -> None:
    after = house.head()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            house.root, "GET", "/v1/feed", params={"node": "a" * 8, "after": after, "wait": 3}
        )
        eventually(lambda: followers(house))
        assert house.root("DELETE", "/v1/feed/aaaaaaaa").status_code == 204
        assert problem(waiting.result(25)) == (503, "unavailable")
    assert not followers(house)
    assert problem(house.root("DELETE", "/v1/feed/A")) == (404, "not_found")


def test_nobody_speaks_for_the_node_of_another(house: House) -> None:
    feed(house.root, node="a" * 8)
    assert house.holder("keys:verify")("DELETE", "/v1/feed/aaaaaaaa").status_code == 204
    assert followers(house)


def test_a_proof_has_the_record_and_nothing_that_proves(house: House) -> None:
    key = house.root.mint("logs:read", networks=["10.0.0.0/8"], owner="ada")
    proof = prove(house.holder(*HOLDER), key["secret"])
    record = proof["record"]
    assert (record["version"], record["scopes"], record["prefixes"]) == (1, ["logs:read"], ["kr"])
    assert (record["limited"], record["tenant"]["id"]) == (False, "default")
    assert (record["key"]["id"], record["key"]["networks"]) == (key["id"], ["10.0.0.0/8"])
    assert proof["refused"] is None
    assert key["secret"][-38:] not in str(proof)
    assert "digest" not in str(proof)
    house.flush()
    assert house.root("GET", f"/v1/keys/{key['id']}").json()["versions"][0]["uses"] == 0


def test_a_key_whose_use_is_counted_is_said_to_be_limited(house: House) -> None:
    key = house.root.mint("logs:read", limits=[{"name": "m", "limit": 2, "window_seconds": 60}])
    assert prove(house.root, key["secret"])["record"]["limited"] is True
    assert prove(house.root, key["secret"])["record"]["limited"] is True
    assert house.root.verify(key["secret"])["limits"][0]["remaining"] == 1


def test_a_text_of_no_key_is_refused_and_noted_once(house: House) -> None:
    wrong = other(house.root_key)
    proof = prove(house.root, wrong, ip="192.0.2.7")
    assert proof["record"] is None
    assert proof["refused"] == {"valid": False, "code": "invalid_credentials", "reason": "unknown"}
    house.flush()
    (denial,) = house.root("GET", "/v1/denials").json()["data"]
    assert (denial["reason"], denial["address"], denial["operation"]) == ("unknown", "192.0.2.7", "prove")


def test_a_key_of_another_tenant_is_no_key(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    key = house.root.mint("a:b", tenant="acme")
    assert prove(house.holder("keys:verify"), key["secret"])["refused"]["reason"] == "unknown"
    assert prove(house.holder(*HOLDER), key["secret"])["record"]["key"]["tenant"] == "acme"


def test_a_secret_that_ended_long_ago_is_told_from_an_unknown_one_no_more(house: House) -> None:
    key = house.root.mint("a:b")
    house.root("POST", f"/v1/keys/{key['id']}/rotation", {"grace_seconds": 3600})
    house.clock.advance(3601)
    assert prove(house.root, key["secret"])["record"]["version"] == 1
    house.clock.advance(31 * 86400)
    assert prove(house.root, key["secret"])["refused"]["reason"] == "unknown"


def test_use_elsewhere_is_added_to_that_of_ones_own_keys(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    key, theirs = house.root.mint("a:b"), house.root.mint("a:b", tenant="acme")
    seen = [
        {"address": "192.0.2.7", "last_seconds_ago": 10},
        {"address": "2001:db8::/64", "last_seconds_ago": 20},
    ]
    use = {"version": 1, "uses": 3, "first_seconds_ago": 20, "last_seconds_ago": 10, "addresses": seen}
    report = {"uses": [{"key_id": one, **use} for one in (key["id"], theirs["id"], "A" * 12)]}
    report["uses"].append({**report["uses"][0], "version": 9})
    assert house.holder("keys:verify")("POST", "/v1/usage", report).json() == {"noted": 1}
    (version,) = house.root("GET", f"/v1/keys/{key['id']}").json()["versions"]
    assert [one["address"] for one in version["addresses"]] == ["192.0.2.7", "2001:db8::/64"]
    assert (version["uses"], version["last_used_at"]) == (3, house.at(-10).split(".")[0].rstrip("Z") + "Z")
    report["uses"][0]["addresses"] = [{"address": "everywhere", "last_seconds_ago": 1}]
    assert problem(house.root("POST", "/v1/usage", report)) == (422, "validation_error")


def test_a_report_counts_once_for_each_caller_and_node(house: House) -> None:
    key = house.root.mint("a:b")
    holder, another = house.holder("keys:verify"), house.holder("keys:verify")
    use = {"key_id": key["id"], "version": 1, "uses": 1, "first_seconds_ago": 0, "last_seconds_ago": 0}

    def noted(caller: Caller, node: str, number: int) -> int:
        report = {"node": node * 8, "number": number}
        count: int = caller("POST", "/v1/usage", {"uses": [use], "report": report}).json()["noted"]
        return count

    reports = [(holder, "a", 1), (holder, "a", 1), (holder, "a", 3), (holder, "a", 2)]
    assert [noted(*one) for one in reports] == [1, 0, 1, 0]
    assert [noted(holder, "b", 1), noted(another, "a", 1)] == [1, 1]
    (version,) = house.root("GET", f"/v1/keys/{key['id']}").json()["versions"]
    assert version["uses"] == 4


def test_a_report_that_could_not_be_noted_is_taken_when_it_comes_again() -> None:
    reported = Reported()

    def fails() -> None:
        raise Unavailable("The journal failed.")

    with pytest.raises(Unavailable):
        reported.once("a", 1, fails)
    assert reported.once("a", 1, lambda: None)
    assert not reported.once("a", 1, fails)


def test_reporters_that_were_silent_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reported_module, "MAX_REPORTERS", 2)
    reported = Reported()
    for reporter, number in (("a", 1), ("b", 1), ("a", 2), ("c", 1)):
        assert reported.once(reporter, number, lambda: None)
    again = [reported.once(reporter, 1, lambda: None) for reporter in ("a", "c", "b")]
    assert again == [False, False, True]


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/v1/feed", {"params": {"wait": 31}}),
        ("GET", "/v1/feed", {"params": {"after": -1}}),
        ("GET", "/v1/feed", {"params": {"limit": 1001}}),
        ("GET", "/v1/feed", {"params": {"node": "../etc"}}),
        ("POST", "/v1/prove", {"json": {"key": 5}}),
        ("POST", "/v1/prove", {"json": {"key": "x", "ip": "here"}}),
        ("POST", "/v1/usage", {"json": {"uses": []}}),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(
    house: House, method: str, path: str, more: dict[str, Any]
) -> None:
    answer = house.root.client.request(method, path, **more)
    status, code = problem(answer)
    assert (status, code) in ((400, "invalid_request"), (422, "validation_error"))


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/feed"), ("POST", "/v1/prove"), ("POST", "/v1/usage")]
)
def test_each_takes_keys_verify(house: House, method: str, path: str) -> None:
    assert problem(house.holder("keys:read")(method, path)) == (403, "insufficient_scope")


def test_a_server_that_loses_its_store_while_somebody_waits_confirms_nothing(house: House) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(house.root, "GET", "/v1/feed", params={"after": house.head(), "wait": 3})
        eventually(waiting.running)
        house.verifier.follower.abandon("The store is another one.")
        assert problem(waiting.result(25)) == (503, "unavailable")
