"""The envelope in which events reach other services: CloudEvents 1.0, structured JSON.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md, with the extensions `sequence` (per subject,
without gaps) and `traceparent` (https://www.w3.org/TR/trace-context/).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter

CONTENT_TYPE = "application/cloudevents+json"

_JSON = TypeAdapter(dict[str, Any])


class CloudEvent(BaseModel):
    """One event. `source` and `subject` name what it is about; `sequence` numbers the events of a subject."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    type: str
    source: str
    subject: str
    sequence: int
    time: AwareDatetime
    traceparent: str | None = None
    data: dict[str, Any]

    def to_json(self) -> bytes:
        """The event as it is published, with the attributes that are the same for all."""
        return envelope(
            event_id=self.id,
            type=self.type,
            source=self.source,
            subject=self.subject,
            sequence=self.sequence,
            time=self.time,
            traceparent=self.traceparent,
            data=_JSON.dump_json(self.data),
        )

    @classmethod
    def from_json(cls, body: bytes) -> CloudEvent:
        """Reads what `to_json` wrote, and passes over other attributes. Raises pydantic's ValidationError."""
        return cls.model_validate_json(body)


def envelope(
    *,
    event_id: str,
    type: str,  # the attribute's name
    source: str,
    subject: str,
    sequence: int,
    time: datetime,
    traceparent: str | None,
    data: bytes,
) -> bytes:
    """The same as `CloudEvent.to_json`, around data that is JSON already: the relay never parses it."""
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": event_id,
        "type": type,
        "source": source,
        "subject": subject,
        "sequence": sequence,
        "time": time,
        "datacontenttype": "application/json",
    }
    if traceparent is not None:
        attributes["traceparent"] = traceparent
    return _JSON.dump_json(attributes)[:-1] + b',"data":' + data + b"}"
