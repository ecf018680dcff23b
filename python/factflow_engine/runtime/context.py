"""The engine's `PipelineContext`: a frame, its current payload, and the stage that looks at it.

Apart from the protocol because it knows frames; one is made per message and stage, so it holds no more than that.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from factflow_engine.frames import Frame, unpack
from factflow_engine.runtime.stage import Stage
from factflow_protocols import PipelineContext

_UNDECODED: Any = object()


class MessageContext(PipelineContext):
    """See `PipelineContext`."""

    __slots__ = ("_message", "frame", "stage_of")

    def __init__(self, frame: Frame, stage: Stage) -> None:
        self.frame = frame
        self.stage_of = stage
        self._message = _UNDECODED

    @property
    def message(self) -> Any:
        if self._message is _UNDECODED:
            self._message = unpack(self.payload)
        return self._message

    @property
    def payload(self) -> bytes:
        return self.frame.payload

    @property
    def headers(self) -> Mapping[str, Any]:
        return self.frame.headers

    @property
    def key(self) -> str | None:
        return self.frame.key

    @property
    def message_id(self) -> str:
        return self.frame.message_id.hex()

    @property
    def correlation_id(self) -> str:
        return self.frame.correlation_id.hex()

    @property
    def parent_id(self) -> str | None:
        parent = self.frame.parent_id
        return None if parent is None else parent.hex()

    @property
    def attempt(self) -> int:
        return self.frame.attempt

    @property
    def execution_id(self) -> str:
        return self.stage_of.info.execution_id

    @property
    def route(self) -> str:
        return self.stage_of.info.route

    @property
    def stage(self) -> str:
        return self.stage_of.info.stage

    def __repr__(self) -> str:
        return f"<message {self.message_id} at {self.route}/{self.stage}>"


class ChangedContext(MessageContext):
    """The context of a message whose payload or headers an earlier stage has replaced; None: the frame's own."""

    __slots__ = ("_headers", "_payload")

    def __init__(self, frame: Frame, stage: Stage, payload: bytes | None, headers: Mapping[str, Any] | None) -> None:
        super().__init__(frame, stage)
        self._payload = frame.payload if payload is None else payload
        self._headers = frame.headers if headers is None else MappingProxyType(dict(headers))

    @property
    def payload(self) -> bytes:
        return self._payload

    @property
    def headers(self) -> Mapping[str, Any]:
        return self._headers
