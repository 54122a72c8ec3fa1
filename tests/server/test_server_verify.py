"""`POST /v1/verify` and its batch: what is asked, what is answered, and who may ask."""

from __future__ import annotations

from typing import Any

import pytest
from server_bed import House, problem

from keyrack import Policy
from keyrack.core.http import ANSWERS
from keyrack.core.model import Limit, Reason

LIMIT = {"name": "minute", "limit": 2, "window_seconds": 60}


def test_a_key_that_may_is_answered_with_all_that_a_service_needs(house: House) -> None:
    key = house.root.mint("logs:read", owner="ada", expires_at=house.at(86_400))
    assert house.root.verify(key["secret"], scopes=["logs:read"]) == {
        "valid": True,
        "code": "ok",
        "key_id": key["id"],
        "version": 1,
        "name": "key",
        "tenant": "default",
        "owner": "ada",
        "environment": "live",
        "scopes": ["logs:read"],
        "expires_at": key["expires_at"],
    }


def test_a_denial_is_an_answer_with_its_code_and_exact_reason(house: House) -> None:
    key = house.root.mint("logs:read")
    assert house.root.verify(key["secret"], scopes=["logs:write"]) == {
        "valid": False,
        "code": "insufficient_scope",
        "reason": "scope",
        "key_id": key["id"],
        "tenant": "default",
        "owner": None,
        "name": "key",
        "details": {"required_scopes": ["logs:write"], "missing_scopes": ["logs:write"]},
    }


def test_what_is_not_proved_says_nothing_of_any_key(house: House) -> None:
    key = house.root.mint("logs:read")
    wrong = key["secret"][:20] + ("A" if key["secret"][20] != "A" else "B") + key["secret"][21:]
    for text, reason in ((wrong, "malformed"), ("", "missing"), ("x" * 600, "malformed")):
        code = ANSWERS[Reason(reason)].code
        assert house.root.verify(text) == {"valid": False, "code": code, "reason": reason}


@pytest.mark.parametrize(
    ("wish", "question", "reason"),
    [
        ({"networks": ["10.0.0.0/8"]}, {"ip": "192.0.2.1"}, "network"),
        ({"networks": ["10.0.0.0/8"]}, {}, "network"),
        ({"networks": ["10.0.0.0/8"]}, {"ip": "::ffff:10.1.2.3"}, None),
        ({"environment": "test"}, {}, "unknown"),
        ({"environment": "test"}, {"environments": ["live", "test"]}, None),
        ({}, {"environments": ["test"]}, "unknown"),
        ({}, {"tenant": "acme"}, "tenant"),
        ({}, {"tenant": "default"}, None),
        ({"expires_at": "2027-01-15T08:00:01Z"}, {}, None),
        ({"limits": [LIMIT]}, {"cost": 3}, "rate"),
        ({"limits": [LIMIT]}, {"cost": 2}, None),
        ({"limits": [{**LIMIT, "limit": 1}]}, {"cost": 0}, None),
    ],
)
def test_a_question_is_answered_by_all_that_it_names(
    house: House, wish: Any, question: Any, reason: str | None
) -> None:
    key = house.root.mint("logs:read", **wish)
    assert house.root.verify(key["secret"], **question).get("reason") == reason


def test_a_limited_key_shows_its_limits_and_when_to_come_back(house: House) -> None:
    key = house.root.mint("logs:read", limits=[LIMIT])
    first = house.root.verify(key["secret"])
    assert first["limits"] == [{**LIMIT, "remaining": 1, "reset_at": first["limits"][0]["reset_at"]}]
    house.root.verify(key["secret"])
    refused = house.root.verify(key["secret"])
    assert (refused["code"], refused["retry_after"]) == ("rate_limited", 60)
    assert refused["limits"][0]["remaining"] == 0


def test_the_limits_of_the_caller_are_in_the_headers_whatever_it_asked(house: House) -> None:
    caller = house.holder("keys:verify", limits=[LIMIT])
    headers = caller("POST", "/v1/verify", {"key": "x"}).headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("2", "1")
    unreadable = caller("POST", "/v1/verify", {"text": "x"})
    assert problem(unreadable)[0] == 422
    assert unreadable.headers["x-ratelimit-remaining"] == "0"
    refused = caller("POST", "/v1/verify", {"key": "x"})
    assert problem(refused) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "60"


def test_an_answer_can_be_explained(house: House) -> None:
    key = house.root.mint("logs:read")
    assert house.root.verify(key["secret"], explain=True)["explanation"]
    assert house.root.verify("x", explain=True)["explanation"] == ANSWERS[Reason.MALFORMED].detail
    assert "explanation" not in house.root.verify(key["secret"])


def test_an_answer_follows_the_key_as_it_is_now(house: House) -> None:
    key = house.root.mint("logs:read")
    assert house.root.verify(key["secret"])["name"] == "key"
    house.root("PATCH", f"/v1/keys/{key['id']}", {"name": "renamed", "owner": "ada"})
    answer = house.root.verify(key["secret"])
    assert (answer["name"], answer["owner"]) == ("renamed", "ada")


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (None, "body"),
        ("x", "body"),
        ([], "body"),
        ({}, "key"),
        ({"key": None}, "key"),
        ({"key": 7}, "key"),
        ({"key": "k", "colour": "red"}, "colour"),
        ({"key": "k", "scopes": "logs:read"}, "scopes"),
        ({"key": "k", "scopes": ["logs"]}, "scopes"),
        ({"key": "k", "scopes": None}, "scopes"),
        ({"key": "k", "scopes": [f"a{n}:b" for n in range(101)]}, "scopes"),
        ({"key": "k", "tenant": ""}, "tenant"),
        ({"key": "k", "tenant": 7}, "tenant"),
        ({"key": "k", "ip": "nowhere"}, "ip"),
        ({"key": "k", "ip": 3_232_235_777}, "ip"),
        ({"key": "k", "cost": -1}, "cost"),
        ({"key": "k", "cost": 1001}, "cost"),
        ({"key": "k", "cost": 1.0}, "cost"),
        ({"key": "k", "cost": True}, "cost"),
        ({"key": "k", "cost": 10**400}, "cost"),
        ({"key": "k", "explain": "yes"}, "explain"),
        ({"key": "k", "environments": "live"}, "environments"),
        ({"key": "k", "environments": []}, "environments"),
        ({"key": "k", "environments": ["live"] * 11}, "environments"),
        ({"key": "k", "environments": ["LIVE"]}, "environments"),
        ({"key": "k", "service": ["query"]}, "service"),
    ],
)
def test_a_question_outside_its_rules_is_refused_by_its_field(
    house: House, question: Any, field: str
) -> None:
    answer = house.root("POST", "/v1/verify", question)
    if question is None:
        assert problem(answer)[0] in (400, 415)
        return
    assert problem(answer) == (422, "validation_error")
    assert list(answer.json()["details"]["fields"]) == [field]
    batch = house.root("POST", "/v1/verify/batch", [{"key": "k"}, question])
    assert problem(batch) == (422, "validation_error")
    assert list(batch.json()["details"]["fields"]) == ["1" if field == "body" else f"1.{field}"]


def test_a_batch_is_answered_in_its_order(house: House) -> None:
    good, other = house.root.mint("logs:read"), house.root.mint("logs:write")
    questions = [{"key": text, "scopes": ["logs:read"]} for text in (good["secret"], "x", other["secret"])]
    answers = house.root("POST", "/v1/verify/batch", questions).json()["data"]
    assert [answer["code"] for answer in answers] == ["ok", "invalid_credentials", "insufficient_scope"]
    assert answers[0] == house.root.verify(good["secret"], scopes=["logs:read"])


@pytest.mark.parametrize("batch", [[], {"key": "k"}, "x", 7, [{"key": "k"}] * 101])
def test_a_batch_holds_1_to_100_questions(house: House, batch: Any) -> None:
    assert problem(house.root("POST", "/v1/verify/batch", batch)) == (422, "validation_error")
    assert house.root("POST", "/v1/verify/batch", [{"key": "k"}] * 100).status_code == 200


@pytest.mark.parametrize("path", ["/v1/verify", "/v1/verify/batch"])
def test_asking_needs_keys_verify(house: House, path: str) -> None:
    assert problem(house.caller()("POST", path, {"key": "k"})) == (401, "missing_credentials")
    assert problem(house.caller("nonsense")("POST", path, {"key": "k"})) == (401, "invalid_credentials")
    weak = house.holder("keys:manage")("POST", path, {"key": "k"})
    assert problem(weak) == (403, "insufficient_scope")
    assert weak.json()["details"]["missing_scopes"] == ["keys:verify"]


@pytest.mark.parametrize("path", ["/v1/verify", "/v1/verify/batch"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_named_as_such(house: House, path: str, method: str) -> None:
    answer = house.root(method, path)
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_a_flood_of_bad_keys_is_slowed_down_and_a_good_one_never(portal: Any) -> None:
    house = House(portal, policy=Policy(failure_limit=Limit("failures", 3, 60)))
    flooder = house.caller("nonsense", peer="192.0.2.9")
    answers = [problem(flooder("GET", "/v1/me")) for _ in range(4)]
    assert answers == [(401, "invalid_credentials")] * 3 + [(429, "rate_limited")]
    assert house.caller(house.root_key, peer="192.0.2.9")("GET", "/v1/me").status_code == 200
    house.verifier.close()


def test_who_is_asked_about_does_not_count_against_who_asks(house: House) -> None:
    key = house.root.mint("logs:read", limits=[{**LIMIT, "limit": 1}])
    verifying = house.holder("keys:verify")
    assert [verifying.verify(key["secret"])["code"] for _ in range(2)] == ["ok", "rate_limited"]
    assert verifying("GET", "/v1/me").status_code == 200
