"""The closed lists of the service (CI-5, CI-79, CI-80); tables, schemas and status rules share them."""

from __future__ import annotations

from enum import StrEnum


class Platform(StrEnum):
    """Where a run is executed."""

    LINUX = "linux"
    WINDOWS = "windows"


class TestType(StrEnum):
    """What a run is of."""

    __test__ = False  # its name tells pytest otherwise

    COMMIT = "commit"
    PR = "pr"


class Stage(StrEnum):
    """What a worker says of its progress."""

    PREPARATION = "preparation"
    TESTING = "testing"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Origin(StrEnum):
    """Who wrote a progress event."""

    USER = "user"
    WORKER = "worker"
    SERVICE = "service"


class InputType(StrEnum):
    """How a test gets its input."""

    FILE = "file"
    STDIN = "stdin"
    UDP = "udp"


class OutputType(StrEnum):
    """How a test gives its output."""

    FILE = "file"
    NULL = "null"
    TCP = "tcp"
    CEA708 = "cea708"
    MULTIPROGRAM = "multiprogram"
    STDOUT = "stdout"
    REPORT = "report"


class Role(StrEnum):
    """What a person is here."""

    ADMIN = "admin"
    CONTRIBUTOR = "contributor"
    TESTER = "tester"
    USER = "user"


STAFF = (Role.ADMIN, Role.CONTRIBUTOR, Role.TESTER)


class RunStatus(StrEnum):
    """The status of a run; the rules stand in services/statuses.py."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELED = "canceled"
    ERROR = "error"
    PASS = "pass"
    FAIL = "fail"
    INCOMPLETE = "incomplete"


TERMINAL = frozenset({RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED, RunStatus.ERROR})


class SampleStatus(StrEnum):
    """The status of one test of a run."""

    NOT_STARTED = "not_started"
    MISSING_OUTPUT = "missing_output"
    FAIL = "fail"
    PASS = "pass"


class Verdict(StrEnum):
    """How an output compares with what was expected when it was reported."""

    MATCH = "match"
    VARIANT = "variant"
    DIFFERENT = "different"


class Severity(StrEnum):
    """How bad an error is. Only what the service ever says is listed (CI-12)."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class ErrorType(StrEnum):
    """What is wrong with a test of a run (CI-67)."""

    EXIT_CODE = "exit_code_mismatch"
    MISSING = "missing_output"
    DIFFERENT = "diff_mismatch"


class InfrastructureType(StrEnum):
    """What of the machinery failed (CI-68)."""

    VM_PROVISIONING = "vm_provisioning"
    CHECKOUT = "checkout"
    MERGE = "merge"
    BUILD = "build"
    WORKER = "worker"
    STORAGE = "storage"


class ErrorGroup(StrEnum):
    """By what errors are counted."""

    TYPE = "type"
    SEVERITY = "severity"
    SAMPLE_ID = "sample_id"
    REGRESSION_ID = "regression_id"
