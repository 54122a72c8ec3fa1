"""The process that runs queries, one at a time: a line of JSON comes in, a line of JSON goes out.

`python -m examples.log_lake.worker URL` is started by workers.py, which ends it together with a query
that takes too long. It ends by itself when nobody is there to ask it any more.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from examples.log_lake.engine import Engine, Task
from examples.log_lake.problems import InvalidRequest
from examples.log_lake.rows import Shape, TooLarge
from examples.log_lake.storage import Storage
from keyrack import Unavailable

NICENESS = 5
"""Whoever serves requests goes first."""
ORPHANED_SECONDS = 5.0
"""How much longer than its time a query may run: only when the one who would end it is gone."""


def main() -> None:
    """Answer one line after the other until there is none."""
    os.nice(NICENESS)
    engine = Engine(Storage.open(sys.argv[1]))
    for line in sys.stdin:
        fields = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, fields.pop("seconds") + ORPHANED_SECONDS)
        _bound(fields["memory_bytes"])
        answer = _run(engine, task_of(fields))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def task_of(fields: Mapping[str, Any]) -> Task:
    """A task as it was written by workers.py."""
    return Task(
        **{
            **fields,
            "streams": tuple(fields["streams"]),
            "start_at": datetime.fromisoformat(fields["start_at"]),
            "end_at": datetime.fromisoformat(fields["end_at"]),
            "shape": Shape(**fields["shape"]),
            "result": Path(fields["result"]),
        }
    )


def _run(engine: Engine, task: Task) -> dict[str, str]:
    try:
        engine.run(task)
    except (TooLarge, MemoryError):
        return {"outcome": "too_large"}
    except InvalidRequest as error:
        return {"outcome": "invalid", "detail": error.detail}
    except Unavailable as error:
        return {"outcome": "unavailable", "detail": error.detail}
    return {"outcome": "done"}


def _bound(memory_bytes: int) -> None:
    """Let the process have so much more than it has now. What asks for more is ended by its allocator."""
    soft = _data_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.RLIM_INFINITY))


def _data_bytes() -> int:
    """What counts against RLIMIT_DATA (proc(5), VmData)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmData:"))
    return int(kilobytes) * 1024


if __name__ == "__main__":
    main()
