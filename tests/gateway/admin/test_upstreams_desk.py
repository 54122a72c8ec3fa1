"""The desk of credit groups: what is sealed and erased, who may call it, and where it is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from engine_bed import OPERATOR, Bed, opened, refusal
from session_bed import BOTH, master_key
from upstream_bed import DAY, GROUP, ORIGIN, OTHER_ORIGIN, Desks, api, group, key

from keyrack.core import rotation
from keyrack.core.errors import Unavailable
from keyrack.core.events import Event, EventKind
from keyrack.core.master_keys import MasterKeys
from keyrack.core.sealed import SealedSecret
from keyrack.core.sending import candidates
from keyrack.core.upstream import SendPolicy, Upstream
from keyrack.gateway.admin import rotations
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.rotations import first_version
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.gateway.admin.users import Users
from keyrack.vault.reencryption import reencrypt
from keyrack.vault.secrets import Vault


def sealed(desks: Desks, number: int) -> SealedSecret:
    return desks.bed.verifier.follower.replica.upstream_secrets[desks.get().secret_id(number)]


def bound(desks: Desks) -> list[list[str]]:
    """Where each key that is kept may be sent, by version."""
    return [sealed(desks, number).facts["origins"] for number in sorted(desks.kept())]


@pytest.mark.spec("UG-6", "UG-13")
def test_both_keys_are_sealed_before_a_rotation_is_answered(desks: Desks) -> None:
    desks.create(api_key_origins=[OTHER_ORIGIN, ORIGIN])
    desks.rotate(2)
    assert desks.kept() == {1: key(1), 2: key(2)}
    for number in (1, 2):
        secret = sealed(desks, number)
        assert (secret.purpose, secret.tenant, secret.name) == ("upstream", "default", GROUP)
        assert secret.facts == {"origins": [ORIGIN, OTHER_ORIGIN]}
        assert key(number) not in repr(secret)


@pytest.mark.spec("UG-6")
@pytest.mark.parametrize(
    "moved",
    [
        {"facts": {"origins": [OTHER_ORIGIN]}},
        {"facts": {"origins": [ORIGIN, OTHER_ORIGIN]}},
        {"version": 2},
        {"name": "other"},
        {"tenant": "acme"},
        {"purpose": "user-key"},
    ],
    ids=lambda moved: next(iter(moved)),
)
def test_a_key_opens_nowhere_else(quick: Desks, moved: dict[str, object]) -> None:
    quick.create(api_key_origins=[ORIGIN])
    secret = sealed(quick, 1)
    assert quick.vault.opened(secret).decode() == key(1)
    with pytest.raises(Unavailable):
        quick.vault.opened(replace(secret, **moved))  # one field of many kinds


@pytest.mark.spec("UG-41", "UG-2")
def test_origins_that_are_added_are_for_the_key_that_was_named_alone(desks: Desks) -> None:
    desks.create(api_key_origins=[ORIGIN])
    desks.rotate(2)
    desks.upstreams.promote(GROUP, by=OPERATOR)
    desks.rotate(3)
    given = {"api_key": key(3), "api_key_origins": [ORIGIN, OTHER_ORIGIN]}
    desks.upstreams.update(GROUP, given, by=OPERATOR)
    assert desks.kept() == {1: key(1), 2: key(2), 3: key(3)}
    assert bound(desks) == [[ORIGIN], [ORIGIN], [ORIGIN, OTHER_ORIGIN]]


@pytest.mark.spec("UG-2")
def test_a_key_that_was_replaced_is_not_sent_elsewhere_by_who_knows_its_successor(quick: Desks) -> None:
    quick.create(api_key_origins=[ORIGIN])
    quick.upstreams.update(GROUP, {"api_key": key(2)}, by=OPERATOR)
    quick.upstreams.update(GROUP, {"api_key": key(2), "api_key_origins": [OTHER_ORIGIN]}, by=OPERATOR)
    quick.upstreams.update(GROUP, {"api_key": key(2), "api_key_origins": [ORIGIN, OTHER_ORIGIN]}, by=OPERATOR)
    quick.upstreams.undo(GROUP, by=OPERATOR)
    assert rotations.primary(quick.get(), quick.bed.at).hint == rotations.hint(key(1))
    assert bound(quick) == [[], [ORIGIN, OTHER_ORIGIN]]


@pytest.mark.spec("UG-41", "UG-2")
def test_the_first_api_says_where_a_key_may_be_sent_and_no_later_one(desks: Desks) -> None:
    assert desks.create().origins == ()
    desks.apis.create(api(api_servers=[f"{ORIGIN}/v1", "https://api.example/v2"]), by=OPERATOR)
    assert desks.get().origins == (ORIGIN,)
    assert (desks.kept(), sealed(desks, 1).facts) == ({1: key(1)}, {"origins": [ORIGIN]})
    other = api(api_version="v2", api_servers=[OTHER_ORIGIN])
    assert refusal(desks.apis.create, other, by=OPERATOR) == "validation_error"
    desks.apis.delete("chat", "v1", by=OPERATOR)
    assert refusal(desks.apis.create, other, by=OPERATOR) == "validation_error"


@pytest.mark.spec("UG-41")
def test_an_api_cannot_be_turned_to_where_the_key_may_not_go(quick: Desks) -> None:
    quick.create(api_key_origins=[ORIGIN])
    quick.apis.create(api(), by=OPERATOR)
    away = {"api_servers": [ORIGIN, OTHER_ORIGIN]}
    assert refusal(quick.apis.update, "chat", "v1", away, by=OPERATOR) == "validation_error"
    quick.apis.create(api(api_version="v2", api_credit_group=None, api_servers=[OTHER_ORIGIN]), by=OPERATOR)
    joined = {"api_credit_group": GROUP}
    assert refusal(quick.apis.update, "chat", "v2", joined, by=OPERATOR) == "validation_error"


def test_an_api_can_be_switched_off_when_its_group_was_narrowed_meanwhile(quick: Desks) -> None:
    quick.create(api_key_origins=[ORIGIN, OTHER_ORIGIN])
    quick.apis.create(api(), by=OPERATOR)
    quick.upstreams.update(GROUP, {"api_key_origins": [OTHER_ORIGIN]}, by=OPERATOR)
    assert quick.apis.update("chat", "v1", {"active": False}, by=OPERATOR).active is False


@pytest.mark.spec("UG-18")
def test_an_aborted_key_is_erased_at_once_and_a_deleted_group_keeps_none(desks: Desks) -> None:
    desks.create()
    desks.rotate(2)
    desks.upstreams.abort(GROUP, by=OPERATOR)
    assert desks.kept() == {1: key(1)}
    desks.rotate(3)
    desks.upstreams.delete(GROUP, by=OPERATOR)
    assert desks.kept() == {}


def test_a_key_that_is_forgotten_with_its_version_is_erased(quick: Desks) -> None:
    """A version is dropped from the record thirty days after its end, should no background ever run."""
    quick.create()
    quick.rotate(2)
    quick.bed.passes(days=31, hours=1)
    quick.rotate(3)
    assert (sorted(quick.kept()), [one.number for one in quick.get().versions]) == ([2, 3], [2, 3])


@pytest.mark.spec("UG-8")
def test_without_master_keys_nothing_is_sealed_or_opened_and_that_is_said(memory: Bed) -> None:
    desks = Desks(memory)
    desks.create()
    bare = Upstreams(memory.stores, Vault(None)), Apis(memory.stores, Vault(None))
    before = memory.stores.keys.last()
    for work in (
        lambda: bare[0].create(group(api_credit_group="other"), by=OPERATOR),
        lambda: bare[0].rotate(GROUP, {"api_key_new": key(2)}, by=OPERATOR),
        lambda: bare[0].update(GROUP, {"api_key": key(2)}, by=OPERATOR),
        lambda: bare[1].create(api(), by=OPERATOR),
    ):
        with pytest.raises(Unavailable) as unconfigured:
            work()
        assert unconfigured.value.details == {"reason": "unconfigured"}
    assert memory.stores.keys.last() == before
    assert bare[0].get(GROUP, by=OPERATOR).name == GROUP


@pytest.mark.spec("UG-9")
@pytest.mark.parametrize("keys", [master_key("m2"), master_key("m1", "other")], ids=["missing", "other"])
def test_a_key_that_cannot_be_opened_is_taken_for_no_key(memory: Bed, keys: str) -> None:
    desks = Desks(memory)
    desks.create()
    others = Upstreams(memory.stores, Vault(MasterKeys.parse(keys)))
    before = memory.stores.keys.last()
    for given in ({"api_key": key(1)}, {"api_key": key(2)}):
        assert refusal(others.update, GROUP, given, by=OPERATOR) == "unavailable"
    assert refusal(others.rotate, GROUP, {"api_key_new": key(2)}, by=OPERATOR) == "unavailable"
    assert memory.stores.keys.last() == before


@pytest.mark.spec("UG-7")
def test_keys_are_moved_to_another_master_key_within_a_rotation(quick: Desks) -> None:
    quick.create(api_key_origins=[ORIGIN])
    quick.rotate(2)
    assert reencrypt(quick.bed.stores, BOTH, by=OPERATOR) == (2, 2)
    quick.vault = Vault(BOTH)
    assert quick.kept() == {1: key(1), 2: key(2)}
    assert {sealed(quick, number).ciphertext.master_key for number in (1, 2)} == {"m2"}


def test_a_store_that_keeps_no_credits_takes_no_group(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bucket")
    with opened(f"file://{folder / 'store'}", folder=folder) as bed:
        assert refusal(Desks(bed).create) == "unsupported_store"


def test_an_authority_is_asked_for_again_at_the_commit(quick: Desks) -> None:
    minted, text = quick.bed.mint("upstreams:manage", "upstreams:read")
    giver = quick.bed.authority(text)
    assert quick.upstreams.create(group(), by=giver).tenant == "default"
    quick.bed.issuer.update(minted.key.id, {"scopes": ["upstreams:read"]}, by=OPERATOR)
    assert refusal(quick.upstreams.rotate, GROUP, {"api_key_new": key(2)}, by=giver) == "insufficient_scope"
    assert refusal(quick.apis.create, api(), by=giver) == "insufficient_scope"


@pytest.mark.spec("UG-4")
def test_an_api_that_comes_between_look_and_commit_keeps_its_group(quick: Desks) -> None:
    """The list of APIs is read before the commit; what changes after that is found inside of it."""
    quick.create()
    users = Users(quick.bed.stores, "default")
    quick.apis.create(api(), by=OPERATOR)
    upstream = quick.get()
    codes = refusal(quick.bed.stores.ledger.commit, lambda draft: users.require_none(draft, upstream))
    assert codes == "group_in_use"
    users = Users(quick.bed.stores, "default")
    quick.apis.delete("chat", "v1", by=OPERATOR)
    free = refusal(quick.bed.stores.ledger.commit, lambda draft: users.require_none(draft, upstream))
    assert free is None


@pytest.mark.spec("UG-4")
def test_of_two_rotations_at_once_one_is_refused(desks: Desks) -> None:
    desks.create()
    codes: list[str | None] = []
    gate = threading.Barrier(4)

    def rotate(number: int) -> None:
        gate.wait(30)
        codes.append(refusal(desks.rotate, number))

    threads = [threading.Thread(target=rotate, args=(number,)) for number in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(code or "done" for code in codes) == ["done"] + ["rotation_active"] * 3
    assert len(desks.kept()) == 2


def test_all_is_there_when_the_store_is_opened_later() -> None:
    with opened("sqlite") as bed:
        desks = Desks(bed)
        desks.create(api_key_origins=[ORIGIN])
        desks.rotate(2, plan="gradual")
        desks.apis.create(api(api_usage_pointers={"input": "/usage/in"}), by=OPERATOR)
        before = desks.get(), desks.apis.get("chat", "v1", by=OPERATOR)
        bed.verifier.close()
        with opened("sqlite", folder=bed.folder, clock=bed.clock) as again:
            later = Desks(again)
            assert (later.get(), later.apis.get("chat", "v1", by=OPERATOR)) == before
            assert later.kept() == {1: key(1), 2: key(2)}
            assert again.verifier.follower.replica.upstreams[before[0].id] == before[0]


def test_what_is_asked_from_python_may_hold_times(quick: Desks) -> None:
    quick.create()
    end = quick.bed.at.fromtimestamp(quick.bed.clock.now + DAY, quick.bed.at.tzinfo)
    given = {"api_key_new": key(2), "api_key_rotation_expires": end}
    rotated = quick.upstreams.update(GROUP, given, by=OPERATOR)
    assert rotated.versions[0].not_after == end
    assert quick.history()[-1].data["given"]["api_key_rotation_expires"] == quick.after(DAY)


@pytest.fixture(params=["memory", "sqlite", "postgresql", "file"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bed]:
    """An engine on each kind of store that keeps records."""
    urls = {"file": f"file://{tmp_path / 'store'}"}
    if request.param == "postgresql":
        urls["postgresql"] = request.getfixturevalue("postgresql_url")
    with opened(urls.get(request.param, request.param), folder=tmp_path) as bed:
        yield bed


@pytest.mark.spec("UG-15")
def test_every_store_keeps_times_as_instants_and_refuses_those_without_an_offset(anywhere: Bed) -> None:
    end = anywhere.at + timedelta(hours=1)
    there = end.astimezone(timezone(timedelta(hours=5, minutes=30)))
    versions = rotation.start(
        (first_version(key(1), 1, anywhere.at),),
        first_version(key(2), 2, anywhere.at),
        now=anywhere.at,
        ends_at=there,
        force=False,
    )
    made = Upstream("default", GROUP, "x-api-key", anywhere.at, (), versions)
    event = Event(EventKind.UPSTREAM_CREATED, anywhere.at, OPERATOR.name)
    anywhere.stores.ledger.commit(lambda draft: draft.write_upstream(made, event))
    anywhere.verifier.follower.poll()
    held = anywhere.verifier.follower.replica.upstreams[made.id]
    assert (held.versions[0].not_after, held.versions[0].not_after.utcoffset()) == (end, timedelta(0))
    for at, numbers in ((end - timedelta(seconds=1), [2, 1]), (end, [2])):
        found = candidates(held, "q", default=SendPolicy.PREFER_NEW, now=at)
        assert [one.number for one in found] == numbers
    before = anywhere.stores.keys.last()
    naive = replace(made, versions=(replace(versions[0], not_after=end.replace(tzinfo=None)), versions[1]))
    with pytest.raises(ValueError, match="offset"):
        anywhere.stores.ledger.commit(lambda draft: draft.write_upstream(naive, event))
    assert anywhere.stores.keys.last() == before


@pytest.mark.spec("UG-15")
def test_a_time_without_an_offset_is_refused_from_python_as_well(quick: Desks) -> None:
    quick.create()
    naive = (quick.bed.at + timedelta(hours=2)).replace(tzinfo=None)
    given = {"api_key_new": key(2), "api_key_rotation_expires": naive}
    assert refusal(quick.upstreams.update, GROUP, given, by=OPERATOR) == "validation_error"
