"""Where each file is kept (CI-78). A part that is not plain is refused, never cleaned up and used."""

from __future__ import annotations

import re

from examples.ci_results.problems import Unprocessable

_HASH = re.compile(r"[0-9a-f]{64}")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}")
_PATH = re.compile(
    r"LogFiles/[1-9][0-9]*(/[1-9][0-9]*)?\.txt"
    rf"|(TestResults|TestFiles)/{_HASH.pattern}{_EXTENSION.pattern}"
    r"|test_artifacts/[1-9][0-9]*/(binary|coredump|combined_stdout\.log)"
)
ARTIFACT_NAMES = {
    "binary": "binary",
    "coredump": "coredump",
    "combined_stdout": "combined_stdout.log",
}


def is_extension(text: str) -> bool:
    """Whether a text is an extension with its dot."""
    return _EXTENSION.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Whether a text is a path of this layout: no other is written to or read from."""
    return _PATH.fullmatch(text) is not None


def run_log(run_id: int) -> str:
    """The log of a run."""
    return f"LogFiles/{int(run_id)}.txt"


def test_log(run_id: int, test_id: int) -> str:
    """The log of one test of a run."""
    return f"LogFiles/{int(run_id)}/{int(test_id)}.txt"


def result(content_hash: str, extension: str) -> str:
    """An output, expected or produced, by its content. Raises Unprocessable."""
    return f"TestResults/{_checked_hash(content_hash)}{_checked_extension(extension)}"


def sample(content_hash: str, extension: str) -> str:
    """A sample, by its content; its extension is kept without the dot. Raises Unprocessable."""
    return f"TestFiles/{_checked_hash(content_hash)}{_checked_extension(f'.{extension}')}"


def artifact(run_id: int, kind: str) -> str:
    """Another file of a run."""
    return f"test_artifacts/{int(run_id)}/{ARTIFACT_NAMES[kind]}"


def _checked_hash(text: str) -> str:
    if _HASH.fullmatch(text) is None:
        raise Unprocessable("This is no SHA-256 in lower case.")
    return text


def _checked_extension(text: str) -> str:
    if not is_extension(text):
        raise Unprocessable("An extension is a dot and up to 10 letters and digits.")
    return text
