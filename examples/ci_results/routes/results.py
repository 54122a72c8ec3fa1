"""Outputs: what was expected, what was produced, how they differ, and what is expected from now on."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query
from fastapi.responses import RedirectResponse

from examples.ci_results.models.outputs import OutputPlace
from examples.ci_results.operations import BY_NAME
from examples.ci_results.routes.dependencies import Caller, Services
from examples.ci_results.routes.runs import RunId
from examples.ci_results.routes.samples import SampleId, TestId
from examples.ci_results.schemas.fields import Id
from examples.ci_results.schemas.results import (
    ApprovalBody,
    ApprovalView,
    ContentQuery,
    DiffQuery,
    DiffView,
    OutputFileView,
    UnifiedDiffView,
    approval_place,
    approval_view,
    diff_view,
    file_view,
    unified_view,
)

OutputId = Annotated[Id, Path(description="The id of an output of the test.")]


def _place(run_id: RunId, sample_id: SampleId, regression_id: TestId, output_id: OutputId) -> OutputPlace:
    return OutputPlace(run_id, sample_id, regression_id, output_id)


Place = Annotated[OutputPlace, Depends(_place)]


def get_expected_output(
    place: Place, query: Annotated[ContentQuery, Query()], service: Services
) -> OutputFileView:
    """What the run expects, as it was when the run was made."""
    return file_view(service.outputs.expected(place), query.format)


def get_actual_output(
    place: Place, query: Annotated[ContentQuery, Query()], service: Services
) -> OutputFileView:
    """What the test produced; where that is what was expected, the way there."""
    found = service.outputs.actual(place)
    if found is None:
        expected = BY_NAME[get_expected_output.__name__].path.format(**place._asdict())
        # It is sent as it is, and is of no schema.
        return RedirectResponse(f"{expected}?format={query.format}", 303)  # type: ignore[return-value]
    return file_view(found, query.format)


def get_diff(
    place: Place, query: Annotated[DiffQuery, Query()], service: Services
) -> DiffView | UnifiedDiffView:
    """What differs between the two."""
    diff = service.diffs.get(place, context_lines=query.context_lines)
    return unified_view(diff) if query.format == "unified" else diff_view(diff)


def approve_baseline(
    run_id: RunId, sample_id: SampleId, body: ApprovalBody, caller: Caller, service: Services
) -> ApprovalView:
    """Expect from now on what this run produced."""
    place = approval_place(run_id, sample_id, body)
    return approval_view(service.baselines.approve(place, caller, remove_variants=body.remove_variants))


HANDLERS = (get_expected_output, get_actual_output, get_diff, approve_baseline)
