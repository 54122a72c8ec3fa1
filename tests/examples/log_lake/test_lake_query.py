"""Queries: what is answered, in which form, and how the columns of many objects meet."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake_bed import Clock, Lake, Used, code, environment
from lake_events import QUERY, ask, send
from ulid import ULID

from examples.log_lake import parquet, paths
from examples.log_lake.schemas import Schemas

NOW = datetime(2030, 1, 1, 12, 30, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """One lake for all tests here: they only read, and each starts no process of its own."""
    folder: Path = tmp_path_factory.mktemp("query")
    with Lake(environment(folder), Clock(NOW - timedelta(days=3)), Used()) as lake:
        fill(lake)
        yield lake


def fill(lake: Lake) -> None:
    key = lake.key("streams/*:ingest")
    send(lake, key, {"only_then": "old", "x": 1})
    lake.clock.now = NOW - timedelta(minutes=20)
    send(lake, key, {"n": 1, "x": 1, "mixed": 1, "text": "a"})
    lake.clock.now = NOW - timedelta(minutes=10)
    send(lake, key, {"n": 2, "x": 2.5, "mixed": "two", "Text": "B", "none": None})
    lake.clock.now = NOW
    send(lake, key, {"n": 3, "x": None, "mixed": True, "text": 'quote " and é', "none": None})
    send(lake, key, {"n": 1, "who": "other stream"}, stream="Web")
    strange = pa.table(
        {
            "p_timestamp": pa.array([NOW, NOW, NOW - timedelta(minutes=20)], pa.timestamp("us", "UTC")),
            "f": [math.nan, math.inf, 1.0],
        }
    )
    Schemas(lake.service.storage).note("default", "strange", strange.schema)
    lake.service.storage.put(paths.events("default", "strange", NOW, ULID()), parquet.encode(strange))


@pytest.fixture(scope="module")
def key(lake: Lake) -> str:
    return lake.key("streams/*:query")


def rows(lake: Lake, key: str, sql: str, **request: Any) -> Any:
    answer = ask(lake, key, sql, **request)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.spec("LL-30", "LL-31")
def test_an_answer_is_an_array_of_rows_without_null_fields(lake: Lake, key: str) -> None:
    answer = ask(lake, key, "SELECT n, x, text FROM web WHERE n >= 2 ORDER BY n")
    assert answer.headers["content-type"] == "application/json"
    assert float(answer.headers["p-time-elapsed"]) > 0
    assert answer.json() == [{"n": 2, "x": 2.5}, {"n": 3, "text": 'quote " and é'}]


@pytest.mark.spec("LL-31")
@pytest.mark.parametrize("flags", [{"sendNull": "true"}, {"body": {"sendNull": True}}])
def test_null_fields_are_sent_where_they_are_asked_for(lake: Lake, key: str, flags: dict[str, Any]) -> None:
    found = rows(lake, key, "SELECT n, x, text FROM web WHERE n >= 2 ORDER BY n", **flags)
    assert found == [{"n": 2, "x": 2.5, "text": None}, {"n": 3, "x": None, "text": 'quote " and é'}]


@pytest.mark.spec("LL-31")
def test_fields_and_lines_are_given_where_they_are_asked_for(lake: Lake, key: str) -> None:
    sql = "SELECT n, text FROM web ORDER BY n"
    records = rows(lake, key, sql)
    assert rows(lake, key, sql, fields="true") == {"fields": ["n", "text"], "records": records}
    assert rows(lake, key, "SELECT n FROM web WHERE n > 9", fields="true") == {"fields": ["n"], "records": []}
    lines = ask(lake, key, sql, streaming="true")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == records


@pytest.mark.spec("LL-31")
def test_times_are_utc_with_z_and_what_is_no_number_is_null(lake: Lake, key: str) -> None:
    assert rows(lake, key, "SELECT p_timestamp FROM web WHERE n = 3") == [
        {"p_timestamp": "2030-01-01T12:30:15Z"}
    ]
    found = rows(lake, key, "SELECT f FROM strange ORDER BY f", sendNull="true")
    assert sorted(map(str, found)) == ["{'f': 1.0}", "{'f': None}", "{'f': None}"]
    assert sorted(map(str, rows(lake, key, "SELECT f FROM strange"))) == ["{'f': 1.0}", "{}", "{}"]
    assert rows(
        lake, key, "SELECT date_trunc('hour', p_timestamp) AS h, count(*) AS n FROM web GROUP BY h"
    ) == [{"h": "2030-01-01T12:00:00Z", "n": 3}]
    times = "arrow_cast('2030-01-01T00:00:00', 'Timestamp(Nanosecond, None)') t, CAST('2030-01-01' AS DATE) d"
    assert rows(lake, key, f"SELECT {times}, CAST(1.5 AS DECIMAL(4, 2)) c FROM web LIMIT 1") == [
        {"t": "2030-01-01T00:00:00Z", "d": "2030-01-01", "c": 1.5}
    ]


@pytest.mark.spec("LL-34")
def test_columns_are_the_union_over_all_objects_and_types_meet(lake: Lake, key: str) -> None:
    sql = 'SELECT n, x, mixed, only_then, "Text", none FROM web ORDER BY n'
    assert rows(lake, key, sql, sendNull="true") == [
        {"n": 1, "x": 1.0, "mixed": "1", "only_then": None, "Text": None, "none": None},
        {"n": 2, "x": 2.5, "mixed": "two", "only_then": None, "Text": "B", "none": None},
        {"n": 3, "x": None, "mixed": "true", "only_then": None, "Text": None, "none": None},
    ]
    everything = rows(lake, key, "SELECT * FROM web LIMIT 1", fields="true")["fields"]
    assert everything == sorted(everything)
    assert {"p_timestamp", "p_user_agent", "p_src_ip", "p_format", "only_then", "Text", "text"} < set(
        everything
    )


@pytest.mark.spec("LL-34")
def test_filters_and_aggregates_see_what_types_became(lake: Lake, key: str) -> None:
    assert rows(lake, key, "SELECT count(*) AS n FROM web WHERE x IS NULL") == [{"n": 1}]
    assert rows(lake, key, "SELECT sum(x) AS s, avg(n) AS a FROM web WHERE x >= 1") == [{"s": 3.5, "a": 1.5}]
    assert rows(lake, key, "SELECT n FROM web WHERE mixed = 'true'") == [{"n": 3}]
    assert rows(lake, key, "SELECT n FROM web WHERE mixed LIKE 't%' AND text IS NOT NULL") == [{"n": 3}]


@pytest.mark.spec("LL-30")
def test_rows_are_seen_from_the_start_and_before_the_end(lake: Lake, key: str) -> None:
    def seen(start: str, end: str) -> list[int]:
        body = {"startTime": start, "endTime": end}
        return [row["n"] for row in rows(lake, key, "SELECT n FROM web WHERE n > 0 ORDER BY n", body=body)]

    assert seen("2030-01-01T12:10:15Z", "2030-01-01T12:20:15Z") == [1, 2]
    assert seen("2030-01-01T12:10:59Z", "2030-01-01T12:20:00Z") == [1]
    assert seen("2030-01-01T12:11:00Z", "2030-01-01T12:21:00Z") == [2]
    assert seen("2030-01-01T13:30:15+01:00", "2030-01-01T13:30:15.5+01:00") == [3]
    assert seen("5m", "now") == [3]
    assert seen("2020-01-01T00:00:00Z", "2029-01-01T00:00:00Z") == []
    some = {"startTime": "5m"}
    assert rows(lake, key, "SELECT count(*) AS n FROM strange", body=some) == [{"n": 2}]
    assert rows(lake, key, "SELECT f FROM strange WHERE f = 1", body=some) == []
    assert rows(lake, key, "SELECT count(*) AS n FROM web", body={"startTime": "4d"}) == [{"n": 4}]
    assert rows(lake, key, "SELECT count(*) AS n FROM web", body={"startTime": "99d"}) == [{"n": 4}]


@pytest.mark.spec("LL-30", "LL-3")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": ""}, 400),
        ({"query": " "}, 400),
        ({"startTime": ""}, 400),
        ({"endTime": ""}, 400),
        ({"startTime": None}, 400),
        ({"sendNull": "yes"}, 400),
        ({"more": 1}, 400),
        ({"startTime": "2030-01-01T13:00:00Z", "endTime": "2030-01-01T12:00:00Z"}, 400),
        ({"startTime": "2030-01-01T12:00:00", "endTime": "2030-01-01T13:00:00Z"}, 422),
        ({"query": "SELECT nothing FROM web"}, 400),
        ({"query": "SELECT n, n AS n FROM web"}, 400),
        ({"query": "SELECT a.n, b.n FROM web a, web b"}, 400),
        ({"query": "SELECT CAST('x' AS INT) / n FROM web"}, 400),
    ],
)
def test_a_question_that_is_none_is_refused(lake: Lake, key: str, body: dict[str, Any], status: int) -> None:
    assert ask(lake, key, "SELECT n FROM web", body=body).status_code == status


@pytest.mark.spec("LL-30")
def test_a_part_that_is_missing_is_400(lake: Lake, key: str) -> None:
    for body in ({}, {"query": "SELECT 1 FROM web"}, {"query": "SELECT 1 FROM web", "startTime": "1h"}):
        assert lake.request("POST", QUERY, key, json=body).status_code == 400
    assert code(ask(lake, key, "SELECT n FROM web", fields="perhaps")) == "invalid_request"


@pytest.mark.spec("LL-32")
def test_names_match_exactly(lake: Lake, key: str) -> None:
    assert rows(lake, key, "SELECT who FROM Web") == [{"who": "other stream"}]
    assert rows(lake, key, 'SELECT w.n, x.who FROM web w JOIN "Web" x ON w.n = x.n') == [
        {"n": 1, "who": "other stream"}
    ]
    assert code(ask(lake, key, "SELECT n FROM WEB")) == "not_found"
    assert rows(lake, key, "SELECT Text FROM web WHERE Text = 'B'") == [{"Text": "B"}]
    assert ask(lake, key, "SELECT N FROM web").status_code == 400


@pytest.mark.spec("LL-33")
def test_every_form_of_reading_works(lake: Lake, key: str) -> None:
    sql = """
        WITH RECURSIVE steps AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM steps WHERE i < 3),
             big AS (SELECT n FROM web WHERE n > 1)
        SELECT i, (SELECT count(*) FROM big) AS b, row_number() OVER (ORDER BY i DESC) AS r
        FROM steps WHERE i IN (SELECT n FROM web) AND EXISTS (SELECT 1 FROM (SELECT n FROM web) q)
        ORDER BY i;
    """
    assert rows(lake, key, sql) == [
        {"i": 1, "b": 2, "r": 3},
        {"i": 2, "b": 2, "r": 2},
        {"i": 3, "b": 2, "r": 1},
    ]
    assert rows(lake, key, "SELECT n FROM web EXCEPT SELECT n FROM Web ORDER BY n") == [{"n": 2}, {"n": 3}]
