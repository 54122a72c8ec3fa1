"""The pages about proxies show the configurations as they are shipped; tests/docs run them."""

from __future__ import annotations

import pytest

from proxy.fronts import DEPLOY

PAGES = DEPLOY.parent / "docs" / "deploy"
CHANGED = {"caddy": ["Caddyfile"], "traefik": ["traefik.yml", "keyrack.yml"], "envoy": ["envoy.yaml"]}
"""The files that a reader changes."""


@pytest.mark.parametrize("name", CHANGED)
def test_the_page_shows_the_files_that_a_reader_changes_as_they_are_shipped(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    for file in CHANGED[name]:
        assert (DEPLOY / name / file).read_text() in page


@pytest.mark.parametrize("name", CHANGED)
def test_every_shipped_file_is_named_on_its_page(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    assert all(path.name in page for path in (DEPLOY / name).iterdir())
