"""Signatures of webhooks to merchants, held against the library of the people who wrote the specification."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from domain.webhook_signatures import KEY_BYTES, secret_of, signature, signed_headers

OLD, NEW, OTHER = (secret_of(bytes([n]) * KEY_BYTES) for n in (1, 2, 3))
BODY = '{"id":"1","data":{"name":"Zoë"}}'.encode()
EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/verify_webhook.py"


def headers(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    return signed_headers(secrets, "msg_1", at or datetime.now(UTC), BODY)


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the specification's own
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_the_library_takes_what_we_sign(zone: timezone) -> None:
    """Whatever zone the clock's times are in, and with letters that are no ASCII."""
    sent = headers(NEW, at=datetime.now(zone))
    assert Webhook(NEW).verify(BODY, sent) == {"id": "1", "data": {"name": "Zoë"}}


@pytest.mark.parametrize("known", [OLD, NEW])
def test_while_a_secret_is_rotated_either_one_will_do(known: str) -> None:
    """And a third one will not."""
    sent = headers(NEW, OLD)
    assert Webhook(known).verify(BODY, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, sent)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The ten lines that docs/merchant-webhooks.md gives to merchants."""
    spec = importlib.util.spec_from_file_location("verify_webhook", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_example_tells_ours_from_others(example: ModuleType) -> None:
    """During a rotation, too; not what was changed, signed by somebody else, or kept for later."""
    assert example.is_genuine(headers(NEW), BODY, NEW)
    assert example.is_genuine(headers(NEW, OLD), BODY, OLD)
    assert not example.is_genuine(headers(NEW), BODY + b" ", NEW)
    assert not example.is_genuine(headers(OTHER), BODY, NEW)
    assert not example.is_genuine(headers(NEW) | {"webhook-id": "msg_2"}, BODY, NEW)
    assert not example.is_genuine(headers(NEW) | {"webhook-signature": "v1,é v1 nonsense"}, BODY, NEW)
    assert not example.is_genuine(headers(NEW, at=datetime.now(UTC) - timedelta(minutes=6)), BODY, NEW)
