"""`/v1/credit-balances` over HTTP: balances are made, changed, listed, searched and removed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from credits_bed import GROUP, OWN_KEY, SECRET, group
from server.server_bed import Caller, House, problem
from session_bed import ONE

from keyrack.core.errors import Unavailable
from keyrack.core.model import Access
from keyrack.core.sealed import SealedSecret
from keyrack.server.table import ROWS
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_secret
from keyrack.vault.secrets import Vault

PLACE = "/v1/credit-balances"
ORIGIN = "https://models.example:443"
MIDNIGHT = "2027-01-16T00:00:00Z"
"""The first one after the time at which servers inside of tests stand still."""
NEW = {
    "username": "ada",
    "api_credit_group": GROUP,
    "tier_name": "free",
    "available_credits": 10,
    "reset_date": MIDNIGHT,
    "input_used": 0,
    "output_used": 0,
    "user_api_key_present": False,
}


@pytest.fixture(autouse=True)
def groups(house: House) -> None:
    for name in (GROUP, "images"):
        made = group(name, api_key_origins=[ORIGIN])
        assert house.root("POST", "/v1/credits", made).status_code == 201


def amended(house: House, owner: str = "ada", name: str = GROUP, **given: Any) -> dict[str, Any]:
    answer = house.root("PATCH", f"{PLACE}/{owner}/{name}", given)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def listed(caller: Caller, path: str = PLACE, **query: Any) -> list[dict[str, Any]]:
    answer = caller("GET", path, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def own_keys(house: House) -> list[SealedSecret]:
    """The sealed keys of users, erased ones as well."""
    stores = house.verifier.stores
    records = stores.keys.records(Listing(Kind.SECRET, most=100))
    secrets = [open_secret(record, stores.peppers) for record in records]
    return [one for one in secrets if one.purpose == "user-key"]


class TestChanging:
    @pytest.mark.spec("UG-1", "UG-33")
    def test_a_balance_is_made_with_its_tiers_credits_and_then_changed_by_name(self, house: House) -> None:
        assert amended(house, tier_name="free") == NEW
        assert amended(house, available_credits=3) == {**NEW, "available_credits": 3}
        changed = amended(house, reset_date="2030-01-01T00:00:00Z")
        assert changed == {**NEW, "available_credits": 3, "reset_date": "2030-01-01T00:00:00Z"}
        assert amended(house) == changed
        metered = amended(house, tier_name="metered")
        assert metered == {**NEW, "tier_name": "metered", "available_credits": 3}

    @pytest.mark.spec("UG-33")
    def test_other_users_and_groups_are_untouched(self, house: House) -> None:
        for owner in ("ada", "eve"):
            for name in (GROUP, "images"):
                amended(house, owner, name, tier_name="free")
        amended(house, "ada", GROUP, available_credits=1)
        left = {
            (one["username"], one["api_credit_group"]): one["available_credits"] for one in listed(house.root)
        }
        assert left.pop(("ada", GROUP)) == 1
        assert set(left.values()) == {10}

    @pytest.mark.spec("UG-33")
    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"tier_name": "gold"}, "tier_name"),
            ({"tier_name": None}, "tier_name"),
            ({"tier_name": "x" * 51}, "tier_name"),
            ({"available_credits": -1}, "available_credits"),
            ({"available_credits": 1.5}, "available_credits"),
            ({"available_credits": True}, "available_credits"),
            ({"available_credits": None}, "available_credits"),
            ({"available_credits": 10**12 + 1}, "available_credits"),
            ({"reset_date": "2030-01-01T00:00:00"}, "reset_date"),
            ({"reset_date": "2001-01-01T00:00:00Z"}, "reset_date"),
            ({"reset_date": None}, "reset_date"),
            ({"user_api_key": "short"}, "user_api_key"),
            ({"user_api_key": "with\na-line-break-in-it"}, "user_api_key"),
            ({"username": "eve"}, "username"),
            ({"api_credit_group": "images"}, "api_credit_group"),
        ],
    )
    def test_what_is_outside_its_rule_is_refused_by_its_field(
        self, house: House, given: Any, field: str
    ) -> None:
        amended(house, tier_name="free")
        before = house.root.head()
        answer = house.root("PATCH", f"{PLACE}/ada/{GROUP}", given)
        assert problem(answer) == (422, "validation_error")
        assert list(answer.json()["details"]["fields"]) == [field]
        assert house.root.head() == before
        assert listed(house.root) == [NEW]

    @pytest.mark.spec("UG-33")
    def test_a_new_balance_needs_a_tier(self, house: House) -> None:
        answer = house.root("PATCH", f"{PLACE}/ada/{GROUP}", {"available_credits": 5})
        assert problem(answer) == (422, "validation_error")
        assert list(answer.json()["details"]["fields"]) == ["tier_name"]
        assert listed(house.root) == []

    @pytest.mark.parametrize("given", [{"tier_name": "free"}, {"available_credits": 1}])
    def test_a_group_that_is_not_there_has_no_balances(self, house: House, given: Any) -> None:
        answer = house.root("PATCH", f"{PLACE}/ada/nowhere", given)
        assert problem(answer) == (404, "group_not_found")

    def test_a_removed_balance_is_gone(self, house: House) -> None:
        amended(house, tier_name="free")
        assert house.root("DELETE", f"{PLACE}/ada/{GROUP}").status_code == 204
        assert listed(house.root, f"{PLACE}/ada") == []
        assert problem(house.root("DELETE", f"{PLACE}/ada/{GROUP}")) == (404, "not_found")

    @pytest.mark.spec("UG-36")
    def test_balances_are_shown_as_they_are_after_the_resets_that_are_due(self, house: House) -> None:
        amended(house, tier_name="free", available_credits=1)
        house.clock.advance(86_400)
        tomorrow = {**NEW, "reset_date": "2027-01-17T00:00:00Z"}
        assert listed(house.root) == listed(house.root, f"{PLACE}/ada") == [tomorrow]


class TestLooking:
    @pytest.mark.spec("UG-1")
    def test_balances_are_listed_page_by_page_and_searched(self, house: House) -> None:
        for owner in ("ada", "adam", "eve"):
            amended(house, owner, tier_name="free")
        first = house.root("GET", PLACE, params={"limit": 2}).json()
        assert [one["username"] for one in first["data"]] == ["ada", "adam"]
        second = house.root("GET", PLACE, params={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [one["username"] for one in second["data"]] == ["eve"]
        assert second["next_cursor"] is None
        assert [one["username"] for one in listed(house.root, search="AD")] == ["ada", "adam"]

    @pytest.mark.spec("UG-1")
    def test_a_user_is_shown_with_all_groups(self, house: House) -> None:
        for owner, name in (("ada", "images"), ("ada", GROUP), ("eve", GROUP)):
            amended(house, owner, name, tier_name="free")
        found = listed(house.root, f"{PLACE}/ada")
        assert [(one["username"], one["api_credit_group"]) for one in found] == [
            ("ada", GROUP),
            ("ada", "images"),
        ]
        assert listed(house.root, f"{PLACE}/nobody") == []

    @pytest.mark.parametrize("method", ["GET", "PATCH"])
    def test_a_name_that_no_owner_can_have_is_refused(self, house: House, method: str) -> None:
        path = f"{PLACE}/{'x' * 101}" + ("" if method == "GET" else f"/{GROUP}")
        answer = house.root(method, path, None if method == "GET" else {"tier_name": "free"})
        assert problem(answer) == (422, "validation_error")

    @pytest.mark.spec("UG-1")
    def test_any_key_sees_its_owners_balances_and_no_others(self, house: House) -> None:
        for owner in ("ada", "eve"):
            amended(house, owner, tier_name="free")
        ada = house.caller(house.root.mint("logs:read", owner="ada")["secret"])
        nobody = house.caller(house.root.mint("logs:read")["secret"])
        assert listed(ada, "/v1/me/credit-balances") == [NEW]
        assert listed(nobody, "/v1/me/credit-balances") == []
        assert problem(ada("GET", PLACE)) == (403, "insufficient_scope")

    @pytest.mark.spec("UG-33")
    def test_reading_and_changing_need_a_scope_each(self, house: House) -> None:
        reader = house.caller(house.root.mint("credits:read")["secret"])
        manager = house.caller(house.root.mint("credits:manage")["secret"])
        place = f"{PLACE}/ada/{GROUP}"
        assert manager("PATCH", place, {"tier_name": "free"}).status_code == 200
        assert listed(reader, f"{PLACE}/ada") == [NEW]
        assert problem(manager("GET", PLACE)) == (403, "insufficient_scope")
        assert problem(reader("PATCH", place, {"available_credits": 1})) == (403, "insufficient_scope")
        assert problem(reader("DELETE", place)) == (403, "insufficient_scope")

    def test_another_tenants_balances_need_tenants_manage(self, house: House) -> None:
        amended(house, tier_name="free")
        house.root("POST", "/v1/tenants", {"id": "acme"})
        theirs = house.root.mint("credits:manage", "credits:read", tenant="acme")
        stranger = house.caller(theirs["secret"])
        assert listed(stranger) == []
        assert problem(stranger("GET", PLACE, params={"tenant": "default"})) == (403, "insufficient_scope")
        place = f"{PLACE}/ada/{GROUP}"
        answer = stranger("PATCH", place, {"available_credits": 1}, params={"tenant": "default"})
        assert problem(answer) == (403, "insufficient_scope")
        assert problem(stranger("PATCH", place, {"tier_name": "free"})) == (404, "group_not_found")
        house.root("POST", "/v1/credits", group(), params={"tenant": "acme"})
        assert house.root("PATCH", place, {"tier_name": "free"}, params={"tenant": "acme"}).status_code == 200
        assert [one["username"] for one in listed(stranger)] == ["ada"]


class TestOwnKeys:
    @pytest.mark.spec("UG-38")
    def test_a_users_own_key_is_sealed_and_never_shown(self, house: House) -> None:
        shown = amended(house, tier_name="free", user_api_key=OWN_KEY)
        assert shown == {**NEW, "user_api_key_present": True}
        (sealed,) = own_keys(house)
        assert sealed.facts == {"group": GROUP, "user": "ada", "origins": [ORIGIN]}
        assert OWN_KEY not in repr(sealed)
        texts = [house.root("GET", path).text for path in (PLACE, f"{PLACE}/ada", "/v1/events")]
        assert not any(OWN_KEY in text for text in texts)

    @pytest.mark.spec("UG-38")
    def test_another_one_takes_its_place_and_null_takes_it_away(self, house: House) -> None:
        amended(house, tier_name="free", user_api_key=OWN_KEY)
        amended(house, user_api_key=f"another-{OWN_KEY}")
        first, second = own_keys(house)
        assert first.ciphertext is None
        assert second.ciphertext is not None
        assert amended(house, available_credits=4)["user_api_key_present"]
        assert not amended(house, user_api_key=None)["user_api_key_present"]
        assert [one.ciphertext for one in own_keys(house)] == [None, None]
        assert not amended(house, user_api_key=None)["user_api_key_present"]

    @pytest.mark.spec("UG-38")
    def test_it_goes_with_the_balance(self, house: House) -> None:
        amended(house, tier_name="free", user_api_key=OWN_KEY)
        house.root("DELETE", f"{PLACE}/ada/{GROUP}")
        assert [one.ciphertext for one in own_keys(house)] == [None]
        assert not amended(house, tier_name="free")["user_api_key_present"]

    @pytest.mark.spec("UG-38")
    def test_while_nothing_says_where_it_may_go_there_is_none(self, house: House) -> None:
        """Else whoever makes the next API of the group would decide where the keys of its users go."""
        assert house.root("POST", "/v1/credits", group("open")).status_code == 201
        answer = house.root("PATCH", f"{PLACE}/ada/open", {"tier_name": "free", "user_api_key": OWN_KEY})
        assert problem(answer) == (409, "group_unbound")
        assert own_keys(house) == []
        assert listed(house.root, f"{PLACE}/ada") == []

    @pytest.mark.spec("UG-6", "UG-38")
    def test_it_opens_for_its_user_its_group_and_the_origins_of_the_group_alone(self, house: House) -> None:
        fixed = group("fixed", api_key_origins=["https://api.example"])
        assert house.root("POST", "/v1/credits", fixed).status_code == 201
        amended(house, name="fixed", tier_name="free", user_api_key=OWN_KEY)
        (sealed,) = own_keys(house)
        assert sealed.facts == {"group": "fixed", "user": "ada", "origins": ["https://api.example:443"]}
        vault = Vault(ONE)
        assert vault.opened(sealed) == OWN_KEY.encode()
        for moved in (
            {"facts": {**sealed.facts, "user": "eve"}},
            {"facts": {**sealed.facts, "origins": ["https://other.example:443"]}},
            {"tenant": "acme"},
            {"version": sealed.version + 1},
        ):
            with pytest.raises(Unavailable):
                vault.opened(replace(sealed, **moved))


class TestAudit:
    @pytest.mark.spec("UG-5")
    def test_each_change_is_an_event_in_the_history_of_its_group(self, house: House) -> None:
        before = house.root("GET", f"/v1/credits/{GROUP}/history").json()["data"]
        amended(house, tier_name="free", user_api_key=OWN_KEY)
        amended(house, available_credits=3)
        house.root("DELETE", f"{PLACE}/ada/{GROUP}")
        history = house.root("GET", f"/v1/credits/{GROUP}/history").json()["data"][len(before) :]
        assert [one["action"] for one in history] == ["balance.changed", "balance.changed", "balance.removed"]
        made, changed, removed = history
        assert {one["actor"] for one in history} == {f"key:{house.root_id}"}
        assert all(one["request_id"] and one["address"] == "127.0.0.1" for one in history)
        assert made["data"]["owner"] == removed["data"]["owner"] == "ada"
        assert made["path"] == f"{PLACE}/ada/{GROUP}"
        assert set(made["data"]["given"]) == {"tier_name", "user_api_key"}
        assert changed["data"]["given"] == {"available_credits": 3}


class TestPaying:
    @pytest.mark.spec("UG-35")
    def test_verify_charges_the_owner_and_says_when_nothing_is_left(self, house: House) -> None:
        amended(house, tier_name="free", available_credits=3)
        text = house.root.mint("logs:read", owner="ada", credits=GROUP)["secret"]
        assert house.root.verify(text, cost=2)["valid"]
        refused = house.root.verify(text, cost=2, explain=True)
        assert (refused["valid"], refused["code"], refused["reason"]) == (
            False,
            "credits_exhausted",
            "credits",
        )
        assert refused["details"] == {
            "group": GROUP,
            "meter": "credits",
            "available": 1,
            "required": 2,
            "reset_date": MIDNIGHT,
        }
        assert refused["explanation"] == "No credits are left."
        assert listed(house.root)[0]["available_credits"] == 1

    @pytest.mark.spec("UG-35")
    def test_a_caller_out_of_credits_is_answered_402(self, house: House) -> None:
        amended(house, tier_name="free", available_credits=1)
        caller = house.caller(house.root.mint("logs:read", owner="ada", credits=GROUP)["secret"])
        question = "/v1/forward-auth?scope=logs:read"
        assert caller("GET", question).status_code == 200
        answer = caller("GET", question)
        assert problem(answer) == (402, "credits_exhausted")
        assert answer.json()["details"]["available"] == 0
        assert listed(caller, "/v1/me/credit-balances")[0]["available_credits"] == 0

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/v1/me", None),
            ("GET", "/v1/keys", None),
            ("POST", "/v1/keys", {"name": "made", "scopes": [], "owner": "ada", "credits": GROUP}),
            ("GET", "/v1/events", None),
            ("POST", "/v1/sessions", {}),
            ("POST", "/v1/verify", {"key": "kr_live_of-nobody"}),
            ("GET", "/readyz", None),
        ],
    )
    def test_the_servers_own_api_costs_no_credits(
        self, house: House, method: str, path: str, body: Any
    ) -> None:
        """They are for the services behind it; whoever has none left may still manage keys."""
        amended(house, tier_name="free", available_credits=0)
        scopes = ("keys:read", "keys:manage", "keys:verify", "audit:read", "health:read")
        manager = house.caller(house.root.mint(*scopes, owner="ada", credits=GROUP)["secret"])
        assert manager(method, path, body).status_code < 300

    def test_no_row_of_the_servers_own_api_costs_credits(self) -> None:
        assert not [row.path for row in ROWS if isinstance(row.access, Access) and row.access.credits]


def test_the_export_of_a_tenant_has_its_groups_balances_and_apis_and_no_key_of_them(house: House) -> None:
    house.root("POST", "/v1/tenants", {"id": "acme"})
    theirs = {"tenant": "acme"}
    house.root("POST", "/v1/credits", group(api_key_origins=["https://api.example"]), params=theirs)
    given = {"tier_name": "free", "user_api_key": OWN_KEY}
    house.root("PATCH", f"{PLACE}/ada/{GROUP}", given, params=theirs)
    api = {"api_name": "chat", "api_version": "v1", "api_servers": ["https://api.example"]}
    house.root("POST", "/v1/apis", api, params=theirs)
    amended(house, "eve", tier_name="free")
    text = house.root("GET", "/v1/tenants/acme/export").text
    lines = [json.loads(line) for line in text.splitlines()]
    named = {line["kind"]: line.get(line["kind"]) for line in lines}
    assert named["credit_group"] == house.root("GET", f"/v1/credits/{GROUP}", params=theirs).json()
    assert named["credit_balance"] == {**NEW, "user_api_key_present": True}
    assert named["api"] == house.root("GET", "/v1/apis/chat/v1", params=theirs).json()
    assert lines[-1]["credit_balances"] == 1
    assert OWN_KEY not in text
    assert SECRET not in text
