"""A guarded application as a real server runs it: its keys come from the environment."""

from __future__ import annotations

import os

from fastapi import FastAPI

from keyrack import Verifier
from keyrack.guards.fastapi import OPEN, CurrentKey, guarded, needs, protect
from keyrack.testing import PEPPERS

app = FastAPI()


@app.get("/logs/{name}")
@needs("logs:read")
async def logs(name: str, key: CurrentKey) -> dict[str, str | None]:
    return {"name": name, "caller": key.key.name}


@app.get("/livez")
@guarded(OPEN)
async def livez() -> None:
    """Says that the process runs."""


if "FORGET_A_ROW" in os.environ:
    app.add_api_route("/also", lambda: None)

protect(app, Verifier.open("env:GUARD_KEYS", peppers=PEPPERS))
