"""Structured logs: one JSON object a line on standard error, and never a secret in one.

Nothing is logged that a client sent but its request id; paths, query strings and headers stay out.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import structlog

_SHARED: list[structlog.types.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(*, human: bool = False) -> None:
    """Send every log of this process through structlog; `human` for a terminal instead of JSON."""
    final = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _traced,
            final,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # A line that cannot be written is lost: logging would print its trace, messages and all.
    logging.raiseExceptions = False
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Its lines hold query strings.
    logging.getLogger("uvicorn.access").disabled = True
    for chatty in ("uvicorn.error", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _traced(_: Any, __: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """A trace as frames and kinds of errors. Their messages quote values, and a value may be a secret."""
    raised = line.pop("exc_info", None)
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        line["trace"] = [f"{one.filename}:{one.lineno} {one.name}" for one in _frames(error)]
    return line


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    """The frames of an error, those of what it came from first."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _frames(cause)
    yield from traceback.extract_tb(error.__traceback__)
