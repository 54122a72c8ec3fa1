"""How long a login takes tells nothing about whom there is (CI-30).

Both kinds are tried in turns, so that whatever else the machine does meets both alike, and the lower
quartiles are compared, since noise only ever adds. One that did not verify a hash would be over at once:
the hash here takes most of a login, and the tolerance is a quarter of it.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import quantiles

import pytest
from argon2 import PasswordHasher
from ci_bed import PASSWORD, Clock, environment

from examples.ci_results.enumerations import Role
from examples.ci_results.problems import InvalidCredentials
from examples.ci_results.service import Service
from examples.ci_results.services.accounts import Person
from examples.ci_results.services.passwords import Passwords
from examples.ci_results.services.tokens import Request
from examples.ci_results.settings import Settings

ROUNDS = 5
SAMPLES = 40
TOLERANCE = 0.25
KINDS = ("ann", "gone", "nobody")
"""Somebody whose password is another, somebody whose account was ended, and nobody."""


def taken(service: Service, name: str) -> float:
    """Seconds of one login that is refused."""
    request = Request(f"{name}@example.org", "not the password", "t", ["runs:read"], 7)
    began = time.perf_counter()
    with pytest.raises(InvalidCredentials):
        service.tokens.login(request)
    return time.perf_counter() - began


@pytest.mark.spec("CI-30")
def test_who_is_unknown_is_refused_no_sooner_than_who_has_another_password(tmp_path: Path) -> None:
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=4096, parallelism=1))
    service = Service.open(Settings.read(environment(tmp_path)), clock=Clock(), passwords=passwords)
    for name in ("ann", "gone"):
        service.accounts.add(Person(name, f"{name}@example.org", Role.USER, None), PASSWORD)
    service.accounts.deactivate("gone")
    told = []
    try:
        for _ in range(ROUNDS):
            turns = [[taken(service, name) for name in KINDS] for _ in range(SAMPLES)]
            lower = [quantiles(column, n=4)[0] for column in zip(*turns, strict=True)]
            told.append(lower)
            if max(lower) - min(lower) <= TOLERANCE * min(lower):
                return
    finally:
        service.close()
    pytest.fail(f"one of {KINDS} is told from the others, seconds each: {told}")
