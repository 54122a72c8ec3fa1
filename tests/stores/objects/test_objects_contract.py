"""The contract of key stores on a directory and on an S3 server over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS
from servers.s3 import s3_server, s3_url  # noqa: F401  # fixtures

from keyrack.core.peppers import Peppers
from keyrack.stores.objects import keys
from keyrack.stores.objects.opening import open_objects
from keyrack.stores.protocols import Keys
from keyrack.testing import PEPPERS
from keyrack.testing.contract import KeysContract, OpenKeys

GIVEN = Peppers.parse(PEPPERS)


@pytest.fixture(autouse=True)
def patient_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loaded machine others may be faster for long."""
    monkeypatch.setattr(keys, "COMMIT_SECONDS", PATIENCE_SECONDS)


@contextmanager
def opening(url: str) -> Iterator[OpenKeys]:
    with ExitStack() as opened:

        def open_one() -> Keys:
            opened_keys, _ = open_objects(url, GIVEN, create=True)
            opened.callback(opened_keys.close)
            return opened_keys

        yield open_one


@pytest.mark.spec("LL-45", "LL-46")
class TestDirectory(KeysContract):
    @pytest.fixture
    def open_keys(self, tmp_path: Path) -> Iterator[OpenKeys]:
        with opening(f"file://{tmp_path}/keys") as open_one:
            yield open_one


@pytest.mark.spec("LL-45", "LL-46")
class TestS3(KeysContract):
    @pytest.fixture
    def open_keys(self, s3_url: str) -> Iterator[OpenKeys]:  # noqa: F811
        with opening(s3_url) as open_one:
            yield open_one
