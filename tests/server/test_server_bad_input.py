"""Whatever is sent, the answer is a problem document with a stable code, and nothing is changed."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from patience import PATIENCE_SECONDS
from server_bed import Caller, Founded
from server_process import Running
from server_wire import Headers, Reply, as_json, chunked, head, nested, send

from keyrack.core import credential

JSON = ("content-type", "application/json")
MINT = as_json({"name": "bad", "scopes": ["logs:read"]})
INVALID, AMBIGUOUS = (401, "invalid_credentials"), (400, "ambiguous_credentials")
MISSING, UNREADABLE = (401, "missing_credentials"), (400, "invalid_request")
TOO_LONG, OUTSIDE = (431, "headers_too_large"), (422, "validation_error")
TOO_LARGE, UNDECLARED = (413, "payload_too_large"), (415, "unsupported_media_type")
PATHS = ("POST /v1/keys", "POST /v1/verify", "GET /v1/me", "GET /v1/keys/aaaaaaaaaaaa")
"""A management operation, the hot path, a row that is LATER, and a path with an id."""


@pytest.fixture(autouse=True)
def nothing_is_changed(root: Caller, server: Running) -> Iterator[None]:
    """No event, no fault in the log, and the server goes on."""
    before, faults = root.head(), len(server.logged("a request failed"))
    yield
    assert root.head() == before
    assert len(server.logged("a request failed")) == faults
    assert "Traceback" not in server.output


def call(server: Running, operation: str, headers: Headers, body: bytes = MINT, query: str = "") -> Reply:
    method, path = operation.split()
    if method == "POST":
        headers = [JSON, ("content-length", str(len(body))), *headers]
    data = head(method, path + query, headers)
    return send(server.url, data + body if method == "POST" else data)


def bearer(text: str | bytes) -> tuple[str, bytes]:
    return "authorization", b"Bearer " + (text if isinstance(text, bytes) else text.encode())


class Keys(NamedTuple):
    """Texts made from a key that works."""

    good: str
    other: str

    @property
    def wrong_checksum(self) -> str:
        return self.good[:-1] + ("A" if self.good[-1] != "A" else "B")

    @property
    def right_id_wrong_secret(self) -> str:
        parsed = credential.parse(self.good)
        assert parsed is not None
        return credential.write(parsed.prefix, parsed.environment, parsed.key_id, "A" * 32)


@pytest.fixture(scope="module")
def keys(root: Caller, founded: Founded) -> Keys:
    return Keys(founded.root, root.mint("keys:manage", "keys:read", "keys:verify")["secret"])


CREDENTIALS: dict[str, tuple[Callable[[Keys], Headers], tuple[int, str]]] = {
    "none": (lambda keys: [], MISSING),
    "empty": (lambda keys: [bearer("")], MISSING),
    "blank": (lambda keys: [("x-api-key", "   ")], MISSING),
    "another scheme": (lambda keys: [("authorization", f"Basic {keys.good}")], MISSING),
    "no scheme": (lambda keys: [("authorization", keys.good)], MISSING),
    "nonsense": (lambda keys: [bearer("nonsense")], INVALID),
    "wrong checksum": (lambda keys: [bearer(keys.wrong_checksum)], INVALID),
    "right id, wrong secret": (lambda keys: [bearer(keys.right_id_wrong_secret)], INVALID),
    "upper case": (lambda keys: [bearer(keys.good.upper())], INVALID),
    "lower case": (lambda keys: [bearer(keys.good.lower())], INVALID),
    "cut short": (lambda keys: [bearer(keys.good[:-1])], INVALID),
    "with something behind": (lambda keys: [bearer(keys.good + "x")], INVALID),
    "with a word behind": (lambda keys: [bearer(f"{keys.good} x")], INVALID),
    "twice in one": (lambda keys: [bearer(keys.good * 2)], INVALID),
    "joined with a comma": (lambda keys: [("x-api-key", f"{keys.good}, {keys.good}")], INVALID),
    "quoted": (lambda keys: [bearer(f'"{keys.good}"')], INVALID),
    "SQL": (lambda keys: [bearer("kr_live_' OR 1=1; DROP TABLE keys;--")], INVALID),
    "SQL of the right length": (lambda keys: [bearer("kr_live_" + "'" * 50)], INVALID),
    "Unicode": (lambda keys: [bearer("kr_live_" + "ключ" * 10)], INVALID),
    "Unicode digits": (lambda keys: [bearer("kr_live_" + "٣" * 50)], INVALID),
    "bytes that are no text": (lambda keys: [bearer(b"kr_live_\xff\xfe" + b"a" * 48)], INVALID),
    "a tab inside": (lambda keys: [bearer(keys.good[:20] + "\t" + keys.good[20:])], INVALID),
    "512 bytes": (lambda keys: [bearer("a" * 512)], INVALID),
    "20 KB": (lambda keys: [bearer("a" * 20_000)], INVALID),
    "40 KB": (lambda keys: [bearer("a" * 40_000)], TOO_LONG),
    "1 MB": (lambda keys: [bearer("a" * 1_000_000)], TOO_LONG),
    "the same header twice": (lambda keys: [bearer(keys.good)] * 2, AMBIGUOUS),
    "two keys in one header name": (lambda keys: [bearer(keys.good), bearer(keys.other)], AMBIGUOUS),
    "two headers, one key": (lambda keys: [bearer(keys.good), ("X-API-Key", keys.good)], AMBIGUOUS),
    "two headers, two keys": (lambda keys: [bearer(keys.good), ("X-API-Key", keys.other)], AMBIGUOUS),
    "a good one beside an empty one": (lambda keys: [bearer(keys.good), ("X-API-Key", "")], AMBIGUOUS),
    "a good one beside another scheme": (
        lambda keys: [bearer(keys.good), ("authorization", "Basic eA==")],
        AMBIGUOUS,
    ),
    "101 headers": (lambda keys: [bearer(keys.good), *(("x-a", "b") for _ in range(101))], TOO_LONG),
}


@pytest.mark.parametrize("operation", PATHS)
@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_that_is_none(server: Running, keys: Keys, name: str, operation: str) -> None:
    headers, expected = CREDENTIALS[name]
    reply = call(server, operation, headers(keys))
    assert reply.problem == expected
    if expected[0] == 401:
        challenge = 'Bearer realm="keyrack"'
        error = "" if expected == MISSING else ', error="invalid_token"'
        assert reply.headers["www-authenticate"] == challenge + error
    for text in (keys.good, keys.other):
        assert text.encode() not in reply.body


@pytest.mark.parametrize("control", [b"\x00", b"\x01", b"\x7f", b"\r", b"\n", b"\r\nX-API-Key: x"])
@pytest.mark.parametrize("operation", PATHS)
def test_a_credential_with_a_control_character_never_passes(
    server: Running, keys: Keys, operation: str, control: bytes
) -> None:
    text = keys.good.encode()
    reply = call(server, operation, [bearer(text[:20] + control + text[20:])])
    assert reply.problem in (UNREADABLE, INVALID, AMBIGUOUS)


@pytest.mark.parametrize("operation", [*PATHS, "GET /v1/forward-auth", "GET /v1/keys", "GET /metrics"])
@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token", "access_token", "API_KEY", "%6bey"])
def test_a_credential_in_the_query_is_refused_even_beside_a_good_one(
    server: Running, keys: Keys, operation: str, name: str
) -> None:
    query = f"?{name}={keys.good}"
    assert call(server, operation, [], query=query).problem == UNREADABLE
    assert call(server, operation, [bearer(keys.good)], query=query).problem == UNREADABLE


BODIES: dict[str, tuple[bytes, tuple[int, str]]] = {
    "empty": (b"", OUTSIDE),
    "blank": (b"  ", UNREADABLE),
    "no JSON": (b"name=bad", UNREADABLE),
    "cut short": (MINT[:-1], UNREADABLE),
    "something behind": (MINT + b"x", UNREADABLE),
    "two values": (MINT * 2, UNREADABLE),
    "a byte order mark": (b"\xef\xbb\xbf" + MINT, UNREADABLE),
    "UTF-16": (MINT.decode().encode("utf-16"), UNREADABLE),
    "no UTF-8": (b'{"name": "\xff"}', UNREADABLE),
    "half a character": (b'{"name": "\\ud800"}', UNREADABLE),
    "half a character in a name": (b'{"\\udfff": 1, "name": "x"}', UNREADABLE),
    "half a character in metadata": (b'{"name": "x", "metadata": {"a": "\\ud800"}}', UNREADABLE),
    "NUL": (b'{"name": "a\\u0000b"}', OUTSIDE),
    "a bare NUL": (b'{"name": "a\x00b"}', UNREADABLE),
    "a line end": (b'{"name": "a\\nb"}', OUTSIDE),
    "the same name twice": (b'{"name": "a", "name": "b"}', UNREADABLE),
    "the same name twice, deeper": (b'{"name": "a", "metadata": {"x": 1, "x": 2}}', UNREADABLE),
    "the same name, one escaped": (b'{"name": "a", "n\\u0061me": "b"}', UNREADABLE),
    "NaN": (b'{"name": "a", "metadata": {"x": NaN}}', UNREADABLE),
    "Infinity": (b'{"name": "a", "metadata": {"x": -Infinity}}', UNREADABLE),
    "a number beyond floats": (b'{"name": "a", "metadata": {"x": 1e999}}', OUTSIDE),
    "a giant integer": (b'{"name": "a", "metadata": {"x": %s}}' % (b"9" * 5000), UNREADABLE),
    "a giant integer where one is asked for": (
        b'{"name":"a","limits":[{"name":"m","limit":%s,"window_seconds":1}]}' % (b"9" * 4000),
        OUTSIDE,
    ),
    "null": (b"null", OUTSIDE),
    "a list": (b"[]", OUTSIDE),
    "a text": (b'"x"', OUTSIDE),
    "a number": (b"7", OUTSIDE),
    "an unknown field": (b'{"name": "a", "admin": true}', OUTSIDE),
    "a field of pydantic": (b'{"name": "a", "__class__": "x", "model_config": {}}', OUTSIDE),
    "a wrong type": (b'{"name": ["a"]}', OUTSIDE),
    "a number for a text": (b'{"name": 1}', OUTSIDE),
    "a naive time": (b'{"name": "a", "expires_at": "2030-01-01T00:00:00"}', OUTSIDE),
    "a time out of range": (b'{"name": "a", "expires_at": "9999-12-31T23:59:59-23:59"}', OUTSIDE),
    "a day": (b'{"name": "a", "expires_at": "2030-01-01"}', OUTSIDE),
    "a scope outside the grammar": (b'{"name": "a", "scopes": ["logs"]}', OUTSIDE),
    "a scope of Unicode digits": ('{"name": "a", "scopes": ["logs٣:read"]}'.encode(), OUTSIDE),
    "a scope with a line end": (b'{"name": "a", "scopes": ["logs:read\\n"]}', OUTSIDE),
    "a long scope": (as_json({"name": "a", "scopes": [f"{'a' * 200}:read"]}), OUTSIDE),
    "no network": (b'{"name": "a", "networks": ["10.0.0.0/33"]}', OUTSIDE),
    "a network with host bits": (b'{"name": "a", "networks": ["10.0.0.1/8"]}', OUTSIDE),
    "a network with a zone": (b'{"name": "a", "networks": ["fe80::%eth0/64"]}', OUTSIDE),
    "metadata too large": (as_json({"name": "a", "metadata": {"x": "y" * 4100}}), OUTSIDE),
    "metadata too deep": (b'{"name": "a", "metadata": %s}' % nested(33).encode(), OUTSIDE),
    "nesting of 400": (b'{"name": "a", "metadata": %s}' % nested(400).encode(), OUTSIDE),
    "nesting of 900": (b'{"name": "a", "metadata": %s}' % nested(900).encode(), OUTSIDE),
    "nesting of 10,000": (nested(10_000).encode()[:60_000], UNREADABLE),
    "brackets alone": (b"[" * 60_000, UNREADABLE),
    "64 KiB and one byte": (b'"' + b"a" * (64 * 1024 - 1) + b'"', TOO_LARGE),
    "a megabyte": (b"[" + b" " * 1_000_000 + b"]", TOO_LARGE),
}
NESTED_DEEPLY = {"nesting of 900"}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_wish(server: Running, keys: Keys, name: str) -> None:
    body, expected = BODIES[name]
    answered = call(server, "POST /v1/keys", [bearer(keys.good)], body).problem
    # How deep Python itself reads depends on how deep it stands.
    assert answered == expected or (name in NESTED_DEEPLY and answered == UNREADABLE)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/v1/verify", "/v1/verify/batch"])
def test_a_body_that_is_no_question(server: Running, keys: Keys, name: str, path: str) -> None:
    body, expected = BODIES[name]
    answered = call(server, f"POST {path}", [bearer(keys.good)], body).problem
    if expected == OUTSIDE and name == "empty":
        expected = UNREADABLE
    assert answered == expected or (name in NESTED_DEEPLY and answered == UNREADABLE)


@pytest.mark.parametrize("operation", ["POST /v1/keys", "POST /v1/verify"])
@pytest.mark.parametrize(
    "declared",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"],
)
def test_a_body_that_is_not_declared_as_json(
    server: Running, keys: Keys, operation: str, declared: str | None
) -> None:
    method, path = operation.split()
    headers: Headers = [bearer(keys.good), ("content-length", str(len(MINT)))]
    if declared is not None:
        headers = [*headers, ("content-type", declared)]
    assert send(server.url, head(method, path, headers) + MINT).problem == UNDECLARED


@pytest.mark.parametrize("declared", ["application/json;charset=utf-8", "Application/JSON ; x=y"])
def test_json_may_be_declared_with_parameters(server: Running, keys: Keys, declared: str) -> None:
    headers: Headers = [bearer(keys.good), ("content-type", declared), ("content-length", "2")]
    assert send(server.url, head("POST", "/v1/keys", headers) + b"{}").problem == OUTSIDE


@pytest.mark.parametrize("operation", ["POST /v1/keys", "POST /v1/verify"])
def test_a_body_of_unstated_length_is_bounded_all_the_same(
    server: Running, keys: Keys, operation: str
) -> None:
    method, path = operation.split()
    begin = head(method, path, [bearer(keys.good), JSON, ("transfer-encoding", "chunked")])
    assert send(server.url, begin + chunked(b'{"x": 1}')).problem == OUTSIDE
    assert send(server.url, begin + chunked(b" " * 70_000)).problem == TOO_LARGE
    endless = (b"%x\r\n%s\r\n" % (60_000, b" " * 60_000) for _ in range(200))
    assert send(server.url, (part for part in (begin, *endless))).problem == TOO_LARGE


ONCE_ONLY: tuple[tuple[str, Headers], ...] = (
    ("If-Match", [("if-match", '"1"'), ("if-match", '"2"')]),
    ("Idempotency-Key", [("idempotency-key", "a"), ("idempotency-key", "b")]),
    ("Content-Type", [("content-type", "text/plain")]),
)


@pytest.mark.parametrize(("name", "headers"), ONCE_ONLY)
def test_a_header_that_stands_twice_has_no_meaning(
    server: Running, keys: Keys, name: str, headers: Headers
) -> None:
    assert call(server, "POST /v1/keys", [bearer(keys.good), *headers]).problem == UNREADABLE


NO_HTTP: dict[str, bytes] = {
    "nothing like it": b"\x16\x03\x01\x02\x00\x01\x00",
    "no version": b"GET /v1/me\r\n\r\n",
    "a method of its own": b"MINT /v1/keys HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank in a name": b"GET /v1/me HTTP/1.1\r\nHo st: x\r\n\r\n",
    "a folded header": b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\n b\r\n\r\n",
    "two lengths": b"POST /v1/keys HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a length and chunks": (
        b"POST /v1/keys HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a length below nothing": b"POST /v1/keys HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a chunk of nonsense": b"POST /v1/keys HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a path that is no ASCII": "GET /v1/ключ HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "a host to connect to": b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http(server: Running, name: str) -> None:
    reply = send(server.url, NO_HTTP[name])
    assert reply.problem in (UNREADABLE, MISSING)
    assert b"httptools" not in reply.body


@pytest.mark.parametrize("part", ["line", "header", "headers"])
def test_what_comes_before_a_request_is_bounded(server: Running, part: str) -> None:
    """A server that waits for the end of it would wait, and remember, for ever."""
    endless = {
        "line": (b"GET /", b"a" * 50_000),
        "header": (b"GET / HTTP/1.1\r\nX-A: ", b"a" * 50_000),
        "headers": (b"GET / HTTP/1.1\r\n", b"X-A: b\r\n" * 6_000),
    }
    begin, more = endless[part]
    assert send(server.url, (piece for piece in (begin, *[more] * 400))).problem == TOO_LONG


@pytest.mark.parametrize(
    "path",
    [
        "/v1/keys/%00",
        "/v1/keys/%0a",
        "/v1/keys/%ff%fe",
        "/v1/keys/..%2f..%2fetc%2fpasswd",
        "/v1/keys/../../etc/passwd",
        "/v1/keys/'%20OR%201=1--",
        "/v1/keys/%F0%9F%94%91",
        "/v1/keys/" + "a" * 20_000,
        "/v1/keys/%252e%252e",
        "/v1/keys\\..\\me",
        "//v1/keys",
        "/v1/keys;x=1",
        "/docs/..%2f..%2fapp.py",
        "/docs/%2e%2e/%2e%2e/app.py",
    ],
)
def test_a_path_that_leads_nowhere(server: Running, keys: Keys, path: str) -> None:
    assert send(server.url, head("GET", path, [bearer(keys.good)])).problem == (404, "not_found")


def test_a_client_that_leaves_in_the_middle_changes_nothing(
    server: Running, keys: Keys, root: Caller
) -> None:
    where = urlsplit(server.url)
    for path in ("/v1/keys", "/v1/verify"):
        connection = http.client.HTTPConnection(where.hostname or "", where.port)
        connection.putrequest("POST", path)
        for name, value in (bearer(keys.good), JSON, ("content-length", "1000")):
            connection.putheader(name, value)
        connection.endheaders(MINT)
        connection.close()
    assert root("GET", "/v1/me").status_code == 200


def test_requests_on_one_connection_keep_their_order_and_their_own_credentials(
    server: Running, keys: Keys
) -> None:
    """Pipelined: the second has none, and nothing of the first's is left for it."""
    first = head("GET", "/v1/me", [bearer(keys.good)])
    second = head("GET", "/v1/me", [("connection", "close")])
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname or "", where.port or 0), PATIENCE_SECONDS) as connection:
        connection.sendall(first + second)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"401"]


def test_what_was_sent_is_not_read_back_to_its_sender(server: Running, keys: Keys) -> None:
    """A message names fields; what stood in them may be a secret."""
    secret = "kr_live_" + "Z" * 50
    bodies: list[Any] = [
        {"name": {"x": secret}},
        {"name": "a", "scopes": [secret]},
        {"name": "a", "networks": [secret]},
    ]
    for body in bodies:
        assert secret.encode() not in call(server, "POST /v1/keys", [bearer(keys.good)], as_json(body)).body
