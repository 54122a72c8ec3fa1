"""Many requests at once, and a key that is rotated under them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from patience import eventually

from keyrack import Issuer
from proxy.caller import Caller
from proxy.conftest import Site
from proxy.keys import BY

CONNECTIONS = 20
REQUESTS = 10


def test_of_two_hundred_requests_over_twenty_connections_none_fails(site: Site) -> None:
    headers = [("X-API-Key", site.keys.texts["good"])]

    def ask_all(_: int) -> list[int]:
        with Caller(site.nginx.port) as connection:
            return [connection.ask("GET", "/logs", headers).status for _ in range(REQUESTS)]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        statuses = [status for part in pool.map(ask_all, range(CONNECTIONS)) for status in part]
    assert statuses == [200] * (CONNECTIONS * REQUESTS)
    assert len(site.app.seen) == CONNECTIONS * REQUESTS


def test_a_rotation_under_load_fails_no_request(own_site: Site) -> None:
    stores = own_site.keys.opened()
    old = own_site.keys.texts["good"]

    def ask(text: str) -> int:
        return own_site.ask(headers=[("X-API-Key", text)]).status

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        running = [pool.submit(ask, old) for _ in range(100)]
        new = Issuer(stores).rotate(own_site.keys.ids["good"], by=BY, grace=timedelta(hours=1)).secret
        assert new is not None
        eventually(lambda: ask(new) == 200)
        running += [pool.submit(ask, text) for text in (old, new) * 50]
        assert {one.result() for one in running} == {200}
    stores.close()
