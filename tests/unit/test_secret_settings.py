"""Secrets from files, and webhook secrets while they are replaced."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from adapters.secret_settings import is_secret, variables_of
from adapters.settings import Settings
from api.http.statuses import Malformed
from api.webhooks.signatures import check_carrier, check_stripe
from tests.support.webhooks import sign_carrier, sign_stripe

SECRETS = {name: field for name, field in Settings.model_fields.items() if is_secret(field)}
VALUES = {
    "database_url": "postgresql://o:from-a-file@localhost/o",
    "broker_url": "nats://o:p@localhost",
    "stripe_api_key": "sk_test_ordersaga_from_a_file",
}
OLD, NEW, OTHER = (SecretStr(f"whsec_{word}") for word in ("old", "new", "other"))


@pytest.fixture(autouse=True)
def _no_stray_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A developer's shell and home say nothing here."""
    for name in list(os.environ):
        if name.startswith(("ORDERSAGA_", "TEMPORAL_", "STRIPE_", "OTEL_", "DATABASE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_can_be_read_from_a_file(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Under each of its names with `_FILE` at the end; the line break at the end of the file does not count."""
    wanted = VALUES.get(name, VALUES["broker_url"] if name.startswith("broker") else "whsec_from-a-file")
    (tmp_path / "secret").write_text(f"{wanted}\n")
    for variable in variables_of(SECRETS[name], name):
        with monkeypatch.context() as patch:
            patch.setenv(f"{variable}_FILE", str(tmp_path / "secret"))
            patch.setenv(variable, "")  # as docker-compose.yml gives what is optional
            assert getattr(Settings(), name).get_secret_value() == wanted


def test_the_ones_that_matter_are_among_them() -> None:
    """Passwords, API keys, signing secrets."""
    assert SECRETS.keys() >= {
        "database_url", "stripe_api_key", "stripe_webhook_secret", "stripe_webhook_secret_previous",
        "carrier_api_key", "carrier_webhook_secret", "carrier_webhook_secret_previous", "broker_url", "mail_url",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("contents", "problem"),
    [(None, "No such file"), (b"", "is empty"), (b"\xff\xfe", "is not text"), (b"x" * 70_000, "is too large")],
)
def test_a_file_that_gives_no_secret_is_named(
    contents: bytes | None, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With its setting and its variable, and without what is in it."""
    file = tmp_path / "secret"
    if contents is not None:
        file.write_bytes(contents)
    monkeypatch.setenv("STRIPE_API_KEY_FILE", str(file))
    with pytest.raises(ValidationError) as refused:
        Settings()
    [error] = refused.value.errors()
    assert error["loc"] == ("stripe_api_key",)
    assert "STRIPE_API_KEY_FILE names" in error["msg"] and problem in error["msg"]
    assert "xxx" not in str(refused.value)


def test_a_secret_is_given_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody has to guess which of the two counts."""
    (tmp_path / "secret").write_text("sk_test_file")
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_environment")
    monkeypatch.setenv("ORDERSAGA_STRIPE_API_KEY_FILE", str(tmp_path / "secret"))
    with pytest.raises(ValidationError, match="ORDERSAGA_STRIPE_API_KEY_FILE is set beside it") as refused:
        Settings()
    assert "sk_test_" not in str(refused.value)


def test_what_is_no_secret_is_not_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only secrets have a reason to be."""
    (tmp_path / "queue").write_text("other")
    monkeypatch.setenv("ORDERSAGA_TASK_QUEUE_FILE", str(tmp_path / "queue"))
    assert Settings().task_queue == "orders"


@pytest.mark.parametrize(
    ("known", "taken"), [((NEW, OLD), True), ((OLD, NEW), True), ((NEW, None), False), ((NEW, OTHER), False)]
)
def test_two_secrets_count_at_a_time(known: tuple[SecretStr | None, ...], taken: bool) -> None:
    """While one is replaced: what was signed with the old one is taken as long as it is set."""
    raw = b'{"id": "evt_1"}'
    given = {check_stripe: sign_stripe(raw.decode(), OLD), check_carrier: sign_carrier(raw.decode(), OLD)}
    for check, signature in given.items():
        with nullcontext() if taken else pytest.raises(Malformed):
            check(raw, signature, *known)


@pytest.mark.parametrize("setting", ["stripe_webhook_secret", "carrier_webhook_secret"])
def test_the_one_before_is_a_setting(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset, or empty as in docker-compose.yml, there is none."""
    variable = f"ORDERSAGA_{setting.upper()}_PREVIOUS"
    monkeypatch.setenv(variable, "")
    assert getattr(Settings(), f"{setting}_previous") is None
    monkeypatch.setenv(variable, OLD.get_secret_value())
    assert getattr(Settings(), f"{setting}_previous") == OLD


def test_no_rule_of_a_part_hides_another_ones() -> None:
    """Methods of one name in two of the classes that settings are made of: only one of them would be asked."""
    own = [name for part in Settings.__mro__ if part.__module__.startswith("adapters.") for name in vars(part)]
    rules = [name for name in own if name.startswith(("_refuse", "_take", "_read", "_know"))]
    assert len(rules) > 8 and sorted(set(rules)) == sorted(rules)


def test_payloads_in_clear_are_refused_where_temporal_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine they do; elsewhere somebody else's disk would hold what orders say."""
    assert Settings().temporal_keys_file is None
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.shop.test:7233")
    with pytest.raises(ValidationError, match="temporal_keys_file is not set, but temporal_address is temp"):
        Settings()
    monkeypatch.setenv("ORDERSAGA_TEMPORAL_KEYS_FILE", "/keys/temporal")
    assert Settings().temporal_keys_file == Path("/keys/temporal")
