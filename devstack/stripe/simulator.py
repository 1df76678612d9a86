"""A stand-in for Stripe: a process of its own that speaks the part of Stripe's HTTP API that Order Saga uses.

This is *our reading* of Stripe's documentation. It was never checked against Stripe itself: a misunderstanding that
the service and this file share passes every test. What is proven here is proven "against our simulator".

Each behaviour, and its page below docs.stripe.com:

| behaviour | page |
|---|---|
| states of a PaymentIntent; a decline leads back to requires_payment_method | payments/paymentintents/lifecycle |
| manual capture releases the rest; `capture_before`; expiry cancels | payments/place-a-hold-on-a-payment-method |
| an authorization is held for 7 days (customer-initiated, card not present) | the same |
| off session (merchant-initiated, Visa) for 4 days and 18 hours | the same |
| which states refuse confirm, capture and cancel | api/payment_intents |
| a released authorization leaves no refund; `cancellation_reason` is `expired` | changelog/basil/2025-03-31 |
| `payment_method_types` is refused, `allowed_payment_method_types` taken | changelog/endive/2026-09-30 |
| answers saved under a key, 500s too; other parameters refused; 24 h | api/idempotent_requests |
| 409 for a concurrent use, 429 before the idempotency layer | error-low-level |
| error shape, types and codes; 402 with the PaymentIntent inside | api/errors, error-codes |
| minimum and maximum amount | currencies |
| refunds: pending, succeeded, failed; never above the captured amount | refunds, api/refunds |
| test payment methods; decline codes; advice codes | testing, declines/codes, declines/card |
| 3-D Secure asks for action; off session it is a decline | payments/3d-secure |
| cards that always ask for authentication, and one that asks until it is saved | testing#regulatory-cards |
| a fresh `pm_…` for each use of a test payment method | testing |
| `setup_future_usage` keeps the method for the `customer`, who alone may reuse it | payments/save-during-payment |
| a method that no customer keeps pays once | payments/payment-methods |
| disputes withdraw the money, reinstated when won; an inquiry withdraws nothing | disputes/how-disputes-work |
| a charge with an open or lost dispute is not refundable: `charge_disputed` | error-codes, refunds |
| reviews: opened by a rule or by hand; approved, or closed by cancel, refund, dispute | radar/reviews |
| `pm_card_riskLevelElevated` stands for a Radar rule "review if the risk is elevated" | testing, radar/rules |
| 401 for a bad key, 403 for one that may not | api/errors |
| `return_url` is needed while redirects are allowed | api/payment_intents/confirm |
| a deleted customer keeps its id and nothing else | api/customers/delete |
| search is not read-after-write | search |
| lists: newest first, `starting_after`, `created[gte]`; events by `type`, `types` | api/pagination, api/events/list |
| `expand` | api/expanding_objects |
| metadata limits; an empty value removes a key | api/metadata |
| webhook signature | webhooks/signature |
| webhooks are retried for 3 days, duplicated, in any order | webhooks |

Ours, not Stripe's: everything under `/_control`, ids and wordings, `expand` and search only as far as used;
parameters that are not modeled are refused as unknown; keys are pruned at exactly 24 h; webhook retries begin after
0.25 s; and a request in a wrong state counts as executed (its 400 is kept under the key), which Stripe leaves open.
"""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Route

from devstack.simulators.call_times import CallClock
from devstack.simulators.control_endpoints import SharedControls
from devstack.simulators.durable_store import Document, DurableStore
from devstack.simulators.fault_points import FaultBoard
from devstack.simulators.secrets import API_KEY, WEBHOOK_SECRET
from devstack.simulators.server import background, serve
from devstack.simulators.webhook_sender import WebhookSender
from devstack.stripe.account import Call, StripeAccount, webhook_signature
from devstack.stripe.control import StripeControls
from devstack.stripe.disputes import Disputes
from devstack.stripe.ledger import SCHEMA as LEDGER_SCHEMA
from devstack.stripe.ledger import audit
from devstack.stripe.methods import SCHEMA as METHODS_SCHEMA
from devstack.stripe.objects import customer
from devstack.stripe.payments import PaymentIntents
from devstack.stripe.reads import StripeReads
from devstack.stripe.refunds import Refunds
from devstack.stripe.requests import SCHEMA as REQUESTS_SCHEMA
from devstack.stripe.requests import StripeRequests
from devstack.stripe.reviews import Reviews

_EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build_app(data: Path, api_key: str, webhook_url: str | None, webhook_secret: str) -> Starlette:
    store = DurableStore(data, LEDGER_SCHEMA + REQUESTS_SCHEMA + METHODS_SCHEMA)
    webhooks = WebhookSender(store, webhook_url, webhook_signature(webhook_secret))
    account = StripeAccount(store, webhooks)
    faults, calls = FaultBoard(), CallClock()
    reviews = Reviews(account)
    intents, refunds, disputes = (
        PaymentIntents(account, reviews),
        Refunds(account, reviews),
        Disputes(account, reviews),
    )
    requests = StripeRequests(account, StripeReads(account), faults, calls, api_key)
    routes = [
        *_payment_routes(requests, account, intents),
        *_other_routes(requests, account, refunds, reviews),
        *SharedControls(store, faults, calls, webhooks, account.timers).routes(),
        *StripeControls(account, intents, refunds, disputes, reviews).routes(),
        Route("/{path:path}", requests.unknown, methods=_EVERY_METHOD),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with background(account.timers.run(), webhooks.run()):
            yield
        store.close()

    return Starlette(routes=routes, lifespan=lifespan)


def _payment_routes(requests: StripeRequests, account: StripeAccount, intents: PaymentIntents) -> list[Route]:
    reads, one = StripeReads(account), "/v1/payment_intents/{id}"
    return [
        requests.route("POST", "/v1/payment_intents", "payment_intents.create", intents.create),
        requests.route("GET", "/v1/payment_intents", "payment_intents.list", reads.list_of("payment_intent")),
        requests.route("GET", "/v1/payment_intents/search", "payment_intents.search", reads.search),
        requests.route("GET", one, "payment_intents.retrieve", reads.retrieve("payment_intent")),
        requests.route("POST", one, "payment_intents.update", intents.update),
        requests.route("POST", f"{one}/confirm", "payment_intents.confirm", intents.confirm),
        requests.route("POST", f"{one}/capture", "payment_intents.capture", intents.capture),
        requests.route("POST", f"{one}/cancel", "payment_intents.cancel", intents.cancel),
    ]


def _other_routes(
    requests: StripeRequests, account: StripeAccount, refunds: Refunds, reviews: Reviews
) -> list[Route]:
    reads = StripeReads(account)

    def create_customer(call: Call) -> Document:
        created = customer(call.params, account.now())
        account.store.add("customer", created)
        return created

    def delete_customer(call: Call) -> Document:
        """What it held is gone; its payments stay (docs.stripe.com/api/customers/delete)."""
        account.get("customer", call.subject)
        deleted = {"id": call.subject, "object": "customer", "deleted": True}
        account.store.save(deleted)
        return deleted

    def read_routes(kind: str) -> list[Route]:
        return [
            requests.route("GET", f"/v1/{kind}s", f"{kind}s.list", reads.list_of(kind)),
            requests.route("GET", f"/v1/{kind}s/{{id}}", f"{kind}s.retrieve", reads.retrieve(kind)),
        ]

    return [
        requests.route("POST", "/v1/refunds", "refunds.create", refunds.create),
        *read_routes("refund"),
        requests.route("GET", "/v1/charges/{id}", "charges.retrieve", reads.retrieve("charge")),
        requests.route("POST", "/v1/customers", "customers.create", create_customer),
        requests.route("DELETE", "/v1/customers/{id}", "customers.delete", delete_customer),
        requests.route("POST", "/v1/reviews/{id}/approve", "reviews.approve", reviews.approve),
        *(route for kind in ("customer", "dispute", "review", "event") for route in read_routes(kind)),
    ]


def print_audit(data: Path) -> int:
    """Audit a ledger file, whether its simulator runs or not; 1 when something was violated."""
    connection = sqlite3.connect(f"file:{data}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    result = audit(dict(row) for row in connection.execute("SELECT * FROM ledger ORDER BY seq"))
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 1 if result["violations"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m devstack.stripe.simulator", description="A stand-in for Stripe.")
    parser.add_argument("command", nargs="?", choices=["serve", "audit"], default="serve")
    parser.add_argument("--data", type=Path, required=True, help="the SQLite file; made when it is not there")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8420)
    parser.add_argument("--webhook-url")
    parser.add_argument("--webhook-secret", default=os.environ.get(WEBHOOK_SECRET, "whsec_simulator"))
    parser.add_argument("--api-key", default=os.environ.get(API_KEY, "sk_test_simulator"))
    given = parser.parse_args()
    if given.command == "audit":
        return print_audit(given.data)
    serve(build_app(given.data, given.api_key, given.webhook_url, given.webhook_secret), given.host, given.port)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
