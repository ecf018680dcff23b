"""Results of a stage that are taken from the object store, in place of calls, when an execution is recovered.

The ids of messages derive from their parents, the stages and their bytes. So an execution that begins again under its id
has the same messages, and what a stage has stored of a message is what it would make of it. Its adapter is called only for
messages of which nothing is stored, or nothing that can be trusted: that object is then replaced.

A stage that emits is called again, because nothing says that all it emitted was stored; the stages behind it find theirs.
One that keeps something across messages is always called: what it kept has died with the process.

Kept separate from `storing`, which writes: an execution that is not recovered pays nothing for this.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from factflow_engine.errors import StageStorageError
from factflow_engine.frames import unpack
from factflow_engine.native import MessageContext
from factflow_engine.runtime.stages.results import FORWARD
from factflow_engine.runtime.stages.timeouts import StageCall
from factflow_engine.stages.content import ContentRule, StoredContent
from factflow_engine.stages.keys import StageKey
from factflow_engine.stages.reader import read_message
from factflow_engine.stages.writer import StagePlace
from factflow_protocols import AdapterResult, StorageCorruptError, StorageNotFoundError

if TYPE_CHECKING:
    from factflow_engine.config import StoreConfig

logger = logging.getLogger("factflow_engine.runtime")


def recalling(call: StageCall, *, store: StoreConfig, place: StagePlace) -> StageCall:
    """Return a call that is made only for messages of which the stage has stored nothing usable.

    Args:
        call: Calls the adapter, guards included.
        store: What the stage stores.
        place: The stage.
    """
    extension = ContentRule(content_field=store.content_field, extension=store.extension).extension
    info = place.info

    async def recalled(context: MessageContext) -> AdapterResult | None:
        key = StageKey(info.execution_id, info.route, info.stage, context.message_id, extension)
        try:
            found = await read_message(place.storage, key, what="output")
        except StorageNotFoundError:
            return await call(context)
        except (StorageCorruptError, StageStorageError) as error:
            logger.warning("%s; the stage processes the message again", error)
            return await call(context)
        return _result_of(found.content, context)

    return recalled


def _result_of(content: StoredContent, context: MessageContext) -> AdapterResult:
    headers = _changes(context.headers, content.headers)
    if headers is None and content.payload == context.payload:
        return FORWARD
    return AdapterResult(message=unpack(content.payload), headers=headers)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the headers to be merged over those before; None if there is nothing to change."""
    removed = {name: None for name in before if name not in after}
    changed = {name: value for name, value in after.items() if name not in before or before[name] != value}
    return {**removed, **changed} or None
