"""`python -m examples.ci_results.corpus DIR`: three directories of results that the loader reads (CI-89).

The texts are real: passages of this repository's own pages and sources. Each is a sample, and its expected
output is the captions that a rule makes of it. What the tests "produced" follows from
their numbers, so that every status, every verdict and every kind of error is there:

    first     all as expected, now and then by an accepted variant: the run passes
    second    some outputs differ, some are missing, some exit codes are wrong: the run fails
    third     the last fifth was never reported: the run is an error
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from examples.ci_results.enumerations import Platform
from examples.ci_results.services.runs import NewRun

ROOT = Path(__file__).resolve().parents[2]
FOLDERS, SUFFIXES = ("docs", "examples", "src"), (".md", ".py")
SAMPLES = 210
PASSAGE_LINES = 24
REPOSITORY = "keyrack/keyrack"
CAPTIONS, TIMING = "captions.srt", "timing.txt"
STARTED = "2030-01-01T12:00:00Z"


class Outcome(StrEnum):
    """What became of a test."""

    AS_EXPECTED = "as expected"
    VARIANT = "accepted variant"
    DIFFERENT = "different"
    MISSING = "missing output"
    WRONG_CODE = "wrong exit code"
    UNREPORTED = "unreported"


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of a real text; `name` is that of the text with the number of the passage."""

    name: str
    category: str
    lines: tuple[str, ...]


RUNS: Mapping[str, NewRun] = {
    "first": NewRun(REPOSITORY, "7d1f0c5b9e3a48d2c6f7a0b1e2d3c4f5a6978801", Platform.LINUX),
    "second": NewRun(REPOSITORY, "2b8e6a4c0d9f13572468ace013579bdf02468ace", Platform.LINUX, "faster", 12),
    "third": NewRun(REPOSITORY, "9c3d5e7f1a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d", Platform.WINDOWS),
}
"""The directories, and the run that each is loaded as; the shipped `repositories.json` knows their builds."""
_SECOND = {3: Outcome.DIFFERENT, 7: Outcome.MISSING, 11: Outcome.WRONG_CODE}
_VARIANT_AT, _EVERY = 15, 20
_TIMING_EVERY, _LOG_EVERY = 5, 4
"""Not each test has an ignored output, and one that passes seldom has a log."""


def write(folder: Path, count: int = SAMPLES) -> None:
    """Write the directories of all runs, with so many samples each."""
    for run in RUNS:
        write_run(folder / run, run, count)


def write_run(folder: Path, run: str, count: int = SAMPLES) -> None:
    """Write the directory of one run."""
    chosen = list(islice(passages(), count))
    for number, passage in enumerate(chosen):
        _write_case(folder, passage, number, outcome(run, number, len(chosen)))
    log = f"{STARTED} info orchestrator {len(chosen)} tests are to be run\n{STARTED} info worker began\n"
    _write_text(folder / "run.log", log)


def outcome(run: str, number: int, count: int) -> Outcome:
    """What becomes of the test of this number."""
    if run == "third" and number >= count - max(1, count // 5):
        return Outcome.UNREPORTED
    if number % _EVERY == _VARIANT_AT:
        return Outcome.VARIANT
    return _SECOND.get(number % _EVERY, Outcome.AS_EXPECTED) if run == "second" else Outcome.AS_EXPECTED


def passages() -> Iterator[Passage]:
    """Different passages of the texts that are here, always in the same order."""
    seen = set()
    for path in _texts():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for start in range(0, len(lines) - PASSAGE_LINES, PASSAGE_LINES):
            passage = tuple(lines[start : start + PASSAGE_LINES])
            if passage not in seen:
                seen.add(passage)
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield Passage(f"{'-'.join(parts)}-{start}", path.suffix[1:], passage)


def captions(lines: tuple[str, ...], *, late_from: int | None = None) -> str:
    """Subtitles (SubRip) of two seconds a line; from a line on, a second late."""
    cues = []
    for number, line in enumerate(lines):
        late = 1 if late_from is not None and number >= late_from else 0
        begin, end = _time(2 * number + late), _time(2 * number + 2 + late)
        cues.append(f"{number + 1}\n{begin} --> {end}\n{line.strip()}\n")
    return "\n".join(cues)


def _texts() -> list[Path]:
    found = (path for name in FOLDERS for path in (ROOT / name).rglob("*"))
    return sorted(path for path in found if path.suffix in SUFFIXES and "data" not in path.parts)


def _write_case(folder: Path, passage: Passage, number: int, became: Outcome) -> None:
    test = folder / "tests" / passage.name
    sample = f"{passage.name}.txt"
    right = captions(passage.lines)
    timing = {TIMING: "0 ms\n"} if number % _TIMING_EVERY == 0 else {}
    expected = {CAPTIONS: right, **timing}
    said = {
        "sample": sample,
        "command": "make-captions --seconds 2",
        "output_type": "multiprogram",
        "categories": [passage.category],
        "tags": ["text"],
        "description": f"Captions of {passage.name}",
        "ignored": list(timing),
    }
    _write_text(folder / "samples" / sample, "".join(f"{line}\n" for line in passage.lines))
    _write_text(test / "test.json", json.dumps(said))
    for name, text in expected.items():
        _write_text(test / "expected" / name, text)
    if number % _EVERY == _VARIANT_AT:
        _write_text(test / "variants" / CAPTIONS / "crlf.srt", right.replace("\n", "\r\n"))
    if became is Outcome.UNREPORTED:
        return
    actual = dict.fromkeys(timing, f"{40 + number} ms\n") | {CAPTIONS: _captions(passage, became)}
    if became is Outcome.MISSING:
        del actual[CAPTIONS]
    for name, text in actual.items():
        _write_text(test / "actual" / name, text)
    _write_result(test, number, became)


def _captions(passage: Passage, became: Outcome) -> str:
    late_from = PASSAGE_LINES // 2 if became is Outcome.DIFFERENT else None
    text = captions(passage.lines, late_from=late_from)
    return text.replace("\n", "\r\n") if became is Outcome.VARIANT else text


def _write_result(test: Path, number: int, became: Outcome) -> None:
    code = 1 if became is Outcome.WRONG_CODE else 0
    is_good = became in (Outcome.AS_EXPECTED, Outcome.VARIANT)
    level = "info" if is_good else "error"
    _write_text(test / "result.json", json.dumps({"exit_code": code, "runtime_ms": 40 + number}))
    if is_good and number % _LOG_EVERY:
        return
    log = f"{STARTED} info test_runner began {test.name}\n{STARTED} {level} test_runner ended with {code}\n"
    _write_text(test / "log.txt", log)


def _time(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"00:{minutes:02}:{rest:02},000"


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def main() -> int:
    """Write the corpus into a new or empty folder; 1 where something is there already."""
    parser = argparse.ArgumentParser(prog="python -m examples.ci_results.corpus")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    options = parser.parse_args()
    if options.folder.exists() and any(options.folder.iterdir()):
        sys.stderr.write(f"{options.folder}: is not empty.\n")
        return 1
    write(options.folder, options.samples)
    return 0


if __name__ == "__main__":
    sys.exit(main())
