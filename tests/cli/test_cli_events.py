"""`keyrack events` and `keyrack denials`: the log is shown, followed, and checked to the last byte."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from cli_bed import NEW_PEPPERS, PEPPERS, Shell


@pytest.fixture
def changed(shell: Shell) -> list[str]:
    """Three keys (events 4 to 6), the first of them disabled and enabled (7 and 8): their ids."""
    ids = [shell.json("keys", "mint", name)["key"]["id"] for name in ("a", "b", "c")]
    shell.json("keys", "disable", ids[0])
    shell.json("keys", "enable", ids[0])
    return ids


def bad_number(shell: Shell) -> Any:
    """The number that `events check` names, the same for people and programs."""
    ran = shell("events", "check", "--json")
    assert (ran.code, ran.json["ok"]) == (1, False), ran
    number = ran.json["fault"]["number"]
    told = shell("events", "check")
    assert told.code == 1
    assert told.out.startswith(f"Event {number} is the first")
    return number


def test_events_are_listed_in_order_and_in_pages(shell: Shell, changed: list[str]) -> None:
    first = shell.json("events", "list", "--limit", "5")
    rest = shell.json("events", "list", "--cursor", first["next_cursor"])
    assert [one["number"] for one in first["data"] + rest["data"]] == list(range(1, 9))
    assert rest["next_cursor"] is None
    assert "key.enabled" in shell("events", "list").out


def test_events_are_listed_by_subject_and_by_tenant(shell: Shell, changed: list[str]) -> None:
    shell.json("tenants", "create", "acme")
    of_a_key = shell.json("events", "list", "--subject", changed[0])["data"]
    assert [one["kind"] for one in of_a_key] == ["key.minted", "key.disabled", "key.enabled"]
    of_a_tenant = shell.json("events", "list", "--tenant", "acme")["data"]
    assert [one["kind"] for one in of_a_tenant] == ["tenant.created"]


def test_the_newest_events_are_printed_a_line_each(shell: Shell, changed: list[str]) -> None:
    ran = shell("events", "tail", "--lines", "2", "--no-follow", "--json")
    assert [json.loads(line)["number"] for line in ran.out.splitlines()] == [7, 8]
    assert len(shell("events", "tail", "--no-follow").out.splitlines()) == 8


def test_what_comes_is_printed_until_somebody_interrupts(shell: Shell, changed: list[str]) -> None:
    following = shell.start("events", "tail", "--lines", "1", "--json")
    if following.stdout is None:
        raise AssertionError
    assert json.loads(following.stdout.readline())["number"] == 8
    shell.json("keys", "revoke", changed[1], "--reason", "lost")
    came = json.loads(following.stdout.readline())
    assert (came["number"], came["kind"], came["data"]) == (9, "key.revoked", {"reason": "lost"})
    following.send_signal(signal.SIGINT)
    following.communicate()
    assert following.returncode == 130


def test_a_whole_store_passes(shell: Shell, changed: list[str]) -> None:
    assert shell.json("events", "check") == {"ok": True, "events": 8, "records": 5, "fault": None}
    assert shell("events", "check").out == "All is well: 8 events and 5 records.\n"


@pytest.mark.parametrize("number", [1, 5, 8])
def test_a_flipped_byte_of_an_event_is_found(shell: Shell, changed: list[str], number: int) -> None:
    ((body,),) = shell.look("SELECT body FROM log WHERE number = ?", number)
    middle = body.index(b'"actor"') + 10
    flipped = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    shell.alter("UPDATE log SET body = ? WHERE number = ?", flipped, number)
    assert bad_number(shell) == number


@pytest.mark.parametrize("number", [1, 5])
def test_a_flipped_byte_of_a_code_is_found(shell: Shell, changed: list[str], number: int) -> None:
    ((mac,),) = shell.look("SELECT mac FROM log WHERE number = ?", number)
    shell.alter("UPDATE log SET mac = ? WHERE number = ?", mac[:-1] + bytes([mac[-1] ^ 1]), number)
    assert bad_number(shell) == number


def test_bytes_that_are_no_event_at_all_are_found(shell: Shell, changed: list[str]) -> None:
    shell.alter("UPDATE log SET body = x'00ff', pepper = 'zz' WHERE number = 5")
    assert bad_number(shell) == 5


@pytest.mark.parametrize("number", [1, 5])
def test_a_dropped_event_is_found(shell: Shell, changed: list[str], number: int) -> None:
    shell.alter("DELETE FROM log WHERE number = ?", number)
    assert bad_number(shell) == number


def test_events_that_were_dropped_at_the_end_are_missed_by_their_records(
    shell: Shell, changed: list[str]
) -> None:
    shell.alter("DELETE FROM log WHERE number > 6")
    assert bad_number(shell) == 4


def test_swapped_events_are_found(shell: Shell, changed: list[str]) -> None:
    for number, other in ((5, 1005), (6, 5), (1005, 6)):
        shell.alter("UPDATE log SET number = ? WHERE number = ?", other, number)
    assert bad_number(shell) == 5


def test_an_event_that_is_there_twice_is_found(shell: Shell, changed: list[str]) -> None:
    columns = "body, pepper, mac, kind, subject, tenant"
    shell.alter(f"INSERT INTO log (number, {columns}) SELECT 9, {columns} FROM log WHERE number = 8")
    assert bad_number(shell) == 9


def test_an_old_record_that_was_put_back_is_found(shell: Shell, changed: list[str]) -> None:
    columns = "revision, body, pepper, mac"
    (old,) = shell.look(f"SELECT {columns} FROM records WHERE id = ?", changed[1])
    shell.json("keys", "revoke", changed[1])
    assert shell("events", "check").code == 0
    shell.alter(
        "UPDATE records SET revision = ?, body = ?, pepper = ?, mac = ? WHERE id = ?", *old, changed[1]
    )
    assert bad_number(shell) == 9


def test_an_altered_record_is_found_by_the_event_that_left_it(shell: Shell, changed: list[str]) -> None:
    shell.alter("UPDATE records SET body = replace(body, '\"b\"', '\"x\"') WHERE id = ?", changed[1])
    assert bad_number(shell) == 5


def test_exchanged_records_are_found(shell: Shell, changed: list[str]) -> None:
    (other,) = shell.look("SELECT body, mac FROM records WHERE id = ?", changed[2])
    shell.alter("UPDATE records SET body = ?, mac = ? WHERE id = ?", *other, changed[1])
    assert bad_number(shell) == 5


def test_a_record_that_is_gone_is_found(shell: Shell, changed: list[str]) -> None:
    shell.alter("DELETE FROM records WHERE id = ?", changed[2])
    assert bad_number(shell) == 6


def test_a_record_that_no_event_knows_is_found(shell: Shell, changed: list[str]) -> None:
    columns = "kind, revision, tenant, name, owner, body, pepper, mac"
    shell.alter(
        f"INSERT INTO records (serial, id, {columns}) SELECT 99, 'AbCdEfGhIjKl', {columns} "
        "FROM records WHERE id = ?",
        changed[1],
    )
    assert bad_number(shell) == 5


def test_an_event_under_a_pepper_that_is_gone_is_still_held_by_the_chain(
    bare: Shell,
) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    bare("init")
    bare.set("KEYRACK_PEPPERS", NEW_PEPPERS)
    bare.json("pepper", "rotate")
    for key in bare.json("keys", "list")["data"]:
        bare.json("keys", "rotate", key["id"], "--compromised")
    bare.set("KEYRACK_PEPPERS", NEW_PEPPERS.partition(",")[0])
    assert bare("events", "check").code == 0
    listed = bare("events", "list")
    assert ("key.minted" in listed.out, "pepper p1" in listed.err) == (True, True)
    bare.alter("UPDATE log SET body = replace(body, 'store.created', 'store.creates') WHERE number = 1")
    assert bad_number(bare) == 1
    bare.alter("UPDATE log SET body = replace(body, 'store.creates', 'store.restored') WHERE number = 1")
    assert bad_number(bare) == 1


def test_an_empty_store_and_one_that_is_not_there_are_a_matter_of_configuration(bare: Shell) -> None:
    assert bare("events", "check").code == 78


def test_denials_are_listed_in_pages(shell: Shell) -> None:
    for _ in range(3):
        shell("verify", stdin="kr_live_" + "A" * 50)
    first = shell.json("denials", "list", "--limit", "2")
    rest = shell.json("denials", "list", "--cursor", first["next_cursor"])
    assert [len(first["data"]), len(rest["data"])] == [2, 1]
    assert rest["data"][0]["reason"] == "malformed"
    assert shell.json("denials", "list", "--tenant", "default")["data"] == []
