"""The names under which the steps' fences are kept."""

RESERVE = "reserve_inventory"
AUTHORIZE = "authorize_payment"
SHIP = "ship_order"
CAPTURE = "capture_payment"
RETURN = "return_payment"
PAYMENTS = "compare_payments"  # no step of the saga: the step of tickets about payments whose books differ
RELEASE = "release_hold"  # a person lets goods go whose money was given back
AT_STRIPE = "money_at_stripe"  # the step of tickets about money that somebody else moved at Stripe
CANCEL_SHIPMENT = "cancel_shipment"  # only where a person settled it
RECORD_SHIPPED = "record_shipped"
RECORD_DELIVERED = "record_delivered"
