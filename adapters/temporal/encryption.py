"""Encrypts what Temporal keeps of orders: arguments, results, signals, summaries and errors (decision 0039).

AES-256-GCM with a random nonce; the key's id stands in the payload's metadata and, with the namespace, in what is
authenticated, so that a payload cannot be moved to another namespace. Payloads in clear pass: histories from before
the encryption go on, and people may send signals with the `temporal` command. Ids, types and search attributes
are never encrypted by Temporal.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.exceptions import FailureError

from adapters.settings import Settings
from adapters.temporal.key_ring import KeyRing

ENCODING = b"binary/encrypted"
KEY = "encryption-key-id"
NONCE = 12  # bytes (NIST SP 800-38D)


class CannotDecrypt(Exception):
    """A payload names a key that we do not have, or is not what was encrypted."""


class Encryption(PayloadCodec):
    """For one namespace. A payload takes some microseconds, so that no thread is worth its switch."""

    def __init__(self, keys: KeyRing, namespace: str) -> None:
        self._keys = keys
        self._namespace = namespace

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypts each with the key that is first in the ring now."""
        key_id, cipher = self._keys.encrypting()
        metadata, bound = {"encoding": ENCODING, KEY: key_id.encode()}, self._bound(key_id)
        return [Payload(metadata=metadata, data=_sealed(cipher, payload, bound)) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypts those that are encrypted. Raises CannotDecrypt."""
        return [self._opened(payload) if is_encrypted(payload) else payload for payload in payloads]

    def _opened(self, payload: Payload) -> Payload:
        key_id = payload.metadata[KEY].decode(errors="replace")
        cipher = self._keys.decrypting(key_id)
        if cipher is None:
            raise CannotDecrypt(f"no key {key_id!r} in the ring, which has {', '.join(self._keys.ids)}")
        try:
            clear = cipher.decrypt(payload.data[:NONCE], payload.data[NONCE:], self._bound(key_id))
        except (InvalidTag, ValueError):
            raise CannotDecrypt(f"not encrypted with our key {key_id!r} for namespace {self._namespace}") from None
        return Payload.FromString(clear)

    def _bound(self, key_id: str) -> bytes:
        """What is authenticated with the payload; an id of a key has no NUL in it."""
        return f"{key_id}\0{self._namespace}".encode()


def is_encrypted(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCODING


def data_converter(settings: Settings) -> DataConverter:
    """Pydantic's, and with keys in the settings one that encrypts. Raises KeysUnusable."""
    if settings.temporal_keys_file is None:
        return pydantic_data_converter
    return encrypting(Encryption(KeyRing(settings.temporal_keys_file), settings.temporal_namespace))


def encrypting(codec: PayloadCodec) -> DataConverter:
    """Errors are encrypted, too: their messages may quote what an order holds."""
    return dataclasses.replace(
        pydantic_data_converter,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


async def message_of(failure: Failure, converter: DataConverter) -> str:
    """What an error in a description or a history says, also an encrypted one.

    Where the key is missing it is Temporal's own "Encoded failure".
    """
    copied = Failure()
    copied.CopyFrom(failure)
    try:
        error = await converter.decode_failure(copied)
    except CannotDecrypt:
        return failure.message
    return error.message if isinstance(error, FailureError) else failure.message


def _sealed(cipher: AESGCM, payload: Payload, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE)
    return nonce + cipher.encrypt(nonce, payload.SerializeToString(), bound)
