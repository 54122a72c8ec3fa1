"""Files on their way in: written beside, hashed while they come, gone unless they were stored."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from examples.ci_results.services.worker import Received

CHUNK = 256 * 1024


@contextmanager
def received(content: BinaryIO) -> Iterator[Received]:
    """A copy of this content, with its hash and its size, for as long as it is looked at."""
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(prefix="ci-results-") as file:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        yield Received(Path(file.name), digest.hexdigest(), size)
