"""What an operator decides once for a store: names, presets, role ceilings and default limits."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from keyrack.core import credential, fields
from keyrack.core.errors import ConfigurationError, ValidationFailed
from keyrack.core.model import Limit

SETTING = "KEYRACK_POLICY"
_MEMBERS = {"prefixes", "environments", "presets", "roles", "limits", "failure_limit"}


@dataclass(frozen=True, slots=True)
class Policy:
    """The first prefix and the environment `live` are the defaults of mint."""

    prefixes: tuple[str, ...] = ("kr",)
    environments: tuple[str, ...] = ("live", "test")
    presets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Named scope sets, expanded into the record when it is written."""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ceilings by role, applied at every decision."""
    limits: tuple[Limit, ...] = ()
    """Limits of every key that has none of its own by that name."""
    failure_limit: Limit | None = None
    """How many refused credentials one client address may present."""

    def __post_init__(self) -> None:
        for name, pattern in (("prefixes", credential.PREFIX), ("environments", credential.ENVIRONMENT)):
            values = getattr(self, name)
            if not values or not all(pattern.fullmatch(value) for value in values):
                raise ConfigurationError(SETTING, f"{name} must be lower-case names such as `kr`, `live`.")

    @classmethod
    def read(cls, text: str) -> Policy:
        """The policy of a TOML text. Raises ConfigurationError, naming what is wrong."""
        try:
            table = tomllib.loads(text)
            return cls(**_members(table))
        except (tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
            raise ConfigurationError(SETTING, f"is not a policy in TOML: {error}.") from None
        except ValidationFailed as error:
            raise ConfigurationError(SETTING, f"{error.detail} {error.details['fields']}") from None

    def digest(self) -> bytes:
        """The SHA-256 of what it says; in which order names and scopes stand makes no difference."""
        members = {
            "prefixes": list(self.prefixes),
            "environments": list(self.environments),
            "presets": {name: sorted(scopes) for name, scopes in self.presets.items()},
            "roles": {name: sorted(scopes) for name, scopes in self.roles.items()},
            "limits": [astuple(limit) for limit in self.limits],
            "failure_limit": None if self.failure_limit is None else astuple(self.failure_limit),
        }
        return hashlib.sha256(json.dumps(members, sort_keys=True).encode()).digest()


def with_defaults(own: Sequence[Limit], defaults: Sequence[Limit]) -> tuple[Limit, ...]:
    """The limits that hold for a key: its own, and the defaults of whose name it has none."""
    named = {limit.name for limit in own}
    return (*own, *(limit for limit in defaults if limit.name not in named))


def _members(table: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(table) - _MEMBERS)
    if unknown:
        raise ConfigurationError(SETTING, f"has unknown members: {', '.join(unknown)}.")
    members: dict[str, Any] = {
        name: _listed(table, name) for name in ("prefixes", "environments") if name in table
    }
    for name in ("presets", "roles"):
        if name in table:
            members[name] = {key: fields.scopes(value, name) for key, value in table[name].items()}
    if "limits" in table:
        members["limits"] = fields.limits(table["limits"], "limits")
    if "failure_limit" in table:
        members["failure_limit"] = fields.limits([table["failure_limit"]], "failure_limit")[0]
    return members


def _listed(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    # A text would pass as the list of its letters.
    if not isinstance(table[name], list):
        raise ConfigurationError(SETTING, f"{name} must be a list.")
    return tuple(table[name])
