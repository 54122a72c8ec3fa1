"""The rotation of an upstream's key over HTTP: start, change, end of grace, promotion, abort and undo."""

from __future__ import annotations

from typing import Any

import pytest
from server.server_bed import House, problem
from session_bed import ONE
from upstream_bed import DAY, GROUP, HOUR, ORIGIN, OTHER_ORIGIN, PLACE, ROTATION, key, made, rotated

from keyrack.core.sending import candidates
from keyrack.core.upstream import SendPolicy
from keyrack.gateway.admin.tidying import tidy
from keyrack.vault.secrets import Vault


def sent(house: House, *, default: SendPolicy = SendPolicy.PREFER_NEW) -> list[str]:
    """The keys that a request would be sent with now, the preferred one first."""
    replica = house.verifier.follower.replica
    upstream = replica.upstreams[f"default/{GROUP}"]
    now = upstream.created_at.fromtimestamp(house.clock.now, upstream.created_at.tzinfo)
    found = candidates(upstream, "request", default=default, now=now)
    secrets = [replica.upstream_secrets[upstream.secret_id(one.number)] for one in found]
    return [Vault(ONE).opened(one).decode() for one in secrets]


def shown(house: House) -> dict[str, Any]:
    document: dict[str, Any] = house.root("GET", ROTATION).json()
    return document


def put(house: House, **given: Any) -> Any:
    return house.root("PUT", PLACE, given)


def states(house: House) -> list[str]:
    """The state of each version, by number."""
    return [one["state"] for one in house.root("GET", f"{PLACE}/versions").json()["data"]]


def refused_unchanged(house: House, answer: Any, status: int, code: str, before: int) -> None:
    assert problem(answer) == (status, code)
    assert house.head() == before


@pytest.mark.spec("UG-12", "UG-13")
def test_a_rotation_has_both_keys_until_its_end_and_the_new_one_after_it(house: House) -> None:
    made(house)
    rotated(house)
    state = shown(house)
    assert (state["state"], state["old_version"], state["new_version"]) == ("active", 1, 2)
    assert (state["started_at"], state["api_key_rotation_expires"]) == (house.at(0), house.at(HOUR))
    assert sent(house) == [key(2), key(1)]
    assert sent(house, default=SendPolicy.HOLD_OLD) == [key(1), key(2)]
    house.clock.advance(HOUR - 1)
    assert (shown(house)["state"], sent(house)) == ("active", [key(2), key(1)])
    house.clock.advance(1)
    assert (shown(house)["state"], sent(house)) == ("expired", [key(2)])
    assert sent(house, default=SendPolicy.HOLD_OLD) == [key(2)]
    house.clock.advance(1)
    assert (shown(house)["state"], sent(house)) == ("expired", [key(2)])
    assert states(house) == ["retired", "live"]


@pytest.mark.spec("UG-13")
def test_a_put_of_a_new_key_with_its_end_starts_a_rotation(house: House) -> None:
    made(house)
    answer = put(house, api_key_new=key(2), api_key_rotation_expires=house.at(DAY))
    assert answer.status_code == 200
    state = answer.json()["rotation"]
    assert (state["state"], state["api_key_rotation_expires"]) == ("active", house.at(DAY))
    assert sent(house) == [key(2), key(1)]


@pytest.mark.spec("UG-13")
def test_a_group_can_be_made_within_a_rotation(house: House) -> None:
    state = made(house, api_key_new=key(2), api_key_rotation_expires=house.at(DAY))["rotation"]
    assert (state["state"], state["new_version"]) == ("active", 2)
    assert sent(house) == [key(2), key(1)]


@pytest.mark.spec("UG-13", "UG-4")
@pytest.mark.parametrize("operation", ["PUT", "POST"])
def test_a_present_key_that_is_given_has_to_be_the_present_key(house: House, operation: str) -> None:
    made(house)
    path = {"PUT": PLACE, "POST": ROTATION}[operation]
    wish = {"api_key_new": key(2), "api_key_rotation_expires": house.at(DAY)}
    before = house.head()
    wrong = house.root(operation, path, {**wish, "api_key": key(3)})
    refused_unchanged(house, wrong, 409, "key_mismatch", before)
    right = house.root(operation, path, {**wish, "api_key": key(1)})
    assert right.status_code in (200, 201)


@pytest.mark.spec("UG-14")
@pytest.mark.parametrize(
    ("given", "end"),
    [({}, DAY), ({"grace_seconds": 3600}, 3600), ({"grace_seconds": 604_800}, 604_800)],
    ids=["default", "least", "most"],
)
def test_grace_is_an_hour_to_a_week_and_a_day_by_default(
    house: House, given: dict[str, int], end: int
) -> None:
    made(house)
    answer = house.root("POST", ROTATION, {"api_key_new": key(2), **given})
    assert answer.status_code == 201
    assert answer.json()["api_key_rotation_expires"] == house.at(end)


OUTSIDE = (-1, 0, 1, HOUR - 1, 7 * DAY + 1, 400 * DAY)


@pytest.mark.spec("UG-14", "UG-4")
@pytest.mark.parametrize("seconds", OUTSIDE)
def test_a_grace_outside_of_its_range_is_refused_on_every_way(house: House, seconds: int) -> None:
    made(house)
    before, end = house.head(), house.at(seconds)
    for answer in (
        put(house, api_key_new=key(2), api_key_rotation_expires=end),
        house.root("POST", ROTATION, {"api_key_new": key(2), "api_key_rotation_expires": end}),
        house.root("POST", ROTATION, {"api_key_new": key(2), "grace_seconds": seconds}),
    ):
        refused_unchanged(house, answer, 422, "grace_out_of_range", before)


@pytest.mark.spec("UG-14")
def test_a_changed_end_is_measured_from_the_start(house: House) -> None:
    made(house)
    rotated(house)
    house.clock.advance(HOUR // 2)
    before = house.head()
    for seconds in (-HOUR // 4, 0, HOUR // 2 - 1, 7 * DAY):
        answer = house.root("PATCH", ROTATION, {"api_key_rotation_expires": house.at(seconds)})
        refused_unchanged(house, answer, 422, "grace_out_of_range", before)
    longest = house.at(7 * DAY - HOUR // 2)
    changed = house.root("PATCH", ROTATION, {"api_key_rotation_expires": longest})
    assert (changed.status_code, changed.json()["api_key_rotation_expires"]) == (200, longest)
    house.clock.advance(7 * DAY - HOUR // 2 - 1)
    assert sent(house) == [key(2), key(1)]
    house.clock.advance(1)
    assert sent(house) == [key(2)]


@pytest.mark.spec("UG-15", "UG-4")
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"api_key_new": key(2)}, "rotation_fields_incomplete"),
        ({"api_key_rotation_expires": "2100-01-01T00:00:00Z"}, "rotation_fields_incomplete"),
        ({"api_key_new": key(2), "api_key_rotation_expires": None}, "rotation_fields_incomplete"),
        (
            {"api_key_new": None, "api_key_rotation_expires": "2100-01-01T00:00:00Z"},
            "rotation_fields_incomplete",
        ),
        ({"api_key_new": key(2), "api_key_rotation_expires": "2027-01-16T08:00:00"}, "validation_error"),
        ({"api_key_new": key(2), "api_key_rotation_expires": "2027-01-16"}, "validation_error"),
        ({"api_key_new": key(2), "api_key_rotation_expires": "tomorrow"}, "validation_error"),
        ({"api_key_new": key(2), "api_key_rotation_expires": 1_800_086_400}, "validation_error"),
        ({"api_key_new": key(1), "api_key_rotation_expires": "2027-01-16T08:00:00Z"}, "validation_error"),
    ],
)
@pytest.mark.parametrize("operation", ["PUT", "POST"])
def test_half_a_rotation_and_odd_input_change_nothing(
    house: House, operation: str, given: dict[str, Any], code: str
) -> None:
    if operation == "POST" and given == {"api_key_new": key(2)}:
        given = {"grace_seconds": HOUR}
    made(house)
    before = house.head()
    answer = house.root(operation, {"PUT": PLACE, "POST": ROTATION}[operation], given)
    refused_unchanged(house, answer, 422, code, before)


@pytest.mark.spec("UG-15")
def test_a_key_that_is_live_already_is_no_new_key(house: House) -> None:
    made(house)
    rotated(house)
    before = house.head()
    for number in (1, 2):
        answer = house.root("POST", ROTATION, {"api_key_new": key(number), "force": True})
        refused_unchanged(house, answer, 422, "validation_error", before)


@pytest.mark.spec("UG-15")
@pytest.mark.parametrize(
    "end", ["2027-01-16T08:00:00Z", "2027-01-16T10:30:00+02:30", "2027-01-15T20:00:00.9-12:00"]
)
def test_an_end_with_any_offset_is_kept_in_utc(house: House, end: str) -> None:
    made(house)
    answer = put(house, api_key_new=key(2), api_key_rotation_expires=end)
    assert answer.json()["rotation"]["api_key_rotation_expires"] == "2027-01-16T08:00:00Z"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"grace_seconds": HOUR, "api_key_rotation_expires": "2027-01-16T08:00:00Z"}, "grace_seconds"),
        ({"plan": "emergency", "grace_seconds": HOUR}, "grace_seconds"),
        ({"plan": "gradual", "api_key_rotation_expires": "2027-01-16T08:00:00Z"}, "api_key_rotation_expires"),
        ({"plan": "sudden"}, "plan"),
        ({"force": "yes"}, "force"),
        ({"grace_seconds": 3600.5}, "grace_seconds"),
    ],
)
def test_a_start_that_says_two_things_is_refused(house: House, given: dict[str, Any], field: str) -> None:
    made(house)
    answer = house.root("POST", ROTATION, {"api_key_new": key(2), **given})
    assert problem(answer) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == [field]


NULLS = {"api_key_new": None, "api_key_rotation_expires": None}


@pytest.mark.spec("UG-16")
def test_nulls_with_the_new_key_promote_and_clear(house: House) -> None:
    made(house)
    rotated(house)
    answer = put(house, api_key=key(2), **NULLS)
    assert answer.status_code == 200
    state = answer.json()["rotation"]
    assert (state["state"], state["started_at"], state["cleaned_up_at"]) == ("none", None, house.at(0))
    assert (sent(house), states(house)) == ([key(2)], ["retired", "live"])


@pytest.mark.spec("UG-16", "UG-4")
@pytest.mark.parametrize(
    "given",
    [
        NULLS,
        {"api_key_new": None},
        {"api_key_rotation_expires": None},
        {**NULLS, "api_key": key(1)},
        {**NULLS, "api_key": key(3)},
        {"api_key_new": None, "api_key": key(2)},
        {**NULLS, "api_key_header": "x-other"},
    ],
)
def test_a_null_within_a_rotation_is_never_dropped(house: House, given: dict[str, Any]) -> None:
    made(house)
    rotated(house)
    refused_unchanged(house, put(house, **given), 422, "use_promote_or_abort", house.head())
    assert sent(house) == [key(2), key(1)]


@pytest.mark.spec("UG-16")
@pytest.mark.parametrize("given", [NULLS, {"api_key_new": None}, {**NULLS, "api_key": key(1)}])
def test_without_a_rotation_nulls_change_nothing(house: House, given: dict[str, Any]) -> None:
    before = made(house)
    head = house.head()
    assert put(house, **given).json() == before
    assert house.head() == head


@pytest.mark.spec("UG-16")
def test_a_key_alone_replaces_the_key_at_once(house: House) -> None:
    made(house)
    assert put(house, api_key=key(2)).json()["rotation"]["state"] == "none"
    assert (sent(house), states(house)) == ([key(2)], ["retired", "live"])
    assert house.root("POST", f"{ROTATION}/undo").status_code == 200
    assert sent(house)[0] == key(1)


@pytest.mark.spec("UG-16", "UG-4")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_key_alone_does_not_override_a_rotation(house: House, number: int) -> None:
    made(house)
    rotated(house)
    refused_unchanged(house, put(house, api_key=key(number)), 409, "rotation_active", house.head())
    house.clock.advance(HOUR)
    assert put(house, api_key=key(3)).status_code == 200
    assert sent(house) == [key(3)]


@pytest.mark.spec("UG-2", "UG-4")
def test_a_key_is_sent_elsewhere_only_by_who_knows_it(house: House) -> None:
    made(house, api_key_origins=[ORIGIN])
    both = [ORIGIN, OTHER_ORIGIN]
    before = house.head()
    for more in ({}, {"api_key": key(2)}):
        answer = put(house, api_key_origins=both, **more)
        refused_unchanged(house, answer, 409, "key_mismatch", before)
    widened = put(house, api_key_origins=both, api_key=key(1))
    assert (widened.status_code, widened.json()["api_key_origins"]) == (200, both)
    assert (sent(house), states(house)) == ([key(1)], ["live"])
    narrowed = put(house, api_key_origins=[OTHER_ORIGIN])
    assert (narrowed.status_code, narrowed.json()["api_key_origins"]) == (200, [OTHER_ORIGIN])
    assert sent(house) == [key(1)]


@pytest.mark.spec("UG-2")
def test_within_a_rotation_the_present_key_is_the_new_one(house: House) -> None:
    made(house, api_key_origins=[ORIGIN])
    rotated(house)
    both = [ORIGIN, OTHER_ORIGIN]
    assert problem(put(house, api_key_origins=both, api_key=key(1))) == (409, "key_mismatch")
    assert put(house, api_key_origins=both, api_key=key(2)).status_code == 200
    assert sent(house) == [key(2), key(1)]


@pytest.mark.spec("UG-17", "UG-18")
def test_promotion_ends_grace_and_can_be_undone_for_a_day(house: House) -> None:
    made(house)
    rotated(house)
    promoted = house.root("POST", f"{ROTATION}/promote")
    assert (promoted.status_code, promoted.json()["state"]) == (200, "none")
    assert (sent(house), states(house)) == ([key(2)], ["retired", "live"])
    assert problem(house.root("POST", f"{ROTATION}/promote")) == (409, "no_rotation")
    house.clock.advance(DAY - 1)
    undone = house.root("POST", f"{ROTATION}/undo").json()
    assert (undone["state"], undone["new_version"], undone["old_version"]) == ("active", 1, 2)
    for default in SendPolicy:
        assert sent(house, default=default) == [key(1), key(2)]
    house.clock.advance(DAY)
    assert sent(house) == [key(1)]


@pytest.mark.spec("UG-18", "UG-4")
def test_after_a_day_nothing_is_brought_back(house: House) -> None:
    made(house)
    assert problem(house.root("POST", f"{ROTATION}/undo")) == (409, "no_rotation")
    rotated(house)
    assert problem(house.root("POST", f"{ROTATION}/undo")) == (409, "rotation_active")
    house.clock.advance(HOUR + DAY)
    assert problem(house.root("POST", f"{ROTATION}/undo")) == (409, "undo_expired")


@pytest.mark.spec("UG-17", "UG-18")
def test_a_promotion_that_destroys_erases_the_old_key_at_once(house: House) -> None:
    made(house)
    rotated(house)
    assert house.root("POST", f"{ROTATION}/promote", {"destroy": True}).json()["state"] == "none"
    assert states(house) == ["destroyed", "live"]
    replica = house.verifier.follower.replica
    kept = [one.version for one in replica.upstream_secrets.values() if one.ciphertext is not None]
    assert kept == [2]
    assert problem(house.root("POST", f"{ROTATION}/undo")) == (409, "undo_expired")


@pytest.mark.spec("UG-18", "UG-4")
def test_abort_drops_the_new_key_and_returns_to_the_old_one(house: House) -> None:
    made(house)
    assert problem(house.root("POST", f"{ROTATION}/abort")) == (409, "no_rotation")
    rotated(house)
    aborted = house.root("POST", f"{ROTATION}/abort")
    assert (aborted.status_code, aborted.json()["state"]) == (200, "none")
    assert (sent(house), states(house)) == ([key(1)], ["live", "aborted"])
    house.clock.advance(8 * DAY)
    assert sent(house) == [key(1)]
    assert problem(house.root("POST", f"{ROTATION}/undo")) == (409, "no_rotation")
    rotated(house)
    assert states(house) == ["live", "aborted", "live"]


@pytest.mark.spec("UG-19", "UG-4")
def test_another_rotation_needs_force_and_five_keys_are_the_most(house: House) -> None:
    made(house)
    rotated(house, 2, grace_seconds=2 * HOUR)
    before = house.head()
    again = house.root("POST", ROTATION, {"api_key_new": key(3)})
    refused_unchanged(house, again, 409, "rotation_active", before)
    put_again = put(house, api_key_new=key(3), api_key_rotation_expires=house.at(DAY))
    refused_unchanged(house, put_again, 409, "rotation_active", before)
    house.clock.advance(HOUR)
    for number in (3, 4, 5):
        rotated(house, number, force=True, grace_seconds=(number - 1) * HOUR)
    sixth = house.root("POST", ROTATION, {"api_key_new": key(6), "force": True})
    assert problem(sixth) == (409, "version_limit")
    assert sent(house) == [key(number) for number in (5, 4, 3, 2, 1)]
    ends = [one["not_after"] for one in house.root("GET", f"{PLACE}/versions").json()["data"]]
    assert ends == [house.at(HOUR), house.at(2 * HOUR), house.at(3 * HOUR), house.at(4 * HOUR), None]
    house.clock.advance(2 * HOUR)
    assert sent(house) == [key(5), key(4), key(3)]
    assert shown(house)["state"] == "active"
    house.clock.advance(2 * HOUR)
    assert (sent(house), shown(house)["state"]) == ([key(5)], "expired")


@pytest.mark.spec("UG-18", "UG-19")
def test_abort_of_a_second_rotation_returns_to_the_first_whatever_its_plan_was(house: House) -> None:
    made(house)
    rotated(house, 2)
    rotated(house, 3, force=True, plan="gradual")
    assert house.root("POST", f"{ROTATION}/abort").json()["state"] == "active"
    for default in SendPolicy:
        assert sent(house, default=default) == [key(2), key(1)]
    assert house.root("POST", f"{ROTATION}/abort").json()["state"] == "none"
    assert sent(house) == [key(1)]


@pytest.mark.spec("UG-23")
@pytest.mark.parametrize(
    ("plan", "grace", "policy", "percent"),
    [
        ("planned", DAY, None, None),
        ("emergency", HOUR, "prefer_new", 100),
        ("gradual", 7 * DAY, "prefer_new", 1),
    ],
)
def test_a_plan_says_how_long_grace_is_and_who_is_sent_what(
    house: House, plan: str, grace: int, policy: str | None, percent: int | None
) -> None:
    made(house)
    state = rotated(house, plan=plan)
    assert (state["plan"], state["policy"], state["rollout_percent"]) == (plan, policy, percent)
    assert state["api_key_rotation_expires"] == house.at(grace)
    expected = {"planned": [key(1), key(2)], "emergency": [key(2), key(1)]}
    if plan in expected:
        assert sent(house, default=SendPolicy.HOLD_OLD) == expected[plan]


@pytest.mark.spec("UG-22")
@pytest.mark.parametrize("percent", [1, 25, 50, 100])
def test_a_share_is_stated_in_steps(house: House, percent: int) -> None:
    made(house)
    rotated(house)
    state = house.root("PATCH", ROTATION, {"rollout_percent": percent})
    assert state.status_code == 200
    assert (state.json()["policy"], state.json()["rollout_percent"]) == ("prefer_new", percent)
    head = house.head()
    assert house.root("PATCH", ROTATION, {"rollout_percent": percent}).json() == state.json()
    assert house.head() == head


@pytest.mark.spec("UG-22", "UG-4")
@pytest.mark.parametrize("percent", [0, 2, 101, None, "25", True, 25.5])
def test_any_other_share_is_refused(house: House, percent: object) -> None:
    made(house)
    rotated(house)
    before = house.head()
    answer = house.root("PATCH", ROTATION, {"rollout_percent": percent})
    refused_unchanged(house, answer, 422, "validation_error", before)


def test_a_share_is_one_of_a_rotation_that_is_under_way(house: House) -> None:
    made(house)
    assert problem(house.root("PATCH", ROTATION, {"rollout_percent": 25})) == (409, "no_rotation")
    rotated(house)
    house.clock.advance(HOUR)
    assert problem(house.root("PATCH", ROTATION, {"rollout_percent": 25})) == (409, "no_rotation")


@pytest.mark.spec("UG-23")
def test_in_an_emergency_the_old_key_is_preferred_by_nobody(house: House) -> None:
    made(house)
    rotated(house, plan="emergency")
    assert problem(house.root("PATCH", ROTATION, {"rollout_percent": 50})) == (422, "validation_error")
    assert house.root("PATCH", ROTATION, {"rollout_percent": 100}).status_code == 200


@pytest.mark.spec("UG-17")
def test_what_ran_out_is_cleaned_up_before_the_next_change_if_nobody_came_to_it(house: House) -> None:
    made(house)
    rotated(house)
    house.clock.advance(HOUR)
    rotated(house, 3)
    kinds = [one["action"] for one in house.root("GET", f"{PLACE}/history").json()["data"]]
    assert kinds == [
        "upstream.created",
        "upstream.rotation_started",
        "upstream.cleaned_up",
        "upstream.rotation_started",
    ]
    replica = house.verifier.follower.replica
    now = replica.upstreams[f"default/{GROUP}"].created_at
    assert tidy(house.verifier.stores, replica, now.fromtimestamp(house.clock.now, now.tzinfo)) == 0
