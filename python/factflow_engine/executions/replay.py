"""Replay: a new execution from what a stage of an earlier one has stored, of the same or of a changed configuration.

What would run is derived from the earlier execution's snapshot, never from the file that it was loaded from
(`derivation`). Every object is read before the first message is published (`replay_objects`). A message gets an id that
derives from that of the stored one, which is its parent: replayed twice into one queue, it is the same message.

Kept separate from `recovery`, which goes on with the same execution.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from factflow_engine.config import ConfigurationError, PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.config.canonical import to_yaml
from factflow_engine.config.snapshot import written_of
from factflow_engine.executions.derivation import Derived, ReplayError, after_stage, find_stage, into_route
from factflow_engine.executions.publishing import ObjectStore, Publication, examined, feed_of
from factflow_engine.executions.recording import Executions, Manager, Origin, StartedExecution
from factflow_engine.executions.records import StoredExecution
from factflow_engine.executions.references import RecordedObjects
from factflow_engine.executions.replay_objects import Found
from factflow_engine.executions.written_stages import Place
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.report import ExecutionStatus
from factflow_protocols import StorageProtocol

REPLAY: Final = "replay"
"""Name of what the record's metadata says of a replay, so that it can be recovered."""

DURABLE: Final = "durable"
"""Entry of it that is True if the replay's queue outlives the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """A replay that was checked: what would be published, and what would run.

    Attributes:
        parent: The execution that has stored.
        place: The stage whose objects are replayed.
        config: The derived configuration.
        derived: What runs of it, and the route that gets the messages.
        publication: The messages.
    """

    parent: StoredExecution
    place: Place
    config: PipelineGlobalConfig
    derived: Derived
    publication: Publication

    @property
    def messages(self) -> int:
        """Number of stored messages that it publishes."""
        return self.publication.found.objects

    def note(self, *, durable: bool) -> dict[str, Any]:
        """Return what the record's metadata says of it."""
        place = self.place
        said = {"route": place.route, "stage": place.stage, "what": place.what, "entry": self.derived.entry}
        return {**said, DURABLE: durable}


async def plan_replay(
    parent: StoredExecution,
    *,
    loader: PipelineConfigLoader,
    from_stage: str,
    from_route: str | None = None,
    to_route: str | None = None,
    config: PipelineGlobalConfig | None = None,
    storage: StorageProtocol | str | None = None,
    recorded: RecordedObjects | None = None,
    progress: Callable[[Found], None] = lambda _: None,
) -> ReplayPlan:
    """Check a replay: derive what would run, and read every object that would be published. Starts nothing.

    Args:
        parent: The execution whose objects are replayed, as `Executions.store.execution` returns it.
        loader: Loader with the adapters that run.
        from_stage: Name of a stage that has stored.
        from_route: Its route; needed if several routes have such a stage.
        to_route: Route that gets the messages; by default they go on behind the stage.
        config: Configuration to run in place of the parent's; for a fork.
        storage: Store of the objects, if the parent's configuration names none: its URL, or an open one, which the replay
        reads, too, and whoever opened it closes.
        recorded: Record of the objects that must be there: one that was removed with its metadata is then missed, too.
        progress: Called after each object that was read.

    Raises:
        ReplayError: The execution still runs; there is no such stage or route, or nothing behind it; or objects are
        missing or damaged.
        ConfigurationError: The configuration cannot be run any more; the error holds the findings.
        StorageUrlError: The store's URL cannot be used.
        StorageError: The store cannot be read.
        LineageError: The record cannot be read.

    Cancellation: nothing changes.
    """
    if parent.status is ExecutionStatus.RUNNING:
        raise ReplayError(
            f"execution {parent.id} is running, and stores more; wait for its end with `factflow execution wait {parent.id}`"
        )
    snapshot = written_of(parent.snapshot, f"snapshot of {parent.id}")
    place = find_stage(snapshot, from_stage, from_route, of=f"execution {parent.id}")
    written, of = (snapshot, f"execution {parent.id}") if config is None else (config.to_mapping(), "the configuration")
    derived = after_stage(written, place, of=of) if to_route is None else into_route(written, to_route, of=of)
    directory = Path(parent.directory) if config is None else config.directory
    loaded = loaded_from(derived.written, loader, name=f"replay of {parent.id}", directory=directory)
    store = storage_of(parent, snapshot, loader, storage)
    publication = await examined(store, parent, place, derived.entry, progress, recorded)
    return ReplayPlan(parent=parent, place=place, config=loaded, derived=derived, publication=publication)


@trio.lowlevel.enable_ki_protection
async def replay(
    executions: Executions,
    manager: Manager,
    plan: ReplayPlan,
    *,
    execution_id: str | None = None,
    idempotency_key: str | None = None,
    tag: str = "",
    metadata: Mapping[str, Any] | None = None,
    durable: bool = False,
    allow_loss: bool = False,
    begun: Callable[[StartedExecution], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> StartedExecution:
    """Start a replay, publish its messages, and return the execution, which the caller completes.

    Args:
        executions: Executions that record it, with the plan's parent as its own.
        manager: Manager that starts it.
        plan: Result of `plan_replay`.
        execution_id: See `Executions.start`.
        idempotency_key: See `Executions.start`.
        tag: See `Executions.start`.
        metadata: See `Executions.start`; `replay` in it is overwritten.
        durable: True if the manager's queue outlives the process: the replay is then recovered there.
        allow_loss: See `Executions.start`.
        begun: Called with the result before the first message is published, for a caller that watches it meanwhile.
        progress: Called with the number of messages that are published; `plan.messages` is that of all.

    Raises:
        ReplayStoppedError: It could not publish all; the execution was cancelled.
        FactflowError: See `Executions.start`; nothing was published.

    Cancellation: the execution is cancelled with it; some messages may have been published.
    """
    return await executions.start(
        manager,
        plan.config,
        execution_id=execution_id,
        idempotency_key=idempotency_key,
        tag=tag,
        metadata={**(metadata or {}), REPLAY: plan.note(durable=durable)},
        origin=Origin(parent=plan.parent.id, replay_source="storage"),
        publish_init=False,
        allow_loss=allow_loss,
        feed=feed_of(plan.publication, begun, progress),
    )


def loaded_from(
    written: Mapping[str, Any], loader: PipelineConfigLoader, *, name: str, directory: Path
) -> PipelineGlobalConfig:
    """Load a configuration in written form, with the environment of now.

    Raises:
        ConfigurationError: It has errors, such as an adapter that is no longer there.
    """
    result = loader.check_text(to_yaml(written), name, directory=directory)
    if result.config is None or not result.is_valid:
        raise ConfigurationError(result.findings)
    return result.config


def storage_of(
    execution: StoredExecution,
    written: Mapping[str, Any],
    loader: PipelineConfigLoader,
    given: StorageProtocol | str | None,
) -> ObjectStore:
    """Return the store that an execution's objects lie in. Nothing is opened.

    Raises:
        ReplayError: The configuration names none, and none is given.
        ConfigurationError: The URL in the configuration cannot be used.
    """
    section = written.get("storage")
    url = section.get("url") if isinstance(section, Mapping) else None
    if url is None:
        if given is None:
            raise ReplayError(
                f"the configuration of execution {execution.id} names no object store; give the one it used"
            )
        return ObjectStore(storage=given)
    # Loaded alone: the URL may refer to the environment, and no adapter is needed for it.
    alone = {
        "version": "1.0",
        "routes": {"none": {"outbound": [{"queue": "/queue/none", "external": True}]}},
        "storage": {"url": url},
    }
    directory = Path(execution.directory)
    config = loaded_from(alone, loader, name=f"storage of {execution.id}", directory=directory)
    assert config.storage is not None
    assert config.storage.url is not None
    return ObjectStore(storage=config.storage.url, directory=directory, redaction=Redaction(config))
