"""The settings of limits: how often somebody may ask for what. Part of `settings.py`, which is what to import."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from domain.rate_limits import PATTERN, Limit, Plan, Rate


def _rate(default: str, description: str) -> Any:
    return Field(default=default, pattern=PATTERN, description=description)


class LimitSettings(BaseSettings):
    limit_reads: str = _rate("600/min", "reads by a customer; a number per `s`, `min` or `h`")
    limit_writes: str = _rate("120/min", "changes by a customer")
    limit_checkouts: str = _rate("30/min", "checkouts by a customer, other payment methods included")
    limit_program_reads: str = _rate("3000/s", "reads by a program, or by one of the shop's own people")
    limit_program_writes: str = _rate("1000/s", "their changes")
    limit_program_checkouts: str = _rate("1000/s", "their checkouts")
    limit_cancels: str = _rate("5/min", "wishes to cancel one order, by its customer, and by all others together")
    limit_declines: str = _rate(
        "5/h",
        "declined cards of a customer, and of the address of customers' clients; then none is tried for a while",
    )
    limit_failed_logins: str = _rate("300/min", "requests from one address with no identity that counts")
    limit_patience: float = Field(
        default=0.5,
        gt=0,
        description="seconds that a request waits for the limiter; then reads go on, and changes are answered 503",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="addresses or networks by commas, whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed",
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _read_networks(cls, given: Any) -> Any:
        return tuple(name.strip() for name in given.split(",") if name.strip()) if isinstance(given, str) else given

    @field_validator("trusted_proxies")
    @classmethod
    def _refuse_what_is_no_network(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            ip_network(one)  # raises ValueError, which says why
        return given

    @property
    def limits(self) -> Plan:
        """All limits as rates."""
        people, others = (
            {
                Limit.READS: Rate.parse(reads),
                Limit.WRITES: Rate.parse(writes),
                Limit.CHECKOUTS: Rate.parse(checkouts),
            }
            for reads, writes, checkouts in (
                (self.limit_reads, self.limit_writes, self.limit_checkouts),
                (self.limit_program_reads, self.limit_program_writes, self.limit_program_checkouts),
            )
        )
        return Plan(
            people,
            others,
            cancels=Rate.parse(self.limit_cancels),
            declines=Rate.parse(self.limit_declines),
            logins=Rate.parse(self.limit_failed_logins),
        )
