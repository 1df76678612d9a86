"""What customers want to hear of, as clients send and see it."""

from __future__ import annotations

from api.customers.schemas import NotificationsView, NotificationsWanted
from api.deps import Services
from domain.identifiers import is_identifier
from services.customers.customers import no_such_customer
from services.notifications import preferences
from services.notifications.preferences import Preferences


async def read(services: Services, customer_id: str) -> NotificationsView:
    """Raises NotFound."""
    _require_identifier(customer_id)
    async with services.reads.connect() as connection:
        return _view(customer_id, await preferences.read(connection, customer_id))


async def write(services: Services, customer_id: str, wanted: NotificationsWanted) -> NotificationsView:
    """Raises NotFound, and InvalidInput for a language without texts."""
    _require_identifier(customer_id)
    async with services.sessions() as session, session.begin():
        said = Preferences(wanted.locale, wanted.kinds)
        return _view(customer_id, await preferences.write(await session.connection(), customer_id, said))


def _require_identifier(customer_id: str) -> None:
    if not is_identifier(customer_id):
        raise no_such_customer()


def _view(customer_id: str, found: Preferences) -> NotificationsView:
    return NotificationsView(customer_id=customer_id, locale=found.locale, kinds=dict(found.wanted))
