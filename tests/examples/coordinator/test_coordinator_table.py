"""The proof over the table: every protected route of the running application, in both modes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from coordinator_bed import HOLDER, Clock, Coordinator, Secrets, right_request, with_key, wrong

from examples.coordinator.api import TableMismatch, check_routes, create_api, registered
from examples.coordinator.operations import BY_NAME, OPERATIONS
from examples.coordinator.routes import livez
from keyrack import Authority, Wish

SPECIFIED = {
    ("POST", "/coordinator/jobs"): ("jobs:create", 201),
    ("PATCH", "/coordinator/jobs/{id}/status"): ("jobs:update", 200),
    ("PATCH", "/coordinator/jobs/{id}/progress"): ("jobs:update", 200),
    ("POST", "/coordinator/jobs/{id}/complete"): ("jobs:finish", 200),
    ("POST", "/coordinator/jobs/{id}/fail"): ("jobs:finish", 200),
    ("GET", "/coordinator/jobs/{id}"): ("jobs:read", 200),
    ("GET", "/coordinator/health"): ("health:read", 200),
    ("POST", "/stitcher/webhook"): ("webhook:send", 202),
    ("POST", "/stitcher/dispatch"): ("jobs:dispatch", 202),
    ("GET", "/livez"): (None, 200),
}
"""The table of CO-1, written down a second time: a route that is added must be added here too."""
OPERATOR = Authority.operator("test")
NAMES = sorted(HOLDER)


@pytest.fixture(params=["static", "store"])
def bed(
    request: pytest.FixtureRequest, open_coordinator: Callable[..., Coordinator], tmp_path: Path
) -> Coordinator:
    store = "env:" if request.param == "static" else f"sqlite:///{tmp_path / 'keyrack.db'}"
    return open_coordinator(KEYRACK_STORE=store)


@pytest.mark.spec("CO-1", "CO-42")
def test_the_running_application_has_the_specified_routes_and_no_other() -> None:
    assert registered(create_api()) == set(SPECIFIED)


@pytest.mark.spec("CO-1", "CO-5")
def test_the_table_gives_each_route_its_specified_scope_and_success() -> None:
    table = {(one.method, one.path): (one.scope, one.success) for one in OPERATIONS}
    assert table == SPECIFIED


@pytest.mark.spec("CO-5")
def test_a_route_without_a_row_stops_the_start() -> None:
    api = create_api()
    api.add_api_route("/debug", livez, methods=["GET"])
    with pytest.raises(TableMismatch, match="/debug"):
        check_routes(api)


@pytest.mark.spec("CO-5")
def test_a_mount_without_a_row_stops_the_start() -> None:
    api = create_api()
    api.mount("/files", create_api())
    with pytest.raises(TableMismatch, match="/files"):
        check_routes(api)


@pytest.mark.spec("CO-5")
def test_a_row_without_a_route_stops_the_start() -> None:
    api = create_api()
    api.router.routes.pop()
    with pytest.raises(TableMismatch, match="/livez"):
        check_routes(api)


@pytest.mark.spec("CO-42")
def test_every_protected_operation_is_proved_here() -> None:
    assert set(NAMES) == {one.name for one in OPERATIONS if one.scope}


@pytest.mark.spec("CO-42")
@pytest.mark.parametrize("name", NAMES)
def test_without_the_right_key_a_route_is_closed_and_with_it_open(
    name: str, bed: Coordinator, used: Secrets
) -> None:
    request = right_request(bed, name)
    key = bed.key(HOLDER[name])
    without_scope = bed.key("monitor" if name != "get_health" else "stitcher-bot")
    both = {**request["headers"], "X-API-Key": key, "Authorization": f"Bearer {key}"}
    answers = bed.send(
        request,
        with_key(request, ""),
        with_key(request, wrong(key)),
        with_key(request, used.key()),
        {**request, "headers": both},
        with_key(request, without_scope),
    )
    expected = [
        (401, "missing_credentials"),
        (401, "missing_credentials"),
        (401, "invalid_credentials"),
        (401, "invalid_credentials"),
        (400, "ambiguous_credentials"),
        (403, "insufficient_scope"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == expected
    (done,) = bed.send(with_key(request, key))
    assert done.status_code == BY_NAME[name].success, done.text


@pytest.mark.spec("CO-42")
@pytest.mark.parametrize("name", NAMES)
def test_an_expired_and_a_revoked_key_close_every_route(
    name: str, open_coordinator: Callable[..., Coordinator], clock: Clock, tmp_path: Path, used: Secrets
) -> None:
    bed = open_coordinator(KEYRACK_STORE=f"sqlite:///{tmp_path / 'keyrack.db'}")
    issuer = bed.service.verifier.issuer()
    scopes = [str(BY_NAME[name].scope)]
    dated = issuer.mint(Wish("dated", scopes=scopes, expires_at=clock.after(hours=1)), by=OPERATOR)
    ended = issuer.mint(Wish("ended", scopes=scopes), by=OPERATOR)
    expired, revoked = used.note(dated.secret), used.note(ended.secret)
    for key in (expired, revoked):
        (allowed,) = bed.send(with_key(right_request(bed, name), key))
        assert allowed.status_code == BY_NAME[name].success, allowed.text
    issuer.revoke(ended.key.id, by=OPERATOR)
    clock.pass_time(hours=2)
    request = right_request(bed, name)
    answers = bed.send(with_key(request, expired), with_key(request, revoked))
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (401, "key_expired"),
        (401, "key_revoked"),
    ]
