"""How long work says how far it has come; who shows it decides how."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, int, int | None], None]
"""Called with what is being done, how many of it are done, and of how many, where that is known."""


def unreported(doing: str, done: int, total: int | None) -> None:
    """For work that nobody watches."""
