"""Static mode, store mode, and the way from one to the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from coordinator_bed import ADDRESS, JOBS, PATIENCE_SECONDS, Clock, Coordinator, Secrets
from coordinator_management import OPERATOR, Management

from examples.coordinator.callers import CALLERS
from keyrack import Access, ConfigurationError, Wish
from keyrack.admin.peppering import rotate

HEALTH = "/coordinator/health"
Open = Callable[..., Coordinator]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'keyrack.db'}"


@pytest.fixture
def bed(open_coordinator: Open, url: str) -> Coordinator:
    return open_coordinator(KEYRACK_STORE=url)


@pytest.fixture
def management(
    bed: Coordinator, url: str, environment: Mapping[str, str], clock: Clock, used: Secrets
) -> Iterator[Management]:
    with Management(url, environment["KEYRACK_PEPPERS"], clock, used) as management:
        yield management


def told(bed: Coordinator, key: str | None = None, address: str = ADDRESS) -> str:
    """What the monitor's key, or another, is told: `ok` or a code."""
    headers = {"X-API-Key": key or bed.key("monitor")}
    answer = bed.request("GET", HEALTH, headers=headers, address=address)
    return "ok" if answer.status_code == 200 else str(answer.json()["code"])


def soon(bed: Coordinator, code: str, key: str | None = None) -> None:
    """Wait until a change made at another node is seen here; real time, since nodes are real."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while told(bed, key) != code:
        bed.clock.pass_time(seconds=0.2)
        assert time.monotonic() < deadline


@pytest.mark.spec("CO-17")
@pytest.mark.parametrize("caller", CALLERS)
def test_a_previous_value_is_accepted_beside_the_current_one(
    caller: str, open_coordinator: Open, used: Secrets
) -> None:
    previous = used.key()
    bed = open_coordinator(**{f"{CALLERS[caller][0]}_PREVIOUS": previous})
    for key in (previous, bed.key(caller)):
        assert bed.request("DELETE", "/", headers={"X-API-Key": key}).status_code == 404


@pytest.mark.spec("CO-17")
def test_callers_without_a_variable_have_no_key(
    open_coordinator: Open, environment: Mapping[str, str]
) -> None:
    bed = open_coordinator(MONITOR_API_KEY=None)
    assert told(bed, environment["MONITOR_API_KEY"]) == "invalid_credentials"
    assert told(bed, environment["OPERATOR_API_KEY"]) == "ok"


@pytest.mark.spec("CO-16")
def test_a_key_without_scopes_may_do_nothing(bed: Coordinator, used: Secrets) -> None:
    empty = bed.service.verifier.issuer().mint(Wish("empty", scopes=[]), by=OPERATOR)
    assert told(bed, used.note(empty.secret)) == "insufficient_scope"


@pytest.mark.spec("CO-16")
def test_scopes_can_be_listed_singly_or_by_preset(bed: Coordinator, used: Secrets) -> None:
    issuer = bed.service.verifier.issuer()
    for wish in (Wish("one", scopes=["health:read"]), Wish("two", preset="monitor")):
        assert told(bed, used.note(issuer.mint(wish, by=OPERATOR).secret)) == "ok"


@pytest.mark.spec("CO-15")
def test_revoking_the_bots_key_leaves_the_others_working(bed: Coordinator, management: Management) -> None:
    management.ask("POST", f"/keys/{management.key_of('stitcher-bot')['id']}/revoke", {"reason": "lost"})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while bed.webhook({"event": "ping"}, "e1").status_code != 401:
        assert time.monotonic() < deadline
    job = bed.job_in("running")
    for action in ("progress", "queued", "running", "complete"):
        assert bed.act(job["id"], action).status_code == 200
    assert bed.act(bed.new_job()["id"], "fail").status_code == 409
    assert bed.request("GET", f"{JOBS}/{job['id']}", by="coordinator").status_code == 200
    assert bed.request("GET", HEALTH, by="coordinator").status_code == 200


@pytest.mark.spec("CO-22")
def test_the_upgrade_imports_each_static_key_once_with_an_event(
    open_coordinator: Open, bed: Coordinator, management: Management, url: str
) -> None:
    open_coordinator(KEYRACK_STORE=url)
    events = management.ask("GET", "/events?limit=100")["data"]
    imported = [event["data"] for event in events if event["kind"] == "key.imported"]
    assert sorted((one["name"], *one["variables"]) for one in imported) == sorted(
        (caller, variable) for caller, (variable, _) in CALLERS.items()
    )
    for caller, (_, preset) in CALLERS.items():
        key = management.key_of(caller)
        assert (key["name"], key["owner"], key["preset"]) == (caller, caller, preset)


@pytest.mark.spec("CO-22")
def test_a_client_notices_nothing_of_the_upgrade(open_coordinator: Open, url: str) -> None:
    before = open_coordinator()
    job = before.job_in("running")
    after = open_coordinator(KEYRACK_STORE=url)
    assert after.act(job["id"], "progress").status_code == 200
    assert after.act(job["id"], "complete").json()["updated_by"] == "coordinator"


@pytest.mark.spec("CO-22")
def test_a_revoked_key_stays_refused_though_its_variable_is_still_set(
    open_coordinator: Open, bed: Coordinator, management: Management, url: str
) -> None:
    management.ask("POST", f"/keys/{management.key_of('monitor')['id']}/revoke", {"reason": "lost"})
    soon(bed, "key_revoked")
    assert told(open_coordinator(KEYRACK_STORE=url)) == "key_revoked"


@pytest.mark.spec("CO-22")
@pytest.mark.parametrize("form", ["foreign", "ours"])
@pytest.mark.parametrize("before", ["foreign", "ours"])
@pytest.mark.parametrize("variable", ["MONITOR_API_KEY", "MONITOR_API_KEY_PREVIOUS"])
def test_a_value_that_was_not_imported_stops_the_start(
    variable: str, before: str, form: str, open_coordinator: Open, url: str, used: Secrets
) -> None:
    keys = {"foreign": used.key, "ours": lambda: ours(open_coordinator, used)}
    first, other = keys[before](), keys[form]()
    open_coordinator(KEYRACK_STORE=url, MONITOR_API_KEY=first)
    with pytest.raises(ConfigurationError, match="rotate this key in the store") as refusal:
        open_coordinator(KEYRACK_STORE=url, **({"MONITOR_API_KEY": first} | {variable: other}))
    assert refusal.value.setting == variable


def ours(open_coordinator: Open, used: Secrets) -> str:
    """A text in Keyrack's own form, from some other store."""
    minted = (
        open_coordinator(KEYRACK_STORE="memory:")
        .service.verifier.issuer()
        .mint(Wish("x", scopes=[]), by=OPERATOR)
    )
    return used.note(minted.secret)


@pytest.mark.spec("CO-22")
def test_after_the_import_the_variables_may_go(open_coordinator: Open, bed: Coordinator, url: str) -> None:
    keys = {caller: bed.key(caller) for caller in CALLERS}
    without = open_coordinator(KEYRACK_STORE=url, **{variable: None for variable, _ in CALLERS.values()})
    assert told(without, keys["monitor"]) == "ok"


@pytest.mark.spec("CO-24")
def test_lists_show_the_masked_form_only(bed: Coordinator, management: Management, used: Secrets) -> None:
    minted = management.ask("POST", "/keys", {"name": "new", "scopes": ["health:read"]}, expected=201)
    secret = used.note(minted["secret"])
    masked = f"{secret[: len('kr_live_') + 4]}…{secret[-4:]}"
    assert minted["key"]["hint"] == masked
    text = str(management.ask("GET", "/keys"))
    assert masked in text
    assert not [one for one in used.texts if one in text]


@pytest.mark.spec("CO-23")
def test_a_key_expires(bed: Coordinator, management: Management, clock: Clock) -> None:
    path = f"/keys/{management.key_of('monitor')['id']}"
    management.ask("PATCH", path, {"expires_at": clock.after(hours=1).isoformat()})
    soon(bed, "ok")
    clock.pass_time(hours=1)
    soon(bed, "key_expired")


@pytest.mark.spec("CO-23")
def test_a_key_is_rotated_with_grace(
    bed: Coordinator, management: Management, clock: Clock, used: Secrets
) -> None:
    path = f"/keys/{management.key_of('monitor')['id']}/rotation"
    rotated = management.ask("POST", path, {"grace_seconds": 3600}, expected=201)
    new = used.note(rotated["secret"])
    soon(bed, "ok", new)
    assert told(bed) == "ok"
    clock.pass_time(hours=1)
    assert told(bed) == "secret_retired"
    assert told(bed, new) == "ok"


@pytest.mark.spec("CO-23")
def test_a_key_is_disabled_and_enabled(bed: Coordinator, management: Management) -> None:
    path = f"/keys/{management.key_of('monitor')['id']}"
    management.ask("POST", f"{path}/disable")
    soon(bed, "key_disabled")
    management.ask("POST", f"{path}/enable")
    soon(bed, "ok")


@pytest.mark.spec("CO-23")
def test_a_revocation_is_final(bed: Coordinator, management: Management) -> None:
    path = f"/keys/{management.key_of('monitor')['id']}"
    management.ask("POST", f"{path}/revoke", {"reason": "lost"})
    soon(bed, "key_revoked")
    management.ask("POST", f"{path}/enable", expected=409)


@pytest.mark.spec("CO-23")
def test_a_key_works_from_its_networks_only(bed: Coordinator, management: Management) -> None:
    path = f"/keys/{management.key_of('monitor')['id']}"
    management.ask("PATCH", path, {"networks": ["192.0.2.0/24"]})
    soon(bed, "ip_denied")
    assert told(bed, address="192.0.2.77") == "ok"


@pytest.mark.spec("CO-23")
def test_a_key_has_named_limits_of_its_own(bed: Coordinator, management: Management) -> None:
    path = f"/keys/{management.key_of('monitor')['id']}"
    management.ask("PATCH", path, {"limits": [{"name": "slow", "limit": 2, "window_seconds": 60}]})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "slow" not in bed.request("GET", HEALTH, by="monitor").headers.get("RateLimit-Policy", ""):
        assert time.monotonic() < deadline
    assert [told(bed), told(bed)] == ["ok", "rate_limited"]


@pytest.mark.spec("CO-23")
def test_a_key_tells_when_it_was_last_used(bed: Coordinator, management: Management, clock: Clock) -> None:
    path = f"/keys/{management.key_of('monitor')['id']}"
    clock.pass_time(minutes=5)
    assert told(bed) == "ok"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (used := management.ask("GET", path)["versions"][0]["last_used_at"]) is None:
        assert time.monotonic() < deadline
    assert used == "2030-01-01T12:05:00Z"


@pytest.mark.spec("CO-23")
def test_every_change_of_a_key_is_in_the_audit_trail(bed: Coordinator, management: Management) -> None:
    key_id = management.key_of("monitor")["id"]
    management.ask("POST", f"/keys/{key_id}/disable")
    management.ask("POST", f"/keys/{key_id}/revoke", {"reason": "lost"})
    events = management.ask("GET", f"/events?subject={key_id}")["data"]
    assert [event["kind"] for event in events] == ["key.imported", "key.disabled", "key.revoked"]
    assert events[0]["actor"] == "service:environment"
    assert events[1]["actor"].startswith("key:")


@pytest.mark.spec("CO-23")
def test_the_pepper_is_rotated_while_keys_go_on_working(
    bed: Coordinator, open_coordinator: Open, url: str, used: Secrets
) -> None:
    old, new = bed.environment["KEYRACK_PEPPERS"], "p2:" + used.key()
    both = open_coordinator(KEYRACK_STORE=url, KEYRACK_PEPPERS=f"{new},{old}")
    rotate(both.service.verifier.stores, by=OPERATOR)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while pepper_of(both, "monitor") != "p2":
        both.clock.pass_time(seconds=1)
        assert told(both) == "ok"
        assert time.monotonic() < deadline


def pepper_of(bed: Coordinator, caller: str) -> str:
    """Under which pepper a caller's key is digested, as the next decision sees it."""
    decision = bed.service.verifier.verify(bed.key(caller), Access(scopes=("health:read",)))
    assert decision.secret is not None
    return decision.secret.pepper
