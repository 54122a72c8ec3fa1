"""The OpenAPI document against the real server: Schemathesis calls every operation in it."""

from __future__ import annotations

import itertools
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from schemathesis.engine import events, from_schema
from server_bed import Caller, make_store
from server_process import Running, serving
from session_bed import M1

EXAMPLES = 6
"""Of each operation, beside the corners of its parameters that the coverage phase walks through."""
IDS = {
    "key_id": re.compile("[0-9A-Za-z]{12}"),
    "tenant_id": re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,35}"),
    "block_id": re.compile("[0-9a-f]{16}"),
    "group": re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,49}"),
    "api_name": re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,49}"),
    "api_version": re.compile("v[0-9]{1,9}"),
}
PREPARED: Mapping[str, tuple[str, ...]] = {
    "POST enable": ("disable",),
    "POST promote": ("rotation",),
    "POST abort": ("rotation",),
    "POST undo": ("rotation", "rotation/promote"),
    "POST resume": ("suspend",),
    "PATCH rotation": ("rotation",),
}
"""What comes before an operation, by its method and last segment, so that it can succeed."""
GROUP = {
    "api_key": "a-key-of-the-upstream",
    "api_key_header": "x-api-key",
    "credit_tiers": [
        {
            "tier_name": "basic",
            "credits": 10,
            "input_limit": None,
            "output_limit": None,
            "reset_frequency": "daily",
        }
    ],
}
API = {"api_version": "v1", "api_servers": ["https://api.example"]}
REPORTED = {
    "api_name": "reported",
    **API,
    "api_credit_group": "reported",
    "api_credits_enabled": True,
    "endpoints": [{"method": "GET", "uri": "/told", "scope": "logs:read"}],
}
"""What the proxy of the run asks about, so that it has something to report."""
PROXY_FORMS = re.compile("/v1/forward-auth/(nginx|caddy|envoy/.*)")
ELSEWHERE = {"GET /v1/forward-auth/traefik"}
"""Answered on the internal listener alone, which tests/server/test_proxies.py asks."""
BODIES: Mapping[tuple[str, str], Any] = {
    ("tenant_id", "suspend"): {"service": "query"},
    ("group", "rotation"): {"api_key_new": "the-next-key-of-the-upstream"},
}
"""What is sent with what comes before."""
ANSWERED = ("2xx", "401", "403", "404", "409", "412", "422")
"""What valid data may meet. Beyond JSON Schema are the state (409, 412) and rules such as times to come,
networks without host bits and names that the policy knows (422)."""


class Stage:
    """A loaded store behind a server, with a key or tenant for every call that changes one.

    What the run itself stands on, the root key and the tenant `default`, is never handed out.
    """

    def __init__(self, root: Caller, root_key: str):
        self.root = root
        self.root_key = root_key
        self._kept = {"default", "reported", root("GET", "/v1/me").json()["id"]}
        self._numbers = itertools.count(1)
        self._makers: Mapping[str, Callable[[], tuple[str, str]]] = {
            "key_id": self._key,
            "tenant_id": self._tenant,
            "block_id": self._block,
            "group": self._group,
            "api_name": self._api,
            "api_version": lambda: (API["api_version"], ""),
        }

    def load(self) -> None:
        for tenant in ("acme", "beta"):
            self.root("POST", "/v1/tenants", {"id": tenant})
            for _ in range(30):
                self.root.mint("logs:read", tenant=tenant)
        self._call(self.root("POST", "/v1/credits", {"api_credit_group": "reported", **GROUP}))
        self._call(self.root("POST", "/v1/apis", REPORTED))
        balance = {"tier_name": "basic", "available_credits": 1_000_000}
        self._call(self.root("PATCH", "/v1/credit-balances/user/reported", balance))
        self.proxy_key = self.root.mint("gateway:authorize", "apis/reported/v1:inject")["secret"]
        self._user_key = self.root.mint("logs:read", owner="user")["secret"]

    def stand_in(self, name: str, value: Any, operation: str) -> Any:
        """Mostly something that exists in place of an id; values outside its form stay as they are."""
        if value in self._kept:
            return self._made(name, operation)
        is_id = isinstance(value, str) and IDS[name].fullmatch(value)
        return self._made(name, operation) if is_id and zlib.crc32(value.encode()) % 4 else value

    def told(self) -> str:
        """A decision that the proxy was told just now, by the id that it reports on."""
        headers = {
            "X-Keyrack-Proxy-Key": self.proxy_key,
            "X-Keyrack-Api": "reported/v1",
            "X-Original-Method": "GET",
            "X-Original-URI": "/told",
            "Authorization": f"Bearer {self._user_key}",
        }
        answer = self.root("GET", "/v1/forward-auth/nginx", headers=headers)
        self._call(answer)
        return str(answer.headers["x-request-id"])

    def give(self, user: str, group: str) -> None:
        """Make a balance, as far as there can be one of this user in this group."""
        self.root("PATCH", f"/v1/credit-balances/{quote(user, safe='')}/{group}", {"tier_name": "basic"})

    def holder_of(self, path: str) -> str:
        """The key for a call; one of its own where the call gives it up."""
        return self.root.mint("logs:read")["secret"] if path == "/v1/me/revoke" else self.root_key

    def _made(self, name: str, operation: str) -> str:
        made, resource = self._makers[name]()
        method, _, path = operation.partition(" ")
        for before in PREPARED.get(f"{method} {path.rsplit('/', 1)[-1]}", ()):
            self._call(self.root("POST", f"{resource}/{before}", BODIES.get((name, before))))
        return made

    def _key(self) -> tuple[str, str]:
        made = self.root.mint("logs:read")["id"]
        return made, f"/v1/keys/{made}"

    def _tenant(self) -> tuple[str, str]:
        return self._named("t", "/v1/tenants", "id", {})

    def block(self) -> str:
        """The id of a network block that may be lifted."""
        return self._block()[0]

    def _block(self) -> tuple[str, str]:
        return str(self.root("POST", "/v1/network-blocks", {"cidr": "192.0.2.0/24"}).json()["id"]), ""

    def _group(self) -> tuple[str, str]:
        return self._named("g", "/v1/credits", "api_credit_group", GROUP)

    def _api(self) -> tuple[str, str]:
        return self._named("a", "/v1/apis", "api_name", API)

    def _named(self, letter: str, path: str, member: str, more: Mapping[str, Any]) -> tuple[str, str]:
        """Something new that is found under a name of ours."""
        name = f"{letter}{next(self._numbers)}"
        self._call(self.root("POST", path, {member: name, **more}))
        return name, f"{path}/{name}"

    def _call(self, answer: Any) -> None:
        assert answer.status_code < 300, answer.text


class Run:
    """One run of the engine: how often each operation answered what, and what was wrong."""

    def __init__(self, schema: Any):
        self.answers: dict[str, Counter[int]] = defaultdict(Counter)
        self.wrong: set[str] = set()
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                self._take(event.recorder)
            elif isinstance(event, events.NonFatalError | events.FatalError):
                self.wrong.add(str(event))

    def _take(self, recorder: Any) -> None:
        for case_id, interaction in recorder.interactions.items():
            label = recorder.cases[case_id].value.operation.label
            status = interaction.response.status_code if interaction.response else 0
            self.answers[label][status] += 1
        for found in (check for checks in recorder.checks.values() for check in checks):
            if found.failure_info is not None:
                failure = found.failure_info.failure
                self.wrong.add(
                    f"{found.name}: {failure.title}\n{failure.message}\n{found.failure_info.code_sample}"
                )


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Stage]]:
    """A server of its own, since what is called at random changes what others rely on."""
    store = make_store(tmp_path_factory.mktemp("contract"))
    home = tmp_path_factory.mktemp("home")
    settings = {**store.settings, "KEYRACK_MASTER_KEYS": M1}
    with serving(settings, home) as running, running.client(store.root) as client:
        made = Stage(Caller(client), store.root)
        made.load()
        yield running, made


def loaded_schema(running: Running, stage: Stage) -> Any:
    config = {
        "seed": 1,
        "generation": {
            "max-examples": EXAMPLES,
            "deterministic": True,
            "no-shrink": True,
            "database": "none",
            "with-security-parameters": False,
        },
        "phases": {name: {"extra-data-sources": {"responses": False}} for name in ("coverage", "fuzzing")},
        "checks": {"positive_data_acceptance": {"expected-statuses": ANSWERED}},
        # They take any method, which OpenAPI cannot say.
        "operations": [
            {
                "include-path-regex": "forward-auth",
                "checks": {
                    "unsupported_method": {"enabled": False},
                    # Proxies are known by a key in a header of its own.
                    "ignored_auth": {"enabled": False},
                    # A path that could be read in two ways.
                    "positive_data_acceptance": {"expected-statuses": ("400", *ANSWERED)},
                },
            }
        ],
    }
    schema = schemathesis.openapi.from_url(
        f"{running.url}/openapi.json", config=schemathesis.Config.from_dict(config)
    )

    @schema.hook
    def map_case(context: Any, case: Any) -> Any:
        operation = f"{case.method.upper()} {case.operation.path}"
        for name, value in (case.path_parameters or {}).items():
            if name in IDS:
                case.path_parameters[name] = stage.stand_in(name, value, operation)
        # How long an answer waits changes nothing about it, but for the time that the tests take.
        if (case.query or {}).get("wait") in (30, 30.0):
            case.query["wait"] = 0.1
        # The coverage phase draws no quotes, and takes 0 for what this header's pattern allows.
        if (case.headers or {}).get("if-match") == "0":
            case.headers["if-match"] = '"0"'
        if case.meta.generation.mode.is_positive:
            make_sound(case, operation, stage)
        return case

    @schema.auth(refresh_interval=None)
    class Holder:
        def get(self, case: Any, context: Any) -> str:
            return stage.holder_of(case.operation.path)

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

    return schema


def make_sound(case: Any, operation: str, stage: Stage) -> None:
    """What valid data says besides, so that it does not contradict itself or the state."""
    body = case.body if isinstance(case.body, dict) else {}
    if operation == "POST /v1/credits/{group}/rotation":
        # Of the tenant that the group is made in, at whatever revision.
        (case.query or {}).pop("tenant", None)
        (case.headers or {}).pop("if-match", None)
        body["api_key_new"] = body.get("api_key_new") or BODIES["group", "rotation"]["api_key_new"]
        body.pop("api_key", None)
        body.pop("api_key_rotation_expires", None)
        if body.get("plan", "planned") != "planned":
            body.pop("grace_seconds", None)
    elif operation == "PATCH /v1/credit-balances/{username}/{group}":
        body["tier_name"] = "basic"
        body.pop("reset_date", None)
    elif operation == "DELETE /v1/credit-balances/{username}/{group}":
        stage.give(case.path_parameters["username"], case.path_parameters["group"])
    elif operation == "DELETE /v1/network-blocks/{block_id}":
        (case.query or {}).pop("tenant", None)
        case.path_parameters["block_id"] = stage.block()
    elif operation == "POST /v1/forward-auth/report":
        body["request_id"] = stage.told()
    if "/v1/forward-auth/" in operation:
        case.headers = {**(case.headers or {}), "X-Keyrack-Proxy-Key": stage.proxy_key}
    if PROXY_FORMS.fullmatch(case.operation.path):
        case.headers["X-Keyrack-Scope"] = "logs:read"


def test_every_operation_keeps_to_the_document(stage: tuple[Running, Stage]) -> None:
    running, made = stage
    document = made.root("GET", "/openapi.json").json()
    operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    run = Run(loaded_schema(running, made))
    assert not run.wrong, "\n\n".join(sorted(run.wrong))
    assert set(run.answers) == operations
    never = sorted(
        name
        for name, statuses in run.answers.items()
        if name not in ELSEWHERE and not any(200 <= one < 300 for one in statuses)
    )
    assert never == [], "these never succeeded, so nothing was proved of them"
    assert not running.logged("a request failed")
