"""What carries and decides requests to upstreams in one process, made together."""

from __future__ import annotations

from typing import NamedTuple, Self

from keyrack.gateway.admission import Admissions
from keyrack.gateway.charging import Charges
from keyrack.gateway.injection import Injector
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.vault.secrets import Vault
from keyrack.verifier import Verifier


class DataPlane(NamedTuple):
    """The parts that the gateway and forward-auth share."""

    verifier: Verifier
    admissions: Admissions
    injector: Injector
    charges: Charges
    monitoring: Monitoring

    @classmethod
    def of(cls, verifier: Verifier, vault: Vault, monitoring: Monitoring, *, realm: str) -> Self:
        """Those on what this Verifier follows."""
        charges = Charges(verifier.stores)
        admissions = Admissions(verifier, charges, monitoring.signals, realm=realm)
        return cls(verifier, admissions, Injector(verifier, vault), charges, monitoring)
