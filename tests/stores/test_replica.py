"""A copy of the store in memory: what is prepared in it is never older than its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from engine_bed import OPERATOR, Bed, opened

from keyrack import Policy


class Interrupting(Mapping[str, tuple[str, ...]]):
    """Roles that do something else at the moment at which a key is being prepared under one of them."""

    def __init__(self) -> None:
        self.once: Callable[[], object] | None = None

    def __getitem__(self, role: str) -> tuple[str, ...]:
        once, self.once = self.once, None
        if once is not None:
            once()
        return ("*:*",)

    def __iter__(self) -> Iterator[str]:
        return iter(["any"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda bed, key_id: bed.issuer.revoke(key_id, by=OPERATOR), "revoked"),
        (lambda bed, key_id: bed.issuer.update(key_id, {"scopes": []}, by=OPERATOR), "scope"),
        (lambda bed, key_id: bed.tenants.suspend("default", "workspace", by=OPERATOR), "suspended"),
    ],
    ids=["revoked", "narrowed", "suspended"],
)
def test_a_change_that_comes_while_a_key_is_prepared_is_in_what_was_prepared(
    change: Callable[[Bed, str], object], expected: str
) -> None:
    roles = Interrupting()
    with opened(policy=Policy(roles=roles)) as bed:
        minted, text = bed.mint("a:b", role="any")
        roles.once = lambda: change(bed, minted.key.id)
        assert bed.verdict(text, "a:b") == expected
        assert roles.once is None
        assert bed.verdict(text, "a:b") == expected


def test_more_keys_than_are_kept_prepared_are_decided_on_all_the_same(
    memory: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyrack.stores.replica.MAX_PREPARED", 3)
    texts = [memory.mint("a:b")[1] for _ in range(10)]
    for _ in range(2):
        assert [memory.verdict(text, "a:b") for text in texts] == ["ok"] * 10


def test_a_replica_counts_its_keys(memory: Bed) -> None:
    assert len(memory.verifier.follower.replica) == 0
    memory.mint("a:b")
    assert len(memory.verifier.follower.replica) == 1
