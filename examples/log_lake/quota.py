"""Quotas: a node claims a block of a tenant's quota on the storage, and spends it by itself.

Claims are numbered objects written with put-if-absent, each saying how much was claimed before it; so
all nodes together never claim more than the limit. A node that crashes loses what it had not spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from examples.log_lake.claims import Claims
from examples.log_lake.clock import Clock
from examples.log_lake.periods import Period, period_of
from examples.log_lake.problems import QuotaExhausted
from examples.log_lake.storage import Storage
from keyrack import Tenant, Unavailable

SIZE = "sizeBytes"
BLOCKS = 1000
"""Into how many blocks a limit is divided, unless they would be too small."""
LEAST_BLOCK: Mapping[str, int] = {SIZE: 64 * 1024, "eventCount": 1}


class Quotas:
    """Spends the quota of each tenant, on this node."""

    def __init__(self, storage: Storage, tenant_of: Callable[[str], Tenant | None], clock: Clock):
        self._storage = storage
        self._tenant_of = tenant_of
        self._clock = clock
        self._pools: dict[str, Pool] = {}

    @asynccontextmanager
    async def spend(self, tenant_id: str, *, events: int, size: int) -> AsyncIterator[None]:
        """Charge a request that stores so many events and bytes; one that fails gets them back.

        Raises QuotaExhausted, and Unavailable where it cannot be known. A request that was cancelled
        keeps its units, since what it stores may yet be stored.
        """
        quota = self._quota_of(tenant_id)
        if quota is None:
            yield
            return
        units = size if quota["type"] == SIZE else events
        pool = self._pool(tenant_id, quota)
        await pool.take(units, quota)
        try:
            yield
        except Exception:
            pool.give_back(units)
            raise

    def _quota_of(self, tenant_id: str) -> Mapping[str, Any] | None:
        tenant = self._tenant_of(tenant_id)
        if tenant is None:
            raise Unavailable("The tenant has no record here.")
        return tenant.quota

    def _pool(self, tenant_id: str, quota: Mapping[str, Any]) -> Pool:
        """What this node holds of the quota of this period; that of an earlier one is let go."""
        period = period_of(quota["period"], self._clock())
        prefix = f"{tenant_id}/.quota/{quota['type']}/{period.name}/"
        pool = self._pools.get(tenant_id)
        if pool is None or pool.prefix != prefix:
            pool = self._pools[tenant_id] = Pool(Claims(self._storage, prefix), prefix, period)
        return pool


class Pool:
    """What this node has claimed of one quota in one period, and not spent yet."""

    def __init__(self, claims: Claims, prefix: str, period: Period):
        self.prefix = prefix
        self._claims = claims
        self._period = period
        self._left = 0
        self._claiming = asyncio.Lock()

    async def take(self, units: int, quota: Mapping[str, Any]) -> None:
        """Spend units, claiming more where there are too few. Raises QuotaExhausted, and spends nothing."""
        async with self._claiming:
            if self._left < units:
                await self._claim(units - self._left, quota)
            self._left -= units

    def give_back(self, units: int) -> None:
        """Undo a take."""
        self._left += units

    async def _claim(self, missing: int, quota: Mapping[str, Any]) -> None:
        limit = quota["limit"]
        block = max(limit // BLOCKS, LEAST_BLOCK[quota["type"]])
        claimed = await asyncio.to_thread(self._claims.claim, missing, block=block, limit=limit)
        if claimed is None:
            raise QuotaExhausted(
                type=quota["type"],
                limit=limit,
                used=self._claims.total - self._left,
                reset_at=self._period.ends_at,
            )
        self._left += claimed
