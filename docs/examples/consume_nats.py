"""A consumer on NATS: the orders that were placed. What was not acknowledged comes again."""

import asyncio
import json
import os

import nats


async def main() -> None:
    broker = await nats.connect(os.environ["BROKER_URL"], max_reconnect_attempts=-1)
    events = await broker.jetstream().pull_subscribe("ev.*.ordersaga.order.placed.v1", "my-shop", "ORDERSAGA")
    while True:
        try:
            batch = await events.fetch(10, timeout=5)
        except TimeoutError:  # nothing new
            continue
        for message in batch:
            event = json.loads(message.data)
            print(event["id"], event["subject"], event["data"]["totalAmount"], flush=True)  # your work
            await message.ack()


asyncio.run(main())
