"""Every operation needs its scope and no other; what is documented, guarded and routed is the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lake_bed import Lake, code
from lake_requests import NAMES, PROTECTED, needed, others, right_request, with_key

from examples.log_lake.api import TableMismatch, check_routes, create_api, registered
from examples.log_lake.operations import BY_NAME, OPERATIONS

_ROW = re.compile(r"^\| `([A-Z]+) (\S+)` \| (\S+) \| (\d+) \|", re.MULTILINE)
README = Path(__file__).parents[3] / "examples" / "log_lake" / "README.md"


@pytest.mark.spec("LL-1")
@pytest.mark.parametrize("name", NAMES)
def test_an_operation_takes_its_scope_and_no_other(lake: Lake, name: str) -> None:
    operation = BY_NAME[name]
    request = right_request(lake, name)
    without = lake.send(request)[0]
    assert without.status_code == 401
    assert without.headers["www-authenticate"].startswith("Bearer")
    refused = lake.send(with_key(request, lake.key(*others(operation))))[0]
    assert refused.status_code == 403
    made = lake.send(with_key(request, lake.key(needed(operation), "streams/other:ingest")))[0]
    assert made.status_code == (404 if name == "end_session" else operation.success), made.text


@pytest.mark.spec("LL-1")
@pytest.mark.parametrize("name", NAMES)
def test_a_key_without_scopes_may_do_nothing(lake: Lake, name: str) -> None:
    key = str(lake.mint().secret)
    assert lake.send(with_key(right_request(lake, name), key))[0].status_code == 403


@pytest.mark.spec("LL-1")
def test_only_the_liveness_probe_is_open_and_says_nothing(lake: Lake) -> None:
    assert [operation.name for operation in OPERATIONS if operation not in PROTECTED] == ["livez"]
    answer = lake.request("GET", "/livez")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.spec("LL-1")
def test_whether_a_path_exists_is_told_to_good_keys_alone(lake: Lake) -> None:
    for path in ("/", "/api/v1/nothing", "/docs", "/openapi.json"):
        assert lake.request("GET", path).status_code == 401
        assert code(lake.request("GET", path, lake.key("health:read"))) == "not_found"
    refused = lake.request("PUT", "/api/v1/ingest", lake.key("health:read"))
    assert (code(refused), refused.headers["allow"]) == ("method_not_allowed", "POST")


@pytest.mark.spec("LL-1", "LL-60")
def test_the_routes_are_those_of_the_table() -> None:
    api = create_api()
    assert registered(api) == {(operation.method, operation.path) for operation in OPERATIONS}
    check_routes(api)
    api.add_api_route("/api/v1/secrets", lambda: None, methods=["GET"])
    with pytest.raises(TableMismatch, match="/api/v1/secrets"):
        check_routes(api)


@pytest.mark.spec("LL-60")
def test_the_documented_operations_are_those_of_the_table() -> None:
    rows = _ROW.findall(README.read_text())
    assert rows == [
        (one.method, one.path, f"`{one.scope}`" if one.scope else "none", str(one.success))
        for one in OPERATIONS
    ]
