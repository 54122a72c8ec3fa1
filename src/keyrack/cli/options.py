"""Options and arguments that several commands share, so that each means one thing everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Store = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where keys live. Default: KEYRACK_STORE, else sqlite:///keyrack.db."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Dev = Annotated[
    bool, typer.Option("--dev", help="For development: make missing peppers with a new store; loopback only.")
]
IfMatch = Annotated[
    int | None, typer.Option(min=1, metavar="REVISION", help="Change it only while it is at this revision.")
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the log.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return once no node can decide without the change.")]
Limit = Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How many to show.")]
Cursor = Annotated[
    int | None, typer.Option(min=0, metavar="CURSOR", help="Go on from the next_cursor of the page before.")
]
OfTenant = Annotated[str | None, typer.Option(metavar="ID", help="Only those of this tenant.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The id of a key, 12 characters.")]
TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The id of a tenant.")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=N/SECONDS", help="A rate limit, such as minute=60/60; repeatable."),
]
Metadata = Annotated[str | None, typer.Option(metavar="JSON", help="A JSON object of your own.")]
Clear = Annotated[
    list[str] | None, typer.Option(metavar="FIELD", help="Take a field's value away; repeatable.")
]
