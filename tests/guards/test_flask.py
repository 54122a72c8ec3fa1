"""The guard on Flask: rows where the views are, none missing."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import View
from werkzeug.routing import BaseConverter

from guards.bed import Bed
from keyrack import Access
from keyrack.core.errors import ConfigurationError
from keyrack.guards import LATER, OPEN, Row
from keyrack.guards.flask import current_key, guarded, needs, protect, rows_of


def logs_app(**options: Any) -> Flask:
    app = Flask("logs", **options)

    @app.get("/logs")
    @needs("logs:read")
    def logs() -> dict[str, str]:
        return {"tenant": current_key().key.tenant}

    @app.get("/livez")
    @guarded(OPEN)
    def livez() -> str:
        return ""

    @needs("logs:write")
    @app.route("/logs/<int:number>", methods=["PUT", "DELETE"])
    def write(number: int) -> str:
        return str(number)

    return app


def test_marked_views_are_guarded_by_their_marks(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier, realm="logs")
    client = app.test_client()
    key = {"X-API-Key": bed.text("logs:read")}
    assert client.get("/livez").status_code == 200
    answer = client.get("/logs", headers=key)
    assert (answer.json, answer.headers["cache-control"]) == ({"tenant": "default"}, "no-store")
    assert client.put("/logs/7", headers=key).json["code"] == "insufficient_scope"
    assert client.put("/logs/7", headers={"X-API-Key": bed.text("logs:*")}).text == "7"
    assert client.get("/logs").headers["www-authenticate"] == 'Bearer realm="logs"'
    assert client.options("/logs", headers=key).status_code == 405
    for path in ("/logs/", "//logs", "/nowhere", "/static/x"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=key).status_code == 404


def test_a_route_without_a_row_stops_the_start(bed: Bed) -> None:
    app = logs_app()
    app.add_url_rule("/forgotten", view_func=lambda: "", endpoint="forgotten", methods=["GET", "POST"])
    with pytest.raises(ConfigurationError, match="GET /forgotten; POST /forgotten"):
        protect(app, bed.verifier)
    with pytest.raises(ConfigurationError, match="POST /forgotten"):
        protect(app, bed.verifier, rows=[Row("GET", "/forgotten", OPEN)])
    protect(app, bed.verifier, rows=[Row("GET", "/forgotten", OPEN), Row("POST", "/forgotten", OPEN)])


def test_a_route_that_comes_after_the_guard_is_not_served(bed: Bed) -> None:
    app = logs_app()
    protect(app, bed.verifier)
    app.add_url_rule("/late", view_func=guarded(OPEN)(lambda: ""), endpoint="late")
    assert app.test_client().get("/late").status_code == 401


def test_the_static_folder_is_closed_unless_it_is_opened(bed: Bed, tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("static")
    app = logs_app(static_folder=tmp_path, static_url_path="/files")
    protect(app, bed.verifier, static=OPEN)
    with app.test_client().get("/files/a.txt") as answer:
        assert answer.text == "static"
    assert Row("GET", "/files/{filename:path}", OPEN) in rows_of(app, static=OPEN)


def test_blueprints_and_classes_have_rows_under_their_full_paths(bed: Bed) -> None:
    class Page(View):
        def dispatch_request(self, name: str) -> str:
            return name

    pages = Blueprint("pages", __name__, url_prefix="/pages")
    pages.add_url_rule("/<string(length=2):name>", view_func=needs("pages:read")(Page.as_view("page")))
    app = Flask("pages", static_folder=None)
    app.register_blueprint(pages)
    protect(app, bed.verifier)
    assert [str(row) for row in rows_of(app)] == ["GET /pages/{name}"]
    headers = {"X-API-Key": bed.text("pages:read")}
    assert app.test_client().get("/pages/ab", headers=headers).text == "ab"


def test_a_converter_that_takes_slashes_is_the_rest_of_a_path() -> None:
    class Tail(BaseConverter):
        regex = "[a-z/]+"

    app = Flask("tails", static_folder=None)
    app.url_map.converters["tail"] = Tail
    app.add_url_rule("/<tail:where>", view_func=guarded(OPEN)(lambda where: where), endpoint="tail")
    assert [str(row) for row in rows_of(app)] == ["GET /{where:path}"]


def test_options_that_a_view_answers_itself_has_a_row(bed: Bed) -> None:
    app = Flask("own", static_folder=None)
    view = guarded(OPEN)(lambda: "mine")
    app.add_url_rule(
        "/own", view_func=view, endpoint="own", methods=["OPTIONS"], provide_automatic_options=False
    )
    protect(app, bed.verifier)
    assert app.test_client().options("/own").text == "mine"


def test_a_view_may_leave_with_a_refusal(bed: Bed) -> None:
    app = Flask("streams", static_folder=None)

    @app.post("/streams/<name>")
    @guarded(LATER)
    def ingest(name: str) -> str:
        return current_key().require(Access((f"streams/{name}:ingest",))).key.name

    protect(app, bed.verifier)
    headers = {"X-API-Key": bed.text("streams/web:ingest")}
    client = app.test_client()
    assert client.post("/streams/web", headers=headers).text == "tester"
    refused = client.post("/streams/db", headers=headers)
    assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
    assert refused.headers["content-type"] == "application/problem+json"


def test_there_is_no_key_on_an_open_route(bed: Bed) -> None:
    app = Flask("open", static_folder=None)
    app.testing = True
    app.add_url_rule("/", view_func=guarded(OPEN)(lambda: str(current_key())), endpoint="root")
    protect(app, bed.verifier)
    with pytest.raises(KeyError):
        app.test_client().get("/")
