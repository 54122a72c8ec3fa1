"""The report of a proxy on a request that it carried: read strictly, and answered as it was taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from keyrack.core import fields, http, strict_json
from keyrack.core.errors import KeyrackError, ValidationFailed
from keyrack.core.http import Headers, Response
from keyrack.core.model import Denied
from keyrack.gateway.reporting import Reports
from keyrack.guards.request import request_id as request_id_of
from keyrack.server import forwarded
from keyrack.server.proxy_keys import ProxyKeys
from keyrack.server.wire import Disconnected, Receive, Scope, Send, answer, read_body, require_json
from keyrack.stores.balances import Outcome

REPORT = "/v1/forward-auth/report"
MAX_REQUEST_ID = 200
STATUSES = range(100, 600)
_MEMBERS = frozenset({"request_id", "outcome", "upstream_status"})


class Report(NamedTuple):
    """What became of a request."""

    request_id: str
    outcome: Outcome
    upstream_status: int | None


class ProxyReports:
    """Takes reports from proxies, each known by its key."""

    def __init__(self, reports: Reports, keys: ProxyKeys, refuse: Callable[[Denied, str], Response]):
        self._reports = reports
        self._keys = keys
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = http.by_name(scope["headers"])
        request_id = request_id_of(headers)
        try:
            found = await self._take(scope, receive, headers, request_id)
        except Disconnected:
            return
        except KeyrackError as error:
            found = http.failure(error, request_id=request_id)
        await answer(send, found)

    async def _take(self, scope: Scope, receive: Receive, headers: Headers, request_id: str) -> Response:
        presented = forwarded.read(headers).get(forwarded.PROXY_KEY)
        proxy = await self._keys.admit(presented, scope, request_id)
        if isinstance(proxy, Denied):
            return self._refuse(proxy, request_id)
        body = await read_body(receive)
        require_json(headers)
        report = read_report(strict_json.read(body))
        await self._reports.take(
            proxy.key, report.request_id, report.outcome, upstream_status=report.upstream_status
        )
        told = (("content-type", "application/json"), ("x-request-id", request_id))
        return Response(200, told, json.dumps(report._asdict(), separators=(",", ":")).encode())


def read_report(value: object) -> Report:
    """A report from its JSON value. Raises ValidationFailed."""
    if not isinstance(value, dict):
        raise fields.refuse("body", "Give a JSON object.")
    if not _MEMBERS.issuperset(value):
        unknown = sorted(set(value) - _MEMBERS)
        raise ValidationFailed({name: ["This field is not known."] for name in unknown})
    return Report(_request_id(value), _outcome(value), _status(value))


def _request_id(value: dict[str, Any]) -> str:
    given = value.get("request_id")
    if not isinstance(given, str) or len(given) > MAX_REQUEST_ID:
        raise fields.refuse("request_id", "Give the X-Request-ID of the decision.")
    return given


def _outcome(value: dict[str, Any]) -> Outcome:
    given = value.get("outcome")
    if given not in list(Outcome):
        raise fields.refuse("outcome", "Give settled or refunded.")
    return Outcome(given)


def _status(value: dict[str, Any]) -> int | None:
    given = value.get("upstream_status")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given not in STATUSES:
        raise fields.refuse("upstream_status", "Give the status that the upstream answered, or null.")
    return given
