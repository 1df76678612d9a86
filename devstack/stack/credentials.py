"""The secrets of one stack: made up at its first start, kept in its folder for its owner's eyes."""

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path


def _random() -> str:
    return secrets.token_hex(20)


@dataclass(frozen=True)
class Credentials:
    """What the parts of one stack know each other by. The Stripe ones have the shape of test-mode ones."""

    postgres_password: str = field(default_factory=_random)
    stripe_api_key: str = field(default_factory=lambda: f"sk_test_{_random()}")
    stripe_webhook_secret: str = field(default_factory=lambda: f"whsec_{_random()}")
    carrier_api_key: str = field(default_factory=_random)
    carrier_webhook_secret: str = field(default_factory=_random)
    service_secret: str = field(default_factory=_random)
    blind_index_secret: str = field(default_factory=_random)
    # With a letter first: the server reads them from its environment, and takes 12e4 for a number.
    nats_relay_password: str = field(default_factory=lambda: f"relay_{_random()}")
    nats_consumer_password: str = field(default_factory=lambda: f"consumer_{_random()}")


def credentials_of(folder: Path) -> Credentials:
    """Those saved in the folder, or new ones, saved before they are used; some may be younger than the folder."""
    file = folder / "credentials.json"
    if file.exists():
        made = Credentials(**(saved := json.loads(file.read_text())))
        if saved.keys() == asdict(made).keys():
            return made
    else:
        made = Credentials()
    unfinished = folder / "credentials.json.new"
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(asdict(made), indent=2))
    unfinished.replace(file)
    return made
