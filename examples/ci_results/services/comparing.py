"""Comparisons that are ended when they take too much: large files are compared in a process of their own.

Two files can be made so that their comparison takes minutes and gigabytes. A process can be ended, a thread
cannot, and git keeps every thread of its process waiting. Run as a module, this is that process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pygit2
from pydantic import TypeAdapter

from examples.ci_results.problems import Unavailable
from examples.ci_results.services.comparison import Comparison, Question, compare

SMALL = 32 * 1024
"""Bytes of both files together that are compared in place: at worst some hundredths of a second."""
MAX_SECONDS = 10.0
MAX_MEMORY = 2 * 1024**3
AT_ONCE = 2
EXPENSIVE = 75
"""The exit code of a process that came to the end of its memory."""
ROOT = Path(__file__).parents[3]
"""Where this package is found."""
_COMPARISON = TypeAdapter(Comparison)


class TooExpensive(Exception):
    """The comparison took more time or memory than one may."""


class Comparer:
    """Compares files, the large ones a few at a time."""

    def __init__(self, *, seconds: float = MAX_SECONDS, memory: int = MAX_MEMORY, at_once: int = AT_ONCE):
        """`memory` is in bytes, of each process; one that waits for its turn waits so many seconds too."""
        self._seconds = seconds
        self._memory = memory
        self._turns = threading.BoundedSemaphore(at_once)

    def compare(self, expected: bytes, actual: bytes, question: Question) -> Comparison:
        """What differs. Raises TooExpensive; Unavailable when it cannot be tried now."""
        if len(expected) + len(actual) <= SMALL:
            return compare(expected, actual, question)
        task = json.dumps([self._memory, len(expected), *question]).encode()
        with self._turn():
            answer = _answer(task + b"\n" + expected + actual, self._seconds)
        return _COMPARISON.validate_json(answer)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._seconds):
            raise Unavailable("Too many files are compared at the moment.")
        try:
            yield
        finally:
            self._turns.release()


def _answer(sent: bytes, seconds: float) -> bytes:
    """What the process says. It inherits no setting, so it knows no secret."""
    command = [sys.executable, "-m", __name__]
    try:
        ran = subprocess.run(  # noqa: S603  # a fixed command; the files come in as its input
            command, input=sent, stdout=subprocess.PIPE, timeout=seconds, cwd=ROOT, env={}, check=False
        )
    except subprocess.TimeoutExpired:
        raise TooExpensive from None
    if ran.returncode == EXPENSIVE or ran.returncode < 0:
        raise TooExpensive
    if ran.returncode != 0:
        raise Unavailable("Files cannot be compared right now.")
    return ran.stdout


def main() -> None:
    """Compare what comes in, within the memory that this may take."""
    memory, length, *question = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        content = sys.stdin.buffer.read()
        found = compare(content[:length], content[length:], Question(*question))
        written = _COMPARISON.dump_json(found)
    except (MemoryError, pygit2.GitError):
        sys.exit(EXPENSIVE)
    sys.stdout.buffer.write(written)


if __name__ == "__main__":
    main()
