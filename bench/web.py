"""Requests a second: the hot paths beside a constant, and a guarded route beside the same one open."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median, quantiles
from typing import NamedTuple, Self

from bench import load
from bench.apps import (
    Headers,
    constant_server,
    deciding_constant,
    deciding_service,
    express_constant,
    guarded_service,
    keyrack_server,
    open_service,
)
from bench.effort import Effort
from bench.figures import Figure, Section, Spread, Target
from bench.load import Exchange, Request, Served
from bench.population import CALLER, KEYS_IN_USE, SCOPES, text_of
from bench.profile import of_app
from bench.serving import CLIENT_CORE, TICK, Server, pin, serving

CONNECTIONS, DEPTH = 8, 16
VERIFY, FORWARD_AUTH = "POST /v1/verify", "/v1/forward-auth"
LEAST = "the least FastAPI route, guarded"
MODEL = "a FastAPI route with a parameter and a response model, guarded"
TITLE = "Requests a second"
HOW = (
    f"One worker of Uvicorn (uvloop, httptools, the options of `keyrack serve`) on one core, the client on "
    f"another: {CONNECTIONS} kept-alive connections with {DEPTH} requests under way on each, {KEYS_IN_USE} "
    "keys in turn, among 10,000. Beside it, by turns, the same server with a constant in the place of the "
    "hot paths, behind the same front: it receives the request, body included, reads nothing of it, and "
    "sends an answer with the same headers and a body of the same length. The constant is an application of "
    "Uvicorn's like any other, a task a request; the hot paths are answered where their requests are read "
    "(`keyrack.server.express`), and what that is worth shows beside a constant that is answered there, too. "
    "The routes: a small FastAPI service with the guard and without. Bare decisions: what is left of the "
    "constant's rate, or of the open route's, when nothing but the decisions themselves is put in front, two "
    "for `/v1/verify` and one for the others; no guard can do better than that on a route. Every answer is "
    "checked; an error ends the measurement. The "
    "processor's time is that of the server's process by the kernel's count. Percentiles: "
    f"{CONNECTIONS} connections, one request at a time on each."
)


class Client:
    """The process that asks."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, mp_context=spawn, initializer=pin, initargs=(CLIENT_CORE,))

    def probe(self, server: Server, requests: Sequence[Request]) -> list[Exchange]:
        """Each request once."""
        return self._process.submit(load.probe, server.port, requests).result()

    def flood(self, side: Side, seconds: float, *, depth: int) -> Served:
        """Requests for so long."""
        ask = partial(load.flood, connections=CONNECTIONS, depth=depth, seconds=seconds)
        return self._process.submit(ask, side.server.port, side.exchanges).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()


class Side(NamedTuple):
    """A server and what it is asked."""

    server: Server
    exchanges: Sequence[Exchange]


class Sides(NamedTuple):
    """What is compared by turns."""

    ours: Side
    beside: Side
    bare: Side
    """What stands beside, with bare decisions in front."""


class Turn(NamedTuple):
    """What one side did in one turn: answers a second, and seconds of its core for each."""

    rate: float
    cost: float


def measure(store: str, effort: Effort) -> Section:
    """All of it, on the store at this URL."""
    with Client() as client:
        figures = [
            *_hot_path(client, store, VERIFY, effort, decisions=2),
            *_hot_path(client, store, FORWARD_AUTH, effort, decisions=1),
            *_routes(client, store, effort),
        ]
    return Section(TITLE, HOW, figures, _profile(store, figures))


def _profile(store: str, figures: Sequence[Figure]) -> list[str]:
    """Where the time goes within the applications that miss their target."""
    lines = []
    for name, requests in _requests().items():
        if any(figure.is_met is False for figure in figures if figure.name.startswith(name)):
            make = guarded_service if name in (LEAST, MODEL) else keyrack_server
            lines += [name, *of_app(make(store), requests)]
    return lines


def _hot_path(client: Client, store: str, name: str, effort: Effort, *, decisions: int) -> list[Figure]:
    requests = _requests()[name]
    asked = [Request(request.data, load.OK) for request in requests]
    with serving(keyrack_server, store) as server:
        ours = Side(server, client.probe(server, requests))
        shape = _shape(ours.exchanges[0].answer)
        with (
            serving(constant_server, *shape) as beside,
            serving(deciding_constant, store, decisions, *shape) as bare,
            serving(express_constant, *shape) as express,
        ):
            others = [Side(one, client.probe(one, asked)) for one in (beside, bare, express)]
            sides = Sides(ours, *others[:2])
            return [
                *_compared(client, name, sides, effort, Target("≥", 0.7)),
                _beside_express(client, name, ours, others[2], effort),
            ]


def _beside_express(client: Client, name: str, ours: Side, express: Side, effort: Effort) -> Figure:
    """How much of the way that is open to the hot paths alone is left by what they do."""
    rates = [
        (_turn(client, ours, effort).rate, _turn(client, express, effort).rate)
        for _ in range(effort.web_rounds)
    ]
    return _figure(f"{name}: beside a constant that is answered where it is read", "1/s", rates)


def _routes(client: Client, store: str, effort: Effort) -> list[Figure]:
    figures = []
    with (
        serving(guarded_service, store) as guarded,
        serving(open_service) as unguarded,
        serving(deciding_service, store) as bare,
    ):
        for name in (LEAST, MODEL):
            requests = _requests()[name]
            sides = Sides(*(Side(one, client.probe(one, requests)) for one in (guarded, unguarded, bare)))
            figures += _compared(client, name, sides, effort, Target("≥", 0.9))
    return figures


def _compared(client: Client, name: str, sides: Sides, effort: Effort, target: Target) -> list[Figure]:
    turns = [[_turn(client, side, effort) for side in sides] for _ in range(effort.web_rounds)]
    rates = [(ours.rate, beside.rate) for ours, beside, _ in turns]
    left = [(bare.rate, beside.rate) for _, beside, bare in turns]
    costs = [(ours.cost * 1e6, beside.cost * 1e6) for ours, beside, _ in turns]
    return [
        _figure(f"{name}: answers a second", "1/s", rates, target),
        _figure(f"{name}: what bare decisions leave", "1/s", left),
        _figure(f"{name}: processor time an answer", "µs", costs),
        *_percentiles(client, name, sides.ours, sides.beside, effort),
    ]


def _turn(client: Client, side: Side, effort: Effort) -> Turn:
    busy_before = side.server.busy()
    served = client.flood(side, effort.web_seconds, depth=DEPTH)
    busy = max(side.server.busy() - busy_before, TICK)
    return Turn(served.answers / served.seconds, busy / served.answers)


def _percentiles(client: Client, name: str, ours: Side, beside: Side, effort: Effort) -> list[Figure]:
    found = [client.flood(side, 2 * effort.web_seconds, depth=1).latencies for side in (ours, beside)]
    at = {"50th": 49, "99th": 98}
    cuts = [quantiles(latencies, n=100) for latencies in found]
    return [
        Figure(f"{name}: {which} percentile", "µs", cuts[0][index] * 1e6, cuts[1][index] * 1e6)
        for which, index in at.items()
    ]


def _figure(
    name: str, unit: str, pairs: Sequence[tuple[float, float]], target: Target | None = None
) -> Figure:
    ours, beside = median(one for one, _ in pairs), median(other for _, other in pairs)
    return Figure(name, unit, ours, beside, Spread.of([one / other for one, other in pairs]), target)


def _requests() -> dict[str, list[Request]]:
    """What is asked of each, by every key in use."""
    texts = [text_of(number) for number in range(1, KEYS_IN_USE + 1)]
    scope, caller = SCOPES[0], text_of(CALLER)
    told = "X-Forwarded-Method: GET\r\nX-Forwarded-Host: logs.example\r\nX-Forwarded-Uri: /lines\r\n"
    return {
        VERIFY: [
            _post("/v1/verify", caller, {"key": text, "scopes": [scope]}, f'"key_id":"{text[8:20]}"')
            for text in texts
        ],
        FORWARD_AUTH: [
            _get(f"/v1/forward-auth?scope={scope}", text, f"x-keyrack-key-id: {text[8:20]}", told)
            for text in texts
        ],
        LEAST: [_get("/least", text, '{"lines":["one","two"]}') for text in texts],
        MODEL: [_get("/lines?limit=2", text, '"text":"line 1"') for text in texts],
    }


def _post(path: str, caller: str, body: object, mark: str) -> Request:
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {load.HOST}\r\nAuthorization: Bearer {caller}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return Request(head.encode() + data, mark.encode())


def _get(path: str, text: str, mark: str, more: str = "") -> Request:
    head = f"GET {path} HTTP/1.1\r\nHost: {load.HOST}\r\nAuthorization: Bearer {text}\r\n{more}\r\n"
    return Request(head.encode(), mark.encode())


def _shape(answer: bytes) -> tuple[Headers, bytes]:
    """The headers and the body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.decode().partition(": ") for line in head.split(b"\r\n")[1:]]
    return tuple((name, value) for name, _, value in lines), body
