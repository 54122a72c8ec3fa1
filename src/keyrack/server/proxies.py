"""Forward-auth for the proxies that are shipped with a configuration: nginx, Caddy, Traefik, Envoy.

Each asks in a form of its own, as a proxy that is known by its key, and gets the one decision. Caddy,
Traefik and Envoy pass any refusal on to their client. nginx understands only 2xx, 401 and 403 from
`auth_request`, so it is told the rest in headers, which its configuration turns back into the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from keyrack.core import http
from keyrack.core.errors import KeyrackError
from keyrack.core.http import Headers, Response
from keyrack.core.model import Allowed, Denied, Network, Reason
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.handover import Handed, Handover
from keyrack.gateway.reporting import Reports
from keyrack.guards.answers import refusal
from keyrack.guards.client_address import read_address
from keyrack.guards.request import request_id as request_id_of
from keyrack.server import forwarded, proxy_forms
from keyrack.server.arrivals import Arrivals
from keyrack.server.async_verifier import AsyncVerifier
from keyrack.server.identity_headers import identity_headers, nobody
from keyrack.server.proxy_forms import ENVOY, NGINX, TRAEFIK, Form, Question
from keyrack.server.proxy_keys import ProxyKeys, is_internal
from keyrack.server.proxy_report import REPORT, ProxyReports
from keyrack.server.wire import App, Encoded, Receive, Scope, Send, answer, answer_encoded

INJECT = "x-keyrack-inject"
_NOT_FOR_THE_UPSTREAM = (b"authorization", b"x-api-key", b"x-keyrack-scope", b"x-keyrack-api")
"""What Envoy is told to remove from a request that passes, unless it is told what to put there."""


class Proxies:
    """Answers proxies, and hands all else on."""

    def __init__(
        self,
        app: App,
        plane: DataPlane,
        *,
        trusted_proxies: Sequence[Network],
        realm: str,
        internal_alone: bool = False,
        traefik_key: str | None = None,
    ):
        """`internal_alone`: there is an internal listener, so proxies are answered nowhere else."""
        self._app = app
        self._verifier = plane.verifier
        self._handover = Handover(plane)
        self._asked = AsyncVerifier(plane.verifier)
        self._arrivals = Arrivals(trusted_proxies)
        self._keys = ProxyKeys(plane.verifier, self._arrivals, internal_alone=internal_alone)
        self._reports = ProxyReports(Reports(plane), self._keys, self._refusal)
        self._realm = realm
        self._traefik_key = None if traefik_key is None else traefik_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        form = proxy_forms.form_of(path)
        if form is not None:
            await self._ask(form, scope, send)
        elif path == REPORT and scope["method"] == "POST":
            await self._reports(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _ask(self, form: Form, scope: Scope, send: Send) -> None:
        headers = http.by_name(scope["headers"])
        request_id = request_id_of(headers)
        try:
            found = await self._answer(form, scope, headers, request_id)
        except KeyrackError as error:
            found = http.failure(error, request_id=request_id)
        if isinstance(found, Response):
            await answer(send, for_nginx(found) if form is NGINX else found)
        else:
            await answer_encoded(send, 200, for_envoy(found) if form is ENVOY else found, b"")

    async def _answer(
        self, form: Form, scope: Scope, headers: Headers, request_id: str
    ) -> Encoded | Response:
        """The headers of a 200, or the refusal. Raises InvalidRequest."""
        question = proxy_forms.read(form, scope, headers)
        proxy = await self._proxy(form, scope, question, request_id)
        if isinstance(proxy, Denied):
            return self._refusal(proxy, request_id)
        target = proxy_forms.target_of(question)
        if target is None:
            return await self._decide(question, scope, headers, request_id)
        client = read_address(self._arrivals.client_host(scope))
        handed = await self._handover.hand(proxy, target, forwarded.credential_lines(headers), client)
        return handed if isinstance(handed, Response) else self._handed(form, handed)

    async def _proxy(
        self, form: Form, scope: Scope, question: Question, request_id: str
    ) -> Allowed | Denied | None:
        """Who asks; None is a Traefik that has no key here."""
        if form is TRAEFIK:
            return await self._traefik(scope, request_id)
        return await self._keys.admit(question.told.get(forwarded.PROXY_KEY), scope, request_id)

    async def _traefik(self, scope: Scope, request_id: str) -> Allowed | Denied | None:
        """Traefik cannot show a key that none of its clients could send, so its place alone counts."""
        if not is_internal(scope):
            return self._keys.refuse(scope, request_id)
        if self._traefik_key is None:
            return None
        proved = await self._keys.prove(self._traefik_key, scope, request_id)
        # A key that is no good is a fault of this server's settings, and of no caller.
        bad = isinstance(proved, Denied) and proved.reason is Reason.MISSING
        return Denied(Reason.UNCONFIGURED) if bad else proved

    async def _decide(
        self, question: Question, scope: Scope, headers: Headers, request_id: str
    ) -> Encoded | Response:
        """By the scope that the proxy's configuration names. Raises InvalidRequest."""
        asked = forwarded.asked(question.query, question.told, self._arrivals.client_host(scope))
        parts = (forwarded.credential(headers), asked.access, (asked.operation, request_id))
        decision = self._asked.at_once(*parts) or await self._asked.verify(*parts)
        if isinstance(decision, Denied):
            return self._refusal(decision, request_id)
        return identity_headers(decision, request_id, self._verifier.stores.clock())

    def _handed(self, form: Form, handed: Handed) -> Encoded:
        """Who asked, and the header that the upstream takes its key in: for nginx under a fixed name."""
        allowed, injection = handed.admission.allowed, handed.injection
        if allowed is None:
            headers = nobody(handed.admission.tenant, handed.request_id)
        else:
            headers = identity_headers(allowed, handed.request_id, self._verifier.stores.clock())
        if injection is not None:
            name = INJECT if form is NGINX else injection.header
            headers.append((name.lower().encode(), injection.value.encode()))
        return headers

    def _refusal(self, denied: Denied, request_id: str) -> Response:
        now = self._verifier.stores.clock()
        return refusal(denied, realm=self._realm, request_id=request_id, now=now)


def for_nginx(response: Response) -> Response:
    """The same refusal in what `auth_request` understands: 401, or 403 for everything else."""
    # A header holds bytes, and JSON has no line ends in it: so the client gets the very same document.
    problem = response.body.decode("latin-1")
    told = (("x-keyrack-status", str(response.status)), ("x-keyrack-problem", problem))
    status = 401 if response.status == 401 else 403
    return Response(status, (*response.headers, *told), response.body)


def for_envoy(headers: Encoded) -> Encoded:
    """The same headers, and which of the request's Envoy removes."""
    told = {name for name, _ in headers}
    removed = b",".join(name for name in _NOT_FOR_THE_UPSTREAM if name not in told)
    return [*headers, (b"x-envoy-auth-headers-to-remove", removed)]
