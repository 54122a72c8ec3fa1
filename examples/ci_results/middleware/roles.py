"""What a proved token may do: the scopes that its owner's present role may hold, a limit, and the role.

It stands between the guard, which has proved the token, and the routes, so nothing of a request is read
before (CI-16). A token whose owner is gone or inactive is answered like one that there is not (CI-21).
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from examples.ci_results.middleware import errors
from examples.ci_results.models.accounts import Account
from examples.ci_results.operations import API, OPERATIONS, Limits, Operation
from examples.ci_results.problems import Forbidden, LacksRole, Problem, RateLimited, Unavailable
from examples.ci_results.services import grants
from examples.ci_results.services.accounts import Accounts
from keyrack import Access, Denied, Reason
from keyrack.guards.key_state import KeyState

_BY_ROW = {str(one.row): one for one in OPERATIONS}
"""A row is named by its method and path."""
_ANYTHING = Access()


class Unauthorized(Problem):
    """No live token of somebody who is active here."""

    status, code = 401, "unauthorized"

    def __init__(self) -> None:
        super().__init__(errors.UNAUTHORIZED)


class Roles:
    """An application that is reached by those whose token and role allow the operation."""

    def __init__(self, app: ASGIApp, accounts: Accounts, *, limits: Limits | None):
        self._app = app
        self._accounts = accounts
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: KeyState | None = scope.get("state", {}).get("key")
        if scope["type"] != "http" or state is None:
            await self._app(scope, receive, send)
            return
        operation = _BY_ROW[str(state.row)]
        # The owner is looked up in the database, and limits may be counted behind a network.
        found = await asyncio.to_thread(self._admit, state, operation)
        if isinstance(found, Problem):
            await errors.answer(found)(scope, receive, send)
            return
        scope["state"]["account"] = found
        await self._app(scope, receive, send)

    def _admit(self, state: KeyState, operation: Operation) -> Account | Problem | None:
        """Who calls, or why not. A worker's key is of nobody."""
        account = None
        if operation.path.startswith(API):
            try:
                account = self._accounts.of_key(state.key.id)
            except Unavailable as error:
                return error
            if account is None:
                return Unauthorized()
        if operation.is_public:  # it was charged to the address, and needs no scope
            state.allow(_ANYTHING)
            return account
        limits = () if self._limits is None else (self._limits[operation.bucket],)
        lacking = _lacking_scope(state, operation, account)
        # Charged or not, an answer says what is left.
        decision = state.allow(Access(limits=limits, cost=0 if lacking else 1))
        if lacking is not None:
            return lacking
        if isinstance(decision, Denied):
            return _refused(decision)
        return _lacking_role(operation, account) or account


def _lacking_scope(state: KeyState, operation: Operation, account: Account | None) -> Forbidden | None:
    held = state.scopes if account is None else grants.effective(state.scopes, account.role)
    if operation.scope is None or operation.scope in held:
        return None
    return Forbidden(
        "This token does not hold the scope that this needs.",
        "insufficient_scope",
        required_scopes=[operation.scope],
        missing_scopes=[operation.scope],
        token_scopes=list(held),
    )


def _lacking_role(operation: Operation, account: Account | None) -> LacksRole | None:
    if not operation.roles or account is None or account.role in operation.roles:
        return None
    return LacksRole(operation.roles, account.role)


def _refused(denied: Denied) -> Problem:
    if denied.reason is Reason.RATE:
        (rate,) = denied.rates
        wait = denied.retry_after or 1
        return RateLimited(retry_after=wait, limit=rate.limit, window=rate.window_seconds)
    if denied.reason in (Reason.STORE_DOWN, Reason.STALE, Reason.UNCONFIGURED):
        return Unavailable("Tokens cannot be checked at the moment.")
    return Unauthorized()
