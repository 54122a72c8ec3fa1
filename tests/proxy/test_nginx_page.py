"""The page about nginx shows the configuration as it is shipped; tests/docs run it as a reader would."""

from __future__ import annotations

from proxy.nginx import DEPLOY, FILES

PAGE = DEPLOY.parents[1] / "docs" / "deploy" / "nginx.md"


def test_the_page_shows_the_file_that_a_reader_changes_as_it_is_shipped() -> None:
    assert (DEPLOY / "keyrack.conf").read_text() in PAGE.read_text()


def test_every_shipped_file_is_named_on_the_page() -> None:
    assert sorted(path.name for path in DEPLOY.iterdir()) == sorted(FILES)
    assert all(name in PAGE.read_text() for name in FILES)
