"""Rows written where the handlers are: what a function needs is kept on it until the routes are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from keyrack.core.model import Access
from keyrack.guards.rows import Special

_MARK = "keyrack_needs"
Handler = TypeVar("Handler", bound=Callable[..., Any])


def needs(*scopes: str, service: str | None = None, cost: int = 1) -> Callable[[Handler], Handler]:
    """Mark a handler: its routes need a key that holds all of these scopes."""
    return guarded(Access(scopes=scopes, service=service, cost=cost))


def guarded(access: Access | Special) -> Callable[[Handler], Handler]:
    """Mark a handler with any Access, or with OPEN or LATER. It stands on either side of the route."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _MARK, access)
        return handler

    return mark


def needed_by(handler: object) -> Access | Special | None:
    """What a handler was marked with, or None."""
    marked = getattr(handler, _MARK, None)
    return marked if isinstance(marked, Access | Special) else None
