"""The search attributes that orders carry in Temporal: never personal data, since they are never encrypted."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey

ORDER_STATUS = SearchAttributeKey.for_keyword("OrderStatus")
CUSTOMER_ID = SearchAttributeKey.for_keyword("CustomerId")
ORDER_TOTAL = SearchAttributeKey.for_float("OrderTotal")  # major units of the order's currency, for search only
NEEDS_ATTENTION = SearchAttributeKey.for_bool("NeedsAttention")

ALL = (ORDER_STATUS, CUSTOMER_ID, ORDER_TOTAL, NEEDS_ATTENTION)
