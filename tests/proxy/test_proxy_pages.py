"""The pages about proxies show the configurations as they are shipped; tests/docs run them."""

from __future__ import annotations

import re

import pytest

from keyrack.server.run import KEEP_ALIVE_SECONDS
from proxy.fronts import DEPLOY

PAGES = DEPLOY.parent / "docs" / "deploy"
CHANGED = {"caddy": ["Caddyfile"], "traefik": ["traefik.yml", "keyrack.yml"], "envoy": ["envoy.yaml"]}
"""The files that a reader changes."""
KEPT = {
    "nginx/keyrack.conf": r"keepalive_timeout (\d+)s;",
    "caddy/keyrack.caddy": r"keepalive (\d+)s",
    "envoy/envoy.yaml": r"idle_timeout: (\d+)s",
}
"""For how long each keeps a connection to Keyrack on which it asks nothing."""


@pytest.mark.parametrize("name", CHANGED)
def test_the_page_shows_the_files_that_a_reader_changes_as_they_are_shipped(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    for file in CHANGED[name]:
        assert (DEPLOY / name / file).read_text() in page


@pytest.mark.parametrize("name", CHANGED)
def test_every_shipped_file_is_named_on_its_page(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    assert all(path.name in page for path in (DEPLOY / name).iterdir())


@pytest.mark.parametrize("name", KEPT)
def test_a_proxy_lets_go_of_a_connection_before_keyrack_does(name: str) -> None:
    [seconds] = re.findall(KEPT[name], (DEPLOY / name).read_text())
    assert int(seconds) < KEEP_ALIVE_SECONDS
