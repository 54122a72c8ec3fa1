"""What the processes of a gateway share beside keys and balances: counts, breakers and the outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from keyrack.stores.breakers import Breakers, MemoryBreakers
from keyrack.stores.charging import Reach
from keyrack.stores.outbox import MemoryOutbox, Outbox
from keyrack.stores.sends import MemorySends, Sends


def _nothing_is_held() -> None:
    pass


@dataclass(frozen=True, slots=True)
class GatewayState:
    """The three seams, opened together and closed together. By default in the process, gone with it."""

    sends: Sends = field(default_factory=MemorySends)
    breakers: Breakers = field(default_factory=MemoryBreakers)
    outbox: Outbox = field(default_factory=MemoryOutbox)
    blocks: bool = False
    """Whether a call may wait for a network; an event loop must not make it then."""
    reach: Reach = "process"
    """Who shares it."""
    close: Callable[[], None] = _nothing_is_held
    """Let go of every resource."""
