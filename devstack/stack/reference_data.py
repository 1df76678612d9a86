"""The products and customers that the examples speak of, put into a running API over HTTP."""

from pathlib import Path

import httpx

from devstack.errors import StackError
from devstack.stack.identities import Bearer
from domain.identities import Role

PRODUCTS = (
    {"productId": "001", "name": "Wireless Headphones", "price": "79.99", "currency": "USD", "onHand": 150},
    {"productId": "002", "name": "Smartwatch", "price": "199.99", "currency": "USD", "onHand": 200},
    {"productId": "prod001", "name": "Phone Case", "price": "29.99", "currency": "USD", "onHand": 100},
    {"productId": "456", "name": "Desk Lamp", "price": "24.50", "currency": "USD", "onHand": 100},
)
CUSTOMERS = (
    {"customerId": "001", "name": "Alice Johnson", "email": "alice.johnson@example.com"},
    {"customerId": "002", "name": "Michael Brown", "email": "michael.brown@example.com"},
    {"customerId": "123", "name": "Reference Customer", "email": "customer.123@example.com"},
    {"customerId": "user123", "name": "Reference User", "email": "user123@example.com"},
)


class ReferenceDataRefused(StackError):
    """The API would not take a product or a customer."""


async def load_reference_data(api: str, folder: Path) -> None:
    """Create what is missing; what is there (409) stays as it is. `folder` is the stack's."""
    shop = Bearer(folder, Role.SHOP)
    async with httpx.AsyncClient(base_url=api, trust_env=False, timeout=10, auth=shop) as client:
        for path, entries in (("/api/products", PRODUCTS), ("/api/customers", CUSTOMERS)):
            for entry in entries:
                answer = await client.post(path, json=entry)
                if answer.status_code not in (200, 201, 409):
                    raise ReferenceDataRefused(f"POST {path} {entry}: {answer.status_code} {answer.text}")
