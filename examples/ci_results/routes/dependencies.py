"""What handlers are handed: the service, and who calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from examples.ci_results.models.accounts import Account
from examples.ci_results.service import Service
from keyrack.guards.key_state import KeyState


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _account(request: Request) -> Account:
    account: Account = request.state.account
    return account


def _key(request: Request) -> KeyState:
    key: KeyState = request.state.key
    return key


Services = Annotated[Service, Depends(_service)]
Caller = Annotated[Account, Depends(_account)]
CallerKey = Annotated[KeyState, Depends(_key)]
