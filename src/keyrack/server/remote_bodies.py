"""What a remote store asks a server, and what it is told: shapes for validation and for the document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, WithJsonSchema

from keyrack.core.credential import MAX_LENGTH
from keyrack.server.bodies import Body, Time
from keyrack.server.views import BlockView, KeyView
from keyrack.stores.journal import ADDRESSES_KEPT

NODE = "[0-9a-z]{8,32}"
MAX_WAIT_SECONDS = 30
MAX_PAGE = 1000
MAX_USES = 400
"""Of the longest, so many fit into a body."""
MAX_AGE_SECONDS = 86_400

Age = Annotated[float, Field(ge=0, le=MAX_AGE_SECONDS, strict=True)]


class FeedQuery(BaseModel):
    """Where a follower stands, and how long it will wait for more."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[
        int | None, Field(ge=0, le=10**18, description="The last number seen; left out, from the end on.")
    ] = None
    hash: Annotated[
        str | None, Field(pattern="^[0-9a-f]{16}$", description="`hash` of the answer before, to compare.")
    ] = None
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for news.")] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE
    node: Annotated[
        str | None,
        Field(
            pattern=f"^{NODE}$",
            description="Who follows: what it drew for itself. A revocation that waits then waits for it.",
        ),
    ] = None


class FeedItem(BaseModel):
    """One change: the key or the tenant that it is about. Naming neither, it is about all of them."""

    number: int
    key_id: str | None
    tenant: str | None


class FeedView(BaseModel):
    """What changed, as of how long ago."""

    data: list[FeedItem]
    number: Annotated[int, Field(description="How far this goes; hand it back as `after`.")]
    hash: Annotated[str, Field(description="… and this as `hash`.")]
    head: Annotated[int, Field(description="The last number that this server knows.")]
    reset: Annotated[bool, Field(description="Log or policy is not that of `hash`: forget all, and go on.")]
    foreign: Annotated[bool, Field(description="Whether there are keys of another form than Keyrack's.")]
    age_seconds: Annotated[float, Field(description="Since the server's own copy was confirmed.")]
    waited_seconds: Annotated[float, Field(description="How long this answer waited for news.")]
    now: Annotated[Time, Field(description="The server's time.")]
    max_stale_seconds: Annotated[float, Field(description="Beyond which nobody may decide.")]


class ProveBody(Body):
    """A key's text, and the address of whoever presented it."""

    key: Annotated[StrictStr, Field(description=f"The key's text; over {MAX_LENGTH} bytes it is malformed.")]
    ip: StrictStr | None = None


class TenantState(BaseModel):
    """Of a tenant, what decisions look at."""

    id: str
    suspended: list[str]
    blocks: list[BlockView]
    starts_at: Time | None
    ends_at: Time | None
    deleted_at: Time | None


class RecordView(BaseModel):
    """A key that was proved, with all that further accesses are decided by."""

    key: KeyView
    version: Annotated[int, Field(description="Which of its secrets the text is.")]
    scopes: Annotated[list[str], Field(description="What it may do: its own, within its role.")]
    prefixes: Annotated[list[str], Field(description="Those that the server's policy accepts.")]
    limited: Annotated[bool, Field(description="Something is counted: ask `/v1/verify` for each access.")]
    tenant: TenantState | None


class ProofView(BaseModel):
    """The record of the key that a text is; or the answer to one that is none."""

    event: Annotated[int, Field(description="The number that this is as of; see `/v1/feed`.")]
    record: RecordView | None
    refused: Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/components/schemas/Answer"})] | None


class SeenBody(Body):
    """Where a secret was used from, an address or a network such as the /64 of one, and how long ago last."""

    address: Annotated[StrictStr, Field(max_length=64, examples=["192.0.2.7"])]
    last_seconds_ago: Age


Seen = Annotated[list[SeenBody], Field(max_length=ADDRESSES_KEPT)]


class UseBody(Body):
    """How often one secret of a key passed, and how long ago first and last."""

    key_id: Annotated[StrictStr, Field(pattern="^[0-9A-Za-z]{12}$")]
    version: Annotated[StrictInt, Field(ge=1, le=10**9)]
    uses: Annotated[StrictInt, Field(ge=1, le=10**9)]
    first_seconds_ago: Age
    last_seconds_ago: Age
    addresses: Seen = Field(default_factory=list)


class ReportBody(Body):
    """Which report this is, so that it counts once though its answer was lost."""

    node: Annotated[StrictStr, Field(pattern=f"^{NODE}$", description="What the reporter drew for itself.")]
    number: Annotated[
        StrictInt, Field(ge=1, le=10**18, description="Higher than that of the node's report before.")
    ]


class UsageBody(Body):
    """What passed elsewhere since the last report."""

    report: ReportBody | None = None
    uses: Annotated[list[UseBody], Field(min_length=1, max_length=MAX_USES)]


class UsageView(BaseModel):
    """How many are about keys in the caller's reach; others are left out, as is all that was taken before."""

    noted: int
