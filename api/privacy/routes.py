"""For people who answer those that ask for their data: find, export, erase, and erase again after a restore."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import ConfigDict, Field

from api.deps import ServicesDep
from api.http.authentication import needs
from api.http.exact_json import ExactJsonRoute
from api.http.fields import Body, Text500, Wire
from api.http.problems import documented
from domain.identifiers import is_identifier
from services.customers import customers
from services.customers.customers import no_such_customer

router = APIRouter(prefix="/api/privacy", tags=["privacy"], route_class=ExactJsonRoute)

CustomerId = Annotated[str, Path(alias="customerId")]


class SearchWanted(Body):
    """In a body, since addresses of requests are logged by proxies."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "alice.johnson@example.com"}]})

    email: Text500


class Found(Wire):
    customer_ids: list[str]


class ErasureView(Wire):
    """What became of it; `accountingUntil`: how long the law keeps names and addresses of invoices."""

    customer_id: str
    erased_at: datetime
    accounting_until: datetime
    at_stripe: bool = Field(description="false: Stripe could not be reached, and is asked again by the relay")


class Replayed(Wire):
    customer_ids: list[str] = Field(description="who had a tombstone and was there again")


class ExportView(Wire):
    """Tables by name; of each row its fields with their class and value."""

    customer_id: str
    exported_at: datetime
    erased_at: datetime | None
    tables: dict[str, list[dict[str, Any]]]


@router.post(
    "/search", dependencies=[needs("privacy:export")], responses=documented(400, 415, 422), summary="Find by e-mail"
)
async def search(services: ServicesDep, wanted: SearchWanted) -> Found:
    async with services.reads.connect() as connection:
        found = await customers.with_email(connection, wanted.email)
    return Found(customer_ids=[one.customer_id for one in found])


@router.get(
    "/customers/{customerId}",
    dependencies=[needs("privacy:export")],
    responses=documented(404),
    summary="Everything that is held on a customer",
)
async def export(services: ServicesDep, customer_id: CustomerId, response: Response) -> ExportView:
    response.headers["Cache-Control"] = "no-store"
    return ExportView.model_validate(await services.privacy.export(_known(customer_id)))


@router.post(
    "/customers/{customerId}/erase",
    dependencies=[needs("privacy:erase")],
    responses=documented(404, 409),
    summary="Erase a customer",
)
async def erase(services: ServicesDep, customer_id: CustomerId) -> ErasureView:
    """409 while orders are open or disputed. A repeat does what was left to do."""
    answer = await services.privacy.erase(_known(customer_id))
    return ErasureView(**answer.stone._asdict(), at_stripe=answer.at_stripe)


@router.post("/replay", dependencies=[needs("privacy:erase")], summary="Erase again who was erased, after a restore")
async def replay(services: ServicesDep) -> Replayed:
    return Replayed(customer_ids=await services.privacy.replay())


def _known(customer_id: str) -> str:
    if not is_identifier(customer_id):
        raise no_such_customer()
    return customer_id
