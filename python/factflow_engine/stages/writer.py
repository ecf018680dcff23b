"""Writer of one stage's objects: the key, the bytes and the metadata of a message, given to the store.

Kept separate from the runtime, which decides when a message is stored, because the adapter `store_object` writes in the
same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.errors import StageStorageError
from factflow_engine.stages.content import ENVELOPE, ENVELOPE_PROBLEM, ContentRule
from factflow_engine.stages.fields import DeclaredField, DeclaredMetadata, nanoseconds_text
from factflow_engine.stages.keys import object_key
from factflow_engine.stages.result import StageStorageResult
from factflow_protocols import PipelineContext, StageInfo, StorageProtocol

MAX_DECLARED_BYTES: Final = 32_768
"""Most bytes of JSON that the declared fields of one object may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlace:
    """A stage, and what all its objects have in common.

    Attributes:
        storage: The object store.
        info: Execution, route and name of the stage.
        adapter: Type of its adapter.
        config_hash: Hash of the configuration.
        fields: Metadata that the whole configuration declares.
        wall_ns: Wall clock, in nanoseconds since the epoch.
        redacted: Removes secrets of the configuration from a text; None if it has none.
    """

    storage: StorageProtocol
    info: StageInfo
    adapter: str
    config_hash: str
    fields: Sequence[DeclaredField]
    wall_ns: Callable[[], int]
    redacted: Callable[[str], str] | None

    def provenance(self) -> dict[str, Any]:
        """Return where an object that is written now comes from."""
        return {
            "execution": self.info.execution_id,
            "route": self.info.route,
            "stage": self.info.stage,
            "adapter": self.adapter,
            "time": nanoseconds_text(self.wall_ns()),
            "config_hash": self.config_hash,
            "engine_version": _engine_version(),
        }


class StageWriter:
    """Writer of what passes one stage. The key is the message's own, so that writing it again replaces its object."""

    def __init__(
        self,
        place: StagePlace,
        *,
        what: str,
        content_field: str | None = None,
        extension: str | None = None,
        content_type: str | None = None,
        fields: Sequence[DeclaredField] = (),
    ) -> None:
        """Prepare.

        Args:
            place: The stage.
            what: `input` or `output`: which message of the stage is given to `write`, for the metadata.
            content_field: Path of the field that is stored; None: the message.
            extension: File extension of the objects; None: see `ContentRule`.
            content_type: Media type; None: see `ContentRule`.
            fields: Metadata that the stage declares, beside the configuration's.
        """
        self._place = place
        self._what = what
        self._rule = ContentRule(
            content_field=content_field, extension=extension, content_type=content_type, redacted=place.redacted
        )
        self._metadata = DeclaredMetadata([*place.fields, *fields], redacted=place.redacted)

    async def write(self, context: PipelineContext) -> StageStorageResult:
        """Store a message, in place of what an earlier delivery or attempt of it has stored.

        Raises:
            StageStorageError: The message cannot be stored as the configuration says; nothing was written.
            StorageError: The store failed; the former object, if any, is unchanged.

        Cancellation: the old or the new object is there.
        """
        place, message_id = self._place, context.message_id
        custom = self._metadata.of(context.payload, message_id)
        if custom and len(json.dumps(custom)) > MAX_DECLARED_BYTES:
            raise StageStorageError(
                message_id, f"its declared metadata has more than {MAX_DECLARED_BYTES:,} bytes; declare less"
            )
        content = self._rule.content_of(context)
        provenance = place.provenance()
        provenance["what"] = self._what
        provenance["message_id"] = message_id
        provenance["correlation_id"] = context.correlation_id
        provenance["parent_id"] = context.parent_id
        provenance["attempt"] = context.attempt
        if content.problem is not None:
            provenance[ENVELOPE_PROBLEM] = content.problem
        custom["provenance"] = provenance
        if content.envelope is not None:
            custom[ENVELOPE] = content.envelope
        info = place.info
        key = object_key(info.execution_id, info.route, info.stage, message_id, self._rule.extension)
        written = await place.storage.write(key, content.data, content_type=content.content_type, custom=custom)
        return StageStorageResult(
            key=key,
            size_bytes=written.size_bytes,
            checksum=written.checksum,
            content_type=written.content_type,
            metadata_key=key,
        )


def _engine_version() -> str:
    # Imported late: reading the version reads the installed distribution.
    from factflow_engine.version import __version__  # noqa: PLC0415

    return __version__
