"""What the development stack takes from a developer's environment."""

import pytest

from devstack.stack.environment import SettingRefused, external_parts, harmless, settled


@pytest.mark.parametrize("name", ["STRIPE_API_KEY", "ORDERSAGA_STRIPE_API_KEY"])
@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc"])
def test_refuses_a_live_key_under_either_of_its_names(name: str, key: str) -> None:
    """A live key never reaches a part, and the message says what to do without repeating the key."""
    with pytest.raises(SettingRefused, match="live key") as refusal:
        external_parts(settled({name: key}))
    assert key not in str(refusal.value)


def test_refuses_a_stripe_key_of_an_unknown_kind() -> None:
    """Only what is known to be a test key is used."""
    with pytest.raises(SettingRefused, match="not a Stripe test key"):
        external_parts({"STRIPE_API_KEY": "nonsense"})


def test_uses_a_database_a_temporal_and_a_test_key_that_are_named() -> None:
    """Each named part replaces the embedded one; an empty value names nothing."""
    named = external_parts({"DATABASE_URL": "postgresql://db", "TEMPORAL_PROFILE": "cloud", "STRIPE_API_KEY": ""})
    assert named.database_url == "postgresql://db"
    assert named.temporal
    assert named.stripe_api_key is None
    assert external_parts({"STRIPE_API_KEY": "sk_test_1"}).stripe_api_key == "sk_test_1"


def test_hides_servers_keys_proxies_and_settings_from_throw_away_stacks() -> None:
    """Only what names no server, key or setting passes."""
    stray = ("DATABASE_URL", "PGHOST", "TEMPORAL_ADDRESS", "STRIPE_API_KEY", "ORDERSAGA_GRACE_PERIOD",
             "HTTPS_PROXY", "all_proxy", "PYTHONPATH", "AWS_SECRET_ACCESS_KEY")  # fmt: skip
    environ = {"PATH": "/bin", "LC_ALL": "C", **dict.fromkeys(stray, "x")}
    assert harmless(environ) == {"PATH": "/bin", "LC_ALL": "C"}
