"""That secrets never come back: the search that follows each test of this folder, and what it finds.

The search itself is the fixture `no_secret_comes_back`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from coordinator_bed import HOLDER, Coordinator, Secrets, right_request, with_key, wrong

from examples.coordinator.operations import OPERATIONS


@pytest.mark.spec("CO-24")
@pytest.mark.parametrize("store", ["env:", "sqlite:///{}/keyrack.db"])
def test_no_operation_gives_a_secret_back(
    store: str, open_coordinator: Callable[..., Coordinator], used: Secrets, tmp_path: Path
) -> None:
    """Every operation, with good keys and bad ones; what they left behind is searched afterwards."""
    bed = open_coordinator(KEYRACK_STORE=store.format(tmp_path))
    for operation in OPERATIONS:
        if operation.scope is None:
            continue
        request = right_request(bed, operation.name)
        key = bed.key(HOLDER[operation.name])
        for presented in (wrong(key), used.key(), bed.key("monitor"), key):
            bed.send(with_key(request, presented))
        query = {**request, "url": f"{request['url']}?api_key={key}"}
        bed.send(with_key(query, key))
    assert len(used.answers) > 5 * len(HOLDER)
    assert list(tmp_path.glob("*.db"))


@pytest.mark.spec("CO-24")
def test_the_search_finds_what_it_looks_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    searched = Secrets()
    secret = searched.note("K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYeU")
    assert searched.shown(caplog.records, tmp_path) == []
    (tmp_path / "left.db").write_bytes(b"\0" + secret.encode() + b"\0")
    assert searched.shown(caplog.records, tmp_path) == ["left.db"]
    logging.getLogger("coordinator").info("came with %s", secret)
    assert searched.shown(caplog.records, tmp_path) == ["coordinator", "left.db"]
