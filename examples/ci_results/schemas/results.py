"""What the operations on outputs take and answer (CI-55 to CI-58)."""

from __future__ import annotations

import base64
import codecs
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool

from examples.ci_results.models.outputs import OutputPlace
from examples.ci_results.schemas.fields import BodyId, Count, Given, Id, Instant, Sha256, Taken, Text, digits
from examples.ci_results.services.baselines import Approval
from examples.ci_results.services.comparison import MAX_HUNKS, MAX_TEXT, MAX_UNIFIED, Hunk, Kind
from examples.ci_results.services.diffs import Diff, DiffStatus
from examples.ci_results.services.outputs import OutputContent
from examples.ci_results.services.storage import StorageStatus

ContentFormat = Literal["base64", "text"]


class ContentQuery(Taken):
    """How a file is shown."""

    format: ContentFormat = "base64"


class DiffQuery(Taken):
    """How a diff is shown."""

    format: Literal["structured", "unified"] = "structured"
    context_lines: Annotated[int, Field(ge=1, le=50), BeforeValidator(digits)] = 3


class ApprovalBody(Taken):
    """Which output of the sample, and whether other contents stay accepted."""

    regression_id: BodyId
    output_id: BodyId
    remove_variants: StrictBool = False


class OutputView(Given):
    """Anything of one output."""

    run_id: Id
    sample_id: Id
    regression_id: Id
    output_id: Id


class OutputFileView(OutputView):
    """The first part of a file of an output, and where the whole of it is."""

    filename: Text
    content_type: Literal["application/octet-stream"] = "application/octet-stream"
    encoding: Literal["base64", "utf-8"]
    content: str
    truncated: bool
    download_url: Text | None
    sha256: Sha256
    storage_status: Annotated[StorageStatus, Field(json_schema_extra={"enum": ["ok", "degraded"]})]


class DiffSummaryView(Given):
    """The counts of a whole diff."""

    added_lines: Count
    removed_lines: Count
    changed_hunks: Count


class DiffLineView(Given):
    """A line of a hunk, and its number on each side that has it."""

    kind: Kind
    expected_line: Id | None
    actual_line: Id | None
    text: Annotated[str, Field(max_length=MAX_TEXT)]


class HunkView(Given):
    """Lines that changed, with those around them. A side that is empty starts at 0."""

    expected_start: Count
    actual_start: Count
    lines: list[DiffLineView]


class DiffView(OutputView):
    """A diff, line by line."""

    format: Literal["structured"] = "structured"
    status: DiffStatus
    summary: DiffSummaryView
    hunks: Annotated[list[HunkView], Field(max_length=MAX_HUNKS)]
    truncated: bool


class UnifiedDiffView(OutputView):
    """A diff as `git diff` writes it."""

    format: Literal["unified"] = "unified"
    status: DiffStatus
    content: Annotated[str, Field(max_length=MAX_UNIFIED)]
    truncated: bool


class ApprovalView(OutputView):
    """What is expected from now on was changed."""

    status: Literal["approved"] = "approved"
    requested_by: Text
    created_at: Instant


def file_view(file: OutputContent, shown_as: ContentFormat) -> OutputFileView:
    """A file as it is shown."""
    as_text = shown_as == "text"
    return OutputFileView(
        **file.place._asdict(),
        filename=file.filename,
        encoding="utf-8" if as_text else "base64",
        content=_decoded(file) if as_text else base64.b64encode(file.content).decode("ascii"),
        truncated=file.is_truncated,
        download_url=file.download_url,
        sha256=file.sha256,
        storage_status=file.storage_status,
    )


def _decoded(file: OutputContent) -> str:
    """The text; a character that the limit cut in two is left out."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(file.content, final=not file.is_truncated)


def diff_view(diff: Diff) -> DiffView:
    """A diff as it is shown line by line."""
    found = diff.comparison
    return DiffView(
        **diff.place._asdict(),
        status=diff.status,
        summary=DiffSummaryView(
            added_lines=found.added_lines,
            removed_lines=found.removed_lines,
            changed_hunks=found.changed_hunks,
        ),
        hunks=[_hunk_view(hunk) for hunk in found.hunks],
        truncated=found.hunks_truncated,
    )


def _hunk_view(hunk: Hunk) -> HunkView:
    return HunkView(
        expected_start=hunk.expected_start,
        actual_start=hunk.actual_start,
        lines=[DiffLineView(**line._asdict()) for line in hunk.lines],
    )


def unified_view(diff: Diff) -> UnifiedDiffView:
    """A diff as it is shown in one text."""
    found = diff.comparison
    return UnifiedDiffView(
        **diff.place._asdict(),
        status=diff.status,
        content=found.unified,
        truncated=found.unified_truncated,
    )


def approval_place(run_id: int, sample_id: int, body: ApprovalBody) -> OutputPlace:
    """The output that an approval is of."""
    return OutputPlace(run_id, sample_id, body.regression_id, body.output_id)


def approval_view(approval: Approval) -> ApprovalView:
    """An approval as it is shown."""
    return ApprovalView(
        **approval.place._asdict(), requested_by=approval.requested_by, created_at=approval.created_at
    )
