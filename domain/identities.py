"""Who asks, and what they may do: principals, roles, permissions, and the table of all three. Pure rules.

Nothing is allowed that the table does not name. A role reaches everybody's rows or only those of its own customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from domain.errors import Forbidden

API_KEYS = "ordersaga:keys"
"""The issuer of principals that come with an API key of our own."""


class Kind(StrEnum):
    """What a principal is."""

    PERSON = "person"  # has logged in at the issuer
    SERVICE = "service"  # a program, by client credentials or by an API key


class Role(StrEnum):
    """What a token's `scope` names; a principal may have several."""

    CUSTOMER = "customer"  # orders for themselves
    SHOP = "shop"  # the shop's own program: orders for any customer, keeps catalogue and stock
    SUPPORT = "support"  # reads, and cancels
    OPERATIONS = "operations"  # repairs and refunds
    SUPPLIER = "supplier"  # a supplier's program
    AUDITOR = "auditor"  # reads what was done, and nobody's address
    PRIVACY = "privacy"  # answers people who ask for their data


class Permission(StrEnum):
    """What a route needs: each names one."""

    ORDERS_PLACE = "orders:place"
    ORDERS_READ = "orders:read"
    ORDERS_PAY = "orders:pay"  # offer another payment method
    ORDERS_CANCEL = "orders:cancel"
    ORDERS_DROP = "orders:drop"  # take a line out
    ORDERS_SHIP = "orders:ship"  # at once, without waiting for its date
    REFUNDS_READ = "refunds:read"
    REFUNDS_MAKE = "refunds:make"
    REPAIRS_READ = "repairs:read"
    REPAIRS_RESOLVE = "repairs:resolve"
    BRAKE_READ = "brake:read"
    BRAKE_RELEASE = "brake:release"
    CARTS_READ = "carts:read"
    CARTS_CHANGE = "carts:change"
    CARTS_LIST = "carts:list"
    CATALOGUE_READ = "catalogue:read"
    CATALOGUE_CHANGE = "catalogue:change"
    STOCK_READ = "stock:read"
    STOCK_CHANGE = "stock:change"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_ADD = "customers:add"
    CUSTOMERS_PREFER = "customers:prefer"  # which messages a customer wants
    PROMOTIONS_READ = "promotions:read"
    PROMOTIONS_CHANGE = "promotions:change"
    RATES_READ = "rates:read"
    RATES_CHANGE = "rates:change"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    EVENTS_READ = "events:read"  # what the broker refused
    EVENTS_REPLAY = "events:replay"
    KEYS_MANAGE = "keys:manage"
    AUDIT_READ = "audit:read"
    PRIVACY_EXPORT = "privacy:export"  # everything that is held on a customer
    PRIVACY_ERASE = "privacy:erase"


class Reach(StrEnum):
    """Whose rows a permission is about."""

    OWN = "own"  # those of the principal's own customer
    ANY = "any"


P = Permission
_OWN, _ANY = Reach.OWN, Reach.ANY

ROLES: Mapping[Role, Mapping[Permission, Reach]] = {
    Role.CUSTOMER: {
        **dict.fromkeys((P.ORDERS_PLACE, P.ORDERS_READ, P.ORDERS_PAY, P.ORDERS_CANCEL), _OWN),
        **dict.fromkeys((P.REFUNDS_READ, P.CUSTOMERS_READ, P.CUSTOMERS_PREFER), _OWN),
        **dict.fromkeys((P.CARTS_READ, P.CARTS_CHANGE), _OWN),
        P.CATALOGUE_READ: _ANY,
    },
    Role.SHOP: dict.fromkeys(
        (
            P.ORDERS_PLACE,
            P.ORDERS_READ,
            P.ORDERS_PAY,
            P.ORDERS_CANCEL,
            P.ORDERS_SHIP,
            P.REFUNDS_READ,
            P.CATALOGUE_READ,
            P.CATALOGUE_CHANGE,
            P.STOCK_READ,
            P.STOCK_CHANGE,
            P.CUSTOMERS_READ,
            P.CUSTOMERS_ADD,
            P.CUSTOMERS_PREFER,
            P.CARTS_READ,
            P.CARTS_CHANGE,
            P.CARTS_LIST,
            P.PROMOTIONS_READ,
            P.PROMOTIONS_CHANGE,
            P.RATES_READ,
            P.RATES_CHANGE,
            P.WEBHOOKS_READ,
            P.WEBHOOKS_MANAGE,
        ),
        _ANY,
    ),
    Role.SUPPORT: dict.fromkeys(
        (
            P.ORDERS_READ,
            P.ORDERS_CANCEL,
            P.REFUNDS_READ,
            P.REPAIRS_READ,
            P.CATALOGUE_READ,
            P.CUSTOMERS_READ,
            P.PROMOTIONS_READ,
        ),
        _ANY,
    ),
    Role.OPERATIONS: dict.fromkeys(
        (
            P.ORDERS_READ,
            P.ORDERS_CANCEL,
            P.ORDERS_DROP,
            P.ORDERS_SHIP,
            P.REFUNDS_READ,
            P.REFUNDS_MAKE,
            P.REPAIRS_READ,
            P.REPAIRS_RESOLVE,
            P.BRAKE_READ,
            P.BRAKE_RELEASE,
            P.CATALOGUE_READ,
            P.STOCK_READ,
            P.STOCK_CHANGE,
            P.CUSTOMERS_READ,
            P.CARTS_READ,
            P.CARTS_LIST,
            P.EVENTS_READ,
            P.EVENTS_REPLAY,
            P.PROMOTIONS_READ,
            P.PROMOTIONS_CHANGE,
            P.RATES_READ,
            P.RATES_CHANGE,
            P.WEBHOOKS_READ,
            P.WEBHOOKS_MANAGE,
            P.KEYS_MANAGE,
        ),
        _ANY,
    ),
    Role.SUPPLIER: {P.CATALOGUE_READ: _ANY},
    Role.AUDITOR: dict.fromkeys(
        (
            P.ORDERS_READ,
            P.REFUNDS_READ,
            P.REPAIRS_READ,
            P.BRAKE_READ,
            P.CATALOGUE_READ,
            P.STOCK_READ,
            P.PROMOTIONS_READ,
            P.RATES_READ,
            P.WEBHOOKS_READ,
            P.EVENTS_READ,
            P.AUDIT_READ,
        ),
        _ANY,
    ),
    Role.PRIVACY: dict.fromkeys((P.ORDERS_READ, P.CUSTOMERS_READ, P.PRIVACY_EXPORT, P.PRIVACY_ERASE), _ANY),
}
"""What each role may do, and with whose rows. Docs: `docs/security.md` is made of it."""

DECODE = "codec:decode"
"""The scope of who may read, by the codec server, what is encrypted in Temporal: no role has it."""

KEY_ROLES = frozenset({Role.SHOP, Role.SUPPLIER})
"""What an API key may be: a program's roles. People have tokens, which end within the hour."""


class Visible(NamedTuple):
    """Whose rows somebody sees: those of one customer, or of all."""

    customer_id: str | None  # None: of all

    def shows(self, customer_id: str) -> bool:
        """Whether a row of this customer is among them."""
        return self.customer_id in (None, customer_id)


EVERYTHING = Visible(None)


class Principal(NamedTuple):
    """Who asks, proven by a token or by an API key."""

    issuer: str
    subject: str  # as the issuer knows them
    kind: Kind
    roles: frozenset[Role]
    customer_id: str | None = None  # of a customer: whose orders are their own
    expires_at: float = float("inf")  # seconds since 1970: streams end with the token
    scopes: frozenset[str] = frozenset()  # all that the token names, also what is no role

    @property
    def name(self) -> str:
        """Who it is, for good: the same issuer and subject are the same principal."""
        return f"{self.issuer}|{self.subject}"

    @property
    def by(self) -> str:
        """What timelines and trails call them; a program of a key cannot pass for a person."""
        if self.issuer == API_KEYS:
            return f"key:{self.subject}"
        return Role.CUSTOMER.value if self.roles <= {Role.CUSTOMER} else self.subject

    def may(self, permission: Permission) -> bool:
        """Whether a role of theirs has this permission, at least for their own."""
        return self._reach(permission) is not None

    def sees(self, permission: Permission) -> Visible:
        """Whose rows this permission is about. Raises Forbidden for one that they do not have."""
        match self._reach(permission):
            case Reach.ANY:
                return EVERYTHING
            case Reach.OWN if self.customer_id is not None:
                return Visible(self.customer_id)
        raise Forbidden("not_allowed", f"this needs the permission {permission}", needed=permission.value)

    def _reach(self, permission: Permission) -> Reach | None:
        found = {ROLES[role].get(permission) for role in self.roles}
        if Reach.ANY in found:
            return Reach.ANY
        return Reach.OWN if Reach.OWN in found and self.customer_id is not None else None


def roles_of(names: Iterable[str]) -> frozenset[Role]:
    """The roles among the names; an issuer's other scopes, e.g. `openid`, are passed over."""
    known = frozenset(Role)
    return frozenset(Role(name) for name in names if name in known)
