"""The common attributes of a Firehose request: JSON in a header, read before any other header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keyrack import KeyrackError, read_json

HEADER = b"x-amz-firehose-common-attributes"
Lines = Iterable[tuple[bytes, bytes]]


def read_attributes(headers: Lines) -> Mapping[str, str] | None:
    """The attributes by their names in lower case; none given is an empty mapping, unreadable ones None.

    Unreadable are: the header twice, a name twice in whatever case, anything but texts.
    """
    lines = [value for name, value in headers if name == HEADER]
    if len(lines) != 1:
        return None if lines else {}
    attributes = _common(lines[0])
    if not isinstance(attributes, dict) or not all(isinstance(one, str) for one in attributes.values()):
        return None
    named = {name.lower(): value for name, value in attributes.items()}
    return named if len(named) == len(attributes) else None


def _common(line: bytes) -> object:
    try:
        document = read_json(line)
    except KeyrackError:
        return None
    return document.get("commonAttributes") if isinstance(document, dict) else None
