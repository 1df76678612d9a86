"""The settings of the consumers of events, and of what they send to customers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class ConsumerSettings(BaseSettings):
    stock_low: int = Field(default=5, ge=0, description="so many pieces of a product, or fewer, are few")
    mail_url: SecretStr = Field(
        default=SecretStr("folder:.ordersaga/mail"),
        description="how customers are written to: `folder:PATH` keeps `.eml` files; `smtp://`, `smtp+starttls://` "
        "or `smtps://` `[USER:PASSWORD@]HOST[:PORT]` sends",
    )
    mail_from: str = Field(default="Order Saga <orders@localhost>", description="the sender of messages to customers")
    mail_max_age: timedelta = Field(
        default=timedelta(days=3), gt=timedelta(0), description="news that is older is not sent any more"
    )
    shop_name: str = Field(default="Order Saga", min_length=1, description="what messages to customers call the shop")
    shop_locale: str = Field(default="en", description="of messages to customers of whom no locale is known")
    order_page: str | None = Field(
        default=None, description="where customers see an order, with `{order_id}`; unset is the API's own address"
    )

    @field_validator("order_page", mode="before")
    @classmethod
    def _take_empty_as_own(cls, given: Any) -> Any:
        """A compose file cannot leave a variable out."""
        return given or None
