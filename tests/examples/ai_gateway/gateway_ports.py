"""Two ports in a row, which is what the example takes: Keyrack's and the provider's."""

from __future__ import annotations

from servers.ports import free_port


def two_ports() -> int:
    """The first of two that nobody uses."""
    first, second = free_port(), free_port()
    while second != first + 1:
        first, second = second, free_port()
    return first
