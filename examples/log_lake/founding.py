"""The first key of a lake: made together with its key store, and shown once."""

from __future__ import annotations

from examples.log_lake.service import policy
from examples.log_lake.settings import MAX_STALE_SECONDS, Settings
from keyrack import Authority, ConfigurationError, KeyrackError, Listing, Verifier, Wish


def found(settings: Settings) -> str | None:
    """Make the key store and its root key, whose text is returned; None when there are keys already.

    Raises ConfigurationError.
    """
    try:
        with Verifier.open(
            settings.key_store,
            peppers=settings.peppers,
            policy=policy(),
            counters="memory:",
            create=True,
            max_stale=MAX_STALE_SECONDS,
        ) as verifier:
            return _root_key(verifier)
    except ConfigurationError:
        raise
    except KeyrackError as error:
        raise ConfigurationError("KEYRACK_STORE", error.detail) from error


def _root_key(verifier: Verifier) -> str | None:
    issuer, operator = verifier.issuer(), Authority.operator("init")
    known, _ = issuer.find(Listing(most=1), by=operator)
    return None if known else issuer.mint(Wish("root", scopes=("*:*",)), by=operator).secret
