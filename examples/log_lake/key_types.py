"""What a type of key may do: the scopes of a preset, for all streams or for some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from examples.log_lake.names import RULE, is_stream_name
from examples.log_lake.problems import UnprocessableContent
from keyrack import Key, Policy

PRESETS = {"ingestion": "ingest", "query": "query"}
DEFAULT = "ingestion"
MEMBER = "keyType"
"""Where the metadata of a key says its type; one without it has the type of its preset."""
_EVERY_STREAM = "streams/*:"
_TYPES = {preset: key_type for key_type, preset in PRESETS.items()}


def type_of(key: Key) -> str | None:
    """The type of a key; None for one that was given its scopes one by one."""
    named: str | None = key.metadata[MEMBER] if MEMBER in key.metadata else _TYPES.get(key.preset or "")
    return named


def scopes_of(policy: Policy, preset: str, streams: Sequence[str] | None) -> list[str]:
    """The scopes of a preset; with streams, for those only. Raises UnprocessableContent for none at all."""
    scopes = policy.presets[preset]
    if streams is None:
        return list(scopes)
    if not streams:
        raise UnprocessableContent({"streams": ["Name at least one stream, or leave the list out."]})
    if not all(is_stream_name(stream) for stream in streams):
        raise UnprocessableContent({"streams": [RULE]})
    return [one for scope in scopes for one in _narrowed(scope, streams)]


def rights(policy: Policy, given: Mapping[str, Any]) -> dict[str, Any]:
    """The scopes and metadata of a new key: of a type and perhaps streams, or of scopes alone."""
    if given.get("scopes") is None:
        key_type = given.get("key_type") or DEFAULT
        scopes = scopes_of(policy, PRESETS[key_type], given.get("streams"))
        return {"scopes": scopes, "metadata": {MEMBER: key_type}}
    _refuse_beside_scopes(given, "key_type", "keyType")
    _refuse_beside_scopes(given, "streams", "streams")
    return {"scopes": given["scopes"], "metadata": {MEMBER: None}}


def changed_rights(policy: Policy, key: Key, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a change makes of the scopes of a key; nothing, where it names neither streams nor scopes."""
    if "scopes" not in given and "streams" not in given:
        return {}
    if given.get("scopes") is not None:
        return rights(policy, given)
    key_type = type_of(key)
    if key_type is None:
        raise UnprocessableContent({"streams": ["This key has no type; change its scopes."]})
    return {"scopes": scopes_of(policy, PRESETS[key_type], given.get("streams"))}


def _narrowed(scope: str, streams: Sequence[str]) -> list[str]:
    if not scope.startswith(_EVERY_STREAM):
        return [scope]
    action = scope.removeprefix(_EVERY_STREAM)
    return [f"streams/{stream}:{action}" for stream in streams]


def _refuse_beside_scopes(given: Mapping[str, Any], name: str, shown: str) -> None:
    if given.get(name) is not None:
        raise UnprocessableContent({shown: ["Give this or scopes, not both."]})
