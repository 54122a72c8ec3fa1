"""A new first master key takes over: every sealed secret is moved to it, beside the writers.

May be stopped and repeated: what is under the first key already is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import NamedTuple

from keyrack.core.authority import Authority
from keyrack.core.errors import ConfigurationError
from keyrack.core.events import Event, EventKind
from keyrack.core.master_keys import SETTING, MasterKeys
from keyrack.core.scopes import EVERYTHING
from keyrack.core.sealed import SealedSecret
from keyrack.key_changes import require_changeable
from keyrack.progress import Report, unreported
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.vault.secrets import Vault, stored

BATCH = 100


class Reencrypted(NamedTuple):
    """How many secrets were moved to the first master key, of how many that the store holds."""

    done: int
    total: int


def reencrypt(
    stores: Stores, master_keys: MasterKeys | None, *, by: Authority, report: Report = unreported
) -> Reencrypted:
    """Move all sealed secrets to the first master key, in batches of at most 100, an Event each.

    Raises ConfigurationError without master keys, Unavailable for a secret that does not open.
    """
    by.refuse_session()
    by.require(EVERYTHING)
    require_changeable(stores)
    if master_keys is None:
        raise ConfigurationError(SETTING, "is missing; the first key in it takes the secrets over.")
    held = [secret for secret in stored(stores) if secret.ciphertext is not None]
    waiting = iter([secret.id for secret in held if not _is_under_first(secret, master_keys)])
    done = 0
    while batch := list(islice(waiting, BATCH)):
        done += stores.ledger.commit(partial(_move, batch, stores, Vault(master_keys), by))
        report("sealing secrets", done, len(held))
    return Reencrypted(done, len(held))


def _move(ids: Sequence[str], stores: Stores, vault: Vault, by: Authority, draft: Draft) -> int:
    """Seal anew those of a batch that are still under another key; somebody may have come before."""
    now = datetime.fromtimestamp(int(stores.clock()), UTC)
    done = 0
    for secret_id in ids:
        secret = draft.secret(secret_id)
        if secret is None or secret.ciphertext is None or _is_under_first(secret, vault.master_keys):
            continue
        moved = vault.sealed(secret, vault.opened(secret))
        data = {"from": secret.ciphertext.master_key, "to": vault.master_keys.first.id}
        draft.write_secret(moved, Event(EventKind.SECRET_REENCRYPTED, now, by.name, data=data))
        done += 1
    return done


def _is_under_first(secret: SealedSecret, master_keys: MasterKeys) -> bool:
    first = master_keys.first
    return secret.ciphertext is not None and (
        (secret.ciphertext.master_key, secret.ciphertext.check) == (first.id, first.check)
    )
