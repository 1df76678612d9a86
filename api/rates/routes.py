"""What tax and shipping cost, for the shop's operations."""

from __future__ import annotations

import structlog
from fastapi import APIRouter

from api.deps import ServicesDep
from api.http.exact_json import LongJsonRoute
from api.http.problems import documented
from api.rates.schemas import RatesBroughtIn, RatesView, RatesWanted, ShippingRateView, TaxRateView
from services.rates import imports

router = APIRouter(prefix="/api/rates", tags=["rates"], route_class=LongJsonRoute)

log = structlog.get_logger()


@router.get("", summary="All rates, with the days from which they hold")
async def list_rates(services: ServicesDep) -> RatesView:
    async with services.sessions() as session:
        return RatesView(
            tax_rates=[TaxRateView.of(row) for row in await imports.tax_rates(session)],
            shipping_rates=[ShippingRateView.of(row) for row in await imports.shipping_rates(session)],
        )


@router.post("", responses=documented(400, 415, 422), summary="Bring rates in, all or none")
async def bring_in(services: ServicesDep, wanted: RatesWanted) -> RatesBroughtIn:
    """One that is there for the same thing and day is replaced. Orders that were placed keep their prices."""
    taxes = [rate.data() for rate in wanted.tax_rates]
    shipping = [rate.data() for rate in wanted.shipping_rates]
    async with services.sessions() as session, session.begin():
        await imports.bring_in(session, taxes, shipping)
    log.info("rates_brought_in", tax_rates=len(taxes), shipping_rates=len(shipping))
    return RatesBroughtIn(tax_rates=len(taxes), shipping_rates=len(shipping))
