"""Settings as each process has them: with its own login at the database, so that a grant that is missing shows."""

from __future__ import annotations

from pydantic import SecretStr

from adapters.settings import Settings
from devstack.stack.logins import url_of


def seen_by(process: str, settings: Settings) -> Settings:
    """The settings with the process's login in place of the owner's; a database that is none, or away, stays."""
    url = settings.database_url.get_secret_value()
    return settings.model_copy(update={"database_url": SecretStr(url_of(process, url))})
