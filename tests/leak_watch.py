"""Searches everything that is logged while tests run for secrets; tests/conftest.py installs it.

Every key text is written by one function, so wrapping that one collects every secret that any test
makes. Whatever else has the form of a key and a right checksum counts as a secret too.
"""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Iterator

from keyrack.client import calls
from keyrack.core import credential
from keyrack.testing import PEPPERS

RUN = re.compile(rf"[0-9A-Za-z]{{{credential.SECRET_LENGTH},}}")
KEY = re.compile(credential.SCANNER_PATTERN)


class LeakWatch(logging.Handler):
    """Remembers each secret that was written and each log record that shows one."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.secrets: set[str] = set()
        self.others: set[str] = {PEPPERS.partition(":")[2]}
        """Peppers, static keys and whatever else a test calls a secret."""
        self.leaks: list[str] = []

    def install(self) -> None:
        """Watch from now on; asked before every test, since a test may have set logging up anew."""
        root = logging.getLogger()
        if self not in root.handlers:
            root.addHandler(self)
        logging.getLogger("keyrack").setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        if not _is_of_a_test(record) and self.shows_secret(_everything(record)):
            test = os.environ.get("PYTEST_CURRENT_TEST", "no test")
            self.leaks.append(f"{record.name} at {record.pathname}:{record.lineno} in {test}")

    def shows_secret(self, text: str) -> bool:
        """Whether a secret stands in this text, as a whole key or without what is around it."""
        return (
            any(credential.parse(found) for found in KEY.findall(text))
            or any(window in self.secrets for window in _windows(text))
            or any(other in text for other in self.others)
        )

    def write(self, prefix: str, environment: str, key_id: str, secret: str) -> str:
        """`credential.write`, remembering the secret."""
        self.secrets.add(secret)
        return _write(prefix, environment, key_id, secret)


_write = credential.write


def _is_of_a_test(record: logging.LogRecord) -> bool:
    """Whether this is the URL of a test's own request: some have a key in them, to be refused for it.

    What Keyrack's client asks for goes through `calls`, and is searched like everything else.
    """
    if record.name != "httpx":
        return False
    return not any(frame.f_code.co_filename == calls.__file__ for frame, _ in traceback.walk_stack(None))


def _everything(record: logging.LogRecord) -> str:
    """The message and all that travels with it: arguments, extras, the traceback."""
    formatted = logging.Formatter().format(record)
    return f"{formatted}\n{record.__dict__!r}"


def _windows(text: str) -> Iterator[str]:
    size = credential.SECRET_LENGTH
    for run in RUN.findall(text):
        for start in range(len(run) - size + 1):
            yield run[start : start + size]
