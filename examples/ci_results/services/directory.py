"""The directory of repositories: whether one exists, and whether a commit of it was built (CI-36).

Fails closed: a directory that cannot be asked is our own trouble. What a client sends is looked up in the
one place that was configured, and never decides which address is called (CI-37).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import httpx

from examples.ci_results.enumerations import Platform
from examples.ci_results.problems import Unavailable

LIMIT_SECONDS = 5.0


class Known(NamedTuple):
    """What the directory says of a commit of a repository on a platform."""

    exists: bool
    is_built: bool


class Directory(Protocol):
    """Somewhere to ask."""

    def look_up(self, repository: str, commit_sha: str, platform: Platform) -> Known:
        """What is known. Raises Unavailable when it cannot be asked."""


class FileDirectory:
    """A JSON file `{repositories: [{name, owner, builds: [{commit_sha, platform}]}]}`, read each time."""

    def __init__(self, path: Path):
        self._path = path

    def look_up(self, repository: str, commit_sha: str, platform: Platform) -> Known:
        with _trusted():
            listed = json.loads(self._path.read_bytes())["repositories"]
            entries = [one for one in listed if _full_name(one) == repository.lower()]
            builds = [build for one in entries for build in one.get("builds", ())]
            is_built = any(
                (build["commit_sha"].lower(), build["platform"]) == (commit_sha, platform.value)
                for build in builds
            )
        return Known(bool(entries), is_built)


class ForgeDirectory:
    """A forge's REST API: a commit counts as built on a platform when a check run named for it succeeded."""

    def __init__(self, url: str):
        self._client = httpx.Client(base_url=url, timeout=LIMIT_SECONDS, follow_redirects=False)

    def look_up(self, repository: str, commit_sha: str, platform: Platform) -> Known:
        name = quote(repository)
        if self._ask(f"/repos/{name}") is None:
            return Known(exists=False, is_built=False)
        checks = self._ask(f"/repos/{name}/commits/{commit_sha}/check-runs") or {}
        with _trusted():
            is_built = any(_is_build(check, platform) for check in checks.get("check_runs", ()))
        return Known(exists=True, is_built=is_built)

    def _ask(self, path: str) -> dict[str, Any] | None:
        """The answer; None where the forge says that there is nothing."""
        try:
            answer = self._client.get(path)
        except httpx.HTTPError:
            raise Unavailable("The directory of repositories does not answer.") from None
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise Unavailable("The directory of repositories cannot be asked.")
        with _trusted():
            return {**answer.json()}


@contextmanager
def _trusted() -> Iterator[None]:
    """Reads what a directory says as what it should be; whatever else it is, is our own trouble."""
    try:
        yield
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        raise Unavailable("The directory of repositories cannot be read.") from None


def _is_build(check: dict[str, Any], platform: Platform) -> bool:
    return platform.value in str(check.get("name", "")).lower() and check.get("conclusion") == "success"


def open_directory(url: str) -> Directory:
    """The directory that CI_REPOSITORY_DIRECTORY names."""
    scheme, _, path = url.partition(":")
    return FileDirectory(Path(path)) if scheme == "file" else ForgeDirectory(url)


def _full_name(entry: dict[str, Any]) -> str:
    return f"{entry.get('owner', '')}/{entry.get('name', '')}".lower()
