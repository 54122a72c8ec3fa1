"""The page about nginx shows the configuration as it is shipped; tests/docs run it as a reader would."""

from __future__ import annotations

import re
from pathlib import Path

from proxy import caller
from proxy.conftest import Site
from proxy.nginx import DEPLOY, FILES, nginx

PAGE = DEPLOY.parents[1] / "docs" / "deploy" / "nginx.md"


def test_the_page_shows_the_file_that_a_reader_changes_as_it_is_shipped() -> None:
    assert (DEPLOY / "keyrack.conf").read_text() in PAGE.read_text()


def test_the_map_of_methods_on_the_page_gives_each_method_its_scope(site: Site, tmp_path: Path) -> None:
    shown = re.search(r"^map \$request_method .*?^\}", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    changes = {
        "upstream keyrack {": f"{shown[0]}\nupstream keyrack {{",
        "set $keyrack_scope app:read;": "set $keyrack_scope $needed;",
    }
    with nginx(tmp_path, **site.house.around, changes=changes) as running:
        for method, status in (("GET", 200), ("HEAD", 200), ("POST", 403), ("DELETE", 403)):
            key = [("X-API-Key", site.keys.texts["good"])]
            assert caller.ask(running.port, method, "/logs", key).status == status


def test_every_shipped_file_is_named_on_the_page() -> None:
    assert sorted(path.name for path in DEPLOY.iterdir()) == sorted(FILES)
    assert all(name in PAGE.read_text() for name in FILES)
