"""What the headers of a request say about its events, and add to each of them (LL-21, LL-22)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.datastructures import Headers

from examples.log_lake.problems import InvalidRequest

TIMESTAMP, USER_AGENT, SOURCE_IP, FORMAT = "p_timestamp", "p_user_agent", "p_src_ip", "p_format"
ADDED = frozenset({TIMESTAMP, USER_AGENT, SOURCE_IP, FORMAT})
"""The fields that every event gets; no event brings one of them along."""
ATTRIBUTES = "x-amz-firehose-common-attributes"
PREFIX = "x-p-"
OWN = frozenset({"stream", "tenant", "log-source", "extract-log", "telemetry-type"})
"""What is said to this service and is no field."""
MAX_FIELDS = 10
MAX_VALUE = 100
MAX_SOURCE = 64
TELEMETRY_TYPES = frozenset({"logs", "metrics", "traces", "events"})
ELSEWHERE: Mapping[str, str] = {
    "kinesis": "/api/v1/firehose",
    "otel-logs": "/v1/logs",
    "otel-metrics": "/v1/metrics",
    "otel-traces": "/v1/traces",
}
"""Log sources that have a route of their own."""
_CREDENTIAL = re.compile(r"[a-z][a-z0-9]{1,15}_[a-z0-9]+_[0-9A-Za-z]{50}")


def log_source(headers: Headers) -> str:
    """The format of the events as `X-P-Log-Source` names it. Raises InvalidRequest."""
    if ATTRIBUTES in headers:
        raise InvalidRequest(f"Send what Firehose delivers to {ELSEWHERE['kinesis']}.")
    source = headers.get("x-p-log-source", "json")
    if source in ELSEWHERE:
        raise InvalidRequest(f"Send events of this source to {ELSEWHERE[source]}.")
    if len(source) > MAX_SOURCE:
        raise InvalidRequest(f"X-P-Log-Source has at most {MAX_SOURCE} characters.")
    if headers.get("x-p-telemetry-type", "logs") not in TELEMETRY_TYPES:
        raise InvalidRequest("X-P-Telemetry-Type is `logs`, `metrics`, `traces` or `events`.")
    return source


def added_fields(headers: Headers, *, at: datetime, client_ip: str | None, source: str) -> dict[str, Any]:
    """The fields that each event of a request gets."""
    return {
        TIMESTAMP: at,
        USER_AGENT: headers.get("user-agent"),
        SOURCE_IP: client_ip,
        FORMAT: source,
        **_named_by_sender(headers),
    }


def _named_by_sender(headers: Headers) -> dict[str, str]:
    """The first ten headers of the sender's own; one with a key in it is none. Raises InvalidRequest."""
    fields: dict[str, str] = {}
    for header, value in headers.items():
        name = header.removeprefix(PREFIX)
        if name == header or name in OWN or not name or _CREDENTIAL.search(value):
            continue
        if name in ADDED:
            raise InvalidRequest(f"The field `{name}` is added by this service.")
        if len(fields) < MAX_FIELDS:
            fields.setdefault(name, value[:MAX_VALUE])
    return fields
