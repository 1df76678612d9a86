"""The names under which the steps' fences are kept."""

RESERVE = "reserve_inventory"
AUTHORIZE = "authorize_payment"
SHIP = "ship_order"
CAPTURE = "capture_payment"
RETURN = "return_payment"
CANCEL_SHIPMENT = "cancel_shipment"  # only where a person settled it
RECORD_SHIPPED = "record_shipped"
RECORD_DELIVERED = "record_delivered"
