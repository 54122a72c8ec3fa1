"""Who may hold what, what a token costs to check, and what never leaves: the table of grants and its like."""

from __future__ import annotations

import logging
from functools import partial

import pytest
from ci_bed import COMMIT, PASSWORD, Ci, problem
from sqlalchemy import func, select
from test_verifier_work import work

from examples.ci_results.enumerations import Role
from examples.ci_results.models.tables import api_token, metadata, user
from examples.ci_results.operations import OPERATIONS
from examples.ci_results.services import grants
from examples.ci_results.services.passwords import AT_ONCE
from keyrack import Access
from keyrack.core import credential

BODY = {"regression_id": 1, "output_id": 1}


@pytest.mark.spec("CI-24", "CI-25")
def test_grant_table_is_reachable() -> None:
    """Whoever is named on a route may hold its scope, and nobody gets one outside of their column."""
    for operation in OPERATIONS:
        for role in operation.roles:
            assert operation.scope in grants.column(role), f"{operation.name}: {role}"
    for role in Role:
        assert grants.requestable(role) <= grants.column(role) <= grants.column(Role.ADMIN)
        assert not {grants.CLAIM, grants.REPORT} & grants.column(role)


@pytest.mark.spec("CI-24", "CI-25")
@pytest.mark.parametrize("role", Role)
def test_login_gives_a_scope_just_where_the_table_says_so(ci: Ci, role: Role) -> None:
    ci.person("ann", role)
    for scope in grants.SCOPES:
        ci.clock.pass_time(minutes=15)
        assert ci.login("ann", scope).status_code == (201 if scope in grants.requestable(role) else 403)


@pytest.mark.spec("CI-26")
@pytest.mark.parametrize("role", Role)
def test_a_lower_role_has_fewer_rights_at_the_next_request(ci: Ci, role: Role) -> None:
    token = ci.full_token("root", Role.ADMIN)
    ci.service.accounts.set_role("root", role)
    answer = ci.post(
        "/runs/999/samples/1/baseline-approval", token, json={"regression_id": 1, "output_id": 1}
    )
    assert answer.status_code == (404 if "baselines:write" in grants.column(role) else 403)


@pytest.mark.spec("CI-29")
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("owner", Role)
def test_only_an_admin_reaches_the_tokens_of_others(ci: Ci, role: Role, owner: Role) -> None:
    ci.person("ann", owner)
    ci.token("ann")
    token = ci.full_token("bob", role)
    foreign, unknown = ci.delete("/auth/tokens/1", token), ci.delete("/auth/tokens/999", token)
    assert problem(unknown) == (404, "not_found")
    if role is Role.ADMIN:
        assert foreign.status_code == 204
    else:
        assert foreign.content == unknown.content


@pytest.mark.spec("CI-19")
def test_no_password_hash_on_requests(ci: Ci) -> None:
    token = ci.full_token("root", Role.ADMIN)
    before = ci.service.passwords.verified
    for path in ("/runs", "/auth/tokens", "/samples", "/system/queue", "/system/health"):
        assert ci.get(path, token).status_code == 200
    assert ci.get("/runs", "spci_live_nonsense").status_code == 401
    assert ci.service.passwords.verified == before


@pytest.mark.spec("CI-19", "CI-3", "CI-22")
def test_token_digest_unique(ci: Ci) -> None:
    ci.person("ann")
    texts = [ci.token("ann") for _ in range(20)]
    find = ci.service.verifier.follower.replica.find
    found = [find(text.split("_")[2][:12]) for text in texts]
    digests = {digest for one in found if one is not None for digest, _ in one.known}
    assert len(digests) == len(texts)
    with ci.service.database.read() as connection:
        found = connection.execute(select(func.count(func.distinct(api_token.c.key_id)))).scalar_one()
    assert found == len(texts)


@pytest.mark.spec("CI-19", "CI-21")
def test_unknown_token_equal_work(ci: Ci) -> None:
    """A well-formed token that nobody has is digested and compared like one that somebody has."""
    known = ci.full_token("ann", Role.USER)
    unknown = credential.write("spci", "live", "A" * 12, "B" * 32)
    costs = [work(partial(ci.service.verifier.verify, text, Access())) for text in (known, unknown)]
    assert costs[0] == costs[1]
    assert costs[0]["compare"] == 1
    assert problem(ci.get("/runs", unknown)) == (401, "unauthorized")


@pytest.mark.spec("CI-30")
def test_no_more_than_four_passwords_are_verified_at_once(ci: Ci) -> None:
    ci.person("ann")
    turns = ci.service.passwords._turns
    for _ in range(AT_ONCE):
        assert turns.acquire(timeout=0)
    refused = ci.login("ann")
    assert problem(refused) == (503, "unavailable")
    for _ in range(AT_ONCE):
        turns.release()
    assert ci.login("ann").status_code == 201


@pytest.mark.spec("CI-3")
def test_no_domain_table_holds_a_credential(ci: Ci) -> None:
    holding = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if any(word in column.name for word in ("secret", "digest", "password", "token", "key", "pepper"))
    }
    assert holding == {"user.password_hash", "api_token.key_id", "api_token.token_name", "run.run_key_id"}
    ci.person("ann")
    with ci.service.database.read() as connection:
        (kept,) = connection.execute(select(user.c.password_hash)).scalars()
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept


@pytest.mark.spec("CI-7", "CI-36")
@pytest.mark.parametrize("role", Role)
def test_login_is_never_a_placeholder(ci: Ci, role: Role) -> None:
    """Who has no login on the forge has none, whatever they ask for: neither their name nor the owner."""
    ci.test()
    ci.directory("ann/tool", "None/tool", "unknown/tool", "test/tool", builds=[(COMMIT, "linux")])
    token = ci.full_token("ann", role)
    for owner in ("ann", "None", "unknown", "test"):
        wish = {"commit_sha": COMMIT, "platform": "linux", "repository": f"{owner}/tool"}
        assert problem(ci.post("/runs", token, json=wish)) == (403, "forbidden")
        assert problem(ci.post("/runs", token, json={**wish, "github_login": owner})) == (
            400,
            "validation_error",
        )
    with ci.service.database.read() as connection:
        assert connection.execute(select(user.c.github_login)).scalars().all() == [None]


@pytest.mark.spec("CI-85")
def test_run_key_not_in_url_or_clear(ci: Ci, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("keyrack", "examples", "ci_results"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.WARNING, logger="httpx")  # the test's own client, which tells every URL
    ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    assert ci.post(f"/progress-reporter/{run.id}?key={run.key}", data={"type": "progress"}).status_code == 400
    assert ci.post(f"/progress-reporter/{run.id}", data={"key": run.key}).status_code == 401
    assert run.key not in caplog.text
    with ci.service.database.read() as connection:
        for table in metadata.sorted_tables:
            assert run.key not in str(connection.execute(select(table)).all())
