"""Four processes on one store count as one, and do and tell each thing once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from engine_bed import OPERATOR
from gateway.gateway_process import SENDS
from gateway.rotation_bed import GROUP, rotating

from keyrack import ConfigurationError, open_stores
from keyrack.admin.founding import found
from keyrack.core.events import Event, EventKind
from keyrack.core.model import VersionState
from keyrack.core.upstream import SendPolicy, Upstream, UpstreamVersion
from keyrack.server.opening import check_store
from keyrack.settings import Settings
from keyrack.stores.ledger import Draft
from keyrack.testing import PEPPERS

ROOT = Path(__file__).parents[1]
PROCESSES = 4


@pytest.mark.spec("UG-22")
@pytest.mark.spec("UG-30")
@pytest.mark.spec("UG-48")
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_four_processes_count_as_one_and_act_once(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    if store == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    with rotating(url) as bed:
        bed.rotate()
        command = [sys.executable, str(ROOT / "gateway" / "gateway_process.py"), url, f"default/{GROUP}"]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}, text=True)
            for _ in range(PROCESSES)
        ]
        outputs = [process.communicate()[0] for process in running]
        assert [process.returncode for process in running] == [0] * PROCESSES
        told: Counter[str] = sum((Counter(json.loads(output)) for output in outputs), Counter())
        assert told == {"rotation.started": 1, "alert.new_key_refused": 1}
        use = bed.tally.use_of(bed.upstream)
        assert use.versions[2].refusals == PROCESSES * SENDS
        assert sum(hour.refused for hour in use.hours) == PROCESSES * SENDS
        rollout = bed.upstream.rollout
        assert rollout is not None
        assert rollout.policy is SendPolicy.HOLD_OLD
        changed = EventKind.UPSTREAM_ROTATION_CHANGED
        assert bed.events(changed) == [changed]


def write_group(draft: Draft) -> Upstream:
    """Write a group without its secret."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    version = UpstreamVersion(1, VersionState.LIVE, at, "…")
    group = Upstream("default", GROUP, "x-api-key", at, (), (version,))
    return draft.write_upstream(group, Event(EventKind.UPSTREAM_CREATED, at, OPERATOR.name))


@pytest.mark.spec("UG-48")
def test_a_store_whose_processes_share_nothing_is_served_by_one(tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'keys'}"
    environ = {"KEYRACK_STORE": url, "KEYRACK_PEPPERS": PEPPERS}
    two = Settings.read({**environ, "KEYRACK_WORKERS": "2"})
    with closing(open_stores(url, peppers=PEPPERS, create=True)) as stores:
        found(stores)
        check_store(two)
        stores.ledger.commit(write_group)
    with pytest.raises(ConfigurationError, match="KEYRACK_WORKERS"):
        check_store(two)
    check_store(Settings.read(environ))
