"""What a service still does while its server is gone; docs/reference/degradation.md in tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from engine_bed import other
from remote_bed import URL, Remote, RemoteBed

from keyrack import Access, Allowed, Client, Denied, Reason, Unavailable

MINUTE = {"name": "minute", "limit": 3, "window_seconds": 60}


class Gone:
    """A service that knew two keys when its server went."""

    def __init__(self, bed: RemoteBed):
        self.bed, self.remote = bed, bed.remote()
        self.key = bed.mint("a:b")
        self.known, self.limited = self.key["secret"], bed.mint("a:b", limits=[MINUTE])["secret"]
        self.remote.follow()
        assert [self.remote.verdict(text, "a:b") for text in (self.known, self.limited)] == ["ok", "ok"]
        self.remote.wire.is_cut = True
        assert not self.remote.follow()

    def changes(self, client: Client) -> dict[str, Callable[[], object]]:
        """One of each kind of change of a key, by name."""
        key_id = self.key["id"]
        return {
            "mint": lambda: client.mint("n"),
            "rotate": lambda: client.rotate(key_id),
            "revoke": lambda: client.revoke(key_id),
            "revoke and wait": lambda: client.revoke(key_id, wait=True),
        }


@pytest.fixture
def gone(bed: RemoteBed) -> Gone:
    return Gone(bed)


@pytest.fixture
def client(gone: Gone) -> Iterator[Client]:
    """Whoever makes and changes keys, on the same way to the server."""
    with Client(URL, key=gone.bed.house.root_key, transport=gone.remote.wire, retries=0) as opened:
        yield opened


def let_it_go_stale(remote: Remote) -> None:
    following = remote.verifier.following
    following.confirmed_at -= following.max_stale + 1


def test_a_known_key_passes_and_is_still_checked(gone: Gone) -> None:
    assert [gone.remote.verdict(gone.known, scope) for scope in ("a:b", "a:c")] == ["ok", "scope"]


def test_what_was_never_seen_is_our_trouble_and_no_bad_key(gone: Gone) -> None:
    texts = (other(gone.known), gone.bed.mint("a:b")["secret"])
    assert [gone.remote.verdict(text, "a:b") for text in texts] == ["store_down"] * 2
    assert gone.remote.verdict("garbage") == "malformed"


def test_a_limited_key_is_refused_since_nobody_could_count_it(gone: Gone) -> None:
    assert gone.remote.verdict(gone.limited, "a:b") == "store_down"


@pytest.mark.parametrize("what", ["mint", "rotate", "revoke", "revoke and wait"])
def test_no_change_is_acknowledged(gone: Gone, client: Client, what: str) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        gone.changes(client)[what]()
    shown: Any = gone.bed.house.root("GET", f"/v1/keys/{gone.key['id']}").json()
    assert (shown["status"], len(shown["versions"])) == ("active", 1), "it was not made either"


def test_it_is_ready_and_says_what_is_wrong_until_it_is_stale(gone: Gone) -> None:
    verifier = gone.remote.verifier
    assert verifier.doubt() is None
    assert "cannot be reached" in str(verifier.trouble)
    let_it_go_stale(gone.remote)
    assert verifier.doubt() is Reason.STALE


def test_beyond_max_stale_nothing_is_decided_and_with_the_server_all_is_again(gone: Gone) -> None:
    let_it_go_stale(gone.remote)
    texts = (gone.known, gone.limited, other(gone.known), "garbage")
    decisions = [gone.remote.verifier.verify(text, Access(("a:b",))) for text in texts]
    assert {one.reason for one in decisions if isinstance(one, Denied)} == {Reason.STALE}
    assert not any(isinstance(one, Allowed) for one in decisions)
    gone.remote.wire.is_cut = False
    assert gone.remote.follow()
    assert gone.remote.verifier.trouble is None
    assert [gone.remote.verdict(text, "a:b") for text in (gone.known, gone.limited)] == ["ok", "ok"]
