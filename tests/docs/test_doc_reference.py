"""The reference says what the code does: row by row, nothing left out and nothing made up."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from doc_pages import DOCS, ROOT, rows, section, without_blocks

import keyrack
from keyrack.client.errors import CallRefused
from keyrack.core import credential, errors, fields, rotation, scopes, session
from keyrack.core.errors import KeyrackError
from keyrack.core.events import EventKind
from keyrack.core.http import ANSWERS
from keyrack.core.model import Reason
from keyrack.idempotency import REMEMBERED_SECONDS
from keyrack.server import feed, front, questions, wire
from keyrack.server.app import management_api
from keyrack.server.background import Background
from keyrack.settings import Settings, variable
from keyrack.stores import journal
from keyrack.stores.follower import DEFAULT_MAX_STALE
from keyrack.testing import open_memory
from keyrack.upkeep import FLUSH_SECONDS

REFERENCE = DOCS / "reference"


def table(page: str, title: str) -> list[list[str]]:
    return rows(section(REFERENCE / page, title))


def whole(page: str) -> list[list[str]]:
    return rows(without_blocks(REFERENCE / page))


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    documented = {row[0]: row[1] for row in table("settings.md", "Settings") if row[0].startswith("KEYRACK_")}
    declared = {variable(field.name): field.default for field in dataclasses.fields(Settings)}
    assert list(documented) == list(documented | declared)
    told = {name: default for name, default in declared.items() if isinstance(default, str | int | float)}
    assert {name: documented[name] for name in told} == {name: said(value) for name, value in told.items()}


def said(default: object) -> str:
    return {"False": "off"}.get(str(default), str(default))


def test_every_reason_is_documented_with_its_code_and_status() -> None:
    documented = [tuple(row[:3]) for row in table("reasons.md", "Reasons: why a key was refused")]
    assert documented == [
        (reason.value, ANSWERS[reason].code, str(ANSWERS[reason].status)) for reason in Reason
    ]


def test_every_kind_of_event_is_documented() -> None:
    assert [row[0] for row in whole("events.md")] == [kind.value for kind in EventKind]


def test_every_code_of_a_refusal_is_documented_with_its_status() -> None:
    documented = {(row[0], int(row[1])) for row in table("errors.md", "Refusals")}
    assert documented == {(answer.code, answer.status) for answer in ANSWERS.values()}


def test_every_code_of_an_error_is_documented_with_its_status() -> None:
    documented = [(row[0], int(row[1])) for row in table("errors.md", "Requests that cannot be carried out")]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(codes())


def codes() -> Iterator[tuple[str, int]]:
    """The code and status of each class of the tree, and of each error that is raised with another code."""
    classes = {kind.__name__: kind for kind in tree(KeyrackError) if not issubclass(kind, CallRefused)}
    yield from ((kind.code, kind.status) for kind in classes.values())
    for source in (ROOT / "src" / "keyrack").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (kind := classes.get(ast.unparse(node.func))):
                named = (word.value for word in node.keywords if word.arg == "code")
                yield from ((ast.literal_eval(code), kind.status) for code in named)


def tree(root: type[KeyrackError]) -> Iterator[type[KeyrackError]]:
    for module in pkgutil.walk_packages(keyrack.__path__, "keyrack."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    yield root
    for kind in root.__subclasses__():
        yield from tree(kind) if kind.__module__.startswith("keyrack.") else ()


def test_the_drawing_of_errors_names_every_class_of_the_tree() -> None:
    drawn = inspect.getdoc(errors) or ""
    own = [kind for kind in tree(KeyrackError) if kind.__module__ == errors.__name__]
    assert [kind.__name__ for kind in own if kind.__name__ not in drawn] == []


def test_every_operation_is_documented_with_its_scope() -> None:
    documented = {row[0]: row[1] for row in table("api.md", "Operations")}
    assert documented == dict(operations())


def operations() -> Iterator[tuple[str, str]]:
    """Each operation of the OpenAPI document, and the scopes that it asks for."""
    for name, operation in described():
        needed = operation.get("x-required-scopes", [])
        unguarded = "security" not in operation or "/v1/forward-auth" in name
        yield name, " ".join(needed) or ("none" if unguarded else "any key")


def described() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        yield from ((f"{method.upper()} {path}", operation) for method, operation in item.items())


@cache
def document() -> dict[str, Any]:
    with open_memory() as verifier:
        return management_api(verifier, Background(verifier)).openapi()


def test_every_member_of_a_body_and_every_parameter_is_documented() -> None:
    text = (REFERENCE / "api.md").read_text(encoding="utf-8")
    assert [name for name in sorted(set(taken())) if not re.search(rf"[`\"{{?]{name}[`\":}}=]", text)] == []


def taken() -> Iterator[str]:
    """The name of all that operations take: members of bodies, parameters of path and query."""
    for _, operation in described():
        yield from (
            re.escape(one["name"]) for one in operation.get("parameters", ()) if one["in"] != "header"
        )
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        yield from members(body.get("schema", {}))


def members(schema: dict[str, Any]) -> Iterator[str]:
    for option in (schema, *schema.get("anyOf", ())):
        found = document()["components"]["schemas"].get(option.get("$ref", "").rpartition("/")[2], option)
        yield from found.get("properties", {})


def test_every_metric_is_documented() -> None:
    documented = [row[0] for row in table("api.md", "Health")]
    with open_memory() as verifier:
        text = Background(verifier).metrics.text().decode()
    told = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert documented == [name for name in told if not name.endswith("_created")]


SIZES = {
    "a credential, in bytes": credential.MAX_LENGTH,
    "a session token, in bytes": session.MAX_LENGTH,
    "a request body, in bytes": wire.MAX_BODY,
    "header fields of a request": front.MAX_HEADERS,
    "all header fields together, in bytes": front.MAX_HEADER_BYTES,
    "questions in one /v1/verify/batch": questions.MAX_BATCH,
    "cost of one request": questions.MAX_COST,
    "entries in one page of a list": 100,
    "scopes of a key": scopes.MAX_SCOPES,
    "characters of a scope": scopes.MAX_LENGTH,
    "characters of a name or an owner": fields.MAX_NAME,
    "characters of a reason": fields.MAX_REASON,
    "networks of a key": fields.MAX_NETWORKS,
    "rate limits of a key or tenant": fields.MAX_LIMITS,
    "units of a limit": fields.MAX_LIMIT,
    "seconds of a limit's window": fields.MAX_WINDOW_SECONDS,
    "metadata as JSON, in bytes": fields.MAX_METADATA_BYTES,
    "levels of metadata": fields.MAX_METADATA_DEPTH,
    "live secrets of a key": rotation.MAX_LIVE,
    "refusals kept in the journal": journal.DENIALS_KEPT,
    "remote stores that follow one server": feed.MAX_REMOTE_NODES,
    "… of one tenant, without tenants:verify": feed.MAX_OF_A_TENANT,
}
TIMES = {
    "grace of a rotation, at least": rotation.MIN_GRACE.total_seconds(),
    "grace of a rotation, unless you say otherwise": rotation.DEFAULT_GRACE.total_seconds(),
    "grace of a rotation, at most": rotation.MAX_GRACE.total_seconds(),
    "a session, at most": session.MAX_LIFE.total_seconds(),
    "after its end a secret can be brought back for": rotation.UNDO_WITHIN.total_seconds(),
    "after its end a secret is told from an unknown one for": rotation.RECOGNISED_FOR.total_seconds(),
    "an Idempotency-Key is remembered for": REMEMBERED_SECONDS,
    "refusals are kept for": journal.DENIALS_KEPT_SECONDS,
    "use and refusals are written every": FLUSH_SECONDS,
    "a node decides without confirmation for, unless you say less": DEFAULT_MAX_STALE,
}


@pytest.mark.parametrize(("title", "bounds"), [("Sizes", SIZES), ("Times", TIMES)])
def test_every_bound_is_documented_as_it_is(title: str, bounds: dict[str, float]) -> None:
    documented = {row[0]: float(row[1]) for row in table("limits.md", title)}
    assert documented == {name: float(bound) for name, bound in bounds.items()}


def test_what_a_secret_scanner_looks_for_is_documented_as_it_is() -> None:
    assert credential.SCANNER_PATTERN in Path(DOCS / "security.md").read_text(encoding="utf-8")
