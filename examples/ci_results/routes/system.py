"""The system: its health, its queue, and the files of a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from examples.ci_results.routes.dependencies import Services
from examples.ci_results.routes.runs import RunId
from examples.ci_results.schemas.fields import pagination
from examples.ci_results.schemas.system import (
    ArtifactsQuery,
    ArtifactsView,
    HealthView,
    QueueQuery,
    QueueView,
    artifact_view,
    health_view,
    queued_view,
)
from examples.ci_results.services import grants
from examples.ci_results.services.health import HealthStatus


def get_health(request: Request, response: Response, service: Services) -> HealthView:
    """How the service is; of what it depends on only those learn who hold `system:read`."""
    health = service.health.check()
    if health.status is HealthStatus.DOWN:
        response.status_code = 503
    return health_view(health, in_detail=_sees_detail(request))


def list_queue(query: Annotated[QueueQuery, Query()], service: Services) -> QueueView:
    """What waits and what runs, by run id."""
    page = service.queue.find(
        platform=query.platform, status=query.status, limit=query.limit, offset=query.offset
    )
    return QueueView(
        queue_depth=page.waiting,
        running_count=page.running,
        data=[queued_view(row) for row in page.rows],
        pagination=pagination(query, page.total),
    )


def list_artifacts(
    run_id: RunId, query: Annotated[ArtifactsQuery, Query()], service: Services
) -> ArtifactsView:
    """The files of a run, and where each is now."""
    page, total = service.artifacts.find(run_id, kind=query.type, limit=query.limit, offset=query.offset)
    return ArtifactsView(data=[artifact_view(one) for one in page], pagination=pagination(query, total))


def _sees_detail(request: Request) -> bool:
    account = getattr(request.state, "account", None)
    if account is None:
        return False
    return grants.SYSTEM_READ in grants.effective(request.state.key.scopes, account.role)


HANDLERS = (get_health, list_queue, list_artifacts)
