"""The webhook signature alone: vectors, forms and times."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.coordinator.problems import InvalidSignature
from examples.coordinator.signature import TOLERANCE, parse_secret, prove, sign

SECRET = bytes(range(32))
PREVIOUS = bytes(range(32, 64))
NOW = datetime(2030, 1, 1, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
BODY = b'{"event":"ping"}'

VECTORS = [
    # secret, webhook-id, webhook-timestamp, body, entry; the first is that of the Standard Webhooks text
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
]


def headers(**changed: str) -> dict[str, str]:
    sent = {
        "webhook-id": "evt_1",
        "webhook-timestamp": STAMP,
        "webhook-signature": sign(SECRET, "evt_1", STAMP, BODY),
    }
    return sent | {name.replace("_", "-"): value for name, value in changed.items()}


@pytest.mark.spec("CO-34")
@pytest.mark.parametrize(("secret", "webhook_id", "timestamp", "body", "entry"), VECTORS)
def test_signatures_agree_with_published_vectors(
    secret: str, webhook_id: str, timestamp: str, body: bytes, entry: str
) -> None:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert sign(key, webhook_id, timestamp, body) == entry


@pytest.mark.spec("CO-34")
def test_a_right_signature_proves_the_delivery() -> None:
    delivery = prove(headers(), BODY, secrets=[SECRET], now=NOW)
    assert (delivery.id, delivery.body) == ("evt_1", BODY)


@pytest.mark.spec("CO-34")
def test_any_entry_under_any_accepted_secret_is_enough() -> None:
    under_previous = sign(PREVIOUS, "evt_1", STAMP, BODY)
    sent = headers(webhook_signature=f"v1,AAAA v2,whatever {under_previous}")
    assert prove(sent, BODY, secrets=[SECRET, PREVIOUS], now=NOW).id == "evt_1"


@pytest.mark.spec("CO-34")
@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_signature": ""},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "é"},
        {"webhook_signature": sign(PREVIOUS, "evt_1", STAMP, BODY)},
        {"webhook_signature": sign(SECRET, "evt_1", STAMP, BODY).replace("v1,", "v2,")},
        {"webhook_signature": sign(SECRET, "evt_1", STAMP, BODY + b" ")},
        {"webhook_id": "evt_2"},
        {"webhook_id": ""},
        {"webhook_id": "e" * 129},
        {"webhook_id": "evt 1"},
        {"webhook_timestamp": str(int(STAMP) + 1)},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "9" * 40},
    ],
    ids=str,
)
def test_anything_else_proves_nothing(changed: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        prove(headers(**changed), BODY, secrets=[SECRET], now=NOW)


@pytest.mark.spec("CO-34")
def test_missing_headers_prove_nothing() -> None:
    with pytest.raises(InvalidSignature):
        prove({}, BODY, secrets=[SECRET], now=NOW)


@pytest.mark.spec("CO-35")
@pytest.mark.parametrize("direction", [1, -1])
def test_a_timestamp_may_be_off_by_300_seconds_and_no_more(direction: int) -> None:
    edge = NOW + direction * TOLERANCE
    assert prove(headers(), BODY, secrets=[SECRET], now=edge).id == "evt_1"
    with pytest.raises(InvalidSignature):
        prove(headers(), BODY, secrets=[SECRET], now=edge + direction * timedelta(seconds=1))


@pytest.mark.spec("CO-34")
@given(st.binary(max_size=64))
def test_no_other_body_bears_the_signature(body: bytes) -> None:
    if body != BODY:
        with pytest.raises(InvalidSignature):
            prove(headers(), body, secrets=[SECRET], now=NOW)


@pytest.mark.spec("CO-34")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_" + base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(32)).decode(),
        "whsec_*",
    ],
)
def test_a_secret_is_whsec_and_base64_of_at_least_32_bytes(text: str) -> None:
    assert parse_secret(text) is None
    assert parse_secret("whsec_" + base64.b64encode(SECRET).decode()) == SECRET
