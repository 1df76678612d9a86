"""Stores what somebody wrote to a workflow by hand."""

from __future__ import annotations

from temporalio import activity

from adapters.postgres.database import Sessions
from domain.texts import KeepText
from services.texts import texts


class Texts:
    """Keeps people's own words out of workflow histories."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn
    async def keep_text(self, text: KeepText) -> None:
        """A repeat writes nothing."""
        async with self._sessions() as session, session.begin():
            await texts.keep(session, text.kind, text.words, order_id=text.order_id, text_id=text.text_id)
