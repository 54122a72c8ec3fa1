"""The hot path: `/v1/verify` and forward-auth as plain ASGI in front of the framework.

No thread, no validation library, and no store call where the replica has the key.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from keyrack.core import http
from keyrack.core.errors import InvalidRequest, KeyrackError
from keyrack.core.http import Presented, Response
from keyrack.core.model import Access, Allowed, Denied, Network, Reason
from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.core.scopes import missing
from keyrack.core.strict_json import read
from keyrack.guards.answers import refusal
from keyrack.guards.client_address import read_address
from keyrack.guards.request import request_id as request_id_of
from keyrack.server.arrivals import Arrivals
from keyrack.server.async_verifier import AsyncVerifier
from keyrack.server.forward_auth import PATH, ForwardAuth
from keyrack.server.questions import Asked, answer_json, read_batch, read_one
from keyrack.server.table import VERIFY_SCOPE, uncharged
from keyrack.server.wire import (
    JSON,
    App,
    Disconnected,
    Receive,
    Scope,
    Send,
    answer,
    answer_encoded,
    encoded,
    read_body,
    require_json,
)
from keyrack.stores.journal import Origin
from keyrack.verifier import Verifier

VERIFY = "/v1/verify"
BATCH = "/v1/verify/batch"
ANY_TENANT = ("tenants:verify",)
QUIET_PATHS = frozenset({VERIFY, BATCH, PATH, "/livez"})
"""No log line a request for these: refusals are in the journal, and its log lines."""
IMMEDIATE = frozenset({(b"POST", VERIFY.encode()), (b"GET", PATH.encode())})
"""Of these each is one decision or two, which seldom wait."""
MAX_KEPT_ANSWERS = 10_000
_OPERATIONS = {VERIFY: f"POST {VERIFY}", BATCH: f"POST {BATCH}"}
_KEY_IN_QUERY = InvalidRequest(http.KEY_IN_QUERY)
_HEADERS = ((b"content-type", JSON), (b"cache-control", b"no-store"))


class HotPaths:
    """Answers the hot paths itself and hands everything else on."""

    def __init__(self, app: App, verifier: Verifier, *, trusted_proxies: Sequence[Network], realm: str):
        self._app = app
        self._verifier = AsyncVerifier(verifier)
        self._arrivals = Arrivals(trusted_proxies)
        self._realm = realm
        self._clock = verifier.stores.clock
        self._forward_auth = ForwardAuth(verifier, self._arrivals, realm=realm)
        self._kept: dict[tuple[str, int, int, tuple[str, ...]], bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path == VERIFY and scope["method"] == "POST":
            await self._verify(scope, receive, send, self._one)
        elif path == PATH:
            await self._forward_auth(scope, send)
        elif path == BATCH and scope["method"] == "POST":
            await self._verify(scope, receive, send, self._many)
        else:
            await self._app(scope, receive, send)

    async def _verify(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        respond: Callable[[bytes, Allowed, str], Awaitable[bytes]],
    ) -> None:
        """Decide on the caller's own key, then on what it asks about."""
        headers = http.by_name(scope["headers"])
        request_id = request_id_of(headers)
        caller = await self._caller(scope, headers, request_id)
        if isinstance(caller, Response):
            await answer(send, caller)
            return
        status, sent = 200, [*_HEADERS, (b"x-request-id", request_id.encode())]
        try:
            body = await read_body(receive)
            require_json(headers)
            answered = await respond(body, caller, request_id)
        except Disconnected:
            return
        except KeyrackError as error:
            failed = http.failure(error, request_id=request_id)
            status, sent, answered = failed.status, encoded(failed.headers), failed.body
        if caller.rates:
            sent += encoded(ratelimit_headers(caller.rates, self._clock()))
        await answer_encoded(send, status, sent, answered)

    async def _caller(self, scope: Scope, headers: http.Headers, request_id: str) -> Allowed | Response:
        """The proved key of the caller, or the answer to one who may not ask."""
        query = scope["query_string"]
        if query and http.key_in_query(query):
            return http.failure(_KEY_IN_QUERY, request_id=request_id)
        access = _caller_access(self._arrivals.client_host(scope))
        question = (http.extract(headers), access, (_OPERATIONS[scope["path"]], request_id))
        decision = self._verifier.at_once(*question) or await self._verifier.verify(*question)
        if isinstance(decision, Allowed):
            return decision
        return refusal(decision, realm=self._realm, request_id=request_id, now=self._clock())

    async def _one(self, body: bytes, caller: Allowed, request_id: str) -> bytes:
        asked = read_one(body)
        question, within = _question(asked, request_id), _within(caller)
        decision = self._verifier.at_once(*question, within=within)
        if decision is None:
            decision = await self._verifier.verify(*question, within=within)
        if isinstance(decision, Denied) or decision.rates or decision.session or asked.explain:
            return _dump(answer_json(decision, explain=asked.explain))
        # It follows from the key's record and the scopes alone, so it is written once.
        slot = (decision.key.id, decision.key.revision, decision.secret.number, decision.scopes)
        return self._kept.get(slot) or self._keep(slot, _dump(answer_json(decision)))

    async def _many(self, body: bytes, caller: Allowed, request_id: str) -> bytes:
        batch, within = read_batch(read(body)), _within(caller)
        decided = [
            (await self._verifier.verify(*_question(one, request_id), within=within), one.explain)
            for one in batch
        ]
        answers = [answer_json(decision, explain=explain) for decision, explain in decided]
        return _dump({"data": answers})

    def _keep(self, slot: tuple[str, int, int, tuple[str, ...]], body: bytes) -> bytes:
        if len(self._kept) >= MAX_KEPT_ANSWERS:
            self._kept.clear()
        self._kept[slot] = body
        return body


@lru_cache(maxsize=4096)
def _caller_access(host: str | None) -> Access:
    return replace(uncharged(VERIFY_SCOPE), address=read_address(host))


def _question(asked: Asked, request_id: str) -> tuple[Presented, Access, Origin]:
    return asked.text or Reason.MISSING, asked.access, ("verify", request_id)


def _within(caller: Allowed) -> str | None:
    """The one tenant whose keys a caller may ask about, or None for all."""
    return None if _sees_all_tenants(caller.scopes) else caller.key.tenant


@lru_cache(maxsize=1024)
def _sees_all_tenants(scopes: tuple[str, ...]) -> bool:
    return not missing(scopes, ANY_TENANT)


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
