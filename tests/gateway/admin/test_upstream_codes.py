"""Each code that the gateway and its management answer with has one meaning: one title, and one status."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import keyrack
from keyrack.core import errors
from keyrack.core.errors import KeyrackError
from keyrack.core.http import ANSWERS
from keyrack.gateway.admin.apis import ApiNotFound
from keyrack.gateway.refusals import Refused

SOURCE = Path(keyrack.__file__).parent
SPECIFIED = {
    "group_not_found": 404,
    "group_exists": 409,
    "group_in_use": 409,
    "rotation_active": 409,
    "no_rotation": 409,
    "version_limit": 409,
    "key_mismatch": 409,
    "undo_expired": 409,
    "use_promote_or_abort": 422,
    "public_and_charged": 422,
    "grace_out_of_range": 422,
    "rotation_fields_incomplete": 422,
    "validation_error": 422,
    "insufficient_scope": 403,
}
CLASSES = {
    name: kind
    for name, kind in {**vars(errors), "ApiNotFound": ApiNotFound}.items()
    if isinstance(kind, type) and issubclass(kind, KeyrackError)
}


def raised() -> Iterator[tuple[str, str, int]]:
    """Every code with the title and the status that it is raised with, anywhere."""
    yield from ((kind.code, kind.title, kind.status) for kind in CLASSES.values())
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (kind := CLASSES.get(ast.unparse(node.func))):
                named = (word.value for word in node.keywords if word.arg == "code")
                yield from ((ast.literal_eval(code), kind.title, kind.status) for code in named)
    yield from ((one.code, one.title, one.status) for one in ANSWERS.values())
    yield from ((one.value.code, one.value.title, one.value.status) for one in Refused)


@cache
def meanings() -> dict[str, set[tuple[str, int]]]:
    found: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for code, title, status in raised():
        found[code].add((title, status))
    return found


OF_KEYS = {"key_revoked", "key_expired"}
"""A refusal (401) where such a key is presented, and a conflict (409) where it is to be changed."""


@pytest.mark.spec("UG-4")
def test_no_code_has_two_titles() -> None:
    assert {code for code, found in meanings().items() if len(found) > 1} == OF_KEYS


@pytest.mark.spec("UG-4")
@pytest.mark.parametrize(("code", "status"), SPECIFIED.items())
def test_every_code_of_the_requirements_is_raised_with_its_status(code: str, status: int) -> None:
    assert {found for _, found in meanings()[code]} == {status}
