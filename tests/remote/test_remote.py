"""A server as a store: what is asked, what is known, what is counted where, and how old it may be."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from ipaddress import ip_address
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from engine_bed import FOREIGN, STATIC, other
from patience import PATIENCE_SECONDS, eventually
from remote_bed import Remote, RemoteBed

from keyrack import (
    Access,
    Allowed,
    ConfigurationError,
    Denied,
    Limit,
    Policy,
    Reason,
    Unavailable,
    Verifier,
    chores,
)
from keyrack.admin.founding import import_static, static_callers
from keyrack.core.checks import Proved
from keyrack.core.credential import write
from keyrack.remote import known as knowledge
from keyrack.remote import reports as reporting
from keyrack.remote.proving import MAX_UNKNOWN_CALLS
from keyrack.stores.clock import StoreClock

VERIFY, PROVE, USAGE = "/v1/verify", "/v1/prove", "/v1/usage"
MINUTE = {"name": "minute", "limit": 3, "window_seconds": 60}
READ = Access(("logs:read",))


def test_an_unknown_text_is_asked_about_once(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("logs:read", owner="ada", metadata={"team": "ops"})
    decisions = [remote.verifier.verify(key["secret"], READ) for _ in range(3)]
    assert all(isinstance(one, Allowed) for one in decisions)
    found = decisions[0].key
    assert found is not None
    assert (found.id, found.owner, found.hint, found.metadata) == (
        key["id"],
        "ada",
        key["hint"],
        {"team": "ops"},
    )
    assert (remote.asked(PROVE), remote.asked(VERIFY)) == (1, 0)


def test_many_threads_with_one_unknown_text_are_one_question(bed: RemoteBed, remote: Remote) -> None:
    text = bed.mint("logs:read")["secret"]
    with ThreadPoolExecutor(20) as pool:
        verdicts = list(pool.map(lambda _: remote.verdict(text, "logs:read"), range(40)))
    assert set(verdicts) == {"ok"}
    assert remote.asked(PROVE) == 1


class Landing(dict[bytes, "Future[Any]"]):
    """Questions under way, each of which is answered and over the moment somebody finds it."""

    def get(self, slot: bytes, default: Any = None) -> Any:
        return self.pop(slot, default)


def test_a_question_that_is_answered_while_another_joins_it_is_over(bed: RemoteBed, remote: Remote) -> None:
    """Else its answer would stand for as long as the process lives, whatever becomes of the key."""
    key = bed.mint("logs:read")
    prover, answered = remote.verifier._prover, Future[Any]()
    answered.set_result(prover.prove(key["secret"], None))
    bed.revoke(key["id"])
    remote.follow()
    prover._flights = Landing({prover._slots.of(key["secret"]): answered})
    assert [remote.verdict(key["secret"], "logs:read") for _ in range(2)][1] == "revoked"
    assert prover._flights == {}


def test_what_was_proved_before_the_first_page_is_not_kept(bed: RemoteBed) -> None:
    """Another server of the store may not know yet what that page came after, and nothing tells of it."""
    key, began = bed.mint("logs:read"), bed.house.head()
    remote = bed.remote()
    proved = remote.verifier._prover.prove(key["secret"], None)
    assert isinstance(proved, Proved)
    kept = [remote.verifier.known.keep(b"slot", proved, event) for event in (began - 1, began)]
    assert kept == [False, True]


def test_what_is_kept_is_no_text_and_no_digest(bed: RemoteBed, remote: Remote) -> None:
    text = bed.mint("logs:read")["secret"]
    remote.verdict(text, "logs:read")
    kept = repr(vars(remote.verifier.known)) + repr(vars(remote.verifier._prover))
    assert text[-38:] not in kept
    assert all(version.digest == b"" for one in _kept(remote) for version in one.key.versions)


def _kept(remote: Remote) -> list[Any]:
    return list(remote.verifier.known._proved.values())


def test_a_revoked_key_is_refused_once_the_feed_names_it(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("logs:read")
    assert remote.verdict(key["secret"], "logs:read") == "ok"
    bed.revoke(key["id"])
    remote.follow()
    assert remote.verdict(key["secret"], "logs:read") == "revoked"
    assert bed.denials() == ["revoked"]


def test_a_network_that_is_blocked_there_is_refused_here(bed: RemoteBed, remote: Remote) -> None:
    address, until = ip_address("203.0.113.9"), bed.house.at(60)
    text = bed.mint("a:b")["secret"]
    assert remote.verdict(text, "a:b", address=address) == "ok"
    bed.house.root("POST", "/v1/network-blocks", {"cidr": "203.0.113.0/24", "expires_at": until})
    assert remote.follow()
    assert remote.verdict(text, "a:b", address=address) == "network"
    assert remote.verdict(text, "a:b") == "ok"
    bed.house.clock.advance(60)
    assert remote.follow()
    assert remote.verdict(text, "a:b", address=address) == "ok"


def test_a_suspended_tenant_takes_all_of_its_keys_along(bed: RemoteBed, remote: Remote) -> None:
    bed.house.root("POST", "/v1/tenants", {"id": "acme"})
    theirs, ours = bed.mint("a:b", tenant="acme")["secret"], bed.mint("a:b")["secret"]
    remote.follow()
    assert [remote.verdict(text, "a:b") for text in (theirs, ours)] == ["ok", "ok"]
    bed.house.root("POST", "/v1/tenants/acme/suspend", {"service": "workspace"})
    remote.follow()
    assert [remote.verdict(text, "a:b") for text in (theirs, ours)] == ["suspended", "ok"]
    assert remote.asked(PROVE) == 3


def test_another_log_lets_go_of_everything(bed: RemoteBed, remote: Remote) -> None:
    text = bed.mint("a:b")["secret"]
    remote.follow()
    remote.verdict(text, "a:b")
    remote.verifier.following._hash = "0" * 16
    remote.follow()
    assert len(remote.verifier.known) == 0
    assert remote.verdict(text, "a:b") == "ok"
    assert remote.asked(PROVE) == 2


def test_a_record_that_is_older_than_what_is_known_is_asked_for_again(bed: RemoteBed, remote: Remote) -> None:
    """A server pauses between reading the record and answering, while a revocation passes."""
    key = bed.mint("a:b")

    def pass_meanwhile(request: httpx.Request) -> None:
        if request.url.path == PROVE:
            remote.wire.after = None
            bed.revoke(key["id"])
            remote.follow()

    remote.wire.after = pass_meanwhile
    assert remote.verdict(key["secret"], "a:b") == "revoked"
    assert remote.asked(PROVE) == 2


def test_malformed_text_costs_no_call(remote: Remote) -> None:
    for text in ("", "not a key", "kr_live_" + "A" * 50, "x" * 5000, "é"):
        assert remote.verdict(text, "a:b") in ("malformed", "missing")
    assert sum(remote.wire.calls.values()) == remote.asked("/v1/feed") == 1


def test_a_burst_of_one_unknown_text_is_one_call_and_counted_at_the_server(
    bed: RemoteBed, remote: Remote
) -> None:
    wrong = other(bed.house.root_key)
    assert {remote.verdict(wrong, "a:b") for _ in range(20)} == {"unknown"}
    assert remote.asked(PROVE) == 1
    assert bed.denials() == ["unknown"]


def test_a_refusal_is_forgotten_after_a_moment() -> None:
    refusals = knowledge.Refusals()
    denied = Denied(Reason.UNKNOWN)
    refusals.keep(b"slot", denied, 10.0)
    assert refusals.find(b"slot", 11.4) is denied
    assert refusals.find(b"slot", 11.6) is None


def test_a_flood_of_unknown_texts_is_a_few_calls_at_a_time(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("a:b")["secret"]
    assert remote.verdict(key, "a:b") == "ok"
    released, held = threading.Event(), threading.Semaphore(0)

    def hold(request: httpx.Request) -> None:
        held.release()
        assert released.wait(30)

    remote.wire.before = hold
    texts = [write("kr", "live", f"{number:012d}", "A" * 32) for number in range(MAX_UNKNOWN_CALLS)]
    with ThreadPoolExecutor(len(texts)) as pool:
        waiting = [pool.submit(remote.verdict, text, "a:b") for text in texts]
        for _ in texts:
            assert held.acquire(timeout=30)
        beyond = remote.verdict(write("kr", "live", "B" * 12, "A" * 32), "a:b")
        assert remote.verdict(key, "a:b") == "ok"
        released.set()
        assert {one.result(30) for one in waiting} == {"unknown"}
    assert beyond == "store_down"


def test_limits_are_counted_once_at_the_server(bed: RemoteBed, remote: Remote) -> None:
    key, second = bed.mint("a:b", limits=[MINUTE]), bed.remote()
    verdicts = [one.verdict(key["secret"], "a:b") for one in (remote, second, remote, second)]
    assert verdicts == ["ok", "ok", "ok", "rate"]
    assert bed.uses(key["id"]) == 3
    decision = remote.verifier.verify(key["secret"], Access(("a:b",)))
    assert isinstance(decision, Denied)
    assert (decision.rates[0].remaining, decision.retry_after) == (0, 60)
    remote.report()
    assert bed.uses(key["id"]) == 3


def test_what_is_refused_here_is_refused_and_noted_by_the_server(bed: RemoteBed, remote: Remote) -> None:
    text = bed.mint("a:b", networks=["10.0.0.0/8"])["secret"]
    decision = remote.verifier.verify(text, Access(("a:c",), address=None))
    assert isinstance(decision, Denied)
    assert (decision.reason, decision.key is not None) == (Reason.NETWORK, True)
    assert bed.denials() == ["network"]


def test_a_prefix_that_a_route_asks_for_is_checked_here_and_charges_nothing(
    bed: RemoteBed, remote: Remote
) -> None:
    key = bed.mint("a:b", limits=[MINUTE])
    assert remote.verdict(key["secret"], "a:b", prefixes=("ci",)) == "unknown"
    assert remote.asked(VERIFY) == 0


def test_while_the_server_cannot_be_asked_what_is_known_goes_on(bed: RemoteBed, remote: Remote) -> None:
    text, limited = bed.mint("a:b")["secret"], bed.mint("a:b", limits=[MINUTE])["secret"]
    remote.follow()
    assert (remote.verdict(text, "a:b"), remote.verdict(limited, "a:b")) == ("ok", "ok")
    remote.wire.is_cut = True
    assert remote.follow() is False
    assert remote.verdict(text, "a:b") == "ok"
    assert remote.verdict(text, "a:c") == "scope"
    assert remote.verdict(limited, "a:b") == "store_down"
    assert remote.verdict(other(bed.key), "a:b") == "store_down"
    assert "cannot be reached" in str(remote.verifier.trouble)
    remote.verifier.following.confirmed_at -= remote.verifier.following.max_stale + 1
    assert remote.verdict(text, "a:b") == "stale"
    remote.wire.is_cut = False
    assert remote.follow() is True
    assert remote.verdict(text, "a:b") == "ok"


def test_its_age_is_its_own_and_that_of_the_server(bed: RemoteBed, remote: Remote) -> None:
    bed.house.verifier._upkeep.stop()
    bed.house.verifier.follower._refused = False
    bed.house.verifier.follower.confirmed_at -= 20
    remote.follow()
    assert 20 <= remote.verifier.following.age() < 30
    bed.house.verifier.follower.confirmed_at -= 9.5
    assert remote.verifier.following.max_stale == 30


def test_what_never_heard_of_its_server_decides_nothing(bed: RemoteBed) -> None:
    text = bed.mint("a:b")["secret"]
    remote = bed.remote(cut=True)
    remote.wire.is_cut = False
    assert remote.verdict(text, "a:b") == "stale"
    assert remote.asked(PROVE) == 0


def test_a_page_that_was_cut_confirms_nothing_yet(bed: RemoteBed, remote: Remote) -> None:
    following = remote.verifier.following
    following._client.feed = lambda **_: {
        "data": [],
        "number": 3,
        "hash": "0" * 16,
        "head": 9,
        "reset": False,
        "foreign": False,
        "age_seconds": 0.0,
        "waited_seconds": 0.0,
        "max_stale_seconds": 30.0,
        "now": bed.house.at(0),
    }
    before = following.confirmed_at
    assert following.follow() is True
    assert following.confirmed_at == before


def test_a_key_that_the_server_refuses_is_our_trouble(
    bed: RemoteBed, caplog: pytest.LogCaptureFixture
) -> None:
    mine, text = bed.mint("keys:verify"), bed.mint("a:b")["secret"]
    remote = bed.remote(mine["secret"])
    assert remote.verdict(text, "a:b") == "ok"
    bed.revoke(mine["id"])
    assert remote.verdict(bed.mint("a:b")["secret"], "a:b") == "unconfigured"
    assert "KEYRACK_KEY is refused by the server: key_revoked" in caplog.text
    assert mine["secret"] not in caplog.text
    assert remote.follow() is False
    assert remote.verdict(text, "a:b") == "unconfigured"
    assert remote.verifier.doubt() is Reason.UNCONFIGURED


def test_without_a_key_or_with_a_wrong_one_it_does_not_open(
    bed: RemoteBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEYRACK_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="KEYRACK_KEY: is missing"):
        Verifier.open("https://keyrack.example")
    remote = bed.remote(other(bed.key))
    with pytest.raises(ConfigurationError, match="KEYRACK_KEY: was refused by the server"):
        remote.verifier.start()


@pytest.mark.parametrize("url", ["http://keyrack.example", "https://", "https://me:it@keyrack.example"])
def test_a_key_is_sent_to_no_url_that_would_show_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^url: "):
        Verifier.open(url, key="a key")


def test_a_ceiling_holds_here_and_costs_nothing_there(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("a:b", "a:c", limits=[MINUTE])
    for _ in range(5):
        decision = remote.verifier.verify(key["secret"], Access(("a:c",)), ceiling=lambda key: ("a:b",))
        assert isinstance(decision, Denied)
        assert decision.reason is Reason.SCOPE
    allowed = remote.verifier.verify(key["secret"], Access(("a:b",)), ceiling=lambda key: ("a:b",))
    assert isinstance(allowed, Allowed)
    assert (allowed.scopes, allowed.rates[0].remaining) == (("a:b",), 2)


def test_what_was_identified_is_charged_by_allow(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("a:b", limits=[MINUTE])
    found = remote.verifier.identify(key["secret"], Access())
    assert isinstance(found, Allowed)
    assert key["secret"] not in repr(found)
    assert remote.asked(VERIFY) == 0
    first = remote.verifier.allow(found, Access(("a:b",)))
    assert isinstance(first, Allowed)
    second = remote.verifier.allow(first, Access(("a:b",)))
    assert second.rates[0].remaining == 1
    assert remote.verifier.allow(found, Access(("a:c",))).key is not None
    bed.revoke(key["id"])
    remote.follow()
    refused = remote.verifier.allow(found, Access(("a:b",)))
    assert isinstance(refused, Denied)
    assert refused.reason is Reason.REVOKED
    assert isinstance(remote.verifier.identify(key["secret"], Access()), Denied)


def test_limits_of_a_route_are_counted_here(bed: RemoteBed, remote: Remote) -> None:
    text = bed.mint("a:b")["secret"]
    access = Access(("a:b",), limits=(Limit("route", 2, 60),))
    verdicts = [type(remote.verifier.verify(text, access)) for _ in range(3)]
    assert verdicts == [Allowed, Allowed, Denied]
    assert remote.asked(VERIFY) == 0


def test_what_the_server_refuses_keeps_nothing_of_a_route(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("a:b", limits=[{**MINUTE, "limit": 1}])
    access = Access(("a:b",), limits=(Limit("route", 3, 60),))
    first = remote.verifier.verify(key["secret"], access)
    assert [(rate.name, rate.remaining) for rate in first.rates] == [("route", 2), ("minute", 0)]
    assert {remote.verdict(key["secret"], "a:b", limits=access.limits) for _ in range(5)} == {"rate"}
    bed.house.root("PATCH", f"/v1/keys/{key['id']}", {"limits": []})
    remote.follow()
    assert remote.verifier.verify(key["secret"], access).rates[0].remaining == 1


def test_what_passes_here_is_reported_and_nothing_twice(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("a:b")
    for _ in range(3):
        remote.verdict(key["secret"], "a:b")
    remote.wire.is_cut = True
    with pytest.raises(Exception, match="cannot be reached"):
        remote.report()
    remote.wire.is_cut = False
    remote.verdict(key["secret"], "a:b")
    remote.report()
    remote.report()
    assert bed.uses(key["id"]) == 4
    assert remote.asked(USAGE) == 3, "what did not arrive, once more; and what came later"


def test_a_report_whose_answer_was_lost_is_counted_once(bed: RemoteBed, remote: Remote) -> None:
    key = bed.mint("a:b")

    def lost(request: httpx.Request) -> None:
        raise httpx.ReadError("lost", request=request)

    for _ in range(3):
        remote.verdict(key["secret"], "a:b")
        remote.wire.after = lost
        with pytest.raises(Unavailable):
            remote.report()
        remote.wire.after = None
        remote.report()
    remote.report()
    assert bed.uses(key["id"]) == 3
    assert remote.asked(USAGE) == 6


@pytest.mark.spec("UG-26")
def test_a_fault_in_a_report_ends_no_reporting(
    bed: RemoteBed, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "REPORT_SECONDS", 0.01)
    monkeypatch.setattr(chores, "RETRY_SECONDS", 0.01)
    key = bed.mint("logs:read")
    faults = [ZeroDivisionError()]

    def fault(request: httpx.Request) -> None:
        if request.url.path == USAGE and faults:
            raise faults.pop()

    remote.wire.before = fault
    assert remote.verdict(key["secret"], "logs:read") == "ok"
    remote.verifier._reports.start()
    eventually(lambda: not faults and bed.uses(key["id"]) == 1)


def test_where_keys_are_used_from_is_reported_in_parts_that_a_body_holds(
    bed: RemoteBed, remote: Remote
) -> None:
    keys = [bed.mint("a:b") for _ in range(30)]
    for key in keys:
        for number in range(20):
            address = ip_address(f"2001:db8:aaaa:bb{number:02}:cccc:dddd:eeee:ffff")
            assert remote.verdict(key["secret"], "a:b", address=address) == "ok"
    remote.report()
    assert remote.asked(USAGE) == 2
    for key in keys:
        [version] = bed.house.root("GET", f"/v1/keys/{key['id']}").json()["versions"]
        assert version["uses"] == 20
        shown = {one["address"] for one in version["addresses"]}
        assert shown == {f"2001:db8:aaaa:bb{number:02}::/64" for number in range(20)}


def test_a_key_expires_by_the_clock_of_the_server(bed: RemoteBed, remote: Remote) -> None:
    text = bed.mint("a:b", expires_at=bed.house.at(60))["secret"]
    assert remote.verdict(text, "a:b") == "ok"
    bed.house.clock.advance(61)
    assert remote.verdict(text, "a:b") == "expired"


def test_a_clock_that_is_off_is_corrected(bed: RemoteBed) -> None:
    text = bed.mint("a:b", expires_at=bed.house.at(60))["secret"]
    remote = bed.remote()
    remote.verifier.following._clock = StoreClock(lambda: bed.house.clock.now + 299)
    assert remote.follow()
    assert remote.verdict(text, "a:b") == "ok"
    assert abs(remote.verifier.clock() - bed.house.clock.now) < 0.01


@pytest.mark.parametrize("off", [-301, 301])
def test_a_clock_that_is_more_than_five_minutes_off_confirms_nothing(bed: RemoteBed, off: int) -> None:
    """Nobody can tell which of the two is wrong, so it is not ready."""
    remote, text = bed.remote(max_stale=30), bed.mint("a:b")["secret"]
    assert remote.verdict(text, "a:b") == "ok"
    following = remote.verifier.following
    following._clock = StoreClock(lambda: bed.house.clock.now + off)
    before = following.confirmed_at
    assert not remote.follow()
    assert following.confirmed_at == before
    assert "clock" in str(remote.verifier.trouble)
    with pytest.raises(Unavailable, match="clock"):
        following.start()


def test_only_what_needs_the_server_waits_for_it(bed: RemoteBed, remote: Remote) -> None:
    text, limited = bed.mint("a:b")["secret"], bed.mint("a:b", limits=[MINUTE])["secret"]
    assert remote.verifier.waits(text)
    remote.verdict(text, "a:b")
    remote.verdict(limited, "a:b")
    found = [remote.verifier.waits(one) for one in (text, limited, "not a key", Reason.MISSING)]
    assert found == [False, True, False, False]


def test_what_is_kept_is_bounded(bed: RemoteBed, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "MAX_KNOWN", 3)
    monkeypatch.setattr(knowledge, "MAX_CHANGED", 3)
    for _ in range(8):
        assert remote.verdict(bed.mint("a:b")["secret"], "a:b") == "ok"
        remote.verdict(other(bed.mint("a:b")["secret"]), "a:b")
        remote.follow()
        assert len(remote.verifier.known) <= 3
        assert len(remote.verifier.known._changed) <= 3
        assert len(remote.verifier._prover._refusals._refused) <= 3


def test_a_fork_decides_nothing(bed: RemoteBed, remote: Remote) -> None:
    text = bed.mint("a:b")["secret"]
    remote.verdict(text, "a:b")
    remote.verifier.orphan()
    assert remote.verdict(text, "a:b") == "store_down"
    assert "forked" in str(remote.verifier.trouble)


def test_a_key_of_another_form_is_asked_about_where_there_are_such(
    portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(presets={"reader": ("logs:read",)})
    monkeypatch.setenv("BOT_KEY", FOREIGN)
    with closing(RemoteBed(portal, policy=policy)) as bed:
        remote = bed.remote()
        assert remote.verdict(FOREIGN, "logs:read") == "malformed"
        import_static(bed.house.verifier.stores, static_callers("memory:", STATIC, policy), policy)
        bed.house.verifier.follower.poll()
        remote.follow()
        assert [remote.verdict(FOREIGN, "logs:read") for _ in range(2)] == ["ok", "ok"]
        assert remote.verdict(FOREIGN[::-1], "logs:read") == "unknown"
        assert remote.asked(PROVE) == 2


def test_a_session_is_asked_about_each_time_and_ends(bed: RemoteBed, remote: Remote) -> None:
    holder = bed.house.caller(bed.mint("a:b", "a:c")["secret"])
    token = holder("POST", "/v1/sessions", {"scopes": ["a:b"], "ttl_seconds": 60}).json()["token"]
    assert [remote.verdict(token, scope) for scope in ("a:b", "a:b", "a:c")] == ["ok", "ok", "scope"]
    decision = remote.verifier.verify(token, Access(("a:b",)))
    assert isinstance(decision, Allowed)
    assert decision.session is not None
    assert len(remote.verifier.known) == 0
    bed.house.clock.advance(61)
    assert remote.verdict(token, "a:b") == "expired"


def test_keys_are_not_made_through_it(remote: Remote) -> None:
    with pytest.raises(ConfigurationError, match=r"keyrack\.Client"):
        remote.verifier.issuer()


def test_a_node_says_goodbye_before_it_closes_the_way(
    bed: RemoteBed,
) -> None:
    remote = bed.remote(max_stale=0.3)
    following, done = remote.verifier.following, []

    def hold(request: httpx.Request) -> None:
        if request.method == "DELETE":
            # By now the thread has nothing to do any more.
            following._thread.join(0.5)
            done.append("left")

    remote.wire.before, remote.wire.close = hold, lambda: done.append("closed")
    following.node = "0" * 16
    following.start()
    remote.verifier.close()
    remote.verifier.close()
    following._thread.join(PATIENCE_SECONDS)
    assert done == ["left", "closed", "closed", "closed"]
