"""The strength rule for texts that people choose: static keys, peppers, webhook secrets."""

from __future__ import annotations

from itertools import pairwise

MIN_LENGTH = 32
MIN_DISTINCT = 12
MAX_BLOCK = 8
PLACEHOLDERS = (
    "changeme",
    "change-me",
    "replace",
    "placeholder",
    "example",
    "your-key",
    "your_key",
    "secret",
    "password",
    "default",
    "test-key",
)


def weakness(text: str) -> str | None:
    """Why text is too weak to be a secret, as the rest of a sentence, or None when it is not.

    A strong text has at least 32 printable ASCII characters without blanks, 12 of them distinct, is
    neither a repeated block of at most 8 characters nor mostly a run of neighbouring characters, and
    contains no placeholder word. The answer never quotes the text.
    """
    if len(text) < MIN_LENGTH:
        return f"has fewer than {MIN_LENGTH} characters"
    if not all("!" <= character <= "~" for character in text):
        return "contains a blank, a control character or a character outside ASCII"
    if _repeats(text):
        return f"repeats a block of at most {MAX_BLOCK} characters"
    if len(set(text)) < MIN_DISTINCT:
        return f"has fewer than {MIN_DISTINCT} distinct characters"
    if _is_run(text):
        return "is a run of neighbouring characters"
    if any(word in text.lower() for word in PLACEHOLDERS):
        return "contains a placeholder word"
    return None


def _repeats(text: str) -> bool:
    return any(
        text == (text[:size] * (len(text) // size + 1))[: len(text)] for size in range(1, MAX_BLOCK + 1)
    )


def _is_run(text: str) -> bool:
    steps = [ord(b) - ord(a) for a, b in pairwise(text)]
    return max(steps.count(1), steps.count(-1)) >= len(steps) * 3 / 4
