"""Data keys are wrapped by a master key, values sealed by a data key, and neither opens anywhere else."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.keys.port import CannotUnwrap, Wrapped
from adapters.keys.ring import FileKeys
from adapters.keys.vault import KEPT_FOR, CannotOpen, Cipher, Place, Vault
from adapters.temporal import key_ring
from adapters.temporal.key_files import add_key, make_keys, remove_key, use_key
from adapters.temporal.key_ring import KeysUnusable, read_keys
from domain.data_classes import Purpose

EMAIL = Place("customers.email_sealed", "alice", "alice")


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes look at the file every five seconds."""
    monkeypatch.setattr(key_ring, "LOOK_EVERY", -1.0)


def vault(file: Path, clock: list[float] | None = None) -> Vault:
    time = clock or [0.0]
    return Vault(FileKeys(file), SecretStr("pepper" * 3), clock=lambda: time[0])


def test_what_is_sealed_opens_where_it_belongs() -> None:
    """Twice the same text is never the same when sealed."""
    cipher = Cipher(os.urandom(32))
    first, second = (cipher.seal(EMAIL, "alice@example.com") for _ in range(2))
    assert first != second and "alice" not in first
    assert cipher.open(EMAIL, first) == cipher.open(EMAIL, second) == "alice@example.com"


@pytest.mark.parametrize(
    "elsewhere",
    [EMAIL._replace(column="customers.name_sealed"), EMAIL._replace(customer_id="bob"), EMAIL._replace(row="bob")],
)
def test_what_is_sealed_opens_nowhere_else(elsewhere: Place) -> None:
    """Another column, customer or row."""
    cipher = Cipher(os.urandom(32))
    with pytest.raises(CannotOpen, match="does not open") as refused:
        cipher.open(elsewhere, cipher.seal(EMAIL, "alice@example.com"))
    assert "alice@example.com" not in str(refused.value)


@pytest.mark.parametrize("broken", ["", "1.", "1.????", "1." + base64.b64encode(bytes(40)).decode()])
def test_what_is_broken_does_not_open(broken: str) -> None:
    with pytest.raises(CannotOpen):
        Cipher(os.urandom(32)).open(EMAIL, broken)


async def test_a_data_key_belongs_to_one_customer_and_purpose(ring: Path) -> None:
    keys = vault(ring)
    wrapped = await keys.new_key("alice", Purpose.CONTACT)
    await keys.cipher("alice", Purpose.CONTACT, wrapped)
    for customer_id, purpose in (("bob", Purpose.CONTACT), ("alice", Purpose.ACCOUNTING)):
        with pytest.raises(CannotUnwrap, match="not wrapped"):
            await keys.cipher(customer_id, purpose, wrapped)


async def test_the_master_key_is_replaced_while_everything_runs(ring: Path) -> None:
    """The new one wraps as soon as it is first; what the old one has wrapped opens until it is gone from the ring."""
    keys = vault(ring)
    (old,) = read_keys(ring)
    wrapped = await keys.new_key("alice", Purpose.CONTACT)
    sealed = (await keys.cipher("alice", Purpose.CONTACT, wrapped)).seal(EMAIL, "alice@example.com")
    new = add_key(ring)
    assert (await keys.new_key("bob", Purpose.CONTACT)).key_id == old and keys.keys.older() == [new]

    use_key(ring, new)
    assert keys.keys.older() == [old]
    assert (await vault(ring).cipher("alice", Purpose.CONTACT, wrapped)).open(EMAIL, sealed) == "alice@example.com"
    again = await keys.rewrap("alice", Purpose.CONTACT, wrapped)
    assert (again.key_id, (await keys.new_key("bob", Purpose.CONTACT)).key_id) == (new, new)

    remove_key(ring, old)
    assert (await vault(ring).cipher("alice", Purpose.CONTACT, again)).open(EMAIL, sealed) == "alice@example.com"
    with pytest.raises(CannotUnwrap, match=f"no master key '{old}'"):
        await vault(ring).cipher("alice", Purpose.CONTACT, wrapped)


async def test_a_key_is_unwrapped_once_in_some_minutes(ring: Path) -> None:
    """And not from the memory of a process after that, or after it was forgotten."""
    clock = [0.0]
    keys = vault(ring, clock)
    wrapped = await keys.new_key("alice", Purpose.CONTACT)
    broken = Wrapped(wrapped.key_id, bytes(60))
    await keys.cipher("alice", Purpose.CONTACT, wrapped)
    assert await keys.cipher("alice", Purpose.CONTACT, broken)  # it is not looked at
    assert not keys.knows("alice")  # only one of two
    clock[0] = KEPT_FOR + 1
    with pytest.raises(CannotUnwrap):
        await keys.cipher("alice", Purpose.CONTACT, broken)
    await keys.cipher("alice", Purpose.CONTACT, wrapped)
    keys.forget("alice")
    assert keys.known("alice", Purpose.CONTACT) is None


def test_a_master_key_that_others_may_read_is_refused(ring: Path) -> None:
    ring.chmod(0o644)
    with pytest.raises(KeysUnusable, match="may be read or changed by others"):
        FileKeys(ring)


def test_an_address_has_one_blind_index(ring: Path) -> None:
    """However somebody writes it; with another pepper it is another one."""
    keys = vault(ring)
    found = {keys.blind_index(one) for one in ("Alice@Example.com", " alice@example.com ", "ａlice@example.com")}
    assert len(found) == 1 and "alice" not in found.pop()
    assert keys.blind_index("a@b.c") != Vault(FileKeys(ring), SecretStr("x" * 16)).blind_index("a@b.c")
