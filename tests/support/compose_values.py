"""What whoever runs the compose file has to fill in, with values that could be real."""

from __future__ import annotations

FILLED_IN = {
    "POSTGRES_PASSWORD": "administrators-own",
    "ORDERSAGA_DB_PASSWORD": "services-own",
    "ORDERSAGA_DB_API_PASSWORD": "apis-own",
    "ORDERSAGA_DB_WORKER_PASSWORD": "workers-own",
    "ORDERSAGA_DB_RELAY_PASSWORD": "relays-login",
    "TEMPORAL_DB_PASSWORD": "temporals-own",
    "NATS_RELAY_PASSWORD": "relays-own",
    "NATS_CONSUMER_PASSWORD": "consumers-own",
    "NATS_CLUSTER_PASSWORD": "nodes-own",
    "STRIPE_API_KEY": "sk_live_one",
    "STRIPE_WEBHOOK_SECRET": "whsec_one",
    "ORDERSAGA_CARRIER_API_BASE": "https://carrier.example",
    "ORDERSAGA_CARRIER_API_KEY": "carriers-own",
    "ORDERSAGA_CARRIER_WEBHOOK_SECRET": "carriers-signature",
    "ORDERSAGA_SERVICE_SECRET": "services-secret-of-its-own",
    "ORDERSAGA_BLIND_INDEX_SECRET": "pepper-of-its-own",
    "ORDERSAGA_SHIPPING_ORIGIN": '{"street1": "1 Main St", "city": "Reno", "zip": "89501", "country": "US"}',
    "ORDERSAGA_PUBLIC_URL": "https://shop.example",
}

ISSUER = {"ORDERSAGA_IDENTITY_JWKS": "https://login.example/jwks"}
"""What a service elsewhere needs besides: the file of a trial is for this machine only."""
