"""A real server that holds two keys of many answers for all of them, and says so."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from patience import eventually
from server_bed import Caller, make_store
from server_process import serving

KEYS = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    founded = make_store(tmp_path_factory.mktemp("partial"))
    settings = {**founded.settings, "KEYRACK_REPLICA_MAX_KEYS": "2"}
    with (
        serving(settings, tmp_path_factory.mktemp("home")) as running,
        running.client(founded.root) as client,
    ):
        yield Caller(client)


@pytest.fixture(scope="module")
def minted(root: Caller) -> list[dict[str, str]]:
    made = [root.mint("a:b") for _ in range(KEYS)]
    return [{"id": one["id"], "text": one["secret"]} for one in made]


def reads(root: Caller) -> dict[str, float]:
    found = re.findall(
        r'^keyrack_replica_reads_total\{outcome="(\w+)"\} (\S+)', root("GET", "/metrics").text, re.MULTILINE
    )
    return {outcome: float(total) for outcome, total in found}


def test_every_key_is_answered_for_one_by_one_and_together(
    root: Caller, minted: list[dict[str, str]]
) -> None:
    for one in minted:
        assert root.verify(one["text"])["valid"] is True
    asked = [{"key": one["text"], "scopes": ["a:b"]} for one in minted]
    answered = root("POST", "/v1/verify/batch", json=asked).json()["data"]
    assert [one["key_id"] for one in answered] == [one["id"] for one in minted]


def test_a_forwarded_request_is_answered_for(root: Caller, minted: list[dict[str, str]]) -> None:
    for one in minted:
        headers = {"authorization": f"Bearer {one['text']}"}
        answer = root("GET", "/v1/forward-auth?scope=a:b", headers=headers)
        assert (answer.status_code, answer.headers.get("x-keyrack-key-id")) == (200, one["id"])


def test_a_revocation_is_obeyed(root: Caller, minted: list[dict[str, str]]) -> None:
    gone = minted.pop()
    assert root("POST", f"/v1/keys/{gone['id']}/revoke", json={"wait": True}).status_code == 200
    for _ in range(2):
        assert root.verify(gone["text"])["reason"] == "revoked"
        assert root.verify(minted[0]["text"])["valid"] is True
        assert root.verify(minted[1]["text"])["valid"] is True


def test_readiness_and_metrics_say_what_is_held_and_what_was_read(
    root: Caller, minted: list[dict[str, str]]
) -> None:
    replica = root("GET", "/readyz").json()["replica"]
    assert (replica["keys_held"], replica["keys"]) == (2, KEYS + 1)
    before = reads(root)
    assert before.keys() == {"found", "absent", "failed", "refused"}
    for one in minted[:4]:
        assert root.verify(one["text"])["valid"] is True
    eventually(lambda: reads(root)["found"] >= before["found"] + 2)
    text = root("GET", "/metrics").text
    assert re.search(r"^keyrack_replica_keys 2.0$", text, re.MULTILINE)
    assert re.search(rf"^keyrack_keys {KEYS + 1}.0$", text, re.MULTILINE)
