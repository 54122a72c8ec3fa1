"""What is documented of the gateway runs: every operation with every body that the document shows for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from doc_pages import DOCS, ROOT
from server.server_bed import House
from session_bed import M1

from keyrack.settings import Settings

FEATURE = ("/v1/credits", "/v1/apis", "/v1/credit-balances", "/v1/me/credit-balances", "/v1/network-blocks")
ROTATION = "/v1/keys/{key_id}/rotation"
GROUP, API, BALANCE = "/v1/credits/{group}", "/v1/apis/{api_name}/{api_version}", "/v1/credit-balances"
STORY = (
    *("POST /v1/credits", "GET /v1/credits", f"GET {GROUP}", f"PUT {GROUP}"),
    *(f"POST {GROUP}/rotation", f"GET {GROUP}/rotation", f"PATCH {GROUP}/rotation"),
    *(f"POST {GROUP}/rotation/abort", f"POST {GROUP}/rotation", f"POST {GROUP}/rotation/promote"),
    *(f"POST {GROUP}/rotation/undo", f"GET {GROUP}/versions", f"GET {GROUP}/history"),
    *("POST /v1/apis", "GET /v1/apis", f"GET {API}", f"PUT {API}", f"DELETE {API}"),
    *(f"PATCH {BALANCE}/{{username}}/{{group}}", f"GET {BALANCE}", f"GET {BALANCE}/{{username}}"),
    *("GET /v1/me/credit-balances", f"DELETE {BALANCE}/{{username}}/{{group}}", f"DELETE {GROUP}"),
    *("POST /v1/network-blocks", "GET /v1/network-blocks", "DELETE /v1/network-blocks/{block_id}"),
    *(f"POST {ROTATION}", f"GET {ROTATION}", f"POST {ROTATION}/promote", f"POST {ROTATION}/undo"),
    f"POST {ROTATION}/abort",
)
"""Every operation, in an order in which each can succeed."""
BETWEEN = {f"POST {GROUP}/rotation": f"POST {GROUP}/rotation/abort"}
"""What is done between two bodies of one operation, so that the next one can succeed as well."""
NAMED = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/v1/[^\s`?'\"]+)")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with start_blocking_portal() as portal:
        made = House(portal, settings=Settings(master_keys=M1))
        yield made
        made.verifier.close()


def described(house: House) -> dict[str, Any]:
    document: dict[str, Any] = house.root("GET", "/openapi.json").json()
    return document


def operations(document: dict[str, Any]) -> dict[str, Any]:
    """Each operation of the document, by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def bodies(document: dict[str, Any], operation: dict[str, Any]) -> list[Any]:
    """The bodies that the document shows for an operation, or the one that is none at all."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schemas = [content.get("schema", {}), *content.get("schema", {}).get("anyOf", ())]
    names = [schema["$ref"].rpartition("/")[2] for schema in schemas if "$ref" in schema]
    shown = [one for name in names for one in document["components"]["schemas"][name].get("examples", ())]
    return shown or [None]


def carried_out(house: House, operation: str, body: Any) -> httpx.Response:
    method, path = operation.split()
    answer = house.root(method, path, body)
    assert answer.status_code in (200, 201, 204), f"{operation} {body}: {answer.text}"
    return answer


@pytest.mark.spec("UG-58")
def test_every_operation_runs_with_the_bodies_that_the_document_shows(house: House) -> None:
    document = described(house)
    known = operations(document)
    ours = {name for name in known if name.split()[1].startswith(FEATURE) or ROTATION in name}
    assert set(STORY) == ours
    values = {"group": "openai", "api_name": "chat", "api_version": "v1", "username": "ada"}
    values["key_id"] = house.root.mint("a:b")["id"]
    for name in STORY:
        first, *others = bodies(document, known[name])
        answer = carried_out(house, name.format(**values), first)
        for body in others:
            if name in BETWEEN:
                carried_out(house, BETWEEN[name].format(**values), None)
            answer = carried_out(house, name.format(**values), body)
        if name == "POST /v1/network-blocks":
            values["block_id"] = answer.json()["id"]


@pytest.mark.spec("UG-58")
def test_whatever_is_created_or_replaced_is_shown_with_a_body(house: House) -> None:
    document = described(house)
    known = operations(document)
    written = [name for name in STORY if name.split()[0] in ("PUT", "PATCH") or name.count("/") == 2]
    without = [
        name for name in written if name.split()[0] != "GET" and bodies(document, known[name]) == [None]
    ]
    assert without == []


@pytest.mark.spec("UG-58")
@pytest.mark.parametrize(
    "page", sorted((DOCS / "gateway").glob("*.md")), ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_operation_that_a_page_names_exists(house: House, page: Path) -> None:
    known = [re.sub(r"\{[a-z_]+\}", "[^/]+", name) for name in operations(described(house))]
    named = [f"{method} {path.rstrip('.,;:)')}" for method, path in NAMED.findall(page.read_text())]
    assert [name for name in named if not any(re.fullmatch(one, name) for one in known)] == []
