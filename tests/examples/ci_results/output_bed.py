"""Runs with one test that was reported, and the files of its outputs in the storage."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ci_bed import Ci, Claimed, RegressionTest

from examples.ci_results.app import create_app
from examples.ci_results.models import catalogue
from examples.ci_results.services import layout
from examples.ci_results.services.comparing import Comparer
from examples.ci_results.services.diffs import Diffs

NAME = "out.txt"
PATIENT = 300.0
"""Seconds for a comparison that has to succeed on a machine that others use as well."""


class Produced(NamedTuple):
    """A run, and the test whose output it is about."""

    run_id: int
    test: RegressionTest
    claimed: Claimed

    @property
    def place(self) -> dict[str, int]:
        """The four ids as answers name them."""
        return {
            "run_id": self.run_id,
            "sample_id": self.test.sample_id,
            "regression_id": self.test.id,
            "output_id": self.test.outputs[NAME],
        }

    def path(self, part: str, **other: object) -> str:
        """The path of a part of the output, with other ids than its own where they are given."""
        form = "/runs/{run_id}/samples/{sample_id}/regression-tests/{regression_id}/outputs/{output_id}"
        return form.format(**self.place | other) + f"/{part}"


def sha(content: bytes) -> str:
    """The SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def keep(ci: Ci, content: bytes, extension: str = ".txt") -> str:
    """Put an output into the storage; returns its hash."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        ci.service.storage.put(layout.result(sha(content), extension), Path(file.name))
    return sha(content)


def expecting(ci: Ci, expected: bytes, name: str = "one", **more: Any) -> RegressionTest:
    """A test with one output that is expected to be this."""
    test = ci.test(name, outputs={NAME: ""}, **more)
    kept = keep(ci, expected)
    with ci.service.database.write() as connection:
        catalogue.set_expected(connection, test.outputs[NAME], kept)
    return test


def claimed(ci: Ci, test: RegressionTest) -> Produced:
    """A run of this test alone, in the hands of a worker that has reported nothing."""
    ci.queued(test)
    run = ci.claim()
    run.begin()
    return Produced(run.id, test, run)


def reported(ci: Ci, test: RegressionTest, actual: bytes | None, *, code: int = 0) -> Produced:
    """A completed run of this test, which produced this, or nothing."""
    found = claimed(ci, test)
    if actual is not None:
        upload(found, actual)
    found.claimed.finish(test, code=code, matching=False)
    found.claimed.complete()
    return found


def produced(ci: Ci, expected: bytes, actual: bytes | None) -> Produced:
    """A completed run that expected the one and got the other."""
    return reported(ci, expecting(ci, expected), actual)


def upload(found: Produced, actual: bytes) -> None:
    """Report what the test produced."""
    place = {"test_id": found.test.id, "test_file_id": found.test.outputs[NAME]}
    assert found.claimed.report("upload", actual, **place).status_code == 200


def matched(ci: Ci, test: RegressionTest) -> Produced:
    """A completed run of this test, whose worker said that the output is equal."""
    found = claimed(ci, test)
    found.claimed.finish(test)
    found.claimed.complete()
    return found


def compare_with(ci: Ci, comparer: Comparer) -> None:
    """Let another comparer compare from now on."""
    diffs = Diffs(ci.service.database, ci.service.storage, comparer)
    ci.app = create_app(replace(ci.service, diffs=diffs))
