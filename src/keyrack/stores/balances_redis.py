"""Balances in Redis or Valkey, shared by all machines that name the same server and database number.

One script, balances_redis.lua, does each step that a request waits for. What administrators change is
worked out here, and written if nobody came between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from itertools import chain, islice
from typing import Any, TypeVar

from redis.exceptions import RedisError

from keyrack.core.errors import Unavailable
from keyrack.core.resets import next_reset
from keyrack.core.upstream import Tier
from keyrack.stores import crediting
from keyrack.stores.balances import (
    KEPT_SECONDS,
    LAPSED_AT_ONCE,
    LEASE_SECONDS,
    NO_BALANCE,
    Account,
    Amendment,
    Balance,
    Meter,
    Order,
    Outcome,
    Reservation,
    Reserved,
)
from keyrack.stores.crediting import Standing
from keyrack.stores.redis_connection import connect

PREFIX = "keyrack:credits:1:"
"""Before each key; the number is the format of what is kept."""
OPEN, PLACES = f"{PREFIX}open", f"{PREFIX}places"
ATTEMPTS = 100
"""How often an amendment is worked out anew because the balance was charged meanwhile."""
PAGE = 500
NONE = ""
"""In place of what is not there, which Redis has no word for."""

_SCRIPT = files("keyrack.stores").joinpath("balances_redis.lua").read_text(encoding="utf-8")
_KEPT_MILLISECONDS = int(KEPT_SECONDS * 1000)
T = TypeVar("T")


class RedisBalances:
    """Implements keyrack.stores.balances.Balances on the server that a `redis://` or `rediss://` url names.

    Nothing is connected before the first call. A server with `maxmemory-policy noeviction` refuses what it
    has no room for; with any other it forgets balances.
    """

    blocks = True

    def __init__(self, url: str):
        self._redis = connect(url, "KEYRACK_CREDITS")
        self._script = self._redis.register_script(_SCRIPT)

    def reserve(self, order: Order, now: float) -> Reserved:
        return self._charge(order, now, kept_at=_reservation(order.id))

    def take(self, order: Order, now: float) -> Reserved:
        return self._charge(order, now, kept_at=NONE)

    def renew(self, ids: Sequence[str], now: float) -> frozenset[str]:
        lapses_at = repr(now + LEASE_SECONDS)
        renewed = (one for one in ids if self._run("renew", lapses_at, reservation=_reservation(one)))
        return frozenset(renewed)

    def end(
        self,
        reservation_id: str,
        outcome: Outcome,
        *,
        input_units: int | None = None,
        output_units: int = 0,
    ) -> bool:
        key = _reservation(reservation_id)
        return self._end(key, outcome, input_units=input_units, output_units=output_units)

    def reservation(self, reservation_id: str) -> Reservation | None:
        kept = self._fields(_reservation(reservation_id))
        if not kept:
            return None
        return Reservation(
            reservation_id,
            _account(kept["account"]),
            int(kept["cost"]),
            float(kept["made_at"]),
            float(kept["lapses_at"]),
            Outcome(kept["outcome"]) if kept["outcome"] else None,
            kept["reporter"] or None,
        )

    def lapse(self, now: float) -> int:
        due = _asked(lambda: self._redis.zrangebyscore(OPEN, "-inf", repr(now), start=0, num=LAPSED_AT_ONCE))
        return sum(self._lapsed(one.decode(), now) for one in due)

    def amend(
        self, account: Account, amendment: Amendment, tiers: Sequence[Tier], now: float
    ) -> Balance | None:
        for _ in range(ATTEMPTS):
            before = self._fields(_balance(account))
            standing = _standing(account, before) if before else None
            after = crediting.amended(standing, account, amendment, tiers, now)
            if after is None or self._state(after, before.get("changes", NONE)):
                return None if after is None else after.balance
        raise Unavailable("The balance is charged too often to be changed.")

    def get(self, account: Account, tiers: Sequence[Tier], now: float) -> Balance | None:
        found = self._fields(_balance(account))
        return crediting.as_of(_standing(account, found), tiers, now).balance if found else None

    def find(
        self, tenant: str, *, after: int = 0, most: int = 50, search: str = ""
    ) -> Sequence[tuple[int, Balance]]:
        found = self._found(tenant, after, search.lower())
        return list(islice(found, most))

    def remove(self, account: Account) -> bool:
        listed = (_list(account.tenant), _name(account))
        return bool(self._run("remove", *listed, balance=_balance(account)))

    def close(self) -> None:
        self._redis.close()

    def _charge(self, order: Order, now: float, *, kept_at: str) -> Reserved:
        reply = self._run(
            "charge",
            repr(now),
            repr(now + LEASE_SECONDS),
            order.cost,
            order.input_units,
            order.at_lapse.value,
            order.reporter or NONE,
            _text(order.account),
            *chain.from_iterable(_tier(tier, now) for tier in order.tiers),
            balance=_balance(order.account),
            reservation=kept_at,
        )
        if not reply:
            return NO_BALANCE
        short, is_first, flat = reply
        balance = _standing(order.account, _pairs(flat)).balance
        return Reserved(balance, Meter(short.decode()), bool(is_first)) if short else Reserved(balance)

    def _end(
        self,
        key: str,
        outcome: Outcome,
        *,
        input_units: int | None = None,
        output_units: int = 0,
        due_at: float | None = None,
    ) -> bool:
        units = (NONE if input_units is None else input_units, output_units)
        due = NONE if due_at is None else repr(due_at)
        return bool(self._run("end", outcome.value, *units, _KEPT_MILLISECONDS, due, reservation=key))

    def _lapsed(self, key: str, now: float) -> bool:
        at_lapse = _asked(lambda: self._redis.hget(key, "at_lapse"))
        if at_lapse is None:
            # A server that forgets has forgotten it.
            _asked(lambda: self._redis.zrem(OPEN, key))
            return False
        # It may have been renewed since it was listed, which the script sees.
        return self._end(key, Outcome(at_lapse.decode()), due_at=now)

    def _state(self, standing: Standing, changes: str) -> bool:
        account = standing.balance.account
        listed = (_list(account.tenant), _name(account), PLACES)
        return bool(self._run("state", changes, *listed, *_written(standing), balance=_balance(account)))

    def _found(self, tenant: str, after: int, search: str) -> Iterator[tuple[int, Balance]]:
        while page := self._listed(tenant, after):
            for name, place in page:
                account = _named(tenant, name)
                fields = self._fields(_balance(account)) if search in account.owner.lower() else None
                if fields:
                    yield place, _standing(account, fields).balance
            after = page[-1][1]

    def _listed(self, tenant: str, after: int) -> list[tuple[str, int]]:
        rows = _asked(
            lambda: self._redis.zrangebyscore(
                _list(tenant), f"({after}", "+inf", start=0, num=PAGE, withscores=True
            )
        )
        return [(name.decode(), int(place)) for name, place in rows]

    def _fields(self, key: str) -> dict[str, str]:
        found = _asked(lambda: self._redis.hgetall(key))
        return {name.decode(): value.decode() for name, value in found.items()}

    def _run(self, operation: str, *given: Any, balance: str = NONE, reservation: str = NONE) -> Any:
        return _asked(lambda: self._script([balance, reservation, OPEN], [operation, *given]))


def _asked(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except RedisError as error:
        raise Unavailable("The balances cannot be read or written.") from error


def _balance(account: Account) -> str:
    return f"{PREFIX}balance:{_text(account)}"


def _reservation(reservation_id: str) -> str:
    return f"{PREFIX}reservation:{reservation_id}"


def _list(tenant: str) -> str:
    return f"{PREFIX}tenant:{tenant}"


def _text(account: Account) -> str:
    """An account as text. Neither tenants nor groups have a slash in their names."""
    return f"{account.tenant}/{_name(account)}"


def _name(account: Account) -> str:
    return f"{account.group}/{account.owner}"


def _account(text: str) -> Account:
    tenant, _, name = text.partition("/")
    return _named(tenant, name)


def _named(tenant: str, name: str) -> Account:
    group, _, owner = name.partition("/")
    return Account(tenant, owner, group)


def _tier(tier: Tier, now: float) -> tuple[Any, ...]:
    resets_at = next_reset(tier.reset_frequency, now)
    return (
        tier.name,
        tier.credits,
        NONE if tier.input_limit is None else tier.input_limit,
        NONE if tier.output_limit is None else tier.output_limit,
        NONE if resets_at is None else repr(resets_at),
    )


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    texts = [one.decode() for one in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _standing(account: Account, fields: dict[str, str]) -> Standing:
    balance = Balance(
        account,
        fields["tier"],
        int(fields["available"]),
        float(fields["resets_at"]) if fields["resets_at"] else None,
        int(fields["input_used"]),
        int(fields["output_used"]),
        int(fields["user_key"]) if fields["user_key"] else None,
    )
    return Standing(balance, int(fields["period"]), fields["has_refused"] == "1")


def _written(standing: Standing) -> Iterator[Any]:
    """The fields of a balance and their values, one after the other."""
    fields = {
        **standing.balance._asdict(),
        "period": standing.period,
        "has_refused": int(standing.has_refused),
    }
    del fields["account"]
    for name, value in fields.items():
        yield name
        yield NONE if value is None else repr(value) if isinstance(value, float) else value
