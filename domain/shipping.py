"""The states of an order's shipment in our books."""

from __future__ import annotations

from enum import StrEnum


class ShipmentState(StrEnum):
    """How far our books say that the label of a shipment has come; where the parcel is, `ParcelStatus` says."""

    CREATED = "created"  # at the carrier, free of charge; no label was bought
    BUYING = "buying"  # a purchase was sent, and may arrive until its deadline
    BOUGHT = "bought"
    VOID_REQUESTED = "void_requested"  # the carrier has accepted the void, and decides later
    VOIDED = "voided"


CALLED_BACK = frozenset([ShipmentState.VOID_REQUESTED, ShipmentState.VOIDED])
"""States of a label whose parcel has to stay here."""
