"""What the service writes for operators: one JSON object a line, on stderr.

Lines name callers and key ids, never keys, and nothing that a client wrote in words of its own.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any


class Line(logging.Formatter):
    """A record as one line of JSON, with the denial of Keyrack's that it may bring."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if "denial" in vars(record):
            line["denial"] = vars(record)["denial"]
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "examples.log_lake.logs.Line"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
"""For logging.config.dictConfig; Uvicorn hands it to each of its workers."""
