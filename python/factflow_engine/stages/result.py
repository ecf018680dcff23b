"""Result of storing: where an object lies, in a form that a message can carry.

Kept separate from the writer because receivers of such messages need it alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStorageResult:
    """An object that a stage has stored.

    Attributes:
        key: Key of the object.
        size_bytes: Its length.
        checksum: SHA-256 of its bytes, in 64 hexadecimal digits.
        content_type: Its media type.
        metadata_key: Key to give to `StorageProtocol.metadata`: the object's own. Where the metadata lies, in a sidecar
            or in the object, is the store's affair.

    Example:
        message = StageStorageResult(
            key="executions/e/r/s/0123", size_bytes=5, checksum="0" * 64, content_type="text/plain", metadata_key="executions/e/r/s/0123"
        ).as_message()
        assert StageStorageResult.from_message(message).size_bytes == 5
    """

    key: str
    size_bytes: int
    checksum: str
    content_type: str
    metadata_key: str

    def as_message(self) -> dict[str, Any]:
        """Return the result as a mapping that a message can be, or hold."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "StageStorageResult":
        """Return the result that a mapping holds; its other entries are ignored.

        Raises:
            ValueError: An entry is missing, or of another type.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            expected = int if field.name == "size_bytes" else str
            value = message.get(field.name)
            if type(value) is not expected:
                raise ValueError(
                    f"a stored object's {field.name} must be {expected.__name__}, got {type(value).__name__}; "
                    "give the mapping that StageStorageResult.as_message() returns"
                )
            values[field.name] = value
        return cls(**values)
