"""The file that says who is told, and the signature of Standard Webhooks, checked by its own library."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import standardwebhooks

from keyrack import ConfigurationError
from keyrack.core.webhooks import Webhook, Webhooks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FILE = f"""
[[webhook]]
name = "ops"
url = "https://ops.example/keyrack?team=1"
secret = "{SECRET}"

[[webhook]]
name = "acme"
url = "http://acme.example/"
secret = "{SECRET}"
tenant = "acme"
events = ["rotation.*", "credits.exhausted"]
"""


def test_a_file_names_who_is_told_what() -> None:
    webhooks = Webhooks.read(FILE)
    ops, acme = webhooks
    assert (ops.name, ops.tenant, ops.events) == ("ops", None, ("*",))
    assert (acme.url, acme.tenant, acme.events) == (
        "http://acme.example/",
        "acme",
        ("rotation.*", "credits.exhausted"),
    )
    assert webhooks.get("acme") is acme
    assert webhooks.get("nobody") is None
    assert len(webhooks) == 2
    assert len(Webhooks.read("")) == 0


@pytest.mark.parametrize(
    ("kind", "tenant", "wanted"),
    [
        ("rotation.started", "acme", True),
        ("credits.exhausted", "acme", True),
        ("alert.new_key_refused", "acme", False),
        ("credits.exhausted.more", "acme", False),
        ("rotation.started", "other", False),
    ],
)
def test_a_webhook_wants_what_its_patterns_name_of_its_tenant(kind: str, tenant: str, wanted: bool) -> None:
    ops, acme = Webhooks.read(FILE)
    assert acme.wants(kind, tenant) is wanted
    assert ops.wants(kind, tenant)


WRONG = {
    "is not TOML": "[[webhook",
    "tables [[webhook]] and nothing else": 'other = "x"',
    "each [[webhook]] has": '[[webhook]]\nname = "ops"\nurl = "https://a.example"',
    "must hold tables": 'webhook = "ops"',
    "must be texts": f'[[webhook]]\nname = 7\nurl = "https://a.example"\nsecret = "{SECRET}"',
    "must be a list": f'[[webhook]]\nname = "o"\nurl = "https://a"\nsecret = "{SECRET}"\nevents = "*"',
    "must be http(s)": f'[[webhook]]\nname = "o"\nurl = "ftp://a.example"\nsecret = "{SECRET}"',
    "without a password": f'[[webhook]]\nname = "o"\nurl = "https://u:p@a.example"\nsecret = "{SECRET}"',
    "names one webhook twice": FILE + FILE,
    "24 to 64 bytes": '[[webhook]]\nname = "o"\nurl = "https://a.example"\nsecret = "whsec_c2hvcnQ="',
    "`whsec_` and": '[[webhook]]\nname = "o"\nurl = "https://a.example"\nsecret = "not-base64-at-all"',
    "secret of 'o' must": f'[[webhook]]\nname = "o"\nurl = "https://a.example"\nsecret = "{SECRET}!"',
    "url of 'o' must": f'[[webhook]]\nname = "o"\nurl = "ftp://a.example"\nsecret = "{SECRET}"',
    "tenant must be texts": f'[[webhook]]\nname = "o"\nurl = "https://a"\nsecret = "{SECRET}"\ntenant = 7',
    "has name, url, secret": FILE + 'colour = "red"',
    "be texts": f'[[webhook]]\nname = ""\nurl = "https://a.example"\nsecret = "{SECRET}"',
}


@pytest.mark.parametrize("said", WRONG)
def test_a_file_that_is_wrong_is_refused_by_what_is_wrong(said: str) -> None:
    with pytest.raises(ConfigurationError, match="KEYRACK_WEBHOOKS") as error:
        Webhooks.read(WRONG[said])
    assert said in error.value.detail
    assert SECRET not in error.value.detail
    assert "u:p" not in error.value.detail


def test_no_repr_shows_a_secret() -> None:
    (webhook, _) = Webhooks.read(FILE)
    assert "secret" not in repr(webhook)


@pytest.mark.spec("UG-30")
def test_a_message_is_signed_as_the_standards_own_library_signs_it() -> None:
    ops, _ = Webhooks.read(FILE)
    body, at = '{"type":"rotation.started","data":{"subject":"köln"}}', 1_800_000_000
    headers = ops.headers("msg_1", body.encode(), at=at)
    signed = standardwebhooks.Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(at, UTC), body)
    assert headers == {
        "Content-Type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": "1800000000",
        "webhook-signature": signed,
    }
    other = Webhook("x", "https://a.example", b"0" * 24).headers("msg_1", body.encode(), at=at)
    assert other["webhook-signature"] != signed
