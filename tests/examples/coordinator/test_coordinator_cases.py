"""Each operation of the coordinator with and without a valid key, one by one."""

from __future__ import annotations

import pytest
from coordinator_bed import HOLDER, Coordinator, right_request, with_key, wrong

from examples.coordinator.operations import BY_NAME

NAMES = [name for name in HOLDER if name not in ("receive_webhook", "dispatch_job")]
OPERATION = pytest.mark.parametrize("name", NAMES)


@pytest.mark.spec("CO-43")
@OPERATION
def test_coordinator_operation_needs_a_key(name: str, coordinator: Coordinator) -> None:
    (answer,) = coordinator.send(right_request(coordinator, name))
    assert answer.status_code == 401


@pytest.mark.spec("CO-43")
@OPERATION
@pytest.mark.parametrize("form", ["X-API-Key", "Authorization"])
def test_coordinator_operation_takes_a_valid_key(name: str, form: str, coordinator: Coordinator) -> None:
    request = right_request(coordinator, name)
    key = coordinator.key(HOLDER[name])
    request["headers"][form] = key if form == "X-API-Key" else f"Bearer {key}"
    assert coordinator.send(request)[0].status_code == BY_NAME[name].success


@pytest.mark.spec("CO-43")
@OPERATION
def test_coordinator_operation_blocks_an_invalid_key(name: str, coordinator: Coordinator) -> None:
    request = with_key(right_request(coordinator, name), wrong(coordinator.key(HOLDER[name])))
    (answer,) = coordinator.send(request)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
