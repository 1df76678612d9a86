"""What clients send and get about customers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StringConstraints

from api.http.fields import Body, Identifier, NoCardNumber, Text200, Wire
from domain.notifications import MessageKind


def _address(value: str) -> str:
    """Catches what is plainly no address; whether mail arrives only a mail can tell."""
    local, at, domain = value.rpartition("@")
    if not (local and at and "." in domain.strip(".")) or not value.isprintable() or " " in value:
        raise ValueError("an e-mail address is needed, like alice@example.com")
    return value


class CustomerWanted(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"customerId": "001", "name": "Alice Johnson", "email": "alice.johnson@example.com"}]
        }
    )

    customer_id: Identifier
    name: Text200
    email: Annotated[
        str, StringConstraints(strict=True, min_length=3, max_length=254), AfterValidator(_address), NoCardNumber
    ]


class CustomerView(Wire):
    customer_id: str
    name: str
    email: str


class NotificationsWanted(Body):
    """All of them: a kind that is not named is wanted, a locale that is not given is the shop's."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"locale": "de", "kinds": {"shipped": False}}]})

    locale: Annotated[str, StringConstraints(strict=True, min_length=2, max_length=35)] | None = None
    kinds: dict[MessageKind, StrictBool] = Field(default={})


class NotificationsView(Wire):
    customer_id: str
    locale: str | None  # null: the shop's own
    kinds: dict[MessageKind, bool]


class CustomerList(Wire):
    customers: list[CustomerView]
    next_cursor: str | None
