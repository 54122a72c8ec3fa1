"""The storage, on a local folder and on an S3 server over HTTP; paths that no neighbour shares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_bed import Clock
from servers.s3 import S3Server, s3_server  # noqa: F401  # a fixture
from ulid import ULID

from examples.log_lake import parquet, paths
from examples.log_lake.columns import table_of
from examples.log_lake.compaction import AGE, READ_BY_THEN, compact
from examples.log_lake.objects import Objects
from examples.log_lake.purging import purge
from examples.log_lake.storage import STAGING, Storage
from keyrack import ConfigurationError, Unavailable

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file:{tmp_path / 'lake'}"
    server: S3Server = request.getfixturevalue("s3_server")
    return f"s3://{server.make_bucket()}/some/prefix"


@pytest.fixture
def storage(url: str) -> Storage:
    return Storage.open(url)


@pytest.mark.spec("LL-45")
def test_an_object_is_written_once_where_it_must_be_absent(storage: Storage) -> None:
    assert storage.put_if_absent("a/b", b"first")
    assert not storage.put_if_absent("a/b", b"second")
    assert storage.get("a/b") == b"first"
    storage.put("a/b", b"third")
    assert storage.load("a/b") == b"third"
    assert (storage.exists("a/b"), storage.exists("a/c"), storage.get("a/c")) == (True, False, None)


@pytest.mark.spec("LL-28", "LL-45")
def test_of_many_writers_one_wins(url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda n: Storage.open(url).put_if_absent("one", b"%d" % n), range(8)))
    assert won.count(True) == 1
    assert Storage.open(url).get("one") == b"%d" % won.index(True)


@pytest.mark.spec("LL-24")
def test_a_listing_ends_at_its_slash(storage: Storage) -> None:
    for path in ("acme/x", "acme/y/z", "acme2/x", "acm/x"):
        storage.put(path, b"12345")
    assert [(one.path, one.size_bytes) for one in storage.list("acme/")] == [("acme/x", 5), ("acme/y/z", 5)]
    assert storage.folders("") == [
        *([STAGING] if STAGING in storage.folders("") else []),
        "acm",
        "acme",
        "acme2",
    ]
    assert storage.folders("acme/") == ["y"]
    assert (storage.has_any("acme/y/"), storage.has_any("acme/x/"), storage.has_any("ac/")) == (
        True,
        False,
        False,
    )
    with pytest.raises(ValueError, match="slash"):
        storage.list("acme")


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_trouble(storage: Storage) -> None:
    storage.put("a/b/c", b"x")
    storage.delete(["a/b/c", "a/b/c", "never"])
    assert storage.list("a/") == []
    assert storage.folders("a/") == []


def test_the_end_of_an_object_is_read_alone(storage: Storage) -> None:
    storage.put("a", b"0123456789")
    assert storage.tail("a", size_bytes=10, length=3) == b"789"
    assert storage.tail("a", size_bytes=10, length=99) == b"0123456789"
    with pytest.raises(Unavailable):
        storage.tail("b", size_bytes=10, length=3)
    with pytest.raises(Unavailable):
        storage.load("b")


def test_a_bucket_that_is_not_there_is_our_own_trouble(s3_server: S3Server) -> None:  # noqa: F811
    storage = Storage.open("s3://nobody-made-this-bucket/x")
    with pytest.raises(Unavailable) as failed:
        storage.put("a", b"x")
    assert "nobody-made" not in failed.value.detail


@pytest.mark.spec("LL-2")
@pytest.mark.parametrize(
    "url", ["", "lake", "http://x/y", "file:", "file://host/x", "s3:", "s3://", "gs://x"]
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Storage.open(url)


def test_a_relative_folder_is_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Storage.open("file:some/data").put("a", b"x")
    assert (tmp_path / "some" / "data" / "a").read_bytes() == b"x"


TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@pytest.mark.spec("LL-24")
@given(TIMES, st.timedeltas(timedelta(0), timedelta(days=60)), st.floats(0, 1))
def test_every_event_of_a_range_lies_below_its_prefixes(
    start_at: datetime, length: timedelta, part: float
) -> None:
    at = start_at + length * part * 0.999
    path = paths.events("acme", "web", at, ULID())
    found = list(paths.prefixes("acme", "web", start_at=start_at, end_at=start_at + length))
    if at < start_at + length:
        assert sum(path.startswith(prefix) for prefix in found) == 1
    assert all(prefix.endswith("/") and prefix.startswith("acme/streams/web/") for prefix in found)
    assert paths.hour_of(path) == paths.hour_start(at)


@pytest.mark.spec("LL-24")
def test_names_that_are_easily_confused_share_no_prefix() -> None:
    owners = [
        (tenant, stream) for tenant in ("acme", "acme2", "streams") for stream in ("web", "web2", "streams")
    ]
    prefixes = [paths.stream(*owner) for owner in owners]
    for first in prefixes:
        assert [second for second in prefixes if second.startswith(first)] == [first]


class Web:
    """A stream with objects of a past day."""

    def __init__(self, storage: Storage):
        self.storage = storage

    def put(self, minute: int, **fields: object) -> None:
        at = NOON + timedelta(minutes=minute)
        table = table_of([{"p_timestamp": at, **fields}])
        self.storage.put(paths.events("acme", "web", at, ULID()), parquet.encode(table))

    def deliver(self, request_id: str, minute: int, **fields: object) -> None:
        table = table_of([{"p_timestamp": NOON + timedelta(minutes=minute), **fields}])
        self.storage.put(paths.delivery("acme", "web", request_id), parquet.encode(table))

    def seen(self) -> list[str]:
        """What queries read, with the type of each value."""
        found = Objects(self.storage).within(
            "acme", "web", start_at=NOON - timedelta(hours=1), end_at=NOON + timedelta(hours=5)
        )
        rows = (row for one in found for row in parquet.decode(self.storage.load(one.path)).to_pylist())
        return sorted(str({name: row[name] for name in row if row[name] is not None}) for row in rows)

    def count(self) -> int:
        return len(self.storage.list("acme/"))


@pytest.fixture
def web(storage: Storage) -> Web:
    web = Web(storage)
    for minute in range(4):
        web.put(minute, a=minute)
    web.put(4, a=2.5)
    web.put(5, b="other")
    web.put(70, a="another hour")
    web.deliver("one", 6, a=7)
    web.deliver("two", 7, a=8)
    return web


@pytest.mark.spec("LL-24")
def test_compaction_changes_how_many_objects_there_are_and_nothing_that_is_read(web: Web) -> None:
    before = web.seen()
    assert len(before) == 9
    assert compact(web.storage, Clock(NOON + timedelta(hours=23))).merged == 0
    old = NOON + AGE + timedelta(hours=3)
    assert compact(web.storage, Clock(old)).merged > 0
    assert web.seen() == before
    assert compact(web.storage, Clock(old + READ_BY_THEN)).removed > 0
    assert web.seen() == before
    assert web.count() < 9
    assert compact(web.storage, Clock(old + 2 * READ_BY_THEN)).merged == 0
    assert web.seen() == before


@pytest.mark.spec("LL-24")
def test_what_comes_late_is_merged_with_what_was_merged_before(web: Web) -> None:
    old = NOON + AGE + timedelta(hours=3)
    compact(web.storage, Clock(old))
    web.put(8, a=11)
    before = web.seen()
    for runs in range(1, 5):
        compact(web.storage, Clock(old + runs * READ_BY_THEN))
        assert web.seen() == before


@pytest.mark.spec("LL-24")
def test_merged_objects_are_deleted_only_when_no_query_can_still_be_reading_them(web: Web) -> None:
    old = NOON + AGE + timedelta(hours=3)
    found = Objects(web.storage).within("acme", "web", start_at=NOON, end_at=NOON + timedelta(hours=5))
    compact(web.storage, Clock(old))
    assert compact(web.storage, Clock(old + READ_BY_THEN - timedelta(seconds=1))).removed == 0
    assert all(web.storage.exists(one.path) for one in found)


class SlowClock(Clock):
    """One that is looked at only once every eleven minutes, so that a run takes long."""

    def __call__(self) -> datetime:
        now = super().__call__()
        self.pass_time(minutes=11)
        return now


@pytest.mark.spec("LL-24")
def test_what_a_long_run_merges_is_read_by_queries_that_began_before_it_was_written(web: Web) -> None:
    clock = SlowClock(NOON + AGE + timedelta(hours=3))
    found = Objects(web.storage).within("acme", "web", start_at=NOON, end_at=NOON + timedelta(hours=5))
    written_at = clock.now + timedelta(minutes=11)
    assert compact(web.storage, clock).merged > 0
    assert compact(web.storage, Clock(written_at)).removed == 0
    assert all(web.storage.exists(one.path) for one in found)
    assert compact(web.storage, Clock(clock.now + READ_BY_THEN)).removed > 0


@pytest.mark.spec("LL-24")
def test_two_runs_at_the_same_time_merge_once(web: Web, url: str) -> None:
    before = web.seen()
    old = NOON + AGE + timedelta(hours=3)
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: compact(Storage.open(url), Clock(old)), range(4)))
    assert web.seen() == before
    assert sum(run.merged for run in done) == web.count() - 9


@pytest.mark.spec("LL-28")
def test_a_delivery_is_known_for_a_day_at_least(web: Web) -> None:
    path = paths.delivery("acme", "web", "one")
    for minutes in range(0, 24 * 60, 120):
        compact(web.storage, Clock(NOON + timedelta(minutes=6 + minutes)))
        assert web.storage.exists(path)


@pytest.mark.spec("LL-14")
def test_purging_deletes_all_events_of_a_tenant_and_of_no_other(web: Web) -> None:
    web.storage.put("acme2/streams/web/date=2030-01-01/hour=12/x.parquet", b"x")
    web.storage.put("acme/.settings/tenant.json", b"{}")
    assert purge(web.storage, "acme") == 9
    assert [one.path for one in web.storage.list("acme/")] == ["acme/.settings/tenant.json"]
    assert web.storage.has_any("acme2/streams/")
