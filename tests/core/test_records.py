"""Records as bytes: nothing is lost on the way, not even what a later format added."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from drawing import NOW, instants, json_values, keys, secret_versions, tenants
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.model import Key, Status, Tenant, VersionState
from keyrack.core.records import read_key, read_tenant, read_time, write_key, write_tenant, write_time

whole_keys = keys(
    versions=st.lists(secret_versions(), min_size=1, max_size=3).map(tuple),
    updated_at=st.none() | instants,
    revoked_at=st.none() | instants,
    revoked_reason=st.none() | st.just("lost"),
)
later_members = st.dictionaries(st.text("xyz", min_size=3, max_size=5), json_values, min_size=1, max_size=3)


@given(whole_keys)
def test_a_key_is_read_as_it_was_written(key: Key) -> None:
    body = write_key(key)
    assert read_key(body) == key
    assert write_key(read_key(body)) == body


@given(tenants(), st.none() | instants)
def test_a_tenant_is_read_as_it_was_written(tenant: Tenant, updated_at: datetime | None) -> None:
    tenant = replace(tenant, updated_at=updated_at)
    body = write_tenant(tenant)
    assert read_tenant(body) == tenant or tenant.quota == {}
    assert write_tenant(read_tenant(body)) == body


@given(whole_keys, later_members, later_members)
def test_members_of_a_later_format_are_kept_in_a_key_and_in_its_versions(
    key: Key, of_key: dict[str, Any], of_version: dict[str, Any]
) -> None:
    record = json.loads(write_key(key)) | of_key
    record["versions"][0] |= of_version
    read = read_key(json.dumps(record).encode())
    assert read.unknown == of_key
    assert read.versions[0].unknown == of_version
    assert json.loads(write_key(read)) == record


@given(tenants(), later_members)
def test_members_of_a_later_format_are_kept_in_a_tenant(tenant: Tenant, later: dict[str, Any]) -> None:
    record = json.loads(write_tenant(tenant)) | later
    assert json.loads(write_tenant(read_tenant(json.dumps(record).encode()))) == record


@given(whole_keys, later_members)
def test_no_later_member_takes_the_place_of_one_that_is_known(key: Key, later: dict[str, Any]) -> None:
    """Whoever reads on from an unknown member must not write it over a field of today."""
    known = json.loads(write_key(key))
    tricked = Key(**{name: getattr(key, name) for name in Key.__slots__} | {"unknown": later | known})
    assert json.loads(write_key(tricked)) == later | known


@given(whole_keys)
def test_a_record_spends_no_byte_on_what_is_absent(key: Key) -> None:
    record = json.loads(write_key(key))
    absent = (None, [], {}, False)
    assert [name for name, value in record.items() if value in absent and value != 0] == []
    assert ("status" in record) == (key.status is not Status.ACTIVE)
    states = [("state" in one) for one in record["versions"]]
    assert states == [version.state is not VersionState.LIVE for version in key.versions]
    assert b": " not in write_key(key).replace(key.name.encode(), b"")


@given(instants, st.integers(-14 * 60, 14 * 60))
def test_a_time_is_written_in_utc_and_read_back_whatever_its_zone(at: datetime, minutes: int) -> None:
    elsewhere = at.astimezone(timezone(timedelta(minutes=minutes)))
    text = write_time(elsewhere)
    assert text.endswith("Z")
    assert read_time(text) == at
    assert read_time(text).utcoffset() == timedelta(0)


def test_a_time_has_a_fraction_only_where_there_is_one() -> None:
    assert write_time(NOW) == "2027-01-15T08:00:00Z"
    assert write_time(NOW + timedelta(milliseconds=500)) == "2027-01-15T08:00:00.500000Z"
    assert read_time("2027-01-15T08:00:00Z") == datetime(2027, 1, 15, 8, tzinfo=UTC)
