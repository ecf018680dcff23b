"""Metadata of an object in the headers that a bucket keeps with it, or in a sidecar where it does not fit.

An object has one header of its own, `factflow`: its checksum and custom metadata as JSON in ASCII. If that is longer
than buckets take, the custom metadata goes into a sidecar, an object `<key>.<digits>.meta.json` whose digits are the
beginning of its own SHA-256 and stand in the header. A number of its own makes each write's sidecar another one. So a
sidecar is never changed, an object is replaced in one request, whoever has read its headers knows which sidecar is its,
and the sidecar of an object that was replaced can be removed: no writer makes it again. Kept separate from the calls
because it makes none.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.storages.examination import UndescribedObjectError
from factflow_engine.storages.keys import SIDECAR_ENDING
from factflow_protocols import ObjectMetadata, StorageCorruptError

_HEADER: Final = "factflow"
_CONTENT_TYPE: Final = "Content-Type"
LONGEST_HEADER_BYTES: Final = 1800
"""Longest header: S3 takes 2 KiB of them in all."""

_DIGITS: Final = 32
_CHECKSUM: Final = re.compile(r"[0-9a-f]{64}")
_SIDECAR: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Headers:
    """Metadata as it is sent.

    Attributes:
        attributes: Headers of the object.
        sidecar: Name and bytes of its sidecar; None if it needs none.
    """

    attributes: dict[str, str]
    sidecar: tuple[str, bytes] | None


def encode(key: str, metadata: ObjectMetadata, token: str) -> Headers:
    """Return an object's headers, and its sidecar if it needs one; `token` is the number of this write."""
    description: dict[str, Any] = {"checksum": metadata.checksum}
    sidecar = None
    if metadata.custom:
        whole = _json({**description, "custom": dict(metadata.custom)})
        if len(whole) <= LONGEST_HEADER_BYTES:
            description["custom"] = dict(metadata.custom)
        else:
            content = _json({"custom": dict(metadata.custom), "write": token}).encode("ascii")
            digits = hashlib.sha256(content).hexdigest()[:_DIGITS]
            description["sidecar"] = digits
            sidecar = sidecar_name(key, digits), content
    return Headers({_CONTENT_TYPE: metadata.content_type, _HEADER: _json(description)}, sidecar)


@dataclass(frozen=True, slots=True)
class Described:
    """Metadata as it was received.

    Attributes:
        metadata: The metadata; its custom part is empty if it lies in a sidecar.
        sidecar: Digits of the sidecar; None if there is none.
    """

    metadata: ObjectMetadata
    sidecar: str | None


def decode(key: str, attributes: Mapping[str, str], size_bytes: int) -> Described:
    """Return what an object's headers say.

    Raises:
        StorageCorruptError: They are not those of an object of this store.
    """
    text = attributes.get(_HEADER)
    if text is None:
        raise UndescribedObjectError(key, f"has no metadata {_HEADER!r}: another program made it")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StorageCorruptError(key, f"its metadata {_HEADER!r} is not JSON: {error}") from error
    checksum = description.get("checksum") if isinstance(description, dict) else None
    if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        raise StorageCorruptError(key, f"its metadata {_HEADER!r} has no checksum")
    custom, sidecar = description.get("custom", {}), description.get("sidecar")
    if not isinstance(custom, dict) or (sidecar is not None and not _SIDECAR.fullmatch(str(sidecar))):
        raise StorageCorruptError(key, f"its metadata {_HEADER!r} is damaged")
    content_type = attributes.get(_CONTENT_TYPE, "application/octet-stream")
    return Described(
        ObjectMetadata(content_type=content_type, size_bytes=size_bytes, checksum=checksum, custom=custom), sidecar
    )


def with_sidecar(key: str, described: Described, content: bytes) -> ObjectMetadata:
    """Return the metadata with the custom part from its sidecar.

    Raises:
        StorageCorruptError: The sidecar is not the one that the object names.
    """
    if hashlib.sha256(content).hexdigest()[:_DIGITS] != described.sidecar:
        raise StorageCorruptError(key, f"its sidecar {sidecar_name(key, described.sidecar)!r} is damaged")
    found = described.metadata
    return ObjectMetadata(
        content_type=found.content_type,
        size_bytes=found.size_bytes,
        checksum=found.checksum,
        custom=json.loads(content)["custom"],
    )


def sidecar_name(key: str, digits: str | None) -> str:
    """Return the name of a sidecar."""
    return f"{key}.{digits}{SIDECAR_ENDING}"


def sidecar_owner(name: str) -> tuple[str, str] | None:
    """Return the key and the digits in a sidecar's name; None if it is none."""
    key, _, digits = name.removesuffix(SIDECAR_ENDING).rpartition(".")
    return (key, digits) if name.endswith(SIDECAR_ENDING) and key and _SIDECAR.fullmatch(digits) else None


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
