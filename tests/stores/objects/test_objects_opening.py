"""From a URL to a directory or a bucket: what is missing is not made, and what cannot refuse is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from objects_bed import BY, founded
from servers.s3 import S3Server, s3_server, s3_url  # noqa: F401  # fixtures

from keyrack import Issuer, Verifier, Wish
from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.peppers import Peppers
from keyrack.stores.objects.directory import Directory, directory_of
from keyrack.stores.objects.opening import open_objects, open_storage, probe
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

GIVEN = Peppers.parse(PEPPERS)


def test_file_urls_are_absolute_with_three_slashes_and_relative_without() -> None:
    assert directory_of("file:///srv/keys") == Path("/srv/keys")
    assert directory_of("file:keys/here") == Path("keys/here")
    assert directory_of("file:/srv/keys") == Path("/srv/keys")
    assert directory_of("s3://bucket/prefix") is None


@pytest.mark.parametrize("url", ["file:", "file:/", "file://", "file:///", "file://host/dir", "s3://", "gs:"])
def test_a_url_without_a_place_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_stores(url, peppers=PEPPERS, create=True)
    assert refused.value.setting == "KEYRACK_STORE"


def test_a_missing_directory_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="keyrack init"):
        open_stores(f"file://{tmp_path}/none", peppers=PEPPERS)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_directory_is_opened_where_the_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Verifier.open("file:some/keys", peppers=PEPPERS, create=True):
        assert (tmp_path / "some" / "keys" / "log").is_dir()


def test_what_is_made_is_its_owners_alone(tmp_path: Path) -> None:
    founded_at = tmp_path / "keys"
    open_stores(f"file://{founded_at}", peppers=PEPPERS, create=True).close()
    founded(founded_at).stores.close()
    for path in [founded_at, *founded_at.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_directory_that_was_exchanged_is_not_gone_on_with(tmp_path: Path) -> None:
    root = tmp_path / "keys"
    node = founded(root)
    root.rename(tmp_path / "away")
    root.mkdir()
    for call in (node.mint, node.keys.last, node.keys.moved):
        with pytest.raises(Unavailable, match="replaced or removed"):
            call()
    assert list(root.iterdir()) == []


class Overwriting(Directory):
    """A storage that takes put-if-absent for a put, as some that say they speak S3 do."""

    def put(self, path: str, data: bytes) -> str:
        self.replace(path, data)
        return "tag"


class Refusing(Directory):
    """A storage in which nothing can be written."""

    def put(self, path: str, data: bytes) -> str:
        raise Unavailable("The key store failed.")


@pytest.mark.spec("LL-2")
@pytest.mark.parametrize("kind", [Overwriting, Refusing])
def test_a_storage_that_does_not_refuse_the_second_write_is_refused(
    tmp_path: Path, kind: type[Directory]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        probe(kind(tmp_path))
    assert refused.value.setting == "KEYRACK_STORE"


@pytest.mark.spec("LL-2")
def test_the_probe_leaves_nothing_behind(tmp_path: Path, s3_url: str) -> None:  # noqa: F811
    for url in (f"file://{tmp_path}", s3_url):
        storage = open_storage(url)
        probe(storage)
        assert storage.list("probe/") == []


def test_a_bucket_that_does_not_exist_is_our_own_trouble(s3_server: S3Server) -> None:  # noqa: F811
    with pytest.raises(ConfigurationError, match="cannot be written"):
        open_objects("s3://no-such-bucket/prefix", GIVEN, create=True)
    keys, _ = open_objects("s3://no-such-bucket/prefix", GIVEN, create=False)
    with pytest.raises(Unavailable):
        keys.last()


def test_a_child_that_was_forked_opens_its_own(s3_url: str) -> None:  # noqa: F811
    stores = open_stores(s3_url, peppers=PEPPERS, create=True)
    child = os.fork()
    if child == 0:
        # Nothing of the test runner may happen here.
        code = 1
        try:
            stores.keys.last()
        except Unavailable as error:
            code = 0 if "forked" in error.detail else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    stores.close()


def test_no_error_shows_what_was_asked(s3_server: S3Server) -> None:  # noqa: F811
    keys, _ = open_objects("s3://no-such-bucket/prefix", GIVEN, create=False)
    with pytest.raises(Unavailable) as refused:
        keys.last()
    assert refused.value.detail == "The key store failed: GenericError."


def test_a_whole_engine_runs_on_a_bucket(s3_url: str) -> None:  # noqa: F811
    with Verifier.open(s3_url, peppers=PEPPERS, create=True) as verifier:
        minted = Issuer(verifier.stores, spread=verifier.spread).mint(Wish("n", scopes=("a:b",)), by=BY)
        assert verifier.follower.replica.find(minted.key.id) is not None
