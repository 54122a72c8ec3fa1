"""The one table of what this service offers: guard, limits, OpenAPI document and tests are built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from examples.ci_results.enumerations import STAFF, Role
from examples.ci_results.services import grants
from keyrack import Limit
from keyrack.guards import LATER, OPEN, Row

API = "/api/v1"
HEALTH = "get_health"


class Bucket(Enum):
    """The classes of requests that are limited apart (CI-92); a request counts in one of them."""

    LOGIN = Limit("login", 5, 15 * 60)
    WRITE = Limit("write", 20, 60)
    READ = Limit("read", 120, 60)
    PUBLIC = Limit("public", 120, 60)
    WORKER = Limit("worker", 1200, 60)


Limits = Mapping[Bucket, Limit]
LIMITS: Limits = {bucket: bucket.value for bucket in Bucket}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. Its name is that of the function in `routes/` that does it."""

    name: str
    method: str
    path: str
    success: int
    scope: str | None = None
    """What a token must hold; None where any live token does, or none is needed (`is_public`)."""
    roles: tuple[Role, ...] = ()
    """Who may use it; empty for everybody."""
    is_public: bool = False
    in_contract: bool = True
    """Whether it is one of the 29 operations of the OpenAPI document."""
    refuses: tuple[int, ...] = ()
    """Its other statuses, beside those that all operations share."""

    @property
    def bucket(self) -> Bucket:
        """The class that it counts in, once a token was proved."""
        if self.scope in (grants.CLAIM, grants.REPORT):
            return Bucket.WORKER
        if self.is_public:
            return Bucket.LOGIN if self.name == "login" else Bucket.PUBLIC
        return Bucket.READ if self.method == "GET" else Bucket.WRITE

    @property
    def row(self) -> Row:
        """Its row of the guard, which proves the token; what it may do is asked once its user is known."""
        return Row(self.method, self.path, OPEN if self.is_public else LATER)

    @property
    def named_row(self) -> Row:
        """The same where a token came with a request that needs none: then it has to be a good one."""
        return Row(self.method, self.path, LATER if self.name == HEALTH else self.row.access)


_AUTH, _RUNS = f"{API}/auth/tokens", f"{API}/runs"
_RUN = f"{_RUNS}/{{run_id}}"
_TEST = f"{_RUN}/samples/{{sample_id}}"
_OUTPUT = f"{_TEST}/regression-tests/{{regression_id}}/outputs/{{output_id}}"
_BODY = (413, 415)
_BASELINE = (Role.ADMIN, Role.CONTRIBUTOR)


def _reads(name: str, path: str, scope: str, *refuses: int) -> Operation:
    return Operation(name, "GET", path, 200, scope, refuses=refuses)


def _operations() -> Iterator[Operation]:
    yield Operation("login", "POST", _AUTH, 201, is_public=True, refuses=(403, *_BODY))
    yield Operation("list_tokens", "GET", _AUTH, 200, grants.TOKENS_MANAGE, STAFF)
    yield Operation("revoke_current_token", "DELETE", f"{_AUTH}/current", 204)
    yield Operation("revoke_token", "DELETE", f"{_AUTH}/{{token_id}}", 204, refuses=(403, 404))
    yield _reads("list_runs", _RUNS, grants.RUNS_READ, 422)
    yield Operation("create_run", "POST", _RUNS, 202, grants.RUNS_WRITE, refuses=(*_BODY, 422))
    yield _reads("get_run", _RUN, grants.RUNS_READ, 404)
    yield _reads("get_run_summary", f"{_RUN}/summary", grants.RUNS_READ, 404)
    yield _reads("list_run_progress", f"{_RUN}/progress", grants.RUNS_READ, 404)
    yield _reads("get_run_config", f"{_RUN}/config", grants.RUNS_READ, 404)
    yield Operation(
        "cancel_run", "POST", f"{_RUN}/cancel", 202, grants.RUNS_WRITE, STAFF, refuses=(404, *_BODY)
    )
    yield _reads("list_run_samples", f"{_RUN}/samples", grants.RUNS_READ, 404)
    yield _reads("get_run_sample", f"{_RUN}/samples/{{regression_test_id}}", grants.RUNS_READ, 404)
    yield _reads("list_samples", f"{API}/samples", grants.RUNS_READ)
    yield _reads("get_sample", f"{API}/samples/{{sample_id}}", grants.RUNS_READ, 404)
    yield _reads("list_sample_history", f"{API}/samples/{{sample_id}}/history", grants.RUNS_READ, 404, 422)
    yield _reads("list_regression_tests", f"{API}/regression-tests", grants.RUNS_READ)
    yield _reads("get_expected_output", f"{_OUTPUT}/expected", grants.RESULTS_READ, 404)
    yield _reads("get_actual_output", f"{_OUTPUT}/actual", grants.RESULTS_READ, 303, 404)
    yield _reads("get_diff", f"{_OUTPUT}/diff", grants.RESULTS_READ, 404, 422)
    yield Operation(
        "approve_baseline",
        "POST",
        f"{_TEST}/baseline-approval",
        200,
        grants.BASELINES_WRITE,
        _BASELINE,
        refuses=(404, *_BODY, 422),
    )
    yield _reads("list_errors", f"{_RUN}/errors", grants.RESULTS_READ, 404)
    yield _reads("list_infrastructure_errors", f"{_RUN}/infrastructure-errors", grants.SYSTEM_READ, 404)
    yield _reads("list_error_summary", f"{_RUN}/error-summary", grants.RESULTS_READ, 404)
    yield _reads("read_run_log", f"{_RUN}/logs", grants.SYSTEM_READ, 404)
    yield _reads("read_sample_log", f"{_TEST}/logs", grants.SYSTEM_READ, 404)
    yield Operation(HEALTH, "GET", f"{API}/system/health", 200, is_public=True)
    yield _reads("list_queue", f"{API}/system/queue", grants.SYSTEM_READ)
    yield _reads("list_artifacts", f"{_RUN}/artifacts", grants.RESULTS_READ, 404)


CONTRACT = tuple(_operations())
"""The 29 operations of sections 4 to 9."""

OTHERS = (
    Operation(
        "download",
        "GET",
        f"{API}/downloads/{{artifact_id}}",
        200,
        grants.RESULTS_READ,
        in_contract=False,
        refuses=(303, 404),
    ),
    Operation(
        "claim_run", "POST", "/worker/claim", 200, grants.CLAIM, in_contract=False, refuses=(204, *_BODY)
    ),
    Operation(
        "report",
        "POST",
        "/progress-reporter/{run_id}",
        200,
        grants.REPORT,
        in_contract=False,
        refuses=(404, 409, 413, 422),
    ),
    Operation("livez", "GET", "/livez", 200, is_public=True, in_contract=False),
)

OPERATIONS = (*CONTRACT, *OTHERS)
BY_NAME = {operation.name: operation for operation in OPERATIONS}
