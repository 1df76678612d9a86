"""The names under which the steps' fences are kept."""

RESERVE = "reserve_inventory"
AUTHORIZE = "authorize_payment"
SHIP = "ship_order"
CAPTURE = "capture_payment"
RETURN = "return_payment"
RECORD_SHIPPED = "record_shipped"
RECORD_DELIVERED = "record_delivered"
