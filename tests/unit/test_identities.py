"""Roles, permissions and API keys: pure rules."""

from __future__ import annotations

import pytest

from adapters.identities.api_keys import KeyParts, compose, parse
from domain.errors import Forbidden
from domain.identities import (
    EVERYTHING,
    KEY_ROLES,
    ROLES,
    Kind,
    Permission,
    Principal,
    Reach,
    Role,
    Visible,
    roles_of,
)

READ, PLACE = Permission.ORDERS_READ, Permission.ORDERS_PLACE


def principal(*roles: Role, customer_id: str | None = None) -> Principal:
    return Principal("issuer", "somebody", Kind.PERSON, frozenset(roles), customer_id)


def test_a_customer_sees_their_own() -> None:
    assert principal(Role.CUSTOMER, customer_id="123").sees(READ) == Visible("123")


def test_a_customer_of_no_id_sees_nothing() -> None:
    """A token without the claim is no reason to show everything."""
    assert not principal(Role.CUSTOMER).may(READ)
    with pytest.raises(Forbidden):
        principal(Role.CUSTOMER).sees(READ)


def test_the_widest_of_several_roles_counts() -> None:
    both = principal(Role.CUSTOMER, Role.SUPPORT, customer_id="123")
    assert both.sees(READ) == EVERYTHING
    assert both.sees(PLACE) == Visible("123")


@pytest.mark.parametrize("permission", Permission)
def test_nobody_may_do_anything_without_a_role(permission: Permission) -> None:
    with pytest.raises(Forbidden) as refused:
        principal(customer_id="123").sees(permission)
    assert refused.value.members == {"needed": permission.value}


def test_only_a_customer_is_bound_to_their_own() -> None:
    """Whoever adds `own` to another role has to say whose that is."""
    assert {role for role in Role if Reach.OWN in ROLES[role].values()} == {Role.CUSTOMER}


def test_an_auditor_changes_nothing_and_sees_no_contact_data() -> None:
    may = set(ROLES[Role.AUDITOR])
    assert all(permission.value.endswith(":read") for permission in may)
    assert Permission.CUSTOMERS_READ not in may


def test_a_key_is_a_programs() -> None:
    assert {Role.SHOP, Role.SUPPLIER} == KEY_ROLES


def test_other_scopes_are_passed_over() -> None:
    assert roles_of(["openid", "shop", "root"]) == {Role.SHOP}


def test_a_key_comes_back_whole_or_not_at_all() -> None:
    parts = KeyParts("0123456789ab", "f" * 64)
    key = compose(parts)
    assert (parse(key), key[:16]) == (parts, "os_0123456789ab_")
    typing_errors = [key[:20] + "0" + key[21:], key[:-1], key + "0", key.upper(), " " + key, key.replace("os_", "")]
    assert {parse(wrong) for wrong in typing_errors} == {None}
