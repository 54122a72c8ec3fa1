"""Guards: a verifier in front of a whole application, one row for each operation.

`keyrack.guards.asgi` and `.wsgi` need no framework; `.fastapi` and `.flask` write the rows where the
routes are.
"""

from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.guards.rows import LATER, OPEN, WEBSOCKET, Row

__all__ = ["LATER", "OPEN", "WEBSOCKET", "Row", "ratelimit_headers"]
