"""Parameters of Stripe's requests: form decoding with nested brackets, and what each operation takes.

A parameter that the simulator does not model is refused as unknown, even where Stripe has one of that name: one
that is taken and ignored would be a lie. Parameters marked `recorded` are kept on the object and change nothing.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from devstack.stripe.errors import invalid_request

Params = dict[str, Any]
Check = Callable[[str, Any], Any]


def decode_form(encoded: str) -> Params:
    """`metadata[order_id]=o1&expand[0]=latest_charge` as nested dicts and lists."""
    tree: Params = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        head, *rest = name.split("[")
        path = [head, *(part.removesuffix("]") for part in rest)]
        node = tree
        for part in path[:-1]:
            child = node.setdefault(part or str(len(node)), {})
            if not isinstance(child, dict):
                raise invalid_request(f"Invalid parameter nesting: {name}", param=name)
            node = child
        node[path[-1] or str(len(node))] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(child) for key, child in value.items()}


def integer(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid_request(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name) from None


def boolean(name: str, value: Any) -> bool:
    if value not in ("true", "false"):
        raise invalid_request(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid_request(f"Invalid string: {value}", param=name)
    return value


def currency(name: str, value: Any) -> str:
    if not (isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha()):
        raise invalid_request(f"Invalid currency: {value}", param=name)
    return value.lower()


def texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise invalid_request("Invalid array", param=name)
    return [text(name, item) for item in value]


def one_of(*allowed: str) -> Check:
    def check(name: str, value: Any) -> str:
        if value not in allowed:
            raise invalid_request(f"Invalid {name}: must be one of {', '.join(allowed)}", param=name)
        return str(value)

    return check


def off_session(name: str, value: Any) -> bool:
    return True if value in ("one_off", "recurring") else boolean(name, value)


def recorded(name: str, value: Any) -> Any:
    return value


def metadata(name: str, value: Any) -> dict[str, str]:
    """Up to 50 keys of 40 characters, values of 500 (docs.stripe.com/api/metadata); an empty value removes a key."""
    if value == "":
        return {}
    if not isinstance(value, dict) or len(value) > 50:
        raise invalid_request("metadata must be at most 50 keys with string values", param=name)
    for key, item in value.items():
        if not isinstance(item, str) or len(key) > 40 or len(item) > 500:
            raise invalid_request(f"metadata[{key}] is too long or not a string", param=f"metadata[{key}]")
    return dict(value)


def automatic_methods(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value.keys() <= {"enabled", "allow_redirects"} or "enabled" not in value:
        raise invalid_request("Give automatic_payment_methods[enabled]", code="parameter_missing", param=name)
    enabled = boolean(f"{name}[enabled]", value["enabled"])
    redirects = one_of("always", "never")(f"{name}[allow_redirects]", value.get("allow_redirects", "always"))
    return {"allow_redirects": redirects, "enabled": enabled}


def no_longer_supported(name: str, value: Any) -> Any:
    """Refused since API version 2026-09-30.endive, which its changelog says; the SDK has no such parameter either."""
    message = f"{name} is no longer supported: use allowed_payment_method_types or automatic_payment_methods."
    raise invalid_request(message, code=f"{name}_no_longer_supported", param=name)


def created_range(name: str, value: Any) -> dict[str, int]:
    """`created=1700000000` or `created[gte]=…`; gives comparison names and seconds."""
    if isinstance(value, str):
        return {"eq": integer(name, value)}
    if not isinstance(value, dict) or not value.keys() <= {"gt", "gte", "lt", "lte"}:
        raise invalid_request("created takes gt, gte, lt and lte", param=name)
    return {key: integer(f"{name}[{key}]", item) for key, item in value.items()}


_EXPAND: dict[str, Check] = {"expand": texts}
_PAGE: dict[str, Check] = {
    "limit": integer, "starting_after": text, "ending_before": text, "created": created_range, **_EXPAND,
}  # fmt: skip
_CAPTURE_METHOD = one_of("automatic", "automatic_async", "manual")
_DETAILS: dict[str, Check] = {
    "customer": text, "description": text, "metadata": metadata, "payment_method": text, "receipt_email": text,
    "setup_future_usage": one_of("off_session", "on_session"), "shipping": recorded, "statement_descriptor": recorded,
    "statement_descriptor_suffix": recorded, "transfer_group": recorded, **_EXPAND,
}  # fmt: skip
_CONFIRMING: dict[str, Check] = {"off_session": off_session, "error_on_requires_action": boolean, "return_url": text}

REFUSED_BY_NAME: dict[str, Check] = {"payment_method_types": no_longer_supported}

ACCEPTED: dict[str, dict[str, Check]] = {
    "payment_intents.create": {
        "amount": integer, "currency": currency, "confirm": boolean, "capture_method": _CAPTURE_METHOD,
        "automatic_payment_methods": automatic_methods, "allowed_payment_method_types": texts,
        **_DETAILS, **_CONFIRMING,
    },
    "payment_intents.update": {"amount": integer, "capture_method": _CAPTURE_METHOD, **_DETAILS},
    "payment_intents.confirm": {
        "payment_method": text, "capture_method": _CAPTURE_METHOD, "receipt_email": text,
        "setup_future_usage": one_of("off_session", "on_session"), **_CONFIRMING, **_EXPAND,
    },
    "payment_intents.capture": {
        "amount_to_capture": integer, "final_capture": boolean, "metadata": metadata, **_EXPAND,
    },
    "payment_intents.cancel": {
        "cancellation_reason": one_of("duplicate", "fraudulent", "requested_by_customer", "abandoned"), **_EXPAND,
    },
    "payment_intents.retrieve": {"client_secret": text, **_EXPAND},
    "payment_intents.list": {"customer": text, **_PAGE},
    "payment_intents.search": {"query": text, "limit": integer, "page": text, **_EXPAND},
    "refunds.create": {
        "payment_intent": text, "charge": text, "amount": integer, "metadata": metadata,
        "reason": one_of("duplicate", "fraudulent", "requested_by_customer"), **_EXPAND,
    },
    "refunds.retrieve": _EXPAND,
    "refunds.list": {"payment_intent": text, "charge": text, **_PAGE},
    "charges.retrieve": _EXPAND,
    "customers.create": {
        "email": text, "name": text, "description": text, "phone": text, "metadata": metadata, "address": recorded,
        "shipping": recorded, **_EXPAND,
    },
    "customers.retrieve": _EXPAND,
    "customers.delete": {},
    "customers.list": {"email": text, **_PAGE},
    "disputes.retrieve": _EXPAND,
    "disputes.list": {"payment_intent": text, "charge": text, **_PAGE},
    "reviews.retrieve": _EXPAND,
    "reviews.list": _PAGE,
    "reviews.approve": _EXPAND,
    "events.list": {"type": text, "types": texts, **_PAGE},
    "events.retrieve": _EXPAND,
}  # fmt: skip

_REQUIRED = {
    "payment_intents.create": ("amount", "currency"),
    "payment_intents.search": ("query",),
}


def checked(operation: str, raw: Params) -> Params:
    """The parameters with their types, or the error that Stripe gives for the first bad one."""
    accepted = ACCEPTED[operation]
    for name, value in raw.items():
        if name in REFUSED_BY_NAME:
            REFUSED_BY_NAME[name](name, value)
        if name not in accepted:
            raise invalid_request(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    for name in _REQUIRED.get(operation, ()):
        if raw.get(name, "") == "":
            raise invalid_request(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return {name: accepted[name](name, value) for name, value in raw.items()}
