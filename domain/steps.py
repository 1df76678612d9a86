"""The names under which the steps' fences are kept."""

RESERVE = "reserve_inventory"
AUTHORIZE = "authorize_payment"
SHIP = "ship_order"
CAPTURE = "capture_payment"
RETURN = "return_payment"
PAYMENTS = "compare_payments"  # no step of an order: under it the desk knows payments whose books differ
RELEASE = "release_hold"  # of goods whose money was given back: a person has let them go
AT_STRIPE = "money_at_stripe"  # the same of money that somebody else moved
CANCEL_SHIPMENT = "cancel_shipment"  # only where a person settled it
RECORD_SHIPPED = "record_shipped"
RECORD_DELIVERED = "record_delivered"
