"""The key that an upstream is sent never comes back to a caller, however the upstream shows it."""

from __future__ import annotations

import gzip
import html
import http.client
import json
from urllib.parse import quote

import pytest
from gateway_bed import KEYS, Served, path_of
from hypothesis import given
from hypothesis import strategies as st
from raw_upstream import Answer, Exchange, replying
from test_gateway_route import BODIES, problem
from wire import begun, head

from keyrack.gateway.echo import EchoScanner, written_forms

ODD = "sk-p/q+r=s&t<u>\"v'w%x-0123456789"
"""A key that is written differently in JSON, HTML and a URL."""
ECHOED = (502, "upstream_echoed_key", "GTW017")


def scanned(key: str, *chunks: bytes) -> tuple[list[bytes], bool]:
    """What passes at each chunk and at the end, and whether the key was found."""
    scanner = EchoScanner(key)
    return [*(scanner.feed(chunk) for chunk in chunks), scanner.finish()], scanner.has_found


@given(st.binary(max_size=300), st.data())
def test_what_does_not_show_the_key_passes_whole_however_it_is_cut(text: bytes, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(["aab", "abab", "aaaa", "\x00\x01\x00", "ab"]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    passed, found = scanned(key, *parts)
    assert found is (key.encode() in text)
    shown = b"".join(passed)
    assert text.startswith(shown)
    assert key.encode() not in shown
    assert found or shown == text


@given(st.text("ab", min_size=2, max_size=8), st.text("ab", max_size=40), st.data())
def test_only_the_longest_end_that_could_begin_the_key_is_held_back(
    key: str, text: str, data: st.DataObject
) -> None:
    scanner = EchoScanner(key)
    passed = scanner.feed(text.encode())
    if not scanner.has_found:
        beginnings = [size for size in range(len(key)) if text.endswith(key[:size])]
        assert len(text) - len(passed) == max(beginnings)


def test_an_event_that_does_not_resemble_the_key_is_passed_on_at_once() -> None:
    passed, _ = scanned(KEYS[1], b"data: one\n\n", b"data: sk-up", b"side\n\n")
    assert passed == [b"data: one\n\n", b"data: ", b"sk-upside\n\n", b""]


@pytest.mark.parametrize(
    "shown",
    [
        ODD,
        json.dumps(ODD),
        json.dumps(ODD).replace("/", r"\/"),
        json.dumps(ODD).replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"),
        html.escape(ODD),
        html.escape(ODD).replace("&#x27;", "&#39;"),
        quote(ODD),
        quote(ODD, safe=""),
        "sk-p%2fq%2br%3ds%26t%3cu%3e%22v%27w%25x-0123456789",
        r"sk-p/q+r\u003ds\u0026t\u003cu\u003e\"v\u0027w%x-0123456789",
        r"sk-p/q\u002Br=s\u0026t\u003Cu\u003E\u0022v\u0027w%x-0123456789",
        "sk-p&#x2F;q+r&#x3D;s&amp;t&lt;u&gt;&quot;v&#39;w%x-0123456789",
        "sk-p/q&#x2B;r=s&amp;t&lt;u&gt;&quot;v&#x27;w%x-0123456789",
    ],
)
def test_a_key_is_seen_in_every_form_in_which_text_is_quoted(shown: str) -> None:
    assert scanned(ODD, f"<<{shown}>>".encode()) == ([b"", b""], True)
    assert written_forms(KEYS[1]) == (KEYS[1].encode(),)


def test_a_scanner_shows_no_key() -> None:
    assert repr(EchoScanner(KEYS[1])) == "<EchoScanner>"


def echo_of(exchange: Exchange) -> str:
    return "".join(f"{name}: {value}\n" for name, value in exchange.headers)


async def in_json(exchange: Exchange) -> None:
    await exchange.body()
    text = json.dumps({"headers": dict(exchange.headers)}).encode()
    await exchange.reply(200, text, [("Content-Type", "application/json")])


async def in_html(exchange: Exchange) -> None:
    await exchange.body()
    await exchange.reply(500, f"<pre>{html.escape(echo_of(exchange))}</pre>".encode())


async def in_headers(exchange: Exchange) -> None:
    await exchange.body()
    key = next(value for name, value in exchange.headers if name == "Authorization")
    await exchange.reply(200, b"", [("X-Answer", f"you sent {key}")])


async def in_xml(exchange: Exchange) -> None:
    await exchange.body()
    await exchange.reply(
        200, f"<e>{echo_of(exchange)}</e>".encode(), [("Content-Type", "application/soap+xml")]
    )


ECHOES: dict[str, Answer] = {"json": in_json, "html": in_html, "headers": in_headers, "xml": in_xml}


@pytest.mark.spec("UG-44")
@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("kind", BODIES)
def test_an_upstream_that_echoes_what_it_was_sent_is_not_heard(gateway: Served, echo: str, kind: str) -> None:
    bed, upstream = gateway.bed, gateway.bed.upstream()
    upstream.answer = ECHOES[echo]
    key = ODD if echo in ("json", "html") else KEYS[1]
    api = bed.api(upstream, api_credit_group=bed.group(api_key=key).name)
    content_type, body = BODIES[kind]
    answer = gateway("POST", path_of(api), key=bed.key(), body=body, Content_Type=content_type)
    assert problem(answer) == ECHOED
    assert KEYS[1] not in str(answer)
    assert bed.signals() == ["upstream_key.echoed"]


@pytest.mark.spec("UG-44")
def test_a_key_that_comes_split_ends_an_answer_that_has_begun(gateway: Served) -> None:
    upstream = gateway.bed.upstream()

    async def split(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.part(b"you sent " + KEYS[1][:10].encode())
        await exchange.reader.readexactly(1)  # as the test says, once it has what came first

    api = gateway.bed.api(upstream)
    upstream.answer = split
    with gateway.connect() as connection:
        connection.sendall(head("GET", path_of(api), [("Authorization", f"Bearer {gateway.bed.key()}")]))
        response = begun(connection)
        assert response.read(9) == b"you sent "
        gateway.bed.portal.call(
            upstream.write, b"%x\r\n%s\r\n0\r\n\r\n" % (len(KEYS[1]) - 10, KEYS[1][10:].encode())
        )
        with pytest.raises(http.client.IncompleteRead) as cut:
            response.read()
    assert cut.value.partial == b""
    assert gateway.bed.signals() == ["upstream_key.echoed"]


@pytest.mark.spec("UG-44")
@pytest.mark.parametrize("encoding", ["gzip", "br", "x-unknown", "identity, gzip"])
def test_an_answer_in_which_a_key_could_not_be_seen_is_not_passed_on(gateway: Served, encoding: str) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(200, gzip.compress(KEYS[1].encode()), content_encoding=encoding)
    answer = gateway("GET", path_of(gateway.bed.api(upstream)), key=gateway.bed.key())
    assert problem(answer) == (502, "upstream_unreachable", "GTW015")
    assert upstream.last.values("accept-encoding") == ["identity"]


def test_compressed_answers_pass_where_no_key_was_sent(gateway: Served) -> None:
    upstream = gateway.bed.upstream()
    upstream.answer = replying(200, gzip.compress(b"text"), content_encoding="gzip")
    api = gateway.bed.api(upstream, api_credit_group=None)
    answer = gateway("GET", path_of(api), key=gateway.bed.key())
    assert (answer.status, answer["content-encoding"], gzip.decompress(answer.body)) == (200, "gzip", b"text")
    assert upstream.last.values("authorization") == []
