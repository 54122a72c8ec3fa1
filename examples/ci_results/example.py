"""How `examples.run` starts this service, and what to try with it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from json import dumps
from pathlib import Path

from examples.ci_results.corpus import REPOSITORY
from examples.declaration import Example, key_text

DIRECTORY = Path(__file__).with_name("repositories.json")


def _command(port: int) -> list[str]:
    return ["examples.ci_results.demo", "--port", str(port)]


def _local(data: Path) -> Mapping[str, str]:
    return {
        "CI_DATABASE_URL": f"sqlite:///{data / 'results.db'}",
        "KEYRACK_STORE": f"sqlite:///{data / 'keys.db'}",
        "CI_STORAGE_URL": f"file:{data / 'files'}",
        "CI_MAIN_REPOSITORY": REPOSITORY,
        "CI_REPOSITORY_DIRECTORY": f"file:{DIRECTORY}",
    }


def _try_out(port: int) -> str:
    api = f"http://127.0.0.1:{port}/api/v1"
    json, token = "-H 'Content-Type: application/json'", '-H "Authorization: Bearer $TOKEN"'
    said = {"email": "admin@example.org", "password": "$CI_ADMIN_PASSWORD", "token_name": "me"}
    login = dumps(dumps(said))  # a JSON text in quotation marks, in which the shell puts the password
    return f"""
  # without a token: 401
  curl -i {api}/runs
  # a token; it is in this answer and nowhere else
  curl -s {api}/auth/tokens {json} -d {login}
  export TOKEN=spci_live_…
  # the runs, and what went wrong in the second
  curl -s {api}/runs {token}
  curl -s {api}/runs/2/errors {token}"""


EXAMPLE = Example(
    command=_command,
    try_out=_try_out,
    random={
        "KEYRACK_PEPPERS": lambda: f"p1:{key_text()}",
        "CI_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(24),
    },
    local=_local,
)
