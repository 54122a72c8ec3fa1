"""What a statement may be, decided on what the parser made of its text, before anything is planned (LL-33).

The parser is that of DataFusion (sqlparser-rs) with the same dialect. Every list here says what is
allowed; whatever else the parser knows, or will know, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqloxide

from examples.log_lake.names import stream_name
from examples.log_lake.problems import InvalidRequest

DIALECT = "generic"
MAX_LENGTH = 10_000
"""Characters. What the parser makes is as deep as the longest chain of operators, and is handed over by
recursion: 98,000 characters of `1+1+…` ended the process, 10,000 passed on a quarter of the stack."""
BODIES = frozenset({"Select", "Query", "SetOperation"})
"""What a query, or a part of one, may consist of."""
TABLES = frozenset({"Table", "Derived", "NestedJoin"})
"""What may stand in FROM: a name, a query in brackets, a join in brackets."""
NAMED_ONLY = frozenset({"name", "alias"})
"""All that a table that is named may have; arguments make it a function, anything else is not ours."""
NO_QUOTES = (None, '"')
ABSENT = {
    "into": "SELECT INTO",
    "locks": "FOR UPDATE",
    "pipe_operators": "a pipe",
    "settings": "SETTINGS",
    "format_clause": "FORMAT",
    "for_clause": "FOR",
    "lateral_views": "LATERAL VIEW",
}
"""Members of a query that have to be empty, and what they are called."""

Node = Mapping[str, Any]


def streams_in(text: str) -> frozenset[str]:
    """The streams that a statement names; names that it defines itself (WITH) are none.

    Raises InvalidRequest unless it is one SELECT or WITH that reads streams by their names alone.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidRequest(f"A statement has at most {MAX_LENGTH} characters.")
    statements = _parsed(text)
    if len(statements) != 1 or set(statements[0]) != {"Query"}:
        raise InvalidRequest("Send one statement, SELECT or WITH.")
    found = frozenset(stream_name(name) for name in _names(statements[0]))
    if not found:
        raise InvalidRequest("The statement names no stream.")
    return found


def _parsed(text: str) -> list[Node]:
    try:
        statements: list[Node] = sqloxide.parse_sql(sql=text, dialect=DIALECT)
    except ValueError:
        raise InvalidRequest("The statement is not SQL that this service reads.") from None
    return statements


def _names(statement: Node) -> Iterator[str]:
    """The names in FROM that are defined nowhere above. Walks without recursion, however deep it nests."""
    waiting: list[tuple[Any, frozenset[str]]] = [(statement, frozenset())]
    while waiting:
        node, defined = waiting.pop()
        if isinstance(node, list):
            waiting.extend((one, defined) for one in node)
        elif isinstance(node, Mapping):
            _check(node)
            yield from _named(node, defined)
            waiting.extend(_below(node, defined))


def _below(node: Node, defined: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """The parts of a node, each with the names that hold in it.

    A name of WITH holds from the next one on, and in a recursive WITH in its own query, too.
    """
    clause = node.get("with") or {"cte_tables": (), "recursive": False}
    for table in clause["cte_tables"]:
        name = table["alias"]["name"]["value"]
        yield table["query"], defined | {name} if clause["recursive"] else defined
        defined |= {name}
    yield from ((node[member], defined) for member in node if member != "with")


def _check(node: Node) -> None:
    for member, name in ABSENT.items():
        if node.get(member):
            raise InvalidRequest(f"A statement of this service has no {name}.")
    if "body" in node and not _is_kind(node["body"], BODIES):
        raise InvalidRequest("A query consists of SELECT alone.")
    if node.get("flavor", "Standard") != "Standard":
        raise InvalidRequest("A SELECT begins with SELECT.")
    for member in ("left", "right"):
        if "set_quantifier" in node and not _is_kind(node[member], BODIES):
            raise InvalidRequest("A query consists of SELECT alone.")


def _named(node: Node, defined: frozenset[str]) -> Iterator[str]:
    if "relation" not in node:
        return
    table = node["relation"]
    if not _is_kind(table, TABLES):
        raise InvalidRequest("FROM takes names of streams, queries and joins, and no functions.")
    if "Table" in table:
        name = _single_name(table["Table"])
        if name not in defined:
            yield name


def _single_name(table: Node) -> str:
    parts = table["name"]
    if len(parts) != 1 or any(table[member] for member in table if member not in NAMED_ONLY):
        raise InvalidRequest("A stream is named by its name alone.")
    identifier = parts[0].get("Identifier", {})
    if identifier.get("quote_style", "") not in NO_QUOTES:
        raise InvalidRequest("A stream is named bare or in double quotes.")
    return str(identifier["value"])


def _is_kind(node: Any, kinds: frozenset[str]) -> bool:
    return isinstance(node, Mapping) and len(node) == 1 and set(node) <= kinds
