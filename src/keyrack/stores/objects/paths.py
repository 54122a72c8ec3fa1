"""Where everything lies in the store: the one function that makes paths, and its inverse for numbers."""

from __future__ import annotations

import re
from enum import StrEnum

from keyrack.core.model import DEFAULT_TENANT


class Place(StrEnum):
    """The form of a path. Commits and checkpoints are numbered, so that their names sort as they follow."""

    LOG = "log/{:020d}.json"
    CHECKPOINT = "checkpoint/{:020d}.json"
    PAGE = "page/{}.json"
    USAGE = "usage/{}.json"
    MERGED = "usage/merged-{:020d}.json"
    DENIALS = "denials/{}.json"
    PROBE = "probe/{}.json"
    KEY = ".settings/apikeys/{}.json"
    TENANT = ".settings/tenant.json"

    @property
    def folder(self) -> str:
        """What the paths of this form begin with, for listing them."""
        return self.partition("/")[0] + "/"


_NUMBERED = re.compile(r"(?:log|checkpoint)/([0-9]{20})\.json")
_MERGED = re.compile(r"usage/merged-([0-9]{20})\.json")


def path_of(place: Place, name: int | str = "", *, tenant: str = DEFAULT_TENANT) -> str:
    """The path of an object; what belongs to another tenant than `default` lies in a folder of its own."""
    path = place.value.format(name)
    return path if tenant == DEFAULT_TENANT else f"{tenant}/{path}"


def number_of(path: str) -> int | None:
    """The number of a commit or checkpoint; None for a path that is neither."""
    found = _NUMBERED.fullmatch(path)
    return None if found is None else int(found[1])


def merged_number_of(path: str) -> int | None:
    """The number of an object that puts uses together; None for another path."""
    found = _MERGED.fullmatch(path)
    return None if found is None else int(found[1])
