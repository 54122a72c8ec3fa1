"""How `examples.run` starts this service, and what to try with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from examples.ai_gateway.house import SECRETS
from examples.declaration import Example


def _command(port: int) -> list[str]:
    return ["examples.ai_gateway", "serve", "--port", str(port)]


def _local(data: Path) -> Mapping[str, str]:
    return {"KEYRACK_STORE": f"sqlite:///{data / 'keyrack.db'}", "AI_GATEWAY_LOG": str(data / "log")}


def _try_out(port: int) -> str:
    chat = f"http://127.0.0.1:{port}/api/rest/chat/v1/chat/completions"
    question = '{"model": "echo-1", "messages": [{"role": "user", "content": "hello"}]'
    return f"""
  # the key of a caller, which a new store shows below, once
  export KEY=kr_live_…
  # without a key: 401, before anything is sent to the provider
  curl -i {chat} -H 'Content-Type: application/json' -d '{question}}}'
  # an answer of the provider, whose own key stays here
  curl -i {chat} -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{question}}}'
  # the same as a stream
  curl -N {chat} -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
    -d '{question}, "stream": true}}'"""


EXAMPLE = Example(command=_command, try_out=_try_out, random=SECRETS, local=_local)
