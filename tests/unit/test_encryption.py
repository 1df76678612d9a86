"""Payloads in Temporal, encrypted: what the codec takes and refuses, and keys that are rotated while it runs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from adapters.settings import Settings
from adapters.temporal import key_files
from adapters.temporal.encryption import CannotDecrypt, Encryption, data_converter, encrypting, message_of
from adapters.temporal.key_ring import LOOK_EVERY, KeyRing, KeysUnusable, read_keys
from commandline.doctor.checks import State
from commandline.doctor.encryption import check_keys

CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'{"reason": "Zoe, 4242"}')


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    key_files.make_keys(tmp_path / "keys")
    return tmp_path / "keys"


def codec(file: Path, namespace: str = "shop") -> Encryption:
    return Encryption(KeyRing(file), namespace)


async def test_what_is_encrypted_comes_back_and_says_nothing_meanwhile(file: Path) -> None:
    """The key's id stands beside it, and twice the same is never the same."""
    one, other = await codec(file).encode([CLEAR, CLEAR])
    assert dict(one.metadata) == {"encoding": b"binary/encrypted", "encryption-key-id": KeyRing(file).ids[0].encode()}
    assert b"Zoe" not in one.data and b"json" not in one.data and one.data != other.data
    assert await codec(file).decode([one, other]) == [CLEAR, CLEAR]


async def test_payloads_in_clear_pass(file: Path) -> None:
    """Those of histories from before, and signals that people send with the `temporal` command."""
    assert await codec(file).decode([CLEAR]) == [CLEAR]


async def test_a_payload_of_another_namespace_or_key_or_with_another_bit_is_refused(
    file: Path, tmp_path: Path
) -> None:
    """Whatever of it was changed: namespace, id of the key, data, length."""
    [sealed] = await codec(file).encode([CLEAR])
    key_files.make_keys(tmp_path / "others")
    changed = bytearray(sealed.data)
    changed[-1] ^= 1
    key_files.add_key(file)
    second = KeyRing(file).ids[1].encode()
    forged = [
        (codec(file, "another"), sealed),
        (codec(tmp_path / "others"), sealed),
        (codec(file), Payload(metadata=sealed.metadata, data=bytes(changed))),
        (codec(file), Payload(metadata=sealed.metadata, data=sealed.data[:20])),
        (codec(file), Payload(metadata=sealed.metadata)),
        (codec(file), Payload(metadata={**sealed.metadata, "encryption-key-id": second}, data=sealed.data)),
        (codec(file), Payload(metadata={"encoding": b"binary/encrypted"}, data=sealed.data)),
    ]
    for reader, payload in forged:
        with pytest.raises(CannotDecrypt):
            await reader.decode([payload])


async def test_keys_are_rotated_while_a_process_runs(file: Path) -> None:
    """A key is added, then used, then the old one is removed; each is noticed after a few seconds."""
    clock = Clock()
    ring = KeyRing(file, clock)
    running, [old] = Encryption(ring, "shop"), ring.ids
    [by_old] = await running.encode([CLEAR])
    new = key_files.add_key(file)
    clock.now += LOOK_EVERY + 1
    [still] = await running.encode([CLEAR])
    key_files.use_key(file, new)
    clock.now += LOOK_EVERY + 1
    [by_new] = await running.encode([CLEAR])
    named = [one.metadata["encryption-key-id"].decode() for one in (by_old, still, by_new)]
    assert named == [old, old, new]
    assert await running.decode([by_old, by_new]) == [CLEAR, CLEAR]
    key_files.remove_key(file, old)
    clock.now += LOOK_EVERY + 1
    assert await running.decode(await running.encode([CLEAR])) == [CLEAR]
    with pytest.raises(CannotDecrypt, match=f"no key '{old}' in the ring, which has {new}"):
        await running.decode([by_old])


async def test_a_key_that_another_process_has_already_is_looked_for_at_once(file: Path) -> None:
    """It does not wait for the next look; but a payload with a key that nobody has is no way to keep us busy."""
    clock = Clock()
    behind = Encryption(KeyRing(file, clock), "shop")
    key_files.use_key(file, key_files.add_key(file))
    [ahead] = await codec(file).encode([CLEAR])
    with pytest.raises(CannotDecrypt):
        await behind.decode([ahead])
    clock.now += LOOK_EVERY / 4
    assert await behind.decode([ahead]) == [CLEAR]


def test_a_file_that_breaks_later_leaves_the_keys(file: Path) -> None:
    """And says so in the log, without a key."""
    clock = Clock()
    ring = KeyRing(file, clock)
    known, key = ring.encrypting(), file.read_text().strip().partition(":")[2]
    file.write_text(f"broken {key}\n")
    clock.now += LOOK_EVERY + 1
    with capture_logs() as lines:
        assert ring.encrypting() == known
    assert [line["event"] for line in lines] == ["encryption_keys_unusable"]
    assert key not in str(lines)


def _line(key_id: str = "a", size: int = 32) -> str:
    return f"{key_id}:{base64.b64encode(bytes(range(size))).decode()}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no key"),
        ("# nothing\n\n", "holds no key"),
        (_line(size=16), "line 1: `id:key`"),
        (_line("a b"), "line 1: `id:key`"),
        (_line("a") + "b:%%%\n", "line 2: `id:key`"),
        (_line("a") + _line("a"), "line 2: this id or this key is there already"),
        (2 * "same:" + "\n", "line 1"),
    ],
)
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """With its line, and without quoting it."""
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(KeysUnusable, match=problem) as refused:
        read_keys(file)
    assert not any(len(word) > 40 and word in str(refused.value) for word in text.replace(":", "\n").split())


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o606])
def test_a_file_that_others_may_read_or_change_is_refused(file: Path, mode: int) -> None:
    """A key that others have is none."""
    file.chmod(mode)
    with pytest.raises(KeysUnusable, match="chmod 600"):
        KeyRing(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """By the process that would encrypt with it."""
    with pytest.raises(KeysUnusable, match="none: No such file"):
        data_converter(Settings(temporal_keys_file=tmp_path / "none"))


def test_making_keys_again_keeps_them(file: Path) -> None:
    """The one-shot service runs at every start; a lost key could never be made again."""
    before = file.read_text()
    key_files.make_keys(file)
    assert file.read_text() == before
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_key_that_encrypts_is_not_removed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor one that is not there; the command says why."""
    [only] = KeyRing(file).ids
    assert key_files.main(["remove", str(file), only]) == 2
    assert key_files.main(["use", str(file), "none"]) == 2
    assert key_files.main(["unknown"]) == 2
    said = capsys.readouterr().err
    assert "encrypts: let another key do so first" in said and f"no key 'none', but {only}" in said
    assert (key_files.main(["add", str(file)]), len(KeyRing(file).ids)) == (0, 2)


async def test_the_doctor_says_what_is_wrong_with_keys(file: Path, tmp_path: Path) -> None:
    """None at all does on this machine only; what does not read is none; an older one is told."""
    (tmp_path / "broken").touch(0o600)
    other = key_files.add_key(file)
    wanted = (None, tmp_path / "none", tmp_path / "broken", file)
    found = [(await check_keys(Settings(temporal_keys_file=one)))[0] for one in wanted]
    assert [check.state for check in found] == [State.WARN, State.FAIL, State.FAIL, State.OK]
    assert "No such file" in found[1].found and "holds no key" in found[2].found
    assert found[3].found.endswith(f"encrypts, {other} only decrypt")


async def test_an_error_is_encrypted_and_its_message_found_again(file: Path) -> None:
    """Also that of its cause; whoever has no key reads Temporal's own words."""
    converter = encrypting(codec(file))
    failure = await _failure(converter)
    assert failure.message == failure.cause.message == "Encoded failure"
    assert b"Zoe" not in failure.SerializeToString()
    assert await message_of(failure, converter) == "no room for Zoe"
    assert await message_of(failure, encrypting(codec(file, "another"))) == "Encoded failure"
    assert failure.message == "Encoded failure"  # what was asked about is left as it is


async def test_an_error_in_clear_keeps_its_message(file: Path) -> None:
    """One of Temporal's own, or from before."""
    assert await message_of(Failure(message="timed out"), encrypting(codec(file))) == "timed out"


async def _failure(converter: Any) -> Failure:
    failure = Failure()
    try:
        try:
            raise ValueError("Zoe again")
        except ValueError as error:
            raise ApplicationError("no room for Zoe", "Zoe's card", type="NoRoom") from error
    except ApplicationError as error:
        await converter.encode_failure(error, failure)
    return failure
