"""One of several workers: opens the store for itself, and ends when the process that started it does."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading

from keyrack.core.errors import KeyrackError
from keyrack.server import logs
from keyrack.server.app import create_app
from keyrack.server.opening import open_verifier
from keyrack.server.wire import App
from keyrack.settings import Settings

log = logging.getLogger("keyrack.server")


def create() -> App:
    """The application of this worker, configured by its environment."""
    logs.configure()
    threading.Thread(target=_follow_parent, name="keyrack-parent", daemon=True).start()
    try:
        settings = Settings.read()
        return create_app(settings, open_verifier(settings))
    except KeyrackError as error:
        # Not with uvicorn's code for a failed start: that would end the workers that serve, too.
        log.error("this worker cannot start: %s", error.detail)
        sys.exit(1)


def _follow_parent() -> None:
    """A supervisor that was killed cannot stop its workers, and they would hold its port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
