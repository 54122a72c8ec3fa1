"""What a run produced becomes what later runs expect, when somebody says so (CI-61)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from examples.ci_results.clock import Clock
from examples.ci_results.enumerations import Verdict
from examples.ci_results.models import audit, catalogue, outputs
from examples.ci_results.models.accounts import Account
from examples.ci_results.models.database import Connection, Database
from examples.ci_results.models.outputs import OutputPlace
from examples.ci_results.problems import NotFound, Unprocessable


class Approval(NamedTuple):
    """An approval that holds."""

    place: OutputPlace
    requested_by: str
    created_at: datetime


class Baselines:
    """Changes what is expected. Every call blocks. No run that exists changes by it."""

    def __init__(self, database: Database, clock: Clock):
        self._database = database
        self._clock = clock

    def approve(self, place: OutputPlace, by: Account, *, remove_variants: bool) -> Approval:
        """Expect from now on what a run produced. Raises NotFound, Unprocessable.

        What is expected already is left as it is, and not told of again.
        """
        approval = Approval(place, by.name, self._clock())
        with self._database.write() as connection:
            produced = _produced(connection, place)
            held = catalogue.hold_output(connection, place.output_id)
            if held is None:
                raise NotFound("There is no such output any more.")
            removed = catalogue.remove_variants(connection, place.output_id) if remove_variants else 0
            if held.expected_hash == produced and removed == 0:
                return approval
            catalogue.set_expected(connection, place.output_id, produced)
            audit.note(
                connection,
                at=approval.created_at,
                actor=f"user/{by.name}",
                action="baseline.approved",
                target=f"output/{place.output_id}",
                data={
                    "run_id": place.run_id,
                    "old_hash": held.expected_hash,
                    "new_hash": produced,
                    "removed_variants": removed,
                },
            )
        return approval


def _produced(connection: Connection, place: OutputPlace) -> str:
    """The hash of what a reported test produced where something else was expected."""
    row = outputs.find(connection, place)
    if row is None:
        raise NotFound("There is no such output of such a test in such a run.")
    if row.verdict is Verdict.MATCH:
        raise Unprocessable("The output is what was expected.")
    if row.reported_at is None or row.got_hash is None:
        raise Unprocessable("The test has produced no such output.")
    return row.got_hash
