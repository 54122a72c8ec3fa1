"""Hostile SQL: nothing is read that the key may not read, and nothing is ever written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lake_bed import Clock, Lake, Used, code, environment
from lake_events import ask, everything, send

HOSTILE = [
    # other statements
    "DROP TABLE web",
    "CREATE TABLE x AS SELECT * FROM web",
    "CREATE VIEW x AS SELECT * FROM web",
    "CREATE OR REPLACE VIEW web AS SELECT * FROM secret",
    "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{folder}'",
    "CREATE SCHEMA x",
    "CREATE DATABASE x",
    "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
    "ALTER TABLE web ADD COLUMN x INT",
    "INSERT INTO web VALUES (1)",
    "INSERT INTO web SELECT * FROM web",
    "UPDATE web SET n = 2",
    "DELETE FROM web",
    "TRUNCATE TABLE web",
    "MERGE INTO web USING web AS w ON TRUE WHEN MATCHED THEN DELETE",
    "COPY web TO '{folder}/stolen.parquet'",
    "COPY (SELECT * FROM web) TO '{folder}/stolen.csv' STORED AS CSV",
    "SET datafusion.catalog.information_schema = true",
    "RESET datafusion.catalog.information_schema",
    "SHOW TABLES",
    "SHOW ALL",
    "DESCRIBE web",
    "EXPLAIN SELECT * FROM web",
    "EXPLAIN ANALYZE SELECT * FROM web",
    "PREPARE p AS SELECT * FROM web",
    "EXECUTE p",
    "BEGIN",
    "USE secret",
    "GRANT ALL ON web TO PUBLIC",
    "VALUES (1)",
    "FROM web",
    "TABLE web",
    # a second statement
    "SELECT 1 FROM web; DROP TABLE web",
    "SELECT 1 FROM web; SELECT 2 FROM web",
    "SELECT 1 FROM web /* ; */ ; COPY web TO '{folder}/x.csv'",
    # writing inside of reading
    "SELECT * INTO x FROM web",
    "WITH x AS (INSERT INTO web VALUES (1) RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM web RETURNING *) SELECT * FROM x",
    "WITH x AS (UPDATE web SET n = 2 RETURNING *) SELECT * FROM x",
    "SELECT * FROM web FOR UPDATE",
    # files, addresses and functions in the place of streams
    "SELECT * FROM '{object}'",
    'SELECT * FROM "{object}"',
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'file:///etc/passwd'",
    "SELECT * FROM 'https://example.com/x.parquet'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM `web`",
    "SELECT * FROM read_parquet('{object}')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('{object}')",
    "SELECT * FROM TABLE(read_json('/etc/passwd'))",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT * FROM range(1, 10)",
    "SELECT * FROM web, LATERAL read_csv('/etc/passwd') AS f",
    "SELECT * FROM unnest([1, 2])",
    "SELECT * FROM (VALUES (1)) AS v(x)",
    "SELECT * FROM web PIVOT(sum(n) FOR who IN ('a'))",
    "SELECT * FROM web TABLESAMPLE (10)",
    # catalogues
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM information_schema.df_settings",
    'SELECT * FROM "information_schema"."columns"',
    "SELECT * FROM datafusion.public.web",
    "SELECT * FROM public.web",
    "SELECT * FROM acme.streams.secret",
    # hidden one level down
    "SELECT (SELECT count(*) FROM read_csv('/etc/passwd')) FROM web",
    "SELECT * FROM web WHERE n IN (SELECT a FROM '/etc/passwd')",
    "SELECT * FROM web UNION ALL SELECT * FROM '/etc/passwd'",
    "WITH x AS (SELECT * FROM information_schema.tables) SELECT * FROM x, web",
    "SELECT * FROM web ORDER BY (SELECT 1 FROM read_csv('/etc/passwd'))",
    "SELECT * FROM web LIMIT (SELECT 1 FROM '/etc/passwd')",
    # nothing to read, or nothing to understand
    "SELECT 1",
    ";",
    "SELECT",
    "SELECT * FROM web WHERE",
    "\0",
    "SELECT " + "(" * 200 + "1" + ")" * 200 + " FROM web",
    "SELECT " + "1+" * 6000 + "1 FROM web",
]
FOREIGN = [
    "SELECT * FROM secret",
    'SELECT * FROM "secret"',
    "SELECT * FROM web, secret",
    "SELECT * FROM web JOIN secret ON TRUE",
    "SELECT * FROM (SELECT * FROM secret) AS s",
    "SELECT (SELECT max(n) FROM secret) FROM web",
    "SELECT n FROM web WHERE n IN (SELECT n FROM secret)",
    "SELECT n FROM web WHERE EXISTS (SELECT 1 FROM secret)",
    "SELECT n FROM web UNION SELECT n FROM secret",
    "SELECT n FROM web INTERSECT SELECT n FROM secret",
    "WITH s AS (SELECT * FROM secret) SELECT * FROM s",
    "WITH web AS (SELECT * FROM secret) SELECT * FROM web",
    "WITH secret AS (SELECT * FROM secret) SELECT * FROM secret",
    "WITH RECURSIVE r AS (SELECT n FROM secret UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
    "SELECT * FROM (WITH secret AS (SELECT 1 AS n) SELECT * FROM secret) AS a, secret AS b",
    "SELECT * FROM web CROSS JOIN LATERAL (SELECT * FROM secret) AS s",
    "SELECT * FROM web NATURAL JOIN (web AS w JOIN secret ON TRUE)",
    "SELECT CASE WHEN (SELECT n FROM secret) > 0 THEN 1 END FROM web",
    "SELECT n FROM web ORDER BY (SELECT n FROM secret)",
    "SELECT n FROM web GROUP BY n HAVING n > (SELECT max(n) FROM secret)",
    "SELECT sum(n) OVER (PARTITION BY (SELECT n FROM secret)) FROM web",
    "SELECT n FROM web LIMIT (SELECT n FROM secret)",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def lake(folder: Path) -> Iterator[Lake]:
    """A lake of two tenants, each with a stream `web` and one called `secret`."""
    with Lake(environment(folder), Clock(), Used()) as lake:
        lake.tenant("acme")
        for tenant, number in (("default", 1), ("acme", 2)):
            key = lake.key("streams/*:ingest", tenant=tenant)
            for stream in ("web", "secret", f"only_{tenant}"):
                send(lake, key, {"n": number, "who": tenant}, stream=stream)
        yield lake


@pytest.fixture(scope="module")
def key(lake: Lake) -> str:
    return lake.key("streams/web:query")


@pytest.mark.spec("LL-33")
@pytest.mark.parametrize("text", HOSTILE)
def test_all_but_reading_streams_is_refused_and_changes_nothing(
    lake: Lake, folder: Path, key: str, text: str
) -> None:
    before, files = everything(lake.service.storage), sorted(folder.rglob("*"))
    found = lake.service.storage.list("default/streams/secret/")[0].path
    sql = text.format(folder=folder, object=folder / "lake" / found)
    answer = ask(lake, lake.key("streams/*:query"), sql)
    assert (answer.status_code, code(answer)) == (400, "invalid_request"), answer.text
    assert ask(lake, key, sql).status_code == 400
    assert everything(lake.service.storage) == before
    assert sorted(folder.rglob("*")) == files


@pytest.mark.spec("LL-32", "LL-11")
@pytest.mark.parametrize("sql", FOREIGN)
@pytest.mark.parametrize("stream", ["secret", "only_acme", "missing", "Web"])
def test_a_stream_that_the_key_may_not_read_is_refused_wherever_it_stands(
    lake: Lake, key: str, sql: str, stream: str
) -> None:
    answer = ask(lake, key, sql.replace("secret", stream))
    assert (answer.status_code, code(answer)) == (403, "insufficient_scope"), answer.text
    assert answer.json()["details"] == {"streams": [stream]}


@pytest.mark.spec("LL-32")
@pytest.mark.parametrize("sql", FOREIGN)
def test_a_key_for_all_streams_is_told_which_are_not_there(lake: Lake, sql: str) -> None:
    answer = ask(lake, lake.key("streams/*:query"), sql.replace("secret", "only_acme"))
    assert (answer.status_code, code(answer)) == (404, "not_found")
    assert answer.json()["details"] == {"streams": ["only_acme"]}


@pytest.mark.spec("LL-32")
def test_all_refused_streams_are_named_and_no_others(lake: Lake, key: str) -> None:
    answer = ask(lake, key, "SELECT * FROM web, secret, missing, only_acme")
    assert answer.json()["details"] == {"streams": ["missing", "only_acme", "secret"]}


@pytest.mark.spec("LL-24", "LL-32", "LL-7")
def test_each_tenant_sees_its_own_stream_of_a_name(lake: Lake) -> None:
    for tenant, number in (("default", 1), ("acme", 2)):
        key = lake.key("streams/*:query", tenant=tenant)
        assert ask(lake, key, "SELECT n, who FROM web").json() == [{"n": number, "who": tenant}]
        assert ask(lake, key, "SELECT n FROM secret").json() == [{"n": number}]


@pytest.mark.spec("LL-32")
def test_a_name_that_the_statement_defines_itself_is_no_stream(lake: Lake, key: str) -> None:
    sql = "WITH secret AS (SELECT n + 10 AS n FROM web) SELECT n FROM secret"
    assert ask(lake, key, sql).json() == [{"n": 11}]


@pytest.mark.spec("LL-10", "LL-11")
def test_a_key_that_may_only_write_reads_nothing(lake: Lake) -> None:
    answer = ask(lake, lake.key("streams/*:ingest"), "SELECT * FROM web")
    assert answer.json()["details"] == {"streams": ["web"]}
