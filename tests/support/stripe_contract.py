"""Holds every request of the test process to Stripe's SDK against the SDK's own generated types.

The types come from Stripe's API description at the version that the SDK sends: what they do not have, Stripe refuses.
This checks shape, not behavior.
"""

from __future__ import annotations

import functools
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, Required, get_args, get_origin
from weakref import WeakSet

import stripe
from stripe import RequestOptions
from stripe._stripe_service import StripeService  # the SDK exports no public name for it

_ENUM_MEMBER = typing.Literal
_ASKED_WRONGLY_ON_PURPOSE: WeakSet[Any] = WeakSet()
_OPTIONS = frozenset(RequestOptions.__annotations__)


class ContractViolation(AssertionError):
    """A request that Stripe's own types do not allow."""


class SdkNames(dict[str, Any]):
    """Resolves the names in the SDK's annotations, which it imports only when they are asked for."""

    def __missing__(self, name: str) -> Any:
        # Where a class has a nested one of the same name, the SDK imports the other as `CardResource`.
        for place in (stripe, stripe.params, stripe.test_helpers, typing):
            if hasattr(place, name.removesuffix("Resource")):
                return getattr(place, name.removesuffix("Resource"))
        raise KeyError(name)


@functools.cache
def hints_of(kind: type) -> dict[str, Any]:
    """The resolved annotations of a resource or of a dictionary of parameters."""
    module = vars(sys.modules[kind.__module__])
    return typing.get_type_hints(kind, dict(module), SdkNames(module))


def literals(annotation: Any) -> set[object]:
    """Every enumerated value anywhere in the annotation."""
    if get_origin(annotation) is _ENUM_MEMBER:
        return set(get_args(annotation))
    return {value for part in get_args(annotation) for value in literals(part)}


def violations(params: Any, kind: Any, where: str = "params") -> Iterator[str]:
    """What is wrong with `params` as a dictionary of the SDK's type `kind`."""
    if not isinstance(params, Mapping):
        yield f"{where} is {params!r}, not a {kind.__name__}"
        return
    hints = hints_of(kind)
    known = hints.keys() - _OPTIONS if kind is not RequestOptions else hints.keys()
    for name in sorted(params.keys() - known):
        yield f"{where}.{name} is unknown to {kind.__name__}"
    for name in sorted(kind.__required_keys__ - params.keys()):
        yield f"{where}.{name} is missing in {kind.__name__}"
    for name in sorted(params.keys() & known):
        yield from _wrong(params[name], hints[name], f"{where}.{name}")


def _wrong(value: Any, annotation: Any, where: str) -> Iterator[str]:
    """Nothing, when one of the annotation's alternatives takes the value; else what the closest says."""
    options = list(_alternatives(annotation))
    enumerated = {member for option in options for member in literals(option) if get_origin(option) is _ENUM_MEMBER}
    if isinstance(value, str) and enumerated - {""}:
        # The SDK adds `str` to each enumeration for values of other API versions; we send one of this version's.
        if value not in enumerated:
            yield f"{where} is {value!r}, not one of {sorted(map(str, enumerated))}"
        return
    complaints = [list(_wrong_as(value, option, where)) for option in options]
    yield from min(complaints, key=lambda found: (len(found), "is not a" in "".join(found)))


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin in (typing.Union, types.UnionType, NotRequired, Required):
        for part in get_args(annotation):
            yield from _alternatives(part)
    else:
        yield annotation


def _wrong_as(value: Any, option: Any, where: str) -> Iterator[str]:
    origin, parts = get_origin(option), get_args(option)
    if typing.is_typeddict(option) or hasattr(option, "__required_keys__"):
        yield from violations(value, option, where)
    elif origin is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _wrong(item, parts[0], f"{where}[{index}]")
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _wrong(item, parts[1], f"{where}.{name}")
    elif not _is_plain(value, origin or option, parts):
        yield f"{where} is not a {getattr(option, '__name__', option)}: {value!r}"


def _is_plain(value: Any, kind: Any, parts: tuple[Any, ...]) -> bool:
    if kind is Any:
        return True
    if kind is _ENUM_MEMBER:
        return value in parts
    if isinstance(value, bool):
        return kind is bool
    return isinstance(kind, type) and kind not in (list, dict) and isinstance(value, kind)


@dataclass
class ContractGuard:
    """Stands between the services of every StripeClient of the process and its HTTP client."""

    broken: list[str] = field(default_factory=list)
    checked: int = 0

    def check(self, service: Any, operation: str, params: Any, options: Any) -> None:
        """Raises at the call; remembers it too, because a workflow would try the call again and again."""
        service_type: Any = type(service)
        kind = params_type(service_type, operation)
        found = list(violations(params or {}, kind, f"{type(service).__name__}.{operation}"))
        found += violations(options or {}, RequestOptions, f"options of {operation}")
        self.checked += 1
        if found:
            self.broken += found
            raise ContractViolation("; ".join(found))

    def install(self, patch: Any) -> None:
        """`patch` is pytest's MonkeyPatch. What is replaced is the one door that all services of the SDK share."""
        real, real_async = StripeService._request, StripeService._request_async

        def request(service: Any, *args: Any, **more: Any) -> Any:
            self._check_call(service, sys._getframe(1).f_code.co_name, more)
            return real(service, *args, **more)

        def request_async(service: Any, *args: Any, **more: Any) -> Any:
            self._check_call(service, sys._getframe(1).f_code.co_name, more)
            return real_async(service, *args, **more)

        patch.setattr(StripeService, "_request", request)
        patch.setattr(StripeService, "_request_async", request_async)

        real_raw = stripe.StripeClient.raw_request_async

        def raw_request_async(client: stripe.StripeClient, method: str, path: str, **asked: Any) -> Any:
            if client._requestor not in _ASKED_WRONGLY_ON_PURPOSE:
                service, operation = operation_at(method, path)
                params = {name: value for name, value in asked.items() if name not in _OPTIONS}
                options = {name: value for name, value in asked.items() if name in _OPTIONS}
                self.check(service(client._requestor), operation, params, options)
            return real_raw(client, method, path, **asked)

        patch.setattr(stripe.StripeClient, "raw_request_async", raw_request_async)

    def _check_call(self, service: Any, operation: str, more: Mapping[str, Any]) -> None:
        if service._requestor not in _ASKED_WRONGLY_ON_PURPOSE:
            self.check(service, operation, more.get("params"), more.get("options"))


def operation_at(method: str, path: str) -> tuple[type[Any], str]:
    """The service and its method that send this request: for calls that leave the SDK's own methods out."""
    version, noun, *rest = path.strip("/").split("/")
    operations = {("post", 0): "create", ("get", 1): "retrieve"}
    operation = rest[1] if method == "post" and len(rest) == 2 else operations.get((method, len(rest)))
    if version != "v1" or noun != "payment_intents" or operation is None:
        raise ContractViolation(f"no operation of the SDK is known for {method} {path}")
    return stripe.PaymentIntentService, operation


@functools.cache
def params_type(service: Any, operation: str) -> Any:
    """The SDK's type of the parameters of a service's method."""
    hint = str(getattr(service, operation).__annotations__["params"])
    return getattr(stripe.params, hint.partition("ForwardRef('")[2].partition("'")[0] or hint.strip("'\""))


def exempt(client: stripe.StripeClient) -> stripe.StripeClient:
    """For tests of the simulator, which send what the service never would."""
    _ASKED_WRONGLY_ON_PURPOSE.add(client._requestor)
    return client
