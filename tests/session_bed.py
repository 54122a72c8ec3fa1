"""Master keys for tests, strong in form and known to everybody."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from keyrack.core.master_keys import MasterKeys


def master_key(key_id: str, seed: str = "") -> str:
    """A master key of that id as the setting holds it; another seed gives another key."""
    return f"{key_id}:{b64encode(sha256(f'{key_id} {seed}'.encode()).digest()).decode()}"


M1, M2 = master_key("m1"), master_key("m2")
ONE = MasterKeys.parse(M1)
BOTH = MasterKeys.parse(f"{M2},{M1}")
"""The second key in front of the first, as they stand while it takes over."""
