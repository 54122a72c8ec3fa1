"""The one table of who may hold which scope (CI-24): login, granting and every request read it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from examples.ci_results.enumerations import STAFF, Role

RUNS_READ, RUNS_WRITE = "runs:read", "runs:write"
RESULTS_READ = "results:read"
BASELINES_WRITE = "baselines:write"
SYSTEM_READ = "system:read"
TOKENS_MANAGE = "tokens:manage"
SCOPES = (RUNS_READ, RUNS_WRITE, RESULTS_READ, BASELINES_WRITE, SYSTEM_READ, TOKENS_MANAGE)
DEFAULT_SCOPES = (RUNS_READ, RESULTS_READ)
CLAIM, REPORT = "runs:claim", "run:report"
"""Of workers; no token of a user can hold them."""


class Way(Enum):
    """How a scope comes to somebody: asked for at login, or granted by an admin."""

    SELF = "self"
    ADMIN = "admin"


class Grant(NamedTuple):
    """A scope, and in which ways each role may obtain it; a role that is not named never does."""

    scope: str
    ways: dict[Role, Way]


_EVERYBODY = dict.fromkeys(Role, Way.SELF)

GRANTS = (
    Grant(RUNS_READ, _EVERYBODY),
    Grant(RUNS_WRITE, _EVERYBODY),
    Grant(RESULTS_READ, _EVERYBODY),
    Grant(SYSTEM_READ, _EVERYBODY),
    Grant(TOKENS_MANAGE, dict.fromkeys(STAFF, Way.SELF)),
    Grant(BASELINES_WRITE, {Role.CONTRIBUTOR: Way.ADMIN, Role.ADMIN: Way.SELF}),
)


def column(role: Role) -> frozenset[str]:
    """Every scope that a role may hold, however it got it."""
    return frozenset(grant.scope for grant in GRANTS if role in grant.ways)


def requestable(role: Role) -> frozenset[str]:
    """The scopes that somebody of this role may ask for at login."""
    return frozenset(grant.scope for grant in GRANTS if grant.ways.get(role) is Way.SELF)


def effective(scopes: Iterable[str], role: Role) -> tuple[str, ...]:
    """What a token may do for somebody who is of this role now (CI-26)."""
    held = column(role)
    return tuple(scope for scope in scopes if scope in held)
