"""How Redis or Valkey is connected to: nothing waits for it for long, and nothing is sent twice."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from keyrack.core.errors import ConfigurationError

WAIT_SECONDS = 0.25
"""How long a call waits for a connection, and for an answer."""


def connect(url: str, setting: str) -> Redis:
    """A client of the server that a `redis://` or `rediss://` url names; it connects when it is asked.

    Raises ConfigurationError, naming the setting, for what is no such url.
    """
    try:
        return Redis.from_url(
            url,
            protocol=2,  # saves a turn on the network when a connection is made
            socket_connect_timeout=WAIT_SECONDS,
            socket_timeout=WAIT_SECONDS,
            # A second try might count twice, and waits twice.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise ConfigurationError(setting, "is no url of a Redis server.") from None
