"""Who holds the master key, by the settings: the one place to put a KMS."""

from __future__ import annotations

from adapters.keys.ring import FileKeys
from adapters.keys.vault import Vault
from adapters.settings import Settings

VAULT = "ordersaga_vault"
"""The execution option by which every connection of ours carries the vault."""


def open_vault(settings: Settings) -> Vault | None:
    """None without a master key: then nothing is sealed, and what is sealed cannot be read. Raises KeysUnusable."""
    if settings.customer_keys_file is None:
        return None
    return Vault(FileKeys(settings.customer_keys_file), settings.blind_index_secret, seals=settings.seals)
