"""A master key made with `--dev`, and kept in a file beside the store: for one machine.

A store that holds secrets under another one refuses it at the start, so a lost file is never replaced
unnoticed.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import replace
from importlib.util import find_spec

from keyrack.core.master_keys import SETTING, SIZE, MasterKeys
from keyrack.secret_file import SecretFile
from keyrack.settings import Settings


def _fresh() -> str:
    return f"m1:{b64encode(secrets.token_bytes(SIZE)).decode()}"


_FILE = SecretFile(SETTING, ".master-keys", _fresh, MasterKeys.parse)
beside_store = _FILE.beside_store


def with_master_keys(settings: Settings) -> Settings:
    """The settings completed with master keys: as set, else from the file, which `--dev` makes.

    What is missing otherwise is left missing: a Keyrack that keeps nothing reversible needs none.
    """
    path = beside_store(settings.store)
    if settings.master_keys is not None or path is None:
        return settings
    # Without the library nothing could be sealed, and a key that is there makes it required.
    if settings.dev and not path.exists() and find_spec("cryptography") is not None:
        _FILE.make(path)
    return replace(settings, master_keys=_FILE.read(path)) if path.exists() else settings
