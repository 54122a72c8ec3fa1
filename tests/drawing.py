"""Hypothesis strategies for the engine's values, drawn from small alphabets so that they often meet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import strategies as st

from keyrack.core import credential
from keyrack.core.model import (
    Access,
    Address,
    Block,
    Key,
    Limit,
    Network,
    Secret,
    Status,
    Tenant,
    VersionState,
)

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)

base62 = st.text(alphabet=credential.ALPHABET, min_size=1)
key_ids = st.text(alphabet=credential.ALPHABET, min_size=12, max_size=12)
secrets = st.text(alphabet=credential.ALPHABET, min_size=32, max_size=32)
prefixes = st.from_regex(credential.PREFIX, fullmatch=True)
environments = st.from_regex(credential.ENVIRONMENT, fullmatch=True)
odd_texts = st.one_of(
    st.text(max_size=700),
    st.binary(max_size=700).map(lambda data: data.decode("latin-1")),
    st.text(alphabet=st.characters(categories=["Cs"]), min_size=1, max_size=60),
    base62.map(lambda text: f"kr_live_{text}"),
    st.sampled_from(["", "\0", "kr_live_", "kr_live_" + "0" * 50, "０" * 58, "x" * 1_000_000]),
)
"""What a stranger may send: any Unicode, any bytes, lone surrogates, almost keys, a megabyte."""

names = st.text(alphabet="abc XYZ-é漢", min_size=1, max_size=20)
instants = st.datetimes(
    min_value=datetime(2020, 1, 1),  # Hypothesis adds the zone
    max_value=datetime(2060, 1, 1),
    timezones=st.just(UTC),
)

_segments = st.sampled_from(["a", "b", "web", "*"])
_actions = st.sampled_from(["read", "write", "*"])
_resources = st.one_of(st.just("*"), st.lists(_segments, min_size=1, max_size=3).map("/".join))
scopes = st.builds("{}:{}".format, _resources, _actions)
scope_sets = st.lists(scopes, max_size=4, unique=True).map(tuple)
concrete_scopes = st.builds(
    "{}:{}".format,
    st.lists(st.sampled_from(["a", "b", "web"]), min_size=1, max_size=3).map("/".join),
    st.sampled_from(["read", "write"]),
)
"""What a route asks for: no wildcard."""

addresses: st.SearchStrategy[Address] = st.sampled_from(
    ["10.0.0.1", "10.0.1.1", "10.1.0.1", "192.0.2.7", "2001:db8::1", "2001:db8:1::1", "::1"]
).map(ip_address)
networks: st.SearchStrategy[Network] = st.sampled_from(
    [
        "10.0.0.0/8",
        "10.0.0.0/16",
        "10.0.0.0/24",
        "10.0.0.1/32",
        "192.0.2.0/24",
        "0.0.0.0/0",
        "::/0",
        "2001:db8::/32",
        "2001:db8::/48",
    ]
).map(ip_network)
network_sets = st.lists(networks, max_size=2, unique=True).map(tuple)
blocks = st.builds(
    Block,
    id=st.just("b"),
    network=networks,
    created_at=instants,
    reason=st.none() | names,
    expires_at=st.none() | st.sampled_from([NOW, NOW + timedelta(hours=1)]),
)
limits = st.builds(
    Limit, st.sampled_from(["m", "h", "d"]), st.integers(1, 6), st.sampled_from([1, 2, 3, 5, 10])
)
limit_sets = st.lists(limits, max_size=2, unique_by=lambda limit: limit.name).map(tuple)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
metadata = st.dictionaries(names, json_values, max_size=3)


def secret_versions(number: int = 1, **given: Any) -> st.SearchStrategy[Secret]:
    """A version of a key's secret; what is given is not drawn."""
    drawn: dict[str, Any] = {
        "number": st.just(number),
        "state": st.sampled_from(VersionState),
        "created_at": instants,
        "pepper": st.sampled_from(["p1", "p2"]),
        "digest": st.binary(min_size=32, max_size=32),
        "not_after": st.none() | instants,
        "foreign": st.booleans(),
    }
    return st.builds(Secret, **drawn | {name: st.just(value) for name, value in given.items()})


LIVE = Secret(1, VersionState.LIVE, NOW - timedelta(days=1), "p1", bytes(32))


def keys(**given: Any) -> st.SearchStrategy[Key]:
    """A key; what is given is not drawn. Any strategy may be given in place of a value."""
    drawn: dict[str, Any] = {
        "id": key_ids,
        "prefix": st.sampled_from(["kr", "ci"]),
        "environment": st.sampled_from(["live", "test"]),
        "tenant": st.sampled_from(["default", "acme"]),
        "name": names,
        "scopes": scope_sets,
        "created_at": instants,
        "created_by": st.just("operator:drawing"),
        "versions": st.just((LIVE,)),
        "ending": st.just("wxyz"),
        "owner": st.none() | st.sampled_from(["ann", "bob"]),
        "preset": st.none() | st.just("ingest"),
        "role": st.none() | st.sampled_from(["reader", "writer"]),
        "status": st.sampled_from(Status),
        "expires_at": st.none() | st.sampled_from([NOW - timedelta(hours=1), NOW + timedelta(hours=1)]),
        "networks": network_sets,
        "limits": limit_sets,
        "credits": st.none() | st.sampled_from(["blue", "red"]),
        "metadata": metadata,
        "revision": st.integers(0, 10**9),
    }
    chosen = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in given.items()
    }
    return st.builds(Key, **drawn | chosen)


def tenants(**given: Any) -> st.SearchStrategy[Tenant]:
    """A tenant; what is given is not drawn."""
    drawn: dict[str, Any] = {
        "id": st.sampled_from(["default", "acme"]),
        "name": names,
        "created_at": instants,
        "suspended": st.lists(st.sampled_from(["ingest", "query", "workspace"]), max_size=2, unique=True).map(
            tuple
        ),
        "starts_at": st.none() | instants,
        "ends_at": st.none() | instants,
        "deleted_at": st.none() | instants,
        "limits": limit_sets,
        "quota": st.none() | metadata,
        "metadata": metadata,
        "blocks": st.lists(blocks, max_size=2).map(tuple),
        "revision": st.integers(0, 10**9),
    }
    return st.builds(Tenant, **drawn | {name: st.just(value) for name, value in given.items()})


accesses = st.builds(
    Access,
    scopes=st.lists(concrete_scopes, max_size=3).map(tuple),
    tenant=st.none() | st.sampled_from(["default", "acme"]),
    environments=st.sampled_from([("live",), ("test",), ("live", "test")]),
    prefixes=st.sampled_from([(), ("kr",), ("ci",), ("kr", "ci")]),
    service=st.none() | st.sampled_from(["ingest", "query"]),
    address=st.none() | addresses,
)
