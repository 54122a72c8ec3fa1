"""The guard on FastAPI: rows where the routes are, none missing, and what the document says."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Route, Router
from starlette.staticfiles import StaticFiles

from guards.bed import Bed, run_asgi
from keyrack import Access, Limit, Policy
from keyrack.core.errors import ConfigurationError
from keyrack.guards import LATER, OPEN, WEBSOCKET, Row
from keyrack.guards.fastapi import CurrentKey, guarded, needs, protect, rows_of
from keyrack.guards.key_state import Refused

READ = Access(("logs:read",))


def logs_app() -> FastAPI:
    app = FastAPI()

    @app.get("/logs")
    @needs("logs:read")
    async def logs(key: CurrentKey) -> dict[str, str]:
        return {"tenant": key.key.tenant}

    @app.get("/livez")
    @guarded(OPEN)
    async def livez() -> None:
        """Says that the process runs."""

    @needs("logs:write", cost=2)
    @app.post("/logs/{name}")
    async def write(name: str) -> dict[str, str]:
        return {"name": name}

    return app


def ask(app: FastAPI, method: str, path: str, text: str | None = None, **request: Any) -> httpx.Response:
    headers = request.pop("headers", {}) | ({"X-API-Key": text} if text else {})

    async def asking() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://logs") as client:
            return await client.request(method, path, headers=headers, **request)

    return asyncio.run(asking())


def test_marked_routes_are_guarded_by_their_marks(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier)
    text = bed.text("logs:read")
    assert ask(app, "GET", "/livez").status_code == 200
    assert ask(app, "GET", "/logs", text).json() == {"tenant": "default"}
    assert ask(app, "POST", "/logs/web", text).json()["code"] == "insufficient_scope"
    assert ask(app, "POST", "/logs/web", bed.text("logs:*")).status_code == 200
    assert ask(app, "GET", "/logs").status_code == 401
    assert ask(app, "GET", "/logs/", text).status_code == 404
    assert ask(app, "OPTIONS", "/logs", text).status_code == 405


def test_a_cost_is_charged(bed: Bed) -> None:
    limited = Bed(Policy(limits=(Limit("burst", 3, 60),)))
    app = logs_app()
    protect(app, limited.verifier)
    text = limited.text("logs:*")
    assert ask(app, "POST", "/logs/web", text).headers["x-ratelimit-remaining"] == "1"
    limited.verifier.close()


def test_routes_may_be_registered_after_the_guard(bed: Bed) -> None:
    app = FastAPI()
    protect(app, bed.verifier)

    @app.get("/late")
    @needs("logs:read")
    def late(request: Request) -> str:
        return str(request.state.key.key.name)

    assert ask(app, "GET", "/late").status_code == 401
    assert ask(app, "GET", "/late", bed.text("logs:read")).json() == "tester"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"])
def test_the_frameworks_own_routes_are_closed_unless_they_are_opened(bed: Bed, path: str) -> None:
    closed, docs_for_some, open_to_all = logs_app(), logs_app(), logs_app()
    protect(closed, bed.verifier)
    protect(docs_for_some, bed.verifier, docs=Access(("docs:read",)))
    protect(open_to_all, bed.verifier, docs=OPEN)
    assert ask(closed, "GET", path).status_code == 401
    assert ask(closed, "GET", path, bed.text("*:*")).status_code == 404
    assert ask(docs_for_some, "GET", path, bed.text("docs:read")).status_code == 200
    assert ask(open_to_all, "GET", path).status_code == 200


def test_a_route_without_a_row_stops_the_start(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier)
    app.add_api_route("/forgotten", lambda: None, methods=["PUT", "DELETE"])
    sent: list[Any] = []
    with pytest.raises(ConfigurationError, match="DELETE/PUT /forgotten"):
        run_asgi(app, {"type": "lifespan", "state": {}}, {"type": "lifespan.startup"}, sent=sent)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "DELETE/PUT /forgotten" in sent[0]["message"]
    with pytest.raises(ConfigurationError, match="/forgotten"):
        ask(app, "GET", "/livez")


def test_an_application_with_all_its_rows_starts_and_stops(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier)
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = run_asgi(app, {"type": "lifespan", "state": {}}, *events)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_routers_and_mounts_have_rows_under_their_full_paths(bed: Bed, tmp_path: Any) -> None:
    router, inner, plain, sub = APIRouter(), APIRouter(prefix="/inner"), Router(), FastAPI()

    @router.get("/items/{number:int}")
    @needs("items:read")
    def item(number: int) -> int:
        return number

    @inner.websocket("/socket")
    @needs("items:watch")
    async def watch(socket: WebSocket, key: CurrentKey) -> None:
        await socket.accept()
        await socket.send_text(key.key.name)
        await socket.close()

    @sub.get("/files/{path:path}")
    @needs("files:read")
    def file(path: str) -> str:
        return path

    async def plainly(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.state.key.key.name)

    plain.routes.append(Route("/page", needs("pages:read")(plainly)))
    router.include_router(inner)
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    app.mount("/sub", sub)
    app.mount("/plain", plain)
    (tmp_path / "a.txt").write_text("static")
    app.mount("/static", StaticFiles(directory=tmp_path))
    given = Row("GET", "/static/{path:path}", OPEN)
    protect(app, bed.verifier, rows=[given])
    assert [str(row) for row in rows_of(app, [given])] == [
        "GET /v1/items/{number}",
        f"{WEBSOCKET} /v1/inner/socket",
        "GET /sub/files/{path:path}",
        "GET /plain/page",
        "HEAD /plain/page",
        "GET /static/{path:path}",
    ]
    text = bed.text("*:*")
    assert ask(app, "GET", "/v1/items/7", text).json() == 7
    assert ask(app, "GET", "/sub/files/a/b", text).json() == "a/b"
    assert ask(app, "GET", "/sub/docs", text).status_code == 404
    assert ask(app, "HEAD", "/plain/page", text).status_code == 200
    assert ask(app, "GET", "/static/a.txt").text == "static"
    for path in ("/v1/items/7", "/sub/files/a/b", "/plain/page", "/static", "/nowhere"):
        assert ask(app, "GET", path).status_code == 401
    scope = {
        "type": "websocket",
        "path": "/v1/inner/socket",
        "headers": [(b"x-api-key", text.encode())],
        "query_string": b"",
    }
    sent = run_asgi(app, scope, {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["text"] == "tester"


def test_a_mount_without_any_row_stops_the_start(bed: Bed, tmp_path: Any) -> None:
    app = logs_app()
    app.mount("/static", StaticFiles(directory=tmp_path))
    with pytest.raises(ConfigurationError, match="/static"):
        rows_of(app, [Row("GET", "/staticx/{path:path}", OPEN)])


def test_routes_whose_paths_are_not_known_stop_the_start(bed: Bed) -> None:
    app = logs_app()
    app.router.routes.append(Host("api.example", Router()))
    with pytest.raises(ConfigurationError, match="Host"):
        rows_of(app)


def test_a_mounted_application_with_a_root_path_of_its_own_stops_the_start(bed: Bed) -> None:
    app = logs_app()
    sub = FastAPI()
    sub.root_path = "/else"
    app.mount("/sub", sub)
    with pytest.raises(ConfigurationError, match="root_path"):
        rows_of(app)


def test_a_root_path_leads_around_nothing(bed: Bed) -> None:
    app = FastAPI()
    app.root_path = "/api"

    @app.get("/jobs")
    @needs("jobs:read")
    def jobs() -> str:
        return "secret"

    @app.get("/{page:path}")
    @guarded(OPEN)
    def page(page: str) -> str:
        return "page"

    protect(app, bed.verifier)
    for path in ("/jobs", "/api/jobs"):
        assert ask(app, "GET", path).status_code == 401
    assert ask(app, "GET", "/api/else").json() == "page"


def test_a_route_that_stands_behind_a_wider_one_of_another_access_stops_the_start(bed: Bed) -> None:
    app = FastAPI()
    for path, access in [("/items/{name}", READ), ("/items/special", OPEN)]:
        app.add_api_route(path, guarded(access)(lambda: None), methods=["GET"])
    with pytest.raises(ConfigurationError, match="GET /items/special is never reached behind"):
        rows_of(app)


def test_routes_of_any_method_have_the_rows_that_are_given(bed: Bed) -> None:
    class Page:
        def __init__(self, scope: Any, receive: Any, send: Any):
            self.answered = PlainTextResponse("page")(scope, receive, send)

        def __await__(self) -> Any:
            return self.answered.__await__()

    app = logs_app()
    app.router.routes.append(Route("/page", Page))
    with pytest.raises(ConfigurationError, match="any method /page"):
        rows_of(app)
    protect(app, bed.verifier, rows=[Row("PUT", "/page", OPEN)])
    assert ask(app, "PUT", "/page").text == "page"
    assert ask(app, "POST", "/page").status_code == 401


def test_a_marked_route_that_is_given_a_row_as_well_stops_the_start(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier, rows=[Row("GET", "/logs", OPEN)])
    with pytest.raises(ConfigurationError, match="the same operation"):
        ask(app, "GET", "/livez")


def test_a_handler_may_leave_with_a_refusal(bed: Bed) -> None:
    app = FastAPI()

    @app.post("/streams/{name}")
    @guarded(LATER)
    def ingest(name: str, key: CurrentKey) -> str:
        return key.require(Access((f"streams/{name}:ingest",))).key.name

    protect(app, bed.verifier)
    text = bed.text("streams/web:ingest")
    assert ask(app, "POST", "/streams/web", text).json() == "tester"
    refused = ask(app, "POST", "/streams/db", text)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert refused.headers["content-type"] == "application/problem+json"
    assert len(refused.headers.get_list("x-request-id")) == 1


def test_the_handler_of_refusals_answers_nothing_else(bed: Bed) -> None:
    app = FastAPI()
    protect(app, bed.verifier)
    handler: Any = app.exception_handlers[Refused]
    with pytest.raises(KeyError):
        asyncio.run(handler(None, KeyError()))


def test_cors_stands_outside_of_the_guard(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier)
    app.add_middleware(CORSMiddleware, allow_origins=["https://page.example"], allow_headers=["X-API-Key"])
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "GET"}
    assert ask(app, "OPTIONS", "/logs", headers=asked).status_code == 200
    refused = ask(app, "GET", "/logs", headers={"Origin": "https://page.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (
        401,
        "https://page.example",
    )


def test_the_document_says_how_to_authenticate_and_what_is_needed(bed: Bed) -> None:
    app = logs_app()

    @app.get("/files/{path:path}")
    @guarded(LATER)
    def files(path: str) -> str:
        return path

    protect(app, bed.verifier)
    document = app.openapi()
    assert app.openapi() == document
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer"},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    read, write = document["paths"]["/logs"]["get"], document["paths"]["/logs/{name}"]["post"]
    assert read["security"] == write["security"] == [{"bearer": []}, {"api_key": []}]
    assert (read["x-required-scopes"], write["x-required-scopes"]) == (["logs:read"], ["logs:write"])
    assert set(read["responses"]) == {"200", "400", "401", "403", "429", "503"}
    problem = read["responses"]["401"]["content"]["application/problem+json"]["schema"]
    assert problem == {"$ref": "#/components/schemas/KeyrackProblem"}
    assert "code" in document["components"]["schemas"]["KeyrackProblem"]["required"]
    livez = document["paths"]["/livez"]["get"]
    assert (livez["security"], set(livez["responses"])) == ([], {"200"})
    later = document["paths"]["/files/{path}"]["get"]
    assert "x-required-scopes" not in later
    assert "401" in later["responses"]


def test_a_web_socket_and_a_path_without_a_route_are_not_in_the_document(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier, rows=[Row("GET", "/metrics", READ), Row(WEBSOCKET, "/logs", READ)])
    assert "/metrics" not in app.openapi()["paths"]
