"""Keys from the environment: one key a caller, read once, refused at start when they are weak."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keyrack.core import credential, fields
from keyrack.core.errors import ConfigurationError, ValidationFailed
from keyrack.core.model import DEFAULT_TENANT, Key, Secret, VersionState
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.core.scopes import EVERYTHING
from keyrack.core.strength import weakness

PREVIOUS = "_PREVIOUS"


@dataclass(frozen=True, slots=True)
class StaticText:
    """The text of one static key, and where it was read."""

    variable: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StaticCaller:
    """Who presents a static key, what it may do, and the texts that prove it, oldest first."""

    name: str
    scopes: tuple[str, ...]
    preset: str | None
    texts: tuple[StaticText, ...]


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """The table that a service passes in code: `{caller: (variable, preset)}`.

    Each variable may have a `…_PREVIOUS` beside it, so that a key changes without stopping both
    sides at once. A caller whose variable is unset or empty has no key; `required` ones must have.
    """

    callers: Mapping[str, tuple[str, str]]
    required: tuple[str, ...] = ()

    def read(self, policy: Policy, environ: Mapping[str, str] = os.environ) -> list[StaticCaller]:
        """The callers that have a key. Raises ConfigurationError, naming the variable and the rule."""
        found = []
        for caller, (variable, preset) in self.callers.items():
            texts = tuple(_texts(variable, environ))
            if not environ.get(variable):
                if caller in self.required or texts:
                    raise ConfigurationError(variable, "is missing.")
                continue
            found.append(StaticCaller(caller, tuple(policy.presets[preset]), preset, texts))
        _refuse_shared(found)
        return found


def read_variable(variable: str, environ: Mapping[str, str] = os.environ) -> list[StaticCaller]:
    """The callers of `env:NAME`: the variable holds one key, or a JSON list of `{name, key, scopes}`."""
    value = environ.get(variable, "").strip()
    if not value:
        return []
    if not value.startswith("["):
        return [StaticCaller(variable.lower(), (EVERYTHING,), None, (_checked(variable, value),))]
    try:
        rows = json.loads(value)
    except ValueError:
        raise ConfigurationError(variable, "is not a JSON list of {name, key, scopes}.") from None
    found = [_row(variable, row) for row in rows]
    _refuse_shared(found)
    return found


def static_key(caller: StaticCaller, *, peppers: Peppers, policy: Policy, now: datetime, by: str) -> Key:
    """The record of a caller: its id follows from its name, so that every process finds the same.

    Texts are found by their digest, whatever their form: two of ours would name two ids.
    """
    texts = caller.texts
    versions = tuple(_version(number, one.text, peppers, now) for number, one in enumerate(texts, start=1))
    return Key(
        id=static_id(caller.name),
        prefix=policy.prefixes[0],
        environment="live",
        tenant=DEFAULT_TENANT,
        name=caller.name,
        owner=caller.name,
        scopes=caller.scopes,
        preset=caller.preset,
        created_at=now,
        created_by=by,
        versions=versions,
        ending=texts[-1].text[-4:],
    )


def static_id(caller: str) -> str:
    """A key id that follows from a caller's name; it is no secret."""
    number = int.from_bytes(hashlib.sha256(f"static/{caller}".encode()).digest(), "big")
    digits = ""
    for _ in range(credential.ID_LENGTH):
        number, digit = divmod(number, len(credential.ALPHABET))
        digits += credential.ALPHABET[digit]
    return digits


def _texts(variable: str, environ: Mapping[str, str]) -> Iterator[StaticText]:
    for name in (variable + PREVIOUS, variable):
        if environ.get(name):
            yield _checked(name, environ[name])


def _checked(variable: str, text: str) -> StaticText:
    reason = weakness(text)
    if reason is not None:
        raise ConfigurationError(variable, f"is too weak: it {reason}.")
    if credential.looks_written(text) and credential.parse(text) is None:
        raise ConfigurationError(variable, "has the form of a Keyrack key, but its checksum is wrong.")
    return StaticText(variable, text)


def _row(variable: str, row: Any) -> StaticCaller:
    if not isinstance(row, dict) or set(row) != {"name", "key", "scopes"}:
        raise ConfigurationError(variable, "has a row that is not exactly {name, key, scopes}.")
    try:
        name, scopes = fields.name(row["name"]), fields.scopes(row["scopes"])
    except ValidationFailed as error:
        raise ConfigurationError(variable, f"has a bad row: {error.details['fields']}.") from None
    if not isinstance(row["key"], str):
        raise ConfigurationError(variable, "has a row whose key is no text.")
    return StaticCaller(name, scopes, None, (_checked(variable, row["key"]),))


def _refuse_shared(callers: Sequence[StaticCaller]) -> None:
    seen: dict[str, str] = {}
    for caller in callers:
        for one in caller.texts:
            if seen.setdefault(one.text, caller.name) != caller.name:
                raise ConfigurationError(one.variable, "holds the same key as another caller's variable.")
    if len({caller.name for caller in callers}) != len(callers):
        raise ConfigurationError(callers[0].texts[-1].variable, "names one caller twice.")


def _version(number: int, text: str, peppers: Peppers, now: datetime) -> Secret:
    pepper = peppers.first
    digest = pepper.index.digest(text.encode("ascii"))
    return Secret(number, VersionState.LIVE, now, pepper.id, digest, None, foreign=True)
