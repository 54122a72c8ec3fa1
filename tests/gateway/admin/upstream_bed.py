"""Credit groups and APIs for tests: what is asked for, and an engine whose desks make it."""

from __future__ import annotations

from typing import Any

from engine_bed import OPERATOR, Bed
from server.server_bed import House
from session_bed import ONE

from keyrack.core.events import Event
from keyrack.core.records import write_time
from keyrack.core.upstream import Upstream
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.tidying import tidy
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.vault.secrets import Vault

HOUR, DAY = 3600, 86_400
GROUP = "openai"
PLACE = f"/v1/credits/{GROUP}"
ROTATION = f"{PLACE}/rotation"
TIER = {
    "tier_name": "basic",
    "credits": 10,
    "input_limit": None,
    "output_limit": 5,
    "reset_frequency": "daily",
}
ORIGIN, OTHER_ORIGIN = "https://api.example:443", "https://other.example:8443"


def key(number: int) -> str:
    """The secret of an upstream by number, of 28 characters; all of them differ."""
    return f"upstream{number:04d}-secret-of-{number:04d}x"


def group(**given: Any) -> dict[str, Any]:
    """The group that is asked for, with its first key."""
    return {
        "api_credit_group": GROUP,
        "api_key": key(1),
        "api_key_header": "Authorization",
        "api_key_format": "Bearer {key}",
        "credit_tiers": [TIER],
        **given,
    }


def api(**given: Any) -> dict[str, Any]:
    """The API that is asked for, on the group's origin."""
    return {
        "api_name": "chat",
        "api_version": "v1",
        "api_servers": [f"{ORIGIN}/v1"],
        "api_credit_group": GROUP,
        "endpoints": [{"method": "POST", "uri": "/chat/{id}", "scope": "chat:send", "cost": 2}],
        **given,
    }


class Desks:
    """An engine with a master key, and the desks on it, asked by its operator."""

    def __init__(self, bed: Bed):
        self.bed = bed
        self.vault = Vault(ONE)
        self.upstreams = Upstreams(bed.stores, self.vault, spread=bed.verifier.spread)
        self.apis = Apis(bed.stores, self.vault, spread=bed.verifier.spread)

    def create(self, **given: Any) -> Upstream:
        return self.upstreams.create(group(**given), by=OPERATOR)

    def rotate(self, number: int, **given: Any) -> Upstream:
        """A rotation to the key of this number, for an hour unless it is said otherwise."""
        end = {} if "plan" in given else {"grace_seconds": HOUR}
        return self.upstreams.rotate(GROUP, {"api_key_new": key(number), **end, **given}, by=OPERATOR)

    def get(self) -> Upstream:
        return self.upstreams.get(GROUP, by=OPERATOR)

    def tidy(self) -> int:
        """What the background does once it knows all that was committed."""
        self.bed.verifier.follower.poll()
        return tidy(self.bed.stores, self.bed.verifier.follower.replica, self.bed.at)

    def kept(self) -> dict[int, str]:
        """The keys that can still be opened, by version."""
        self.bed.verifier.follower.poll()
        secrets = self.bed.verifier.follower.replica.upstream_secrets.values()
        return {one.version: self.vault.opened(one).decode() for one in secrets if one.ciphertext is not None}

    def history(self) -> list[Event]:
        events, _ = self.upstreams.history(GROUP, by=OPERATOR, most=100)
        return events

    def actions(self) -> list[str]:
        """What the log says happened to the group."""
        return [event.kind.value.removeprefix("upstream.") for event in self.history()]

    def after(self, seconds: float) -> str:
        """The time in so many seconds, as JSON has it."""
        return write_time(self.bed.at.fromtimestamp(int(self.bed.clock.now + seconds), self.bed.at.tzinfo))


def made(house: House, **given: Any) -> dict[str, Any]:
    """A group, made over HTTP."""
    answer = house.root("POST", "/v1/credits", group(**given))
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def rotated(house: House, number: int = 2, **given: Any) -> dict[str, Any]:
    """A rotation to the key of this number, begun over HTTP, for an hour unless it is said otherwise."""
    end = {} if "plan" in given or "api_key_rotation_expires" in given else {"grace_seconds": HOUR}
    answer = house.root("POST", ROTATION, {"api_key_new": key(number), **end, **given})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown
