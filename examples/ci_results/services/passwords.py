"""Passwords: argon2id, as much work for an unknown e-mail address as for a wrong password (CI-30)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from examples.ci_results.problems import Unavailable

AT_ONCE = 4
"""Verifications at the same time; each takes tens of milliseconds and megabytes."""
WAIT_SECONDS = 2.0


class Passwords:
    """Hashes and verifies, a few at a time."""

    def __init__(self, hasher: PasswordHasher | None = None):
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._nobody = self._hasher.hash("the password of nobody")
        self.verified = 0
        """How many verifications there were, for whoever counts the work."""

    def hash(self, password: str) -> str:
        """The hash to keep."""
        return self._hasher.hash(password)

    def agrees(self, password: str, password_hash: str | None) -> bool:
        """Whether this is the password; without a hash the same work is done, and it is not.

        Raises Unavailable when others are verified all the time that may be waited.
        """
        with self._turn():
            self.verified += 1
            return self._verify(password, password_hash or self._nobody) and password_hash is not None

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("Too many people log in at the moment.")
        try:
            yield
        finally:
            self._turns.release()
