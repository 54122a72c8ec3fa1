"""Which endpoint of an API a request comes to: the rows of a guard, made of the API's document.

A path that a more lenient reader would take for another endpoint, with another scope or cost, has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from keyrack.core.model import Access
from keyrack.core.upstream import Api, Endpoint
from keyrack.gateway.paths import Target
from keyrack.guards.rows import Row
from keyrack.guards.table import Table

_PARAMETERS = re.compile(r";[^/]*")
"""What some servers cut off from each segment before they match it (RFC 3986, 3.3)."""


class Endpoints:
    """The endpoints of one API. Raises ConfigurationError for such as contradict each other."""

    def __init__(self, endpoints: Iterable[Endpoint]):
        listed = tuple(endpoints)
        self._table = Table(_row(one) for one in listed)
        self._by_row = {(one.method, one.uri): one for one in listed}

    def find(self, method: str, path: str) -> Endpoint | None:
        """The endpoint of a decoded path, or None. One for GET serves HEAD too where HEAD has none."""
        place = self._table.find(method, path)
        if place is None or (";" in path and self._reads_otherwise(method, path, place.row)):
            return None
        return self._by_row[place.row.method, place.row.path]

    def methods(self, path: str) -> list[str]:
        """The methods that have an endpoint at this path."""
        return [method for method in self._table.methods(path) if self.find(method, path) is not None]

    def _reads_otherwise(self, method: str, path: str, row: Row) -> bool:
        """Whether a server that cuts parameters off takes this for something else."""
        place = self._table.find(method, _PARAMETERS.sub("", path))
        return place is None or place.row.needs != row.needs


class EndpointsByApi:
    """The endpoints of each API, made ready once for each revision."""

    def __init__(self) -> None:
        self._ready: dict[str, tuple[Api, Endpoints]] = {}

    def of(self, api: Api) -> Endpoints:
        """The endpoints of this API. Raises ConfigurationError."""
        known = self._ready.get(api.id)
        if known is None or known[0] is not api:
            known = self._ready[api.id] = (api, Endpoints(api.endpoints))
        return known[1]


def find_api(apis: Mapping[str, Api], tenant: str, target: Target) -> Api | None:
    """The API of a tenant that a request is for, or None."""
    api = apis.get(f"{tenant}/{target.api}/{target.version}")
    return None if api is None or api.deleted_at is not None else api


def _row(endpoint: Endpoint) -> Row:
    # The cost stands in it so that endpoints of one scope are told apart by what they cost.
    return Row(endpoint.method, endpoint.uri, Access((endpoint.scope,), cost=endpoint.cost))
