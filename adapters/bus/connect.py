"""Which broker a URL names; a third one is one class and one line here."""

from __future__ import annotations

from urllib.parse import urlsplit

from adapters.bus.port import Broker
from adapters.event_settings import BROKERS
from adapters.settings import Settings


def open_broker(url: str, settings: Settings) -> Broker:
    """The broker, which connects when it is first used. Raises ValueError for a scheme that is not known.

    Its stream or topic is made where it is missing, with what the settings say of copies and retention, by whoever
    publishes first.
    """
    scheme = urlsplit(url).scheme
    if scheme == "nats":
        from adapters.bus.nats import NatsBroker, StreamShape

        return NatsBroker(url, StreamShape(settings.broker_replicas, settings.broker_retention))
    if scheme == "kafka":
        from adapters.bus.kafka import KafkaBroker, TopicShape

        return KafkaBroker(url, TopicShape(settings.broker_replicas, settings.broker_retention))
    raise ValueError(f"no broker of the kind {scheme}://; there are {', '.join(f'{one}://' for one in BROKERS)}")
