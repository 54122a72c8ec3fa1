"""Documents of keys and tenants beside the log: for people; no decision reads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from objects_bed import BY, Files, verdict

from keyrack import Authority, Verifier, Wish
from keyrack.stores.objects.keys import ObjectKeys
from keyrack.stores.objects.projection import projected
from keyrack.stores.protocols import Kind, Record
from keyrack.tenancy import Tenants
from keyrack.testing import PEPPERS
from keyrack.testing.samples import key, tenant

ACME = Authority.service("tests", ["*:*"], tenant="acme")


class World:
    """A store with a key of `default` and one of another tenant."""

    def __init__(self, verifier: Verifier, root: Path):
        self.verifier = verifier
        self.files = Files(root)
        issuer = verifier.issuer()
        Tenants(verifier.stores).create("acme", by=BY)
        self.ours = issuer.mint(Wish("ours", scopes=("a:b",)), by=BY)
        self.theirs = issuer.mint(Wish("theirs", scopes=("a:b",)), by=ACME)
        self.revoked = issuer.mint(Wish("revoked", scopes=("a:b",)), by=BY)
        issuer.revoke(self.revoked.key.id, by=BY)

    def document(self, path: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.files.root / path).read_text())
        return found

    def paths(self) -> list[str]:
        return [
            str(path.relative_to(self.files.root)) for path in self.files.all() if ".settings" in str(path)
        ]

    def verdicts(self, verifier: Verifier) -> list[str]:
        return [verdict(verifier, str(one.secret)) for one in (self.ours, self.theirs, self.revoked)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    with Verifier.open(f"file://{tmp_path}/keys", peppers=PEPPERS, create=True) as verifier:
        return World(verifier, tmp_path / "keys")


def expected(world: World) -> list[str]:
    return sorted(
        [
            ".settings/tenant.json",
            f".settings/apikeys/{world.ours.key.id}.json",
            f".settings/apikeys/{world.revoked.key.id}.json",
            "acme/.settings/tenant.json",
            f"acme/.settings/apikeys/{world.theirs.key.id}.json",
        ]
    )


@pytest.mark.spec("LL-47")
def test_each_changed_key_and_tenant_has_its_document_with_what_is_true_now(world: World) -> None:
    assert sorted(world.paths()) == expected(world)
    revoked = world.document(f".settings/apikeys/{world.revoked.key.id}.json")
    assert (revoked["name"], revoked["status"]) == ("revoked", "revoked")
    assert world.document("acme/.settings/tenant.json")["id"] == "acme"


@pytest.mark.spec("LL-47")
def test_no_document_shows_a_digest(world: World) -> None:
    for path in world.paths():
        assert "digest" not in (world.files.root / path).read_text()


@pytest.mark.spec("LL-47")
@pytest.mark.parametrize("spoil", [True, False])
def test_documents_that_are_spoilt_or_gone_change_nothing_and_are_made_again(
    world: World, spoil: bool
) -> None:
    before = world.paths()
    for path in before:
        (world.files.root / path).write_text('{"status": "active"}')
    if not spoil:
        shutil.rmtree(world.files.root / ".settings")
        shutil.rmtree(world.files.root / "acme")
    with Verifier.open(f"file://{world.files.root}", peppers=PEPPERS) as verifier:
        assert world.verdicts(verifier) == ["ok", "ok", "revoked"]
        keys = verifier.stores.keys
        assert isinstance(keys, ObjectKeys)
        assert keys.project() == 5
    assert world.paths() == before
    assert world.document(f".settings/apikeys/{world.ours.key.id}.json")["name"] == "ours"


@pytest.mark.parametrize(
    "record",
    [
        key("../../etc", 1)._replace(body=b"{}"),
        key("a", 1, tenant="..")._replace(body=b"{}"),
        key("a", 1, tenant="x/y")._replace(body=b"{}"),
        key("a", 1)._replace(body=b"[]"),
        key("a", 1),
        tenant("t", 1)._replace(kind=Kind.SECRET, body=b"{}"),
    ],
)
def test_a_record_that_could_lead_elsewhere_or_says_nothing_has_no_document(record: Record) -> None:
    assert projected(record) is None
