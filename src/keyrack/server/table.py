"""Who may call what: method, path and scope of every operation of the server, in one table."""

from __future__ import annotations

from keyrack.core.model import Access
from keyrack.gateway.admin import exporting
from keyrack.gateway.admin.balances import MANAGE_CREDITS, READ_CREDITS
from keyrack.gateway.admin.reach import MANAGE, READ
from keyrack.guards import LATER, OPEN, Row
from keyrack.network_blocks import MANAGE_BLOCKS

VERIFY_SCOPE = "keys:verify"


def uncharged(*scopes: str) -> Access:
    """What a call of the server's own API asks of its caller, whose credits are for other services."""
    return Access(scopes, credits=False)


_MANAGE, _VERIFY = uncharged("keys:manage"), uncharged(VERIFY_SCOPE)
_TENANTS, _AUDIT = uncharged("tenants:manage"), uncharged("audit:read")
_BLOCKS = uncharged(MANAGE_BLOCKS)
_UPSTREAMS, _SEE_UPSTREAMS = uncharged(MANAGE), uncharged(READ)
_CREDITS, _SEE_CREDITS = uncharged(MANAGE_CREDITS), uncharged(READ_CREDITS)

ROWS: tuple[Row, ...] = (
    Row("GET", "/livez", OPEN),
    Row("GET", "/readyz", uncharged("health:read")),
    Row("GET", "/metrics", uncharged("metrics:read")),
    Row("GET", "/openapi.json", OPEN),
    Row("GET", "/docs", OPEN),
    Row("GET", "/docs/{file}", OPEN),
    Row("POST", "/v1/keys", _MANAGE),
    Row("GET", "/v1/keys", LATER),
    Row("GET", "/v1/keys/{key_id}", LATER),
    Row("PATCH", "/v1/keys/{key_id}", _MANAGE),
    Row("POST", "/v1/keys/{key_id}/disable", _MANAGE),
    Row("POST", "/v1/keys/{key_id}/enable", _MANAGE),
    Row("POST", "/v1/keys/{key_id}/revoke", _MANAGE),
    Row("POST", "/v1/keys/{key_id}/rotation", LATER),
    Row("GET", "/v1/keys/{key_id}/rotation", LATER),
    Row("POST", "/v1/keys/{key_id}/rotation/promote", _MANAGE),
    Row("POST", "/v1/keys/{key_id}/rotation/abort", _MANAGE),
    Row("POST", "/v1/keys/{key_id}/rotation/undo", _MANAGE),
    Row("POST", "/v1/tenants", _TENANTS),
    Row("GET", "/v1/tenants", _TENANTS),
    Row("GET", "/v1/tenants/{tenant_id}", _TENANTS),
    Row("PATCH", "/v1/tenants/{tenant_id}", _TENANTS),
    Row("DELETE", "/v1/tenants/{tenant_id}", _TENANTS),
    Row("GET", "/v1/tenants/{tenant_id}/export", uncharged(*exporting.NEEDS)),
    Row("POST", "/v1/tenants/{tenant_id}/suspend", _TENANTS),
    Row("POST", "/v1/tenants/{tenant_id}/resume", _TENANTS),
    Row("POST", "/v1/network-blocks", _BLOCKS),
    Row("GET", "/v1/network-blocks", _BLOCKS),
    Row("DELETE", "/v1/network-blocks/{block_id}", _BLOCKS),
    Row("POST", "/v1/credits", _UPSTREAMS),
    Row("GET", "/v1/credits", _SEE_UPSTREAMS),
    Row("GET", "/v1/credits/{group}", _SEE_UPSTREAMS),
    Row("PUT", "/v1/credits/{group}", _UPSTREAMS),
    Row("DELETE", "/v1/credits/{group}", _UPSTREAMS),
    Row("GET", "/v1/credits/{group}/versions", _SEE_UPSTREAMS),
    Row("GET", "/v1/credits/{group}/history", _SEE_UPSTREAMS),
    Row("POST", "/v1/credits/{group}/rotation", _UPSTREAMS),
    Row("GET", "/v1/credits/{group}/rotation", _SEE_UPSTREAMS),
    Row("PATCH", "/v1/credits/{group}/rotation", _UPSTREAMS),
    Row("POST", "/v1/credits/{group}/rotation/promote", _UPSTREAMS),
    Row("POST", "/v1/credits/{group}/rotation/abort", _UPSTREAMS),
    Row("POST", "/v1/credits/{group}/rotation/undo", _UPSTREAMS),
    Row("GET", "/v1/credit-balances", _SEE_CREDITS),
    Row("GET", "/v1/credit-balances/{username}", _SEE_CREDITS),
    Row("PATCH", "/v1/credit-balances/{username}/{group}", _CREDITS),
    Row("DELETE", "/v1/credit-balances/{username}/{group}", _CREDITS),
    Row("POST", "/v1/apis", _UPSTREAMS),
    Row("GET", "/v1/apis", _SEE_UPSTREAMS),
    Row("GET", "/v1/apis/{api_name}/{api_version}", _SEE_UPSTREAMS),
    Row("PUT", "/v1/apis/{api_name}/{api_version}", _UPSTREAMS),
    Row("DELETE", "/v1/apis/{api_name}/{api_version}", _UPSTREAMS),
    Row("GET", "/v1/events", _AUDIT),
    Row("GET", "/v1/denials", _AUDIT),
    Row("GET", "/v1/me", LATER),
    Row("GET", "/v1/me/credit-balances", LATER),
    Row("POST", "/v1/me/revoke", LATER),
    Row("POST", "/v1/sessions", LATER),
    Row("GET", "/.well-known/jwks.json", OPEN),
    Row("GET", "/v1/feed", _VERIFY),
    Row("DELETE", "/v1/feed/{node}", _VERIFY),
    Row("POST", "/v1/prove", _VERIFY),
    Row("POST", "/v1/usage", _VERIFY),
    Row("POST", "/v1/verify", _VERIFY),
    Row("POST", "/v1/verify/batch", _VERIFY),
)
"""The last two decide for themselves (keyrack.server.hot); here they say that there is no other method.
Keys are read with `keys:read` or with `keys:manage`, and one's own is rotated with `self:rotate`, which the
routes ask for (LATER)."""
