"""The body of `POST /v1/verify`: what is asked, read strictly, and the answer as JSON.

Written by hand, without a validation library, since it stands on the hot path.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from keyrack.core import fields
from keyrack.core.credential import ENVIRONMENT
from keyrack.core.errors import InvalidRequest, KeyrackError, ValidationFailed
from keyrack.core.http import ANSWERS
from keyrack.core.model import Access, Decision, Denied, Rate, Session
from keyrack.core.records import write_time
from keyrack.core.strict_json import read

MAX_COST = 1000
MAX_BATCH = 100
MAX_ENVIRONMENTS = 10
MAX_KNOWN = 1024
"""Bytes of a body whose form is remembered."""
_KEY, _ANY = b'"key":', "any"
_LIVE = ("live",)
_MEMBERS = frozenset({"key", "scopes", "tenant", "ip", "cost", "explain", "environments", "service"})


class Asked(NamedTuple):
    """One question: a key's text, and what it is to be allowed. Its repr never shows the text."""

    text: str
    access: Access
    explain: bool

    def __repr__(self) -> str:
        return f"<Asked {self.access}>"


def read_question(value: object, prefix: str = "") -> Asked:
    """A question from its JSON value. Raises ValidationFailed; `prefix` stands before field names."""
    if not isinstance(value, dict):
        raise fields.refuse(prefix.rstrip(".") or "body", "Give a JSON object.")
    if not _MEMBERS.issuperset(value):
        unknown = sorted(set(value) - _MEMBERS)
        raise ValidationFailed({f"{prefix}{name}": ["This field is not known."] for name in unknown})
    text = value.get("key")
    if not isinstance(text, str):
        raise fields.refuse(f"{prefix}key", "Give the key's text.")
    return Asked(text, _access(value, prefix), _explain(value, prefix))


def read_one(body: bytes) -> Asked:
    """The question in a body. Raises InvalidRequest or ValidationFailed.

    A service asks the same of most keys, so what stands around the key's text is read once.
    """
    start = body.find(_KEY)
    if start >= 0 and len(body) <= MAX_KNOWN:
        start = body.find(b'"', start + len(_KEY)) + 1
        end = body.find(b'"', start)
        text = body[start:end]
        # Whatever stands in a string of these characters, the JSON around it means the same.
        if text.replace(b"_", b"").isalnum():
            try:
                access, explain = _around(body[:start], body[end:])
                return Asked(text.decode(), access, explain)
            except KeyrackError:
                pass  # said by what reads all of it
    return read_question(read(body))


def read_batch(value: object) -> list[Asked]:
    """1 to 100 questions, from a JSON list of them."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BATCH:
        raise fields.refuse("body", f"Give a JSON list of 1 to {MAX_BATCH} questions.")
    return [read_question(row, f"{index}.") for index, row in enumerate(value)]


def answer_json(decision: Decision, *, explain: bool = False) -> dict[str, Any]:
    """The answer to one question, as JSON values."""
    if isinstance(decision, Denied):
        return _denied(decision, explain=explain)
    key = decision.key
    answer = {
        "valid": True,
        "code": "ok",
        "key_id": key.id,
        "version": decision.secret.number,
        "name": key.name,
        "tenant": key.tenant,
        "owner": key.owner,
        "environment": key.environment,
        "scopes": decision.scopes,
        "expires_at": None if key.expires_at is None else write_time(key.expires_at),
    }
    if decision.session is not None:
        answer["session"] = _session(decision.session)
    if decision.rates:
        answer["limits"] = [_rate(rate) for rate in decision.rates]
    if explain:
        answer["explanation"] = "The key was proved and passed every check."
    return answer


def _denied(denied: Denied, *, explain: bool) -> dict[str, Any]:
    row, key = ANSWERS[denied.reason], denied.key
    answer: dict[str, Any] = {"valid": False, "code": row.code, "reason": denied.reason.value}
    if key is not None:
        answer |= {"key_id": key.id, "tenant": key.tenant, "owner": key.owner, "name": key.name}
    if denied.details:
        answer["details"] = dict(denied.details)
    if denied.retry_after is not None:
        answer["retry_after"] = denied.retry_after
    if denied.rates:
        answer["limits"] = [_rate(rate) for rate in denied.rates]
    if explain:
        answer["explanation"] = row.detail
    return answer


def _session(session: Session) -> dict[str, Any]:
    ends_at = datetime.fromtimestamp(session.ends_at, UTC)
    return {"expires_at": write_time(ends_at), "audience": session.audience}


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "name": rate.name,
        "limit": rate.limit,
        "window_seconds": rate.window_seconds,
        "remaining": rate.remaining,
        "reset_at": ceil(rate.reset_at),
    }


def _access(value: Mapping[str, Any], prefix: str) -> Access:
    asked = (
        _hashable(value.get("scopes", ())),
        value.get("tenant"),
        _hashable(value.get("environments", _LIVE)),
        value.get("service"),
        value.get("cost", 1),
        value.get("ip"),
    )
    try:
        return _read_access(*asked, prefix=prefix)
    except TypeError:  # something in it is an object or a list, and is refused for that
        return _read_access.__wrapped__(*asked, prefix=prefix)


# Typed: a cost of true is not one of 1. What is refused is not kept.
@lru_cache(maxsize=1024, typed=True)
def _read_access(
    scopes: object,
    tenant: object,
    environments: object,
    service: object,
    cost: object,
    ip: object,
    *,
    prefix: str,
) -> Access:
    """What is asked, checked; a service asks the same of most keys."""
    return Access(
        scopes=fields.scopes(scopes, f"{prefix}scopes"),
        tenant=_text(tenant, f"{prefix}tenant"),
        environments=_environments(environments, f"{prefix}environments"),
        service=_text(service, f"{prefix}service"),
        cost=_cost(cost, f"{prefix}cost"),
        address=None if ip is None else fields.address(ip, f"{prefix}ip"),
    )


@lru_cache(maxsize=1024)
def _around(before: bytes, after: bytes) -> tuple[Access, bool]:
    """What is asked of any key whose text stands between these. What is refused is not kept."""
    asked = read_question(read(before + _ANY.encode() + after))
    if asked.text != _ANY:
        raise InvalidRequest("The key stands elsewhere.")
    return asked.access, asked.explain


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _text(value: object, field_name: str) -> str | None:
    return None if value is None else fields.name(value, field_name)


def _environments(value: object, field_name: str) -> tuple[str, ...]:
    names = value if isinstance(value, tuple) else ()
    known = all(isinstance(one, str) and ENVIRONMENT.fullmatch(one) for one in names)
    if not known or not 1 <= len(names) <= MAX_ENVIRONMENTS:
        raise fields.refuse(field_name, f"Give 1 to {MAX_ENVIRONMENTS} environments such as `live`.")
    return names


def _cost(value: object, field_name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COST:
        raise fields.refuse(field_name, f"Give a whole number from 0 to {MAX_COST}.")
    return value


def _explain(value: Mapping[str, Any], prefix: str) -> bool:
    explain = value.get("explain", False)
    if not isinstance(explain, bool):
        raise fields.refuse(f"{prefix}explain", "Give true or false.")
    return explain
