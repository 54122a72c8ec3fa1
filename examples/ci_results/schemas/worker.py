"""What workers send and get (CI-84, CI-86)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from examples.ci_results.enumerations import InputType, OutputType, Platform, Stage
from examples.ci_results.models.results import ExpectedTest
from examples.ci_results.schemas.fields import MAX_ID, NO_ZERO, Given, Id, Instant, Taken
from examples.ci_results.services.leases import Lease

_SMALLEST, _LARGEST = -(2**31), 2**31 - 1
FILE_TYPES = ("upload", "logupload", "artifactupload")
ErrorType = Literal["vm_provisioning", "checkout", "merge", "build", "worker", "storage"]


def _int32(value: Any) -> Any:
    """A whole number as a form holds it."""
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdecimal()):
        raise ValueError("Give a whole number.")
    return value


class ClaimBody(Taken):
    """What a worker can run."""

    platform: Platform


class ClaimedOutput(Given):
    """An output that the run expects."""

    test_file_id: Id
    expected_hash: str
    extension: str
    ignored: bool


class ClaimedTest(Given):
    """A test to run."""

    test_id: Id
    command: str
    input_type: InputType
    output_type: OutputType
    expected_rc: int
    sample_sha: str
    sample_extension: str
    outputs: list[ClaimedOutput]


class ClaimedRun(Given):
    """A run, and the key to report on it: the only answer in which it is seen."""

    run_id: Id
    run_key: str
    expires_at: Instant
    repository: str
    commit_sha: str
    branch: str
    pr_number: Id | None
    tests: list[ClaimedTest]


class ProgressReport(Taken):
    """A stage of the run."""

    type: Literal["progress"]
    status: Stage
    message: Annotated[str, Field(max_length=500, pattern=NO_ZERO)]
    error_type: ErrorType | None = None


class EqualityReport(Taken):
    """An output is what was expected."""

    type: Literal["equality"]
    test_id: Id
    test_file_id: Id


class UploadReport(Taken):
    """An output that differs; its file comes beside."""

    type: Literal["upload"]
    test_id: Id
    test_file_id: Id


class LogReport(Taken):
    """The log of the run, or of a test; its file comes beside."""

    type: Literal["logupload"]
    test_id: Id | None = None


class ArtifactReport(Taken):
    """Another file of the run; it comes beside."""

    type: Literal["artifactupload"]
    artifact_type: Literal["binary", "coredump", "combined_stdout"]


class FinishReport(Taken):
    """The end of a test."""

    type: Literal["finish"]
    test_id: Id
    runTime: Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(_int32)]  # noqa: N815  # the protocol's name
    exitCode: Annotated[int, Field(ge=_SMALLEST, le=_LARGEST), BeforeValidator(_int32)]  # noqa: N815


Report = Annotated[
    ProgressReport | EqualityReport | UploadReport | LogReport | ArtifactReport | FinishReport,
    Field(discriminator="type"),
]
REPORT: TypeAdapter[Report] = TypeAdapter(Report)


class Accepted(Given):
    """The answer to a report."""

    result: Literal["OK"] = "OK"


def claimed_run(lease: Lease, tests: Sequence[ExpectedTest]) -> ClaimedRun:
    """A claimed run as the worker gets it."""
    run = lease.run
    return ClaimedRun(
        run_id=run.id,
        run_key=lease.text,
        expires_at=lease.ends_at,
        repository=run.repository,
        commit_sha=run.commit_sha,
        branch=run.branch,
        pr_number=run.pr_number,
        tests=[_claimed_test(test) for test in tests],
    )


def _claimed_test(test: ExpectedTest) -> ClaimedTest:
    return ClaimedTest(
        test_id=test.id,
        command=test.command,
        input_type=test.input_type,
        output_type=test.output_type,
        expected_rc=test.expected_rc,
        sample_sha=test.sample_sha,
        sample_extension=test.sample_extension,
        outputs=[
            ClaimedOutput(
                test_file_id=output.id,
                expected_hash=output.expected_hash,
                extension=output.extension,
                ignored=not output.required,
            )
            for output in test.outputs
        ],
    )
