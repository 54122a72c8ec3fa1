"""The bench runs from end to end, on stores of a few keys and for moments."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench import population, report
from bench.__main__ import SECTIONS, measured
from bench.effort import Effort
from bench.figures import Figure, Section, Spread, Target
from bench.load import HOST, OK, Request, WrongAnswer, flood, probe

TINY = Effort(
    rounds=2,
    calls=20,
    singles=100,
    web_rounds=1,
    web_seconds=0.1,
    sizes=(10, 150, 200),
    nodes=1,
    revocations=1,
    writers=(1,),
    misses=2,
    takes=2,
    reservations=400,
    carried=10,
    streams=3,
    first_bytes=2,
    runs=(100, 120),
    asks=2,
)
RIGHT = OK + b"content-length: 2\r\n\r\nok"
WRONG = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"


FIGURES = {
    "floor": 10,
    "scale": 19,
    "nodes": 30,
    "starts": 12,
    "web": 22,
    "gateway": 14,
    "credits": 14,
    "results_service": 12,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the stores of this test are, and none of the bench's own."""
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("cache")
        patched.setattr(population, "CACHE", folder)
        yield folder


def test_every_section_is_measured() -> None:
    assert (*SECTIONS,) == (*FIGURES,)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", FIGURES)
def test_a_section_is_measured_and_written_down(name: str, tmp_path: Path) -> None:
    [section] = measured(Console(file=StringIO()), TINY, name)
    path = report.write(tmp_path, {"machine": "any"}, [section], name=name)
    assert len(section.figures) == FIGURES[name]
    assert all(figure.value > 0 for figure in section.figures if figure.unit != "bytes")
    [document] = json.loads((tmp_path / f"{name}.json").read_text())["sections"]
    assert [figure["name"] for figure in document["figures"]] == [one.name for one in section.figures]
    assert all(f"| {figure.name} |" in path.read_text() for figure in section.figures)


def test_a_section_that_there_is_not_is_named() -> None:
    with pytest.raises(SystemExit, match="no section 'nothing'"):
        next(measured(Console(file=StringIO()), TINY, "nothing"))


def test_a_figure_is_judged_by_its_ratio_where_it_has_one() -> None:
    slow = Figure("slow", "µs", 3.0, 1.0, Spread.of([2.0, 3.0, 4.0]), Target("≤", 2.5))
    quick = Figure("quick", "µs", 9.0, 4.0, Spread.of([2.4, 2.2, 2.6]), Target("≤", 2.5))
    large = Figure("large", "bytes", 600.0, target=Target("≤", 600))
    assert (slow.is_met, quick.is_met, large.is_met) == (False, True, True)
    assert Section("one", "", [quick, large]).is_missed is False
    assert Section("both", "", [quick, slow]).is_missed is True


def test_a_store_is_made_once_and_an_unfinished_one_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "CACHE", tmp_path)
    (tmp_path / "keys-3-v2-unfinished").mkdir()
    (tmp_path / "keys-3-v2-unfinished" / "store.db").write_bytes(b"half of it")
    told: list[int] = []
    path = population.store_of(3, advance=told.append)
    assert (population.store_of(3, advance=told.append), told) == (path, [3])


def test_answers_are_counted_only_when_they_are_right() -> None:
    request = Request(b"GET / HTTP/1.1\r\n\r\n", b"ok")
    with _answering(RIGHT) as port:
        served = flood(port, probe(port, [request]), connections=2, depth=3, seconds=0.05)
        assert served.answers == 3 * len(served.latencies) > 0
        with pytest.raises(WrongAnswer):
            probe(port, [Request(request.data, b"another key")])
    with _answering(RIGHT, WRONG) as port:
        exchanges = probe(port, [request])
        with pytest.raises(WrongAnswer):
            flood(port, exchanges, connections=1, depth=2, seconds=5.0)


@contextmanager
def _answering(*answers: bytes) -> Iterator[int]:
    """A server that gives these answers in turn on each connection, and the last one from then on."""
    with socket.create_server((HOST, 0)) as listening:
        threading.Thread(target=_serve, args=(listening, answers), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _serve(listening: socket.socket, answers: tuple[bytes, ...]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, answers), daemon=True).start()


def _answer(connection: socket.socket, answers: tuple[bytes, ...]) -> None:
    given = 0
    with connection, suppress(ConnectionError):  # the client goes away while more is on its way
        while received := connection.recv(1 << 16):
            for _ in range(received.count(b"\r\n\r\n")):
                connection.sendall(answers[min(given, len(answers) - 1)])
                given += 1
