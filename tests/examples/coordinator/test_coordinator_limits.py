"""Rate limits, their headers, and whose address counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from coordinator_bed import ADDRESS, JOBS, Clock, Coordinator, Secrets

from examples.coordinator.settings import Settings
from keyrack import ConfigurationError

HEALTH = "/coordinator/health"
PROXY = "10.0.0.9"
Open = Callable[..., Coordinator]


def statuses(bed: Coordinator, times: int, by: str = "monitor") -> list[int]:
    return [bed.request("GET", HEALTH, by=by).status_code for _ in range(times)]


def failed(bed: Coordinator, address: str = ADDRESS, **headers: str) -> int:
    sent = {"X-API-Key": bed.used.key(), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return bed.request("GET", HEALTH, address=address, headers=sent).status_code


@pytest.mark.spec("CO-39")
def test_a_key_has_so_many_requests_in_so_many_seconds(open_coordinator: Open, clock: Clock) -> None:
    bed = open_coordinator(COORDINATOR_RATE_LIMIT="3/60")
    assert statuses(bed, 4) == [200, 200, 200, 429]
    assert statuses(bed, 1, by="operator") == [200]
    clock.pass_time(seconds=61)
    assert statuses(bed, 1) == [200]


@pytest.mark.spec("CO-39")
def test_every_answer_to_a_key_tells_its_limit(open_coordinator: Open, clock: Clock) -> None:
    bed = open_coordinator(COORDINATOR_RATE_LIMIT="3/60")
    first = bed.request("GET", HEALTH, by="monitor")
    assert first.headers["X-RateLimit-Limit"] == "3"
    assert first.headers["X-RateLimit-Remaining"] == "2"
    assert int(first.headers["X-RateLimit-Reset"]) >= int(clock().timestamp())
    assert first.headers["RateLimit"].startswith('"requests"')
    assert first.headers["RateLimit-Policy"] == '"requests";q=3;w=60'
    others = [
        bed.request("GET", "/nowhere", by="monitor"),
        bed.request("PUT", JOBS, by="monitor"),
        bed.request("GET", HEALTH, by="monitor"),
    ]
    assert [answer.status_code for answer in others] == [404, 405, 429]
    assert all("RateLimit" in answer.headers for answer in others)
    assert 1 <= int(others[-1].headers["Retry-After"]) <= 60
    assert others[-1].json()["code"] == "rate_limited"


@pytest.mark.spec("CO-39")
def test_what_is_denied_for_its_scope_spends_nothing(open_coordinator: Open) -> None:
    bed = open_coordinator(COORDINATOR_RATE_LIMIT="1/60")
    assert bed.request("POST", JOBS, by="monitor").status_code == 403
    assert statuses(bed, 2) == [200, 429]


@pytest.mark.spec("CO-39")
def test_refused_credentials_are_limited_by_address_in_a_bucket_of_their_own(
    open_coordinator: Open, clock: Clock
) -> None:
    bed = open_coordinator(COORDINATOR_FAILURE_LIMIT="3/60")
    assert [failed(bed) for _ in range(4)] == [401, 401, 401, 429]
    assert failed(bed, "198.51.100.8") == 401
    assert statuses(bed, 1) == [200]
    assert bed.request("GET", HEALTH).status_code == 401
    clock.pass_time(seconds=61)
    assert failed(bed) == 401


@pytest.mark.spec("CO-39")
def test_a_refused_credential_beyond_the_limit_is_told_when_to_return(open_coordinator: Open) -> None:
    bed = open_coordinator(COORDINATOR_FAILURE_LIMIT="1/60")
    answers = [bed.request("GET", HEALTH, headers={"X-API-Key": bed.used.key()}) for _ in range(2)]
    assert [answer.json()["code"] for answer in answers] == ["invalid_credentials", "rate_limited"]
    assert all("X-RateLimit-Limit" in answer.headers for answer in answers)
    assert 1 <= int(answers[1].headers["Retry-After"]) <= 61


@pytest.mark.spec("CO-39")
def test_a_limiter_that_cannot_be_read_closes_the_service(open_coordinator: Open, tmp_path: Path) -> None:
    counters = tmp_path / "limits" / "counters.db"
    counters.parent.mkdir()
    bed = open_coordinator(KEYRACK_COUNTERS=f"sqlite:///{counters}")
    assert statuses(bed, 1) == [200]
    for path in counters.parent.iterdir():
        path.write_bytes(b"no database any more" * 500)
    answer = bed.request("GET", HEALTH, by="monitor")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.spec("CO-40")
def test_a_forwarded_address_from_an_untrusted_peer_changes_nothing(open_coordinator: Open) -> None:
    bed = open_coordinator(COORDINATOR_FAILURE_LIMIT="2/60", COORDINATOR_TRUSTED_PROXIES="10.0.0.0/24")
    spoofed = [failed(bed, X_Forwarded_For=f"203.0.113.{number}") for number in range(3)]
    assert spoofed == [401, 401, 429]
    bed.request(
        "POST", JOBS, by="coordinator", json={"type": "a"}, headers={"X-Forwarded-For": "203.0.113.9"}
    )
    assert bed.audit()[-1]["client_ip"] == ADDRESS


@pytest.mark.spec("CO-40")
def test_a_forwarded_address_is_read_from_right_to_left_through_trusted_proxies(
    open_coordinator: Open,
) -> None:
    bed = open_coordinator(COORDINATOR_FAILURE_LIMIT="1/60", COORDINATOR_TRUSTED_PROXIES="10.0.0.0/24")
    chain = "203.0.113.66, 203.0.113.9, 10.0.0.7"
    assert [failed(bed, PROXY, X_Forwarded_For=chain) for _ in range(2)] == [401, 429]
    assert failed(bed, PROXY, X_Forwarded_For="203.0.113.66, 203.0.113.10, 10.0.0.7") == 401
    made = bed.request(
        "POST",
        JOBS,
        by="coordinator",
        address=PROXY,
        json={"type": "a"},
        headers={"X-Forwarded-For": chain},
    )
    assert made.status_code == 201
    assert bed.audit()[-1]["client_ip"] == "203.0.113.9"


@pytest.mark.spec("CO-39")
@pytest.mark.parametrize("text", ["0/60", "60", "60/0", "-1/60", "a/b", "60/60/60", "6 0/60"])
@pytest.mark.parametrize("name", ["COORDINATOR_RATE_LIMIT", "COORDINATOR_FAILURE_LIMIT"])
def test_a_limit_is_two_positive_numbers(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as refusal:
        Settings.read({"STITCHER_WEBHOOK": "off", name: text})
    assert text not in str(refusal.value).removeprefix(name)


@pytest.mark.spec("CO-40")
@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8 10.1.0.0/16"])
def test_a_trusted_proxy_is_a_network(text: str) -> None:
    with pytest.raises(ConfigurationError, match="COORDINATOR_TRUSTED_PROXIES"):
        Settings.read({"STITCHER_WEBHOOK": "off", "COORDINATOR_TRUSTED_PROXIES": text})


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
@pytest.mark.parametrize("name", ["KEYRACK_MAX_STALE", "KEYRACK_POLL"])
def test_a_duration_is_a_positive_number_of_seconds(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.read({"STITCHER_WEBHOOK": "off", name: text})


def test_a_switch_is_on_or_off() -> None:
    with pytest.raises(ConfigurationError, match="STITCHER_WEBHOOK"):
        Settings.read({"STITCHER_WEBHOOK": "no"})


def test_settings_show_no_secret(used: Secrets) -> None:
    shown = repr(Settings.read(used.environment()))
    assert not [secret for secret in used.texts if secret in shown]
