"""`keyrack.Client`: every operation of the API, values in and out, one class for each error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from engine_bed import other
from gateway.receiver import receiving
from server.server_bed import House

from keyrack import Client, Limit, Reason, Tenant, Wish
from keyrack.client import KeyView, NewKey
from keyrack.client.errors import (
    CallRefused,
    InsufficientScope,
    InvalidCredentials,
    KeyRevoked,
    MissingCredentials,
    RateLimited,
    error_of,
)
from keyrack.client.reading import as_json, key_of
from keyrack.core import errors
from keyrack.core.errors import (
    ConfigurationError,
    Conflict,
    KeyrackError,
    NotFound,
    NotHeld,
    PreconditionFailed,
    Unavailable,
    ValidationFailed,
)
from keyrack.core.events import Event, EventKind
from keyrack.core.http import ANSWERS
from keyrack.core.records import read_time
from keyrack.stores.journal import Refusal

NOT_CALLED = {
    "GET /metrics": "for Prometheus",
    "GET /v1/forward-auth": "for proxies",
    **{
        f"GET /v1/forward-auth/{form}": "for proxies"
        for form in ("nginx", "caddy", "traefik", "envoy/{path}")
    },
    "POST /v1/forward-auth/report": "for proxies",
}


class Recorder(httpx.BaseTransport):
    """Answers every request as it is told to, and remembers them."""

    def __init__(self, *answers: httpx.Response | Exception):
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(status: int, code: str, **more: Any) -> httpx.Response:
    body = {"code": code, "detail": "It did not.", "details": {}, "status": status, **more}
    return httpx.Response(status, json=body)


def calling(transport: httpx.BaseTransport, **options: Any) -> Client:
    """A client that does not wait between attempts."""
    made = Client("https://keyrack.example", key="a key", transport=transport, **options)
    made._calls._pause = lambda seconds: None
    return made


def called(house: House, client: Client) -> Iterator[Callable[[], Any]]:
    """Every method of a client, called with something that exists."""
    key = client.mint("n", scopes=["a:b"])
    tenant = client.create_tenant("t1")
    yield from (lambda: client.mint("m"), lambda: client.create_tenant("t2"))
    yield from (client.find, lambda: list(client.keys()), client.find_tenants, lambda: list(client.tenants()))
    yield from (client.find_events, lambda: list(client.events()), client.find_denials)
    yield from (lambda: list(client.denials()), client.me, client.health, client.lives, client.feed)
    yield lambda: client.report_uses(
        [{"key_id": key.key.id, "version": 1, "uses": 1, "first_seconds_ago": 0, "last_seconds_ago": 0}]
    )
    yield lambda: client.leave_feed("abcd1234")
    yield from (lambda: client.verify(str(key.secret)), lambda: client.verify_batch([{"key": "x"}]))
    yield from (lambda: client.prove(str(key.secret)), lambda: client.get(key.key.id))
    yield from (lambda: client.update(key.key.id, {"name": "x"}), lambda: client.disable(key.key.id))
    yield from (lambda: client.enable(key.key.id), lambda: client.rotate(key.key.id))
    yield from (lambda: client.rotation(key.key.id), lambda: client.abort(key.key.id))
    yield from (lambda: client.rotate(key.key.id), lambda: client.promote(key.key.id))
    yield from (lambda: client.undo(key.key.id), lambda: client.revoke(key.key.id))
    yield from (client.exchange, client.session_keys)
    yield from (lambda: client.get_tenant("t1"), lambda: client.update_tenant("t1", {"name": "x"}))
    yield from (lambda: client.suspend_tenant("t1", "query"), lambda: client.resume_tenant("t1", "query"))
    yield lambda: client.export_tenant("t1")
    yield lambda: client.network_blocks.add("203.0.113.0/24", tenant="t1")
    yield lambda: client.network_blocks.lift(client.network_blocks.all(tenant="t1")[0].id, tenant="t1")
    yield lambda: client.delete_tenant(tenant.id)
    yield from upstream_calls(client)
    yield client.give_up


GROUP = {
    "api_credit_group": "models",
    "api_key": "a-key-of-the-upstream",
    "api_key_header": "x-api-key",
    "credit_tiers": [
        {
            "tier_name": "basic",
            "credits": 10,
            "input_limit": None,
            "output_limit": None,
            "reset_frequency": "daily",
        }
    ],
}
API = {"api_name": "chat", "api_version": "v1", "api_servers": ["https://api.example"]}


def upstream_calls(client: Client) -> Iterator[Callable[[], Any]]:
    """Every method for groups, balances and APIs, likewise."""
    upstreams, apis = client.upstreams, client.apis
    yield from (lambda: upstreams.create(GROUP), upstreams.find, lambda: upstreams.get("models"))
    yield lambda: upstreams.update("models", {"api_key_header": "x-key"})
    yield lambda: upstreams.rotate("models", {"api_key_new": "the-next-key-of-theirs"})
    yield from (lambda: upstreams.rotation("models"), lambda: upstreams.versions("models"))
    yield lambda: upstreams.change_rotation("models", {"rollout_percent": 50})
    yield from (lambda: upstreams.promote("models"), lambda: upstreams.undo("models"))
    yield from (lambda: upstreams.abort("models"), lambda: upstreams.history("models"))
    balances = client.credit_balances
    yield lambda: balances.amend("ann", "models", {"tier_name": "basic"})
    yield from (balances.find, lambda: balances.of("ann"), balances.own)
    yield lambda: balances.remove("ann", "models")
    yield from (lambda: apis.create(API), apis.find, lambda: apis.get("chat", "v1"))
    yield lambda: apis.update("chat", "v1", {"active": False})
    yield from (lambda: apis.delete("chat", "v1"), lambda: upstreams.delete("models"))


def test_there_is_a_method_for_every_operation_of_the_document(house: House, client: Client) -> None:
    """What the methods call is taken down on the way, and compared with what the document has."""
    document = house.root("GET", "/openapi.json").json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    seen: set[str] = set()
    client._calls._client.event_hooks["request"] = [lambda request: seen.add(_named(request, operations))]
    for call in called(house, client):
        call()
    assert {name: sorted(operations)[0] for name in seen - set(operations)} == {}
    assert set(operations) - seen == set(NOT_CALLED) & set(operations)


def _named(request: httpx.Request, operations: dict[str, Any]) -> str:
    """The operation that a request is of, as the document writes it."""
    for name in operations:
        method, path = name.split()
        parts, called = path.split("/"), request.url.path.split("/")
        same = len(parts) == len(called) and all(
            one == other or one.startswith("{") for one, other in zip(parts, called, strict=True)
        )
        if method == request.method and same and ("{" not in path or request.url.path not in operations):
            return name
    return f"{request.method} {request.url.path}"


def test_a_key_comes_back_as_it_was_asked_for(client: Client) -> None:
    ends_at = datetime(2090, 1, 2, tzinfo=UTC)
    wish = Wish(
        "nightly",
        scopes=["logs:read"],
        owner="ada",
        expires_at=ends_at,
        networks=["10.0.0.0/8"],
        limits=[Limit("minute", 60, 60)],
        metadata={"team": "ops"},
    )
    made = client.mint(wish)
    assert isinstance(made, NewKey)
    key = client.get(made.key.id)
    assert key == made.key == client.rotation(key.id)
    assert (key.name, key.owner, key.scopes, key.expires_at) == ("nightly", "ada", ("logs:read",), ends_at)
    assert ([str(one) for one in key.networks], key.limits) == (["10.0.0.0/8"], (Limit("minute", 60, 60),))
    assert (key.metadata, key.status, key.versions[0].state) == ({"team": "ops"}, "active", "live")
    assert client.verify(made.secret or "", scopes=["logs:read"], ip="10.0.0.1").valid


def test_no_repr_shows_a_secret(house: House, client: Client) -> None:
    made = client.mint("n", scopes=["a:b"])
    assert str(made.secret) not in f"{made!r} {client!r} {vars(client)!r}"
    assert house.root_key not in f"{client!r} {vars(client)!r} {vars(client._calls)!r}"


def test_a_view_of_a_key_is_written_as_the_api_writes_it(house: House, client: Client) -> None:
    made = client.mint("n", scopes=["a:b"], limits=[Limit("m", 1, 2)], networks=["10.0.0.0/8"])
    client.rotate(made.key.id)
    document = house.root("GET", f"/v1/keys/{made.key.id}").json()
    assert as_json(client.get(made.key.id)) == document
    assert {one.name for one in fields(KeyView)} == set(document)


def test_the_engines_value_of_a_view_has_the_same_hint_and_no_digest(client: Client) -> None:
    view = client.mint("n", scopes=["a:b"]).key
    key = key_of(view)
    assert (key.hint, key.revision, key.scopes) == (view.hint, view.revision, view.scopes)
    assert key.versions[0].digest == b""


def test_a_rotation_is_seen_and_undone(client: Client) -> None:
    first = client.mint("n", scopes=["a:b"])
    second = client.rotate(first.key.id, grace_seconds=3600)
    assert (second.key.rotation, len(second.key.versions)) == ("active", 2)
    assert client.promote(first.key.id).rotation == "none"
    assert client.verify(str(first.secret)).reason is Reason.RETIRED
    assert client.undo(first.key.id).rotation == "active"
    assert client.verify(str(first.secret)).valid


def test_iterators_go_through_all_pages(client: Client) -> None:
    names = [f"n{number}" for number in range(103)]
    for name in names:
        client.mint(name, scopes=["a:b"], owner="ada")
    assert [key.name for key in client.keys(owner="ada")] == names
    first = client.find(owner="ada", limit=2)
    second = client.find(owner="ada", limit=2, cursor=first.next_cursor)
    assert [key.name for key in (*first.data, *second.data)] == names[:4]
    assert sum(1 for _ in client.events()) > 103


def test_tenants_events_and_denials_are_the_engines_own_values(house: House, client: Client) -> None:
    tenant = client.create_tenant("acme", name="Acme", ends_at=datetime(2090, 1, 1, tzinfo=UTC))
    assert isinstance(tenant, Tenant)
    assert client.suspend_tenant("acme", "query", reason="unpaid").suspended == ("query",)
    event = client.find_events(subject="acme", limit=100).data[-1]
    assert isinstance(event, Event)
    assert (event.kind, event.data["reason"]) == (EventKind.TENANT_SUSPENDED, "unpaid")
    client.verify(other(house.root_key), ip="192.0.2.7")
    house.flush()
    (denial,) = client.denials()
    assert isinstance(denial, Refusal)
    assert (denial.reason, denial.address) == (Reason.UNKNOWN, "192.0.2.7")


def test_a_key_is_exchanged_for_a_session(house: House, client: Client) -> None:
    session = client.exchange(scopes=["a:b"], ttl_seconds=60)
    assert (session.scopes, session.audience) == (("a:b",), None)
    assert client.verify(session.token, scopes=["a:b"]).valid
    assert session.token not in repr(session)
    assert client.session_keys()["keys"][0]["kty"] == "OKP"


def test_a_batch_is_answered_in_order(house: House, client: Client) -> None:
    good, bad = client.verify_batch([{"key": house.root_key}, {"key": "x", "explain": True}])
    assert (good.valid, good.reason, bad.valid, bad.reason) == (True, None, False, Reason.MALFORMED)
    assert bad.explanation


def test_what_is_asked_of_a_group_is_told_and_its_named_errors_are_of_one_class_each(client: Client) -> None:
    client.upstreams.create(GROUP)
    end = read_time(client.upstreams.get("models")["created_at"]) + timedelta(days=2)
    given = {"api_key_new": "the-next-key-of-theirs", "api_key_rotation_expires": end}
    rotation = client.upstreams.update("models", given)["rotation"]
    assert (rotation["state"], read_time(rotation["api_key_rotation_expires"])) == ("active", end)
    history = client.upstreams.history("models", limit=1)
    assert (len(history.data), history.next_cursor is not None) == (1, True)
    assert client.upstreams.history("models", cursor=history.next_cursor).next_cursor is None
    for work, kind, code in (
        (lambda: client.upstreams.get("none"), NotFound, "group_not_found"),
        (lambda: client.apis.get("none", "v1"), NotFound, "api_not_found"),
        (lambda: client.upstreams.create(GROUP), Conflict, "group_exists"),
        (
            lambda: client.upstreams.rotate("models", {"api_key_new": "x" * 20, "grace_seconds": 1}),
            ValidationFailed,
            "grace_out_of_range",
        ),
    ):
        with pytest.raises(kind) as failed:
            work()
        assert (failed.value.code, type(failed.value)) == (code, kind)


def test_errors_are_the_engines_own(client: Client) -> None:
    key = client.mint("n", scopes=["a:b"]).key
    with pytest.raises(NotFound):
        client.get("A" * 12)
    with pytest.raises(PreconditionFailed):
        client.update(key.id, {"name": "x"}, if_match=key.revision - 1)
    with pytest.raises(ValidationFailed) as wrong:
        client.mint("n", scopes=["none"])
    assert list(wrong.value.details["fields"]) == ["scopes"]
    with pytest.raises(Conflict) as conflict:
        client.promote(key.id)
    assert conflict.value.code == "no_rotation"
    assert any(note.startswith("request ") for note in conflict.value.__notes__)


def test_a_refused_key_is_a_class_of_its_own(house: House, client: Client) -> None:
    def holding(key: str | None) -> Client:
        return Client("http://localhost", key=key, transport=client._calls._client._transport)

    with pytest.raises(MissingCredentials):
        holding(None).me()
    with pytest.raises(InvalidCredentials):
        holding(other(house.root_key)).me()
    weak = client.mint("weak", scopes=["keys:manage"])
    with pytest.raises(InsufficientScope) as missing:
        holding(weak.secret).find_tenants()
    assert missing.value.details["missing_scopes"] == ["tenants:manage"]
    with pytest.raises(NotHeld):
        holding(weak.secret).mint("n", scopes=["a:b"])
    client.revoke(weak.key.id)
    with pytest.raises(KeyRevoked):
        holding(weak.secret).me()


def test_every_code_of_a_refusal_has_one_class(house: House) -> None:
    codes = {(one.code, one.status) for one in ANSWERS.values()}
    made = {code: type(error_of(code[1], {"code": code[0]})) for code in codes}
    assert len(set(made.values())) == len(codes)
    assert [code for code, kind in made.items() if not issubclass(kind, CallRefused)] == [
        ("unavailable", 503)
    ]


def test_every_class_of_the_engines_tree_comes_back_as_itself() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, KeyrackError)]
    local = {"NotHeld", "Corrupted", "Unsealable"}
    for kind in kinds:
        if kind.__name__ not in local:
            assert type(error_of(kind.status, {"code": kind.code})) is kind
    assert type(error_of(403, {"code": "insufficient_scope", "details": {"not_held": ["a:b"]}})) is NotHeld


@pytest.mark.parametrize(
    "work",
    [
        lambda client: client.get("A" * 12),
        lambda client: client.verify("text"),
        lambda client: client.revoke("A" * 12),
        lambda client: client.mint("n"),
        lambda client: client.rotate("A" * 12),
        lambda client: client.feed(),
    ],
)
@pytest.mark.parametrize(
    "trouble", [problem(503, "unavailable"), httpx.ReadTimeout("late"), httpx.Response(502, text="<html>")]
)
def test_what_can_be_done_twice_is_tried_again(work: Callable[[Client], Any], trouble: Any) -> None:
    wire = Recorder(trouble)
    with calling(wire, retries=2) as client, pytest.raises(Unavailable):
        work(client)
    assert len(wire.requests) == 3
    once = {request.headers.get("idempotency-key") for request in wire.requests}
    assert len(once) == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda client: client.promote("A" * 12),
        lambda client: client.create_tenant("t"),
        lambda client: client.give_up(),
        lambda client: client.update("A" * 12, {}, if_match=3),
        lambda client: client.report_uses([]),
    ],
)
def test_what_cannot_is_sent_once_unless_it_never_left(work: Callable[[Client], Any]) -> None:
    wire = Recorder(httpx.ReadTimeout("late"))
    with calling(wire) as client, pytest.raises(Unavailable):
        work(client)
    assert len(wire.requests) == 1
    wire = Recorder(httpx.ConnectError("refused"))
    with calling(wire, retries=1) as client, pytest.raises(Unavailable):
        work(client)
    assert len(wire.requests) == 2


def test_a_refusal_is_not_tried_again_and_says_how_long_to_wait() -> None:
    limited = problem(429, "rate_limited")
    limited.headers["retry-after"] = "7"
    wire = Recorder(limited)
    with calling(wire) as client, pytest.raises(RateLimited) as refused:
        client.me()
    assert (refused.value.retry_after, len(wire.requests)) == (7, 1)


def test_a_mint_whose_answer_was_lost_makes_one_key(house: House, client: Client) -> None:
    inner, attempts = client._calls._client._transport, []

    class Losing(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            attempts.append(request)
            answer = inner.handle_request(request)
            if len(attempts) == 1:
                raise httpx.ReadError("lost")
            return answer

    lossy = Client("http://localhost", key=house.root_key, transport=Losing())
    made = lossy.mint("once", scopes=["a:b"])
    assert (made.secret, [key.name for key in client.find().data].count("once")) == (None, 1)


def test_pauses_grow_and_differ() -> None:
    pauses: list[float] = []
    made = Client("https://keyrack.example", transport=Recorder(problem(503, "unavailable")), retries=8)
    made._calls._pause = pauses.append
    with pytest.raises(Unavailable):
        made.me()
    assert len(set(pauses)) == 8
    assert all(0.05 <= pause <= 2 for pause in pauses)
    assert pauses[0] < 0.1 < pauses[3]


@pytest.mark.parametrize(
    "url",
    [
        "http://keyrack.example",
        "ftp://x",
        "keyrack.example",
        "https://u:p@h",
        "https://h/?key=1",
        "https://[::1",
    ],
)
def test_a_url_that_would_show_the_key_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Client(url, key="a key")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_no_proxy_of_the_environment_sees_a_call_to_this_machine(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as server, receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with Client(server.url.replace("127.0.0.1", host), key="a key") as client:
            client.report_uses([])
    assert (len(server.received), proxy.received) == (1, [])


def test_a_redirect_is_not_followed_with_the_key() -> None:
    wire = Recorder(httpx.Response(302, headers={"location": "https://elsewhere.example"}))
    with calling(wire) as client, pytest.raises(Unavailable):
        client.me()
    assert len(wire.requests) == 1


def test_no_error_shows_what_was_sent(house: House) -> None:
    wire = Recorder(httpx.LocalProtocolError("Illegal header value b'Bearer a key'"))
    with calling(wire) as client, pytest.raises(Unavailable) as failed:
        client.verify("a secret text")
    shown = f"{failed.value!r} {failed.value} {failed.value.detail}"
    assert "a key" not in shown
    assert "a secret text" not in shown
