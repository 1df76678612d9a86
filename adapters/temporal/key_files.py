"""Makes and rotates the file of keys: `python -m adapters.temporal.key_files COMMAND FILE [ID]`.

`make` makes a file with a key where there is none, and with one more word the codec server's file of tokens; `add`
appends a new key, with which everybody learns to decrypt; `use` lets a key encrypt; `remove` takes one away.
Processes notice within seconds (`key_ring.LOOK_EVERY`).
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

from adapters.temporal.codec_tokens import make_tokens
from adapters.temporal.key_ring import KEY_SIZE, KeysUnusable, read_keys

READER = "operator"  # whose token `make` makes


def make_keys(file: Path) -> None:
    """A file with one new key for its owner's eyes; a file that is there stays, and is checked."""
    if file.exists():
        read_keys(file)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, {_new_id({}): secrets.token_bytes(KEY_SIZE)})


def add_key(file: Path) -> str:
    """Appends a new key that does not encrypt yet; its id."""
    keys = read_keys(file)
    key_id = _new_id(keys)
    _write(file, {**keys, key_id: secrets.token_bytes(KEY_SIZE)})
    return key_id


def use_key(file: Path, key_id: str) -> None:
    """Lets a key encrypt: to be done when every process has it."""
    keys = read_keys(file)
    _write(file, {key_id: _known(keys, key_id), **keys})


def remove_key(file: Path, key_id: str) -> None:
    """Takes a key away: what was encrypted with it can be read by nobody any more."""
    keys = read_keys(file)
    _known(keys, key_id)
    if key_id == next(iter(keys)):
        raise KeysUnusable(f"{key_id} encrypts: let another key do so first (`use`)")
    _write(file, {known: key for known, key in keys.items() if known != key_id})


def _known(keys: dict[str, bytes], key_id: str) -> bytes:
    if key_id not in keys:
        raise KeysUnusable(f"there is no key {key_id!r}, but {', '.join(keys)}")
    return keys[key_id]


def _new_id(keys: dict[str, bytes]) -> str:
    """By its day, so that one sees how old a key is."""
    while (key_id := f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(2)}") in keys:
        pass
    return key_id


def _write(file: Path, keys: dict[str, bytes]) -> None:
    """Whole or not at all, and never readable by others."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.writelines(f"{key_id}:{base64.b64encode(key).decode()}\n" for key_id, key in keys.items())
        opened.flush()
        os.fsync(opened.fileno())  # a key that is lost cannot be made again
    unfinished.replace(file)


def main(arguments: list[str]) -> int:
    """Runs a command; 2 for one that makes no sense."""
    try:
        match arguments:
            case ["make", file, *tokens] if len(tokens) < 2:
                make_keys(Path(file))
                for one in tokens:
                    make_tokens(Path(one), READER)
            case ["add", file]:
                sys.stdout.write(f"{add_key(Path(file))}\n")
            case ["use", file, key_id]:
                use_key(Path(file), key_id)
            case ["remove", file, key_id]:
                remove_key(Path(file), key_id)
            case _:
                sys.stderr.write(f"{__doc__}\n")
                return 2
    except (KeysUnusable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
