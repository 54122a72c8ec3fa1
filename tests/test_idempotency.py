"""An Idempotency-Key: the same call twice is one call, for a day."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from engine_bed import OPERATOR, Bed, opened, refusal

from keyrack import Authority, Wish
from keyrack.core.errors import (
    Conflict,
    NotFound,
)
from keyrack.idempotency import Once
from keyrack.key_changes import Minted
from keyrack.stores.protocols import Listing
from keyrack.testing import PEPPERS


class TestOnce:
    """An Idempotency-Key: the same call twice is one call, for a day."""

    def test_a_repeat_answers_with_the_key_and_no_secret(self, bed: Bed) -> None:
        once = Once("header", b"body")
        first = bed.issuer.mint(Wish("n", scopes=["a:b"]), by=OPERATOR, once=once)
        again = bed.issuer.mint(Wish("n", scopes=["a:b"]), by=OPERATOR, once=once)
        assert first.secret is not None
        assert again == Minted(first.key, None)
        assert len(bed.issuer.find(Listing(), by=OPERATOR)[0]) == 1

    def test_a_repeated_rotation_rotates_once_and_shows_the_key_as_it_is_now(self, bed: Bed) -> None:
        minted, _ = bed.mint("a:b")
        once = Once("header", b"body")
        bed.issuer.rotate(minted.key.id, by=OPERATOR, once=once)
        renamed = bed.issuer.update(minted.key.id, {"name": "x"}, by=OPERATOR)
        assert bed.issuer.rotate(minted.key.id, by=OPERATOR, once=once) == Minted(renamed, None)

    def test_another_body_is_a_conflict(self, bed: Bed) -> None:
        bed.issuer.mint(Wish("n"), by=OPERATOR, once=Once("header", b"body"))
        with pytest.raises(Conflict, match="another body"):
            bed.issuer.mint(Wish("m"), by=OPERATOR, once=Once("header", b"other"))
        assert len(bed.issuer.find(Listing(), by=OPERATOR)[0]) == 1

    def test_callers_and_operations_have_headers_of_their_own(self, bed: Bed) -> None:
        once = Once("header", b"body")
        bed.tenants.create("acme", by=OPERATOR)
        callers = [OPERATOR, Authority.operator("other"), Authority.service("tests", ["*:*"])]
        callers += [
            Authority.service("tests", ["*:*"], tenant="acme"),
            bed.authority(bed.mint("keys:manage")[1]),
        ]
        minted = [bed.issuer.mint(Wish("n"), by=by, once=once) for by in callers]
        rotated = [bed.issuer.rotate(one.key.id, by=OPERATOR, once=once) for one in minted]
        assert all(one.secret for one in (*minted, *rotated))
        assert len({one.key.id for one in minted}) == len(callers)

    def test_it_is_forgotten_after_a_day(self, bed: Bed) -> None:
        once = Once("header", b"body")
        first = bed.issuer.mint(Wish("n"), by=OPERATOR, once=once)
        bed.passes(days=1, seconds=-1)
        assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=once).key == first.key
        bed.passes(1)
        second = bed.issuer.mint(Wish("n"), by=OPERATOR, once=Once("header", b"other"))
        assert second.secret is not None
        assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=Once("header", b"other")) == Minted(
            second.key, None
        )

    def test_a_call_that_failed_is_not_remembered(self, bed: Bed) -> None:
        once = Once("header", b"body")
        assert refusal(bed.mint, tenant="never") == "not_found"
        with pytest.raises(NotFound):
            bed.issuer.mint(Wish("n", tenant="never"), by=OPERATOR, once=once)
        assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=once).secret is not None

    def test_a_wish_that_has_become_invalid_is_still_answered_as_it_was(self, memory: Bed) -> None:
        """A repeat may come when the expiry that it asks for lies in the past."""
        wish = Wish("n", expires_at=memory.at + timedelta(hours=1))
        once = Once("header", b"body")
        first = memory.issuer.mint(wish, by=OPERATOR, once=once)
        memory.passes(hours=2)
        assert memory.issuer.mint(wish, by=OPERATOR, once=once) == Minted(first.key, None)

    def test_it_is_remembered_across_a_new_first_pepper(self, tmp_path: Any) -> None:
        once, new = Once("header", b"body"), "p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"
        with opened("sqlite", folder=tmp_path) as bed:
            first = bed.issuer.mint(Wish("n"), by=OPERATOR, once=once)
        with opened("sqlite", folder=tmp_path, peppers=f"{new},{PEPPERS}") as bed:
            assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=once) == Minted(first.key, None)

    def test_twenty_at_once_make_one_key(self, bed: Bed) -> None:
        once = Once("header", b"body")
        minted: list[Minted] = []
        together = threading.Barrier(20)

        def mint() -> None:
            together.wait()
            minted.append(bed.issuer.mint(Wish("n"), by=OPERATOR, once=once))

        threads = [threading.Thread(target=mint) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(minted) == 20
        assert len({one.key.id for one in minted}) == 1
        assert len([one for one in minted if one.secret]) == 1


def test_a_replay_and_a_minted_key_never_show_the_secret(memory: Bed) -> None:
    minted, text = memory.mint("a:b")
    assert text not in f"{minted!r} {minted}"
    assert "body" not in repr(Once("header", b"body"))
