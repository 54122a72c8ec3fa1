"""Calls to one part of the HTTP API whose answers are JSON documents, as the API's page describes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from keyrack.client.values import Page
from keyrack.core.records import write_time

if TYPE_CHECKING:
    from keyrack.client.calls import Calls

Document = dict[str, Any]


class Documents:
    """Calls below one path. What reads is made again where that can help; a change is sent once."""

    def __init__(self, calls: Calls, path: str, tenant: str | None):
        self._calls = calls
        self._path = path
        self._tenant = tenant

    def __call__(
        self,
        method: str,
        *names: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        if_match: int | None = None,
    ) -> Any:
        """The document of an answer; None where it has none."""
        from keyrack.client.calls import Call

        path = "/".join((self._path, *(quote(name, safe="") for name in names)))
        given = None if body is None else {name: _json(value) for name, value in body.items()}
        headers = {} if if_match is None else {"if-match": f'"{if_match}"'}
        asked = {"tenant": self._tenant, **(query or {})}
        return self._calls(Call(method, path, given, query=asked, headers=headers, again=method == "GET"))

    def page(self, *names: str, limit: int | None = None, cursor: str | None = None) -> Page[Document]:
        """One page of a list."""
        document = self("GET", *names, query={"limit": limit, "cursor": cursor})
        return Page(tuple(document["data"]), document["next_cursor"])


def _json(value: Any) -> Any:
    return write_time(value) if isinstance(value, datetime) else value
