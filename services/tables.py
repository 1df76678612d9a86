"""Every table of the service, for those who need all of them at once: the migrations."""

from __future__ import annotations

from sqlmodel import SQLModel

from services.archive import tables as archive
from services.audit import tables as audit
from services.brake import tables as brake
from services.carts import tables as carts
from services.catalogue import tables as catalogue
from services.consumers import tables as consumers
from services.customers import tables as customers
from services.identities import tables as identities
from services.inbox import tables as inbox
from services.inventory import tables as inventory
from services.limits import tables as limits
from services.merchant_webhooks import tables as merchant_webhooks
from services.notifications import tables as notifications
from services.orders import tables as orders
from services.outbox import tables as outbox
from services.payments import tables as payments
from services.promotions import tables as promotions
from services.rates import tables as rates
from services.recovery import tables as recovery
from services.refunds import tables as refunds
from services.sealing import tables as sealing
from services.shipping import tables as shipping
from services.texts import tables as texts
from services.tickets import tables as tickets

AREAS = (
    archive,
    audit,
    brake,
    carts,
    catalogue,
    consumers,
    customers,
    identities,
    inbox,
    inventory,
    limits,
    merchant_webhooks,
    notifications,
    orders,
    outbox,
    payments,
    promotions,
    rates,
    recovery,
    refunds,
    sealing,
    shipping,
    texts,
    tickets,
)

METADATA = SQLModel.metadata
"""Filled by the imports above."""
