"""Tokens: who gets one, with which scopes, who sees it, and who ends it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from ci_bed import OPERATOR, PASSWORD, Ci, Clock, problem
from patience import PATIENCE_SECONDS, eventually
from sqlalchemy import text

from examples.ci_results.enumerations import Role
from examples.ci_results.models import accounts
from examples.ci_results.services.passwords import Passwords
from examples.ci_results.services.tokens import CHANGED, GRANT_TRIES
from keyrack import Authority, Issuer, Key, KeyrackError, Listing, Wish

OTHER_PASSWORD = "another horse battery"


@pytest.mark.spec("CI-32")
def test_a_token_is_shown_once_and_works(ci: Ci) -> None:
    ci.person("ann", Role.ADMIN)
    answer = ci.login("ann", "tokens:manage", token_name="laptop", expires_in_days=3)
    assert answer.status_code == 201
    body = answer.json()
    assert body["token"].startswith("spci_live_")
    assert len(body["token"]) == len("spci_live_") + 50
    assert (body["token_type"], body["token_name"], body["scopes"]) == ("bearer", "laptop", ["tokens:manage"])
    assert body["expires_at"] == "2030-01-04T12:00:00Z"
    (listed,) = ci.get("/auth/tokens", body["token"]).json()["data"]
    assert body["token"] not in str(listed)
    assert len(listed["token_prefix"]) <= 20


def test_without_scopes_one_gets_those_to_read(ci: Ci) -> None:
    ci.person("ann")
    assert ci.login("ann").json()["scopes"] == ["runs:read", "results:read"]


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        (Role.USER, "tokens:manage", 403),
        (Role.TESTER, "tokens:manage", 201),
        (Role.CONTRIBUTOR, "baselines:write", 403),
        (Role.ADMIN, "baselines:write", 201),
    ],
)
def test_a_scope_is_asked_for_within_the_column_of_the_role(
    ci: Ci, role: Role, scope: str, status: int
) -> None:
    ci.person("ann", role)
    answer = ci.login("ann", scope)
    assert answer.status_code == status
    if status == 403:
        assert problem(answer) == (403, "forbidden")
        assert answer.json()["details"]["reason"] == "scope_not_grantable"
        assert answer.json()["details"]["scopes"] == [scope]


def test_an_unknown_address_is_answered_like_a_wrong_password_after_the_same_work(ci: Ci) -> None:
    ci.person("ann")
    known = ci.login("ann", password="wrong horse battery")
    verified = ci.service.passwords.verified
    unknown = ci.login("bob")
    assert problem(known) == problem(unknown) == (401, "invalid_credentials")
    assert known.content == unknown.content
    assert ci.service.passwords.verified == verified + 1


@pytest.mark.spec("CI-23", "CI-32")
@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []},
        {"scopes": ["runs:read", "runs:read"]},
        {"scopes": ["runs:claim"]},
        {"expires_in_days": 0},
        {"expires_in_days": 31},
        {"token_name": "with blank"},
        {"password": "short"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_wrong_field_is_named(ci: Ci, wrong: dict[str, object]) -> None:
    ci.person("ann")
    answer = ci.login("ann", **wrong)
    assert problem(answer) == (400, "validation_error")
    assert [name.split(".")[0] for name in answer.json()["details"]["fields"]] == list(wrong)


@pytest.mark.spec("CI-34")
def test_a_name_is_unique_among_live_tokens(ci: Ci, clock: Clock) -> None:
    ci.person("ann")
    first = ci.login("ann", token_name="laptop").json()["token"]
    again = ci.login("ann", token_name="laptop")
    assert problem(again) == (400, "validation_error")
    assert list(again.json()["details"]["fields"]) == ["token_name"]
    assert ci.delete("/auth/tokens/current", first).status_code == 204
    assert ci.login("ann", token_name="laptop", expires_in_days=1).status_code == 201
    clock.pass_time(days=1)
    assert ci.login("ann", token_name="laptop").status_code == 201


def test_a_link_that_got_no_key_is_given_up_after_a_minute(ci: Ci, clock: Clock) -> None:
    ann = ci.person("ann")
    with ci.service.database.write() as connection:
        accounts.reserve_name(connection, ann, "laptop", now=clock())
    assert problem(ci.login("ann", token_name="laptop")) == (400, "validation_error")
    clock.pass_time(seconds=61)
    assert ci.login("ann", token_name="laptop").status_code == 201


def test_user_cannot_touch_foreign_token(ci: Ci) -> None:
    ci.person("ann")
    anns = ci.token("ann")  # the first of all, so its id is 1
    staff = ci.full_token("tess", Role.TESTER)
    foreign, unknown = ci.delete("/auth/tokens/1", staff), ci.delete("/auth/tokens/999", staff)
    assert problem(foreign) == problem(unknown) == (404, "not_found")
    assert foreign.content == unknown.content
    assert ci.delete("/auth/tokens/current", anns).status_code == 204


@pytest.mark.spec("CI-35")
def test_an_admin_ends_the_tokens_of_others_with_the_scope_for_it(ci: Ci) -> None:
    ci.person("ann")
    anns = ci.token("ann")
    ci.person("root", Role.ADMIN)
    assert problem(ci.delete("/auth/tokens/1", ci.token("root", "runs:read"))) == (403, "forbidden")
    manager = ci.token("root", "tokens:manage")
    ids = {one["token_name"]: one["id"] for one in ci.get("/auth/tokens?all=true", manager).json()["data"]}
    assert ci.delete(f"/auth/tokens/{ids['t1']}", manager).status_code == 204
    assert ci.delete(f"/auth/tokens/{ids['t1']}", manager).status_code == 204
    assert problem(ci.delete("/auth/tokens/current", anns)) == (401, "unauthorized")


@pytest.mark.spec("CI-33")
def test_one_sees_ones_own_tokens_and_an_admin_sees_all(ci: Ci) -> None:
    tester, admin = ci.full_token("tess", Role.TESTER), ci.full_token("root", Role.ADMIN)
    assert len(ci.get("/auth/tokens", tester).json()["data"]) == 1
    assert problem(ci.get("/auth/tokens?all=true", tester)) == (403, "forbidden")
    page = ci.get("/auth/tokens?all=true&limit=1", admin).json()
    assert page["pagination"] == {"limit": 1, "offset": 0, "total": 2, "next_offset": 1}


def test_lowering_a_role_counts_from_the_next_request_on(ci: Ci) -> None:
    token = ci.full_token("tess", Role.TESTER)
    assert ci.get("/auth/tokens", token).status_code == 200
    ci.service.accounts.set_role("tess", Role.USER)
    refused = ci.get("/auth/tokens", token)
    assert problem(refused) == (403, "forbidden")
    assert refused.json()["details"]["reason"] == "insufficient_scope"


def change_at_each_read(ci: Ci, monkeypatch: pytest.MonkeyPatch, *changes: dict[str, Any]) -> None:
    """Let somebody else make one of these changes to a key each time that it was read."""
    get, left = Issuer.get, list(changes)

    def get_early(issuer: Issuer, key_id: str, *, by: Authority) -> Key:
        key = get(issuer, key_id, by=by)
        if left:
            ci.issuer.update(key_id, left.pop(0), by=OPERATOR)
        return key

    monkeypatch.setattr(Issuer, "get", get_early)


@pytest.mark.spec("CI-24")
def test_a_grant_undoes_nothing_that_happens_to_the_key_meanwhile(
    ci: Ci, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci.person("ann", Role.CONTRIBUTOR)
    ci.token("ann", "runs:read", "results:read")  # the first of all, so its id is 1
    ci.person("root", Role.ADMIN)
    change_at_each_read(
        ci, monkeypatch, {"scopes": ["runs:read"]}, {"scopes": ["runs:read", "tokens:manage"]}
    )
    key = ci.service.tokens.grant(1, "baselines:write", by=ci.service.accounts.named("root"))
    assert set(key.scopes) == {"runs:read", "tokens:manage", "baselines:write"}


@pytest.mark.spec("CI-24")
def test_a_grant_on_a_key_that_others_change_all_the_time_is_given_up(
    ci: Ci, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci.person("ann", Role.CONTRIBUTOR)
    ci.token("ann", "runs:read")
    ci.person("root", Role.ADMIN)
    change_at_each_read(ci, monkeypatch, *({"name": f"name {number}"} for number in range(GRANT_TRIES)))
    with pytest.raises(KeyrackError) as refused:
        ci.service.tokens.grant(1, "baselines:write", by=ci.service.accounts.named("root"))
    assert refused.value.code == CHANGED
    key = ci.service.tokens.grant(1, "baselines:write", by=ci.service.accounts.named("root"))
    assert set(key.scopes) == {"runs:read", "baselines:write"}


def test_password_reset_revokes_tokens(ci: Ci) -> None:
    ci.person("ann")
    token = ci.token("ann")
    assert ci.service.accounts.set_password("ann", OTHER_PASSWORD) == 1
    assert problem(ci.delete("/auth/tokens/current", token)) == (401, "unauthorized")
    assert ci.login("ann", password=PASSWORD).status_code == 401
    assert ci.login("ann", password=OTHER_PASSWORD).status_code == 201


@pytest.mark.spec("CI-31")
def test_a_login_that_verified_the_old_password_gets_no_token_after_a_new_one(
    ci: Ci, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci.person("ann")
    agrees = Passwords.agrees

    def agrees_late(passwords: Passwords, password: str, password_hash: str | None) -> bool:
        is_right = agrees(passwords, password, password_hash)
        ci.service.accounts.set_password("ann", OTHER_PASSWORD)
        return is_right

    monkeypatch.setattr(Passwords, "agrees", agrees_late)
    assert problem(ci.login("ann")) == (400, "validation_error")
    (key,), _ = ci.issuer.find(Listing(), by=OPERATOR)
    assert key.revoked_at is not None


@pytest.mark.spec("CI-31")
def test_a_new_password_waits_for_a_login_that_is_being_completed_and_ends_it(shared_ci: Ci) -> None:
    ann, database = shared_ci.person("ann"), shared_ci.service.database
    key = shared_ci.issuer.mint(Wish("laptop", expires_at=shared_ci.clock() + timedelta(1)), by=OPERATOR).key
    with database.write() as connection:
        token_id = accounts.reserve_name(connection, ann, "laptop", now=shared_ci.clock())
    with ThreadPoolExecutor(1) as threads:
        with database.write() as connection:
            _, password_hash = accounts.by_email(connection, "ann@example.org") or (None, "")
            assert accounts.has_password(connection, ann, password_hash)
            ended = threads.submit(shared_ci.service.accounts.set_password, "ann", OTHER_PASSWORD)
            eventually(lambda: ended.done() or somebody_waits(shared_ci))
            assert accounts.complete(connection, token_id, key.id)
        assert ended.result(PATIENCE_SECONDS) == 1


def somebody_waits(ci: Ci) -> bool:
    """Whether a transaction waits for another. On SQLite a second one that writes always does."""
    if ci.service.database.engine.dialect.name == "sqlite":
        return True
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with ci.service.database.read() as connection:
        return bool(connection.scalar(text(f"{waiting} AND wait_event_type = 'Lock'")))


def test_deactivation_revokes_tokens(ci: Ci) -> None:
    ci.person("ann")
    token = ci.token("ann")
    assert ci.service.accounts.deactivate("ann") == 1
    assert problem(ci.delete("/auth/tokens/current", token)) == (401, "unauthorized")
    assert problem(ci.login("ann")) == (401, "invalid_credentials")
