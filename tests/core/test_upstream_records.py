"""Upstreams and APIs come back from their bytes as they were; times are aware, or nothing is written."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from keyrack.core.model import VersionState
from keyrack.core.rotation import is_live
from keyrack.core.upstream import (
    Api,
    Endpoint,
    Plan,
    ResetFrequency,
    Rollout,
    SendPolicy,
    Tier,
    Upstream,
    UpstreamVersion,
)
from keyrack.core.upstream_records import read_api, read_upstream, write_api, write_upstream

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD = UpstreamVersion(1, VersionState.LIVE, NOW, "abcd…wxyz", not_after=NOW + timedelta(hours=1))
NEW = UpstreamVersion(2, VersionState.LIVE, NOW, "…")
UPSTREAM = Upstream(
    "acme",
    "models",
    "Authorization",
    NOW,
    (Tier("basic", 10, None, 5, ResetFrequency.DAILY), Tier("more", 20, 7, None, ResetFrequency.NEVER)),
    (OLD, NEW),
    format="Bearer {key}",
    origins=("https://a.example:443",),
    rollout=Rollout("r1", NOW, Plan.GRADUAL, SendPolicy.PREFER_NEW, 1, NOW, NOW + timedelta(seconds=1)),
    cleaned_up_at=NOW,
    updated_at=NOW,
    revision=7,
)
API = Api(
    "acme",
    "chat",
    "v1",
    ("https://a.example:443/v1",),
    NOW,
    active=False,
    public=True,
    group="models",
    request_headers=("accept",),
    response_headers=("content-type",),
    retries=2,
    endpoints=(Endpoint("POST", "/chat/{id}", "chat:send", 0),),
    usage_pointers={"input": "/usage/in"},
    revision=3,
)


@pytest.mark.parametrize(
    "upstream",
    [
        UPSTREAM,
        replace(UPSTREAM, rollout=None, cleaned_up_at=None, updated_at=None),
        replace(UPSTREAM, deleted_at=NOW, versions=()),
        replace(UPSTREAM, rollout=Rollout("r2", NOW)),
        Upstream("acme", "bare", "X-Key", NOW, (), ()),
        replace(UPSTREAM, unknown={"later": 1}, versions=(replace(OLD, unknown={"more": [1]}), NEW)),
    ],
)
def test_an_upstream_comes_back_as_it_was(upstream: Upstream) -> None:
    assert read_upstream(write_upstream(upstream)) == upstream


@pytest.mark.parametrize(
    "api",
    [
        API,
        replace(API, active=True, public=False, charged=True, deleted_at=NOW),
        replace(API, updated_at=NOW, unknown={"later": 1}),
        Api("acme", "bare", "v1", (), NOW),
    ],
)
def test_an_api_comes_back_as_it_was(api: Api) -> None:
    assert read_api(write_api(api)) == api


@pytest.mark.spec("UG-15")
@pytest.mark.parametrize("hours", [-12, 0, 2.5, 14])
def test_an_end_is_the_same_instant_whatever_offset_it_was_written_with(hours: float) -> None:
    there = (NOW + timedelta(hours=1)).astimezone(timezone(timedelta(hours=hours)))
    read = read_upstream(write_upstream(replace(UPSTREAM, versions=(replace(OLD, not_after=there), NEW))))
    assert read.versions[0].not_after == there
    assert read.versions[0].not_after.utcoffset() == timedelta(0)


NAIVE = datetime(2030, 1, 2)  # what is to be refused


@pytest.mark.spec("UG-15")
@pytest.mark.parametrize(
    "naive",
    [
        replace(UPSTREAM, versions=(replace(OLD, not_after=NAIVE), NEW)),
        replace(UPSTREAM, created_at=NAIVE),
        replace(UPSTREAM, rollout=Rollout("r1", NAIVE)),
        replace(UPSTREAM, cleaned_up_at=NAIVE),
    ],
    ids=["end", "created", "started", "cleaned"],
)
def test_a_time_without_an_offset_is_not_written(naive: Upstream) -> None:
    with pytest.raises(ValueError, match="offset"):
        write_upstream(naive)


@pytest.mark.spec("UG-15")
@pytest.mark.parametrize("end", ["soon", "", "2030-01-02T04:00:00", "2030-13-01T00:00:00Z", 5, [], {}, False])
def test_an_end_that_cannot_be_read_counts_as_passed_at_any_time(end: Any) -> None:
    record = json.loads(write_upstream(UPSTREAM))
    record["versions"][0]["not_after"] = end
    old, new = read_upstream(json.dumps(record).encode()).versions
    assert (old.has_unreadable_end, new.has_unreadable_end) == (True, False)
    for now in (NOW, NOW + timedelta(days=9)):
        assert (is_live(old, now), is_live(new, now)) == (False, True)
    again = read_upstream(write_upstream(replace(UPSTREAM, versions=(old, new))))
    assert again.versions == (old, new)
