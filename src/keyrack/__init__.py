"""Keyrack: issue, verify, scope, limit, rotate and revoke API keys.

`Verifier` decides on credentials, `Issuer` makes and changes keys; guards, a server and a command line
stand on them. Importing this loads no framework and no driver.
"""

from keyrack.client import Client
from keyrack.core.authority import Authority
from keyrack.core.errors import ConfigurationError, KeyrackError, Unavailable
from keyrack.core.model import Access, Allowed, Decision, Denied, Key, Limit, Reason, Tenant
from keyrack.core.policy import Policy
from keyrack.core.strength import weakness
from keyrack.core.strict_json import read as read_json
from keyrack.issuer import Issuer
from keyrack.key_changes import Minted
from keyrack.presenting import key_json
from keyrack.stores.protocols import Listing
from keyrack.stores.static import StaticKeys
from keyrack.stores.urls import open_stores
from keyrack.verifier import Verifier
from keyrack.wishes import Wish

__all__ = [
    "Access",
    "Allowed",
    "Authority",
    "Client",
    "ConfigurationError",
    "Decision",
    "Denied",
    "Issuer",
    "Key",
    "KeyrackError",
    "Limit",
    "Listing",
    "Minted",
    "Policy",
    "Reason",
    "StaticKeys",
    "Tenant",
    "Unavailable",
    "Verifier",
    "Wish",
    "key_json",
    "open_stores",
    "read_json",
    "weakness",
]
