"""The one table of what this service offers: guard, routes and tests are built from it."""

from __future__ import annotations

from dataclasses import dataclass

from keyrack import Access, Limit
from keyrack.guards import LATER, OPEN, Row

INGEST = "ingest"
QUERY = "query"
"""The services that a tenant can be suspended from, beside `workspace`, which is all of them."""
FIREHOSE_PATH = "/api/v1/firehose"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. Its name is that of the function in `routes/` that does it."""

    name: str
    method: str
    path: str
    scope: str | None
    """What a key must hold; `<stream>` stands for each stream that the request names. None: open."""
    success: int
    service: str | None = None
    limits: tuple[Limit, ...] = ()

    @property
    def row(self) -> Row:
        """Its row of the guard. What depends on a stream is asked by the handler, which reads its name."""
        if self.scope is None:
            return Row(self.method, self.path, OPEN)
        if self.scope.startswith("streams/"):
            return Row(self.method, self.path, LATER, self.service)
        return Row(self.method, self.path, Access(scopes=(self.scope,), limits=self.limits))


_KEYS, _KEY = "/api/v1/apikeys", "/api/v1/apikeys/{keyId}"
_TENANTS, _TENANT = "/api/v1/tenants", "/api/v1/tenants/{tenant}"
_SESSIONS = "/api/v1/query/sessions"
VALIDATIONS = (Limit("validate", 60, 60),)
"""A management key shall not serve to guess others."""
_WRITE, _READ, _ANY = "streams/<stream>:ingest", "streams/<stream>:query", "streams/<stream>:*"

OPERATIONS = (
    Operation("ingest", "POST", "/api/v1/ingest", _WRITE, 200, INGEST),
    Operation("ingest_stream", "POST", "/api/v1/logstream/{stream}", _WRITE, 200, INGEST),
    Operation("ingest_firehose", "POST", FIREHOSE_PATH, _WRITE, 200, INGEST),
    Operation("ingest_logs", "POST", "/v1/logs", _WRITE, 200, INGEST),
    Operation("ingest_metrics", "POST", "/v1/metrics", _WRITE, 501, INGEST),
    Operation("ingest_traces", "POST", "/v1/traces", _WRITE, 501, INGEST),
    Operation("query", "POST", "/api/v1/query", _READ, 200, QUERY),
    Operation("list_streams", "GET", "/api/v1/logstream", _ANY, 200),
    Operation("list_sessions", "GET", _SESSIONS, "sessions:manage", 200),
    Operation("end_session", "DELETE", f"{_SESSIONS}/{{id}}", "sessions:manage", 204),
    Operation("create_key", "POST", _KEYS, "keys:manage", 201),
    Operation("list_keys", "GET", _KEYS, "keys:manage", 200),
    Operation("get_key", "GET", _KEY, "keys:manage", 200),
    Operation("change_key", "PATCH", _KEY, "keys:manage", 200),
    Operation("revoke_key", "DELETE", _KEY, "keys:manage", 200),
    Operation("rotate_key", "POST", f"{_KEY}/rotation", "keys:manage", 201),
    Operation("promote_key", "POST", f"{_KEY}/rotation/promote", "keys:manage", 200),
    Operation("abort_rotation", "POST", f"{_KEY}/rotation/abort", "keys:manage", 200),
    Operation("undo_rotation", "POST", f"{_KEY}/rotation/undo", "keys:manage", 200),
    Operation("disable_key", "POST", f"{_KEY}/disable", "keys:manage", 200),
    Operation("enable_key", "POST", f"{_KEY}/enable", "keys:manage", 200),
    Operation("validate_key", "POST", f"{_KEYS}/validate", "keys:manage", 200, limits=VALIDATIONS),
    Operation("create_tenant", "POST", _TENANTS, "tenants:manage", 201),
    Operation("list_tenants", "GET", _TENANTS, "tenants:manage", 200),
    Operation("get_tenant", "GET", _TENANT, "tenants:manage", 200),
    Operation("change_tenant", "PATCH", _TENANT, "tenants:manage", 200),
    Operation("delete_tenant", "DELETE", _TENANT, "tenants:manage", 204),
    Operation("suspend_tenant", "POST", f"{_TENANT}/suspend", "tenants:manage", 200),
    Operation("resume_tenant", "POST", f"{_TENANT}/resume", "tenants:manage", 200),
    Operation("get_health", "GET", "/api/v1/health", "health:read", 200),
    Operation("livez", "GET", "/livez", None, 200),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}
