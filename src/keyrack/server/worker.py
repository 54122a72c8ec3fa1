"""One of several workers: opens the store for itself, and ends when the process that started it does."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

from uvicorn.config import STARTUP_FAILURE

from keyrack.core.errors import KeyrackError
from keyrack.master_key_file import with_master_keys
from keyrack.server import logs, shared_folder
from keyrack.server.app import create_app
from keyrack.server.garbage import settle
from keyrack.server.opening import open_verifier
from keyrack.server.wire import App
from keyrack.settings import Settings

log = logging.getLogger("keyrack.server")


def create() -> App:
    """The application of this worker, configured by its environment."""
    logs.configure()
    threading.Thread(target=_follow_parent, name="keyrack-parent", daemon=True).start()
    served = Path(os.environ[shared_folder.VARIABLE], shared_folder.SERVED)
    try:
        settings = with_master_keys(Settings.read())
        app = create_app(settings, open_verifier(settings))
    except KeyrackError as error:
        log.error("this worker cannot start: %s", error.detail)
        # Uvicorn's code for a failed start ends all workers: never those that serve already.
        sys.exit(1 if served.exists() else STARTUP_FAILURE)
    served.touch()
    settle()
    return app


def _follow_parent() -> None:
    """A supervisor that was killed cannot stop its workers, and they would hold its port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
