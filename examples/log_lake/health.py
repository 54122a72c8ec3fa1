"""How the parts of the service are. The whole is well when all of them are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from examples.log_lake.problems import written
from examples.log_lake.service import Service, probe_path
from keyrack import Unavailable


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with each part; None where nothing is."""

    checked_at: str
    parts: dict[str, str | None]

    @property
    def ok(self) -> bool:
        """Whether every part is well."""
        return not any(self.parts.values())

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        checks = [
            {"name": name, "status": "down" if detail else "ok", "detail": detail}
            for name, detail in self.parts.items()
        ]
        return {"status": "ok" if self.ok else "down", "checkedAt": self.checked_at, "checks": checks}


def check(service: Service) -> Health:
    """Ask each part now. That limits are counted shows in this request, which the guard has counted."""
    return Health(
        written(service.clock()),
        {"keys": service.verifier.trouble, "tenants": _tenants(service), "storage": _storage(service)},
    )


def _tenants(service: Service) -> str | None:
    missing = service.verifier.missing_tenants
    return f"Keys name tenants without a record: {', '.join(missing)}." if missing else None


def _storage(service: Service) -> str | None:
    try:
        found = service.storage.get(probe_path())
    except Unavailable as error:
        return error.detail
    return None if found is not None else "The object that every start writes is gone."
