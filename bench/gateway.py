"""The gateway beside its upstream asked directly, beside nginx, and beside nginx that asks Keyrack first."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from bench import calls
from bench.effort import Effort
from bench.figures import Figure, Section, Spread
from bench.gateway_bed import Bed, made
from bench.load import Request, Served
from bench.serving import CLIENT_CORE, TICK, Server, pin

CONNECTIONS = 16
DIRECT, NGINX, GATEWAY, ASKING = (
    "asked directly",
    "through nginx",
    "through the gateway",
    "through nginx that asks",
)
GATEWAY_PATHS = {"/lines": "/api/rest/lines/v1/lines", "/stream": "/api/rest/stream/v1/stream"}
TITLE = "The gateway"
HOW = (
    "An upstream that answers 23 bytes at once, which is an nginx; before it by turns nothing, another nginx "
    "that passes on, Keyrack's gateway (one worker) that checks the key, replaces it and passes on, and that "
    "other nginx with the configuration that is shipped, which asks Keyrack about each request and gets the "
    f"upstream's key from it. All servers share one core, the client has another: {CONNECTIONS} kept-alive "
    "connections with one request under way on each. Beside each stands the upstream asked directly, in the "
    "same round; a client of Python asks no more than it can, so the first two lines are a bound from below, "
    "and the processor's time is that of all processes between client and upstream. Streams: from the "
    "question to the first byte of the first piece, on a new connection each. Memory: what the process grows "
    "by while so many answers are under way that say a piece every half second."
)


class Way(NamedTuple):
    """One way to the upstream: where to ask, what, and which processes stand between."""

    port: int
    request: Request
    between: Sequence[Server]


class Turn(NamedTuple):
    """What one way did in one turn: answers a second, and seconds of the core for each."""

    rate: float
    cost: float


def measure(effort: Effort) -> Section:
    """All of it, on servers of its own."""
    spawn = multiprocessing.get_context("spawn")
    with made() as bed, ProcessPoolExecutor(1, spawn, initializer=pin, initargs=(CLIENT_CORE,)) as client:

        def asked(function: Callable[..., Any], *arguments: object, **options: object) -> Any:
            return client.submit(function, *arguments, **options).result()

        return Section(
            TITLE,
            HOW,
            [
                *_answers(bed, asked, effort),
                *_first_bytes(bed, asked, effort),
                *_memory(bed, effort),
            ],
        )


def _answers(bed: Bed, asked: Callable[..., Any], effort: Effort) -> list[Figure]:
    ways = _ways(bed)
    rounds = [
        {name: _turn(way, asked, effort.web_seconds) for name, way in ways.items()}
        for _ in range(-(-effort.web_rounds // 2))
    ]
    figures = []
    for name in (NGINX, GATEWAY, ASKING):
        figures.append(_rates(name, [(turns[name].rate, turns[DIRECT].rate) for turns in rounds]))
    for name in (GATEWAY, ASKING):
        figures.append(_costs(name, [(turns[name].cost, turns[NGINX].cost) for turns in rounds]))
    return [*figures, *_percentiles(ways, asked, effort)]


def _ways(bed: Bed) -> Mapping[str, Way]:
    lines = bed.lines()
    return {
        DIRECT: Way(bed.upstream.port, lines, ()),
        NGINX: Way(bed.proxy.port, lines, (bed.proxy,)),
        GATEWAY: Way(bed.keyrack.port, bed.lines(GATEWAY_PATHS["/lines"]), (bed.keyrack,)),
        ASKING: Way(bed.asking.port, lines, (bed.proxy, bed.keyrack)),
    }


def _turn(way: Way, asked: Callable[..., Any], seconds: float) -> Turn:
    before = [server.busy() for server in way.between]
    served: Served = asked(calls.call, way.port, way.request, connections=CONNECTIONS, seconds=seconds)
    busy = sum(server.busy() for server in way.between) - sum(before)
    return Turn(served.answers / served.seconds, max(busy, TICK) / served.answers)


def _percentiles(ways: Mapping[str, Way], asked: Callable[..., Any], effort: Effort) -> list[Figure]:
    cuts = {}
    for name, way in ways.items():
        options = {"connections": 1, "seconds": 2 * effort.web_seconds}
        served: Served = asked(calls.call, way.port, way.request, **options)
        cuts[name] = quantiles([1e6 * one for one in served.latencies], n=100)
    return [
        Figure(f"{name}: {which} percentile", "µs", cuts[name][index], cuts[DIRECT][index])
        for name in (NGINX, GATEWAY, ASKING)
        for which, index in {"50th": 49, "99th": 98}.items()
    ]


def _first_bytes(bed: Bed, asked: Callable[..., Any], effort: Effort) -> list[Figure]:
    """Of three pieces, ten milliseconds apart: whoever gathers them gives none before the last."""
    ways = {
        DIRECT: (bed.streams.port, "/stream"),
        NGINX: (bed.proxy.port, "/stream"),
        GATEWAY: (bed.keyrack.port, GATEWAY_PATHS["/stream"]),
    }
    rounds = []
    for _ in range(-(-effort.web_rounds // 2)):
        requests = {
            name: (port, bed.stream(path, pause=0.01, pieces=3)) for name, (port, path) in ways.items()
        }
        rounds.append(
            {
                name: 1e6 * median(asked(calls.first_bytes, port, request, count=effort.first_bytes))
                for name, (port, request) in requests.items()
            }
        )
    return [
        _compared(f"{name}: first byte of a stream", "µs", [(one[name], one[DIRECT]) for one in rounds])
        for name in (NGINX, GATEWAY)
    ]


def _memory(bed: Bed, effort: Effort) -> list[Figure]:
    grown = {
        name: _growth(server, request, effort.streams)
        for name, server, request in (
            (NGINX, bed.proxy, bed.stream("/stream", pause=0.5, pieces=1000)),
            (GATEWAY, bed.keyrack, bed.stream(GATEWAY_PATHS["/stream"], pause=0.5, pieces=1000)),
        )
    }
    return [
        Figure(f"memory of {effort.streams} slow streams {GATEWAY}", "bytes", grown[GATEWAY], grown[NGINX])
    ]


def _growth(server: Server, request: Request, count: int) -> float:
    before = _resident(server)
    with calls.open_streams(server.port, request, count=count):
        return float(_resident(server) - before)


def _resident(server: Server) -> int:
    """Bytes of a process that are in memory."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def _rates(name: str, pairs: Sequence[tuple[float, float]]) -> Figure:
    return _compared(f"{name}: answers a second", "1/s", pairs)


def _costs(name: str, pairs: Sequence[tuple[float, float]]) -> Figure:
    micro = [(1e6 * ours, 1e6 * beside) for ours, beside in pairs]
    return _compared(f"{name}: processor time an answer, beside nginx", "µs", micro)


def _compared(name: str, unit: str, pairs: Sequence[tuple[float, float]]) -> Figure:
    ours, beside = median(one for one, _ in pairs), median(other for _, other in pairs)
    return Figure(name, unit, ours, beside, Spread.of([one / other for one, other in pairs]))
