"""The tour of the example, played on the real thing: what was promised came of each scene."""

from __future__ import annotations

import pytest
from gateway_ports import two_ports

from examples.ai_gateway import tour
from examples.ai_gateway.calls import ELSEWHERE
from examples.ai_gateway.setup import FREE_CREDITS
from examples.ai_gateway.tour import Played


@pytest.fixture(scope="module")
def played() -> Played:
    """Provider and gateway as processes, on a store of their own."""
    return tour.run(port=two_ports())


def test_callers_are_answered_and_the_provider_sees_its_own_key_alone(played: Played) -> None:
    done = played.calls
    assert done.plain.is_good
    assert done.streamed.is_good
    assert done.plain.document["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert dict(done.keys_seen) == {played.rotation.old: 2}


def test_the_providers_key_is_replaced_under_load_without_a_failed_request(played: Played) -> None:
    done = played.rotation
    assert dict(done.failures) == {}
    assert done.answered > 0
    assert dict(done.refused) == {}
    assert done.old != done.new


def test_a_caller_has_as_many_answers_as_credits_and_a_failure_costs_none(played: Played) -> None:
    done = played.exhaustion
    assert (done.when_overloaded, done.left_after_overload) == (503, FREE_CREDITS)
    assert done.statuses == (200,) * FREE_CREDITS + (402,)
    assert done.refused.code == "credits_exhausted"
    details = done.refused.document["details"]
    assert (details["available"], details["required"]) == (0, 1)


def test_a_leaked_key_is_seen_kept_out_and_ended_while_its_owner_goes_on(played: Played) -> None:
    done = played.leak
    assert set(done.seen_from) == {"127.0.0.1", ELSEWHERE}
    assert (done.while_blocked.status, done.while_blocked.code) == (403, "ip_denied")
    assert (done.after_rotation.status, done.after_rotation.code) == (401, "secret_retired")
    assert done.owner.is_good


def test_the_tour_tells_what_came_of_every_scene(played: Played) -> None:
    lines = list(tour.told(played))
    assert "failed meanwhile: none" in lines
    assert "six questions: 200 200 200 200 200 402; the last: credits_exhausted" in lines
    assert len(lines) == 12
