"""What an answer is believed to have used."""

from __future__ import annotations

import pytest

from keyrack.gateway.admin.upstream_fields import MAX_UNITS
from keyrack.gateway.metering import Units, UsageMeter

POINTERS = {"input": "/in", "output": "/out"}


@pytest.mark.spec("UG-37")
@pytest.mark.parametrize(("reported", "counted"), [(MAX_UNITS, MAX_UNITS), (MAX_UNITS + 1, 7), (10**30, 7)])
def test_a_report_beyond_what_can_be_counted_is_none(reported: int, counted: int) -> None:
    body = b'{"in":%d,"out":1}' % reported
    meter = UsageMeter(POINTERS, "application/json")
    meter.count(body)
    assert meter.units(7) == Units(counted, 1)
