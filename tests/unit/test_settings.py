"""Settings: where they come from, and what makes no sense."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.settings import Settings

REAL = {
    "STRIPE_API_KEY": "sk_live_real",
    "STRIPE_WEBHOOK_SECRET": "whsec_real",
    "ORDERSAGA_CARRIER_API_KEY": "carrier-real",
    "ORDERSAGA_CARRIER_WEBHOOK_SECRET": "carrier-hooks-real",
    "ORDERSAGA_SERVICE_SECRET": "service-secret-real",
    "ORDERSAGA_BLIND_INDEX_SECRET": "blind-index-secret-real",
    "ORDERSAGA_SHIPPING_ORIGIN": '{"street1": "1 Main St", "city": "Reno", "zip": "89501", "country": "US"}',
}
ISSUER = {"ORDERSAGA_IDENTITY_JWKS": "https://login.shop.test/jwks"}
KEYS = {"ORDERSAGA_CUSTOMER_KEYS_FILE": "/keys/customers"}
ELSEWHERE = {
    "DATABASE_URL": "postgresql://shop:secret@db.shop.test/shop",
    "ORDERSAGA_PUBLIC_URL": "https://orders.shop.test",
}


@pytest.fixture(autouse=True)
def _no_stray_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A developer's shell and home say nothing here."""
    for name in list(os.environ):
        if name.startswith(("ORDERSAGA_", "TEMPORAL_", "STRIPE_", "OTEL_")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))


def _settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_defaults_serve_the_embedded_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be set on loopback, where the placeholders do."""
    settings = _settings(monkeypatch)
    assert settings.temporal_address == "127.0.0.1:7233"
    assert settings.task_queue == "orders"
    assert settings.has_placeholder("stripe_api_key")


@pytest.mark.parametrize("part", list(ELSEWHERE))
@pytest.mark.parametrize("forgotten", list(REAL))
def test_a_placeholder_is_refused_when_a_part_is_elsewhere(
    monkeypatch: pytest.MonkeyPatch, part: str, forgotten: str
) -> None:
    """Everybody knows the placeholders: each of the five secrets has to be set, and the shop's own address."""
    environment = {name: value for name, value in REAL.items() if name != forgotten}
    with pytest.raises(ValidationError) as refused:
        _settings(monkeypatch, **environment, **ISSUER, **{part: ELSEWHERE[part]})
    setting = forgotten.removeprefix("ORDERSAGA_").lower()
    assert f"{setting} is a placeholder" in str(refused.value)
    assert "secret@" not in str(refused.value)


def test_a_key_for_stripe_itself_needs_a_webhook_secret_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise anybody could sign a webhook that says "paid"."""
    with pytest.raises(ValidationError, match="stripe_webhook_secret is a placeholder"):
        _settings(monkeypatch, STRIPE_API_KEY="sk_live_real")


def test_everything_may_be_elsewhere_with_real_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production."""
    settings = _settings(monkeypatch, **REAL, **KEYS, **ISSUER, **ELSEWHERE)
    assert settings.stripe_is_live
    assert settings.stripe_api_base is None


def test_a_file_of_keys_is_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever could write the file could be anybody."""
    with pytest.raises(ValidationError, match="identity_jwks is a file"):
        _settings(monkeypatch, **REAL, **KEYS, **ELSEWHERE)


@pytest.mark.parametrize("given", ["http://login.shop.test/jwks", "https://", "ftp://x/y", "https://u:p@x/jwks", ""])
def test_keys_come_by_https_or_from_a_file(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Keys that somebody on the way could change prove nothing."""
    with pytest.raises(ValidationError, match="https:// address"):
        _settings(monkeypatch, ORDERSAGA_IDENTITY_JWKS=given)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_loopback_has_several_names(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Placeholders do on this machine, however it is called."""
    settings = _settings(monkeypatch, DATABASE_URL=f"postgresql://o:o@{host}:5432/o")
    assert settings.has_placeholder("stripe_webhook_secret")


@pytest.mark.parametrize(
    ("usual", "setting"),
    [
        ("DATABASE_URL", "database_url"),
        ("STRIPE_API_KEY", "stripe_api_key"),
        ("STRIPE_WEBHOOK_SECRET", "stripe_webhook_secret"),
        ("TEMPORAL_ADDRESS", "temporal_address"),
        ("TEMPORAL_NAMESPACE", "temporal_namespace"),
    ],
)
def test_a_usual_name_counts_and_our_own_comes_first(
    monkeypatch: pytest.MonkeyPatch, usual: str, setting: str
) -> None:
    """DATABASE_URL as everywhere; ORDERSAGA_DATABASE_URL where that one belongs to another program."""
    theirs, ours = ("postgresql://a@localhost/a", "postgresql://b@localhost/b")
    real = REAL | KEYS | {usual: theirs, "ORDERSAGA_TEMPORAL_KEYS_FILE": "keys"}
    assert _value(_settings(monkeypatch, **real), setting) == theirs
    assert _value(_settings(monkeypatch, **{f"ORDERSAGA_{usual}": ours}), setting) == ours


def _value(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)


def test_the_sdks_configuration_file_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Temporal Cloud by its profile, unless the address is set."""
    file = tmp_path / "temporal.toml"
    file.write_text('[profile.default]\naddress = "cloud.test:7233"\nnamespace = "shop"\n')
    settings = _settings(monkeypatch, TEMPORAL_CONFIG_FILE=str(file), ORDERSAGA_TEMPORAL_KEYS_FILE="keys")
    assert (settings.temporal_address, settings.temporal_namespace) == ("cloud.test:7233", "shop")
    assert _settings(monkeypatch, ORDERSAGA_TEMPORAL_ADDRESS="127.0.0.1:1").temporal_address == "127.0.0.1:1"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"])
def test_every_spelling_of_a_postgresql_url_is_taken(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Whatever driver it names, ours is used."""
    settings = _settings(monkeypatch, DATABASE_URL=f"{scheme}://o:p@localhost:5432/o?ssl=disable")
    assert settings.sqlalchemy_url == "postgresql+asyncpg://o:p@localhost:5432/o?ssl=disable"


@pytest.mark.parametrize("url", ["mysql://o:secret@localhost/o", "sqlite:///secret.db", "secret", ""])
def test_another_database_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """There is one dialect; the error names the setting, and not what was in it."""
    with pytest.raises(ValidationError, match="DATABASE_URL must be a postgresql:// URL") as refused:
        _settings(monkeypatch, DATABASE_URL=url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDERSAGA_DATABASE_POOL_SIZE", "0"),
        ("ORDERSAGA_TASK_QUEUE", ""),
        ("ORDERSAGA_STRIPE_TIMEOUT", "0"),
        ("ORDERSAGA_CHECKOUT_BUDGET", "-1"),
        ("ORDERSAGA_GRACE_PERIOD", "soon"),
        ("ORDERSAGA_WORKER_MAX_CONCURRENT_ACTIVITIES", "many"),
        ("ORDERSAGA_WORKER_MAX_CONCURRENT_WORKFLOW_TASKS", "1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Refused at start, not at the first order."""
    with pytest.raises(ValidationError) as refused:
        _settings(monkeypatch, **{name: value})
    assert [error["loc"] for error in refused.value.errors()] == [(name.removeprefix("ORDERSAGA_").lower(),)]


def test_a_grace_period_is_an_iso_duration_or_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pydantic reads times."""
    assert _settings(monkeypatch, ORDERSAGA_GRACE_PERIOD="PT30M").grace_period == timedelta(minutes=30)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings may end in a log."""
    shown = repr(_settings(monkeypatch, **REAL, **KEYS, **ISSUER, **ELSEWHERE))
    assert not [secret for secret in (*REAL.values(), "shop:secret") if secret in shown]


def test_a_consumer_knows_sequences_for_longer_than_events_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a repeat would be taken for news."""
    with pytest.raises(ValidationError, match=r"sequence_retention must be longer than .*, which are 45 days"):
        _settings(monkeypatch, ORDERSAGA_BROKER_RETENTION="P38D")
    assert _settings(monkeypatch, ORDERSAGA_BROKER_RETENTION="P37D").sequence_retention == timedelta(days=45)
    with pytest.raises(ValidationError, match="message_retention must be longer than sequence_retention"):
        _settings(monkeypatch, ORDERSAGA_MESSAGE_RETENTION="P45D")


@pytest.mark.parametrize("part", list(ELSEWHERE))
def test_webhooks_reach_private_addresses_in_development_only(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """With a part on another machine the switch is refused, whoever has left it on."""
    switch = {"ORDERSAGA_WEBHOOK_PRIVATE_TARGETS": "true"}
    assert _settings(monkeypatch, **switch).webhook_private_targets
    with pytest.raises(ValidationError, match="webhook_private_targets is for development"):
        _settings(monkeypatch, **switch, **REAL, **KEYS, **{part: ELSEWHERE[part]})
