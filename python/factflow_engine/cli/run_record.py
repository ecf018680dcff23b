"""Recording of a run in a home, around the manager that a session opens.

Kept separate from `running`, which also runs pipelines that nobody records.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, cast

import click
import trio

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.launch import Launch, launched
from factflow_engine.cli.progress import Progress
from factflow_engine.cli.session import RunningExecution, Starter
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.streams import results
from factflow_engine.cli.text import clean
from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.executions import Executions, Home, Origin, open_executions
from factflow_engine.executions.recording import Manager
from factflow_protocols import FactflowError


class _BegunBeforeError(FactflowError):
    """Start that began nothing, because its idempotency key has begun an execution."""


class Recorder:
    """Recorder of one run.

    Attributes:
        id: Id of the record, once there is one; with a key that was used before, that of the first run.
        problems: What could not be recorded; see `Executions.problems`.
    """

    def __init__(
        self,
        home: Home,
        *,
        tag: str,
        metadata: Mapping[str, Any],
        idempotency_key: str | None,
        config_id: str | None,
        config_version: int | None,
        launch: Launch | None = None,
    ) -> None:
        """Prepare; see `Executions.start`. With a `launch`, that is started, rather than what the session asks for."""
        self.id: str | None = None
        self.problems: Sequence[str] = ()
        self._home = home
        self._tag = tag
        self._metadata = metadata
        self._key = idempotency_key if launch is None else launch.idempotency_key
        self._origin = Origin(config_id=config_id, config_version=config_version)
        self._launch = launch

    @asynccontextmanager
    async def opened(
        self, open_manager: Callable[[], AbstractAsyncContextManager[Starter]], progress: Progress
    ) -> AsyncIterator[Starter]:
        """Open the store, and a manager whose start is recorded in it. What cannot be recorded is logged."""
        async with (
            open_executions(self._home.executions_url) as executions,
            open_manager() as manager,
            trio.open_nursery() as nursery,
        ):
            self.problems = executions.problems  # which are added until the block is left
            yield _RecordingStarter(self, executions, manager, nursery, progress)

    async def start(
        self,
        executions: Executions,
        manager: Starter,
        nursery: trio.Nursery,
        progress: Progress,
        config: PipelineGlobalConfig,
        *,
        allow_loss: bool,
        **options: Any,
    ) -> RunningExecution:
        """Start the execution of the run, recorded; what a launch publishes is published in the nursery.

        Raises:
            _BegunBeforeError: The key has begun another.
        """
        execution: RunningExecution | None
        if self._launch is not None:
            start = partial(launched, tag=self._tag, metadata=self._metadata, allow_loss=allow_loss)
            self.id, execution = await nursery.start(
                start, self._launch, executions, cast("Manager", manager), progress
            )
        else:
            started = await executions.start(
                cast("Manager", manager),
                config,
                tag=self._tag,
                metadata=self._metadata,
                idempotency_key=self._key,
                origin=self._origin,
                allow_loss=allow_loss,
                **options,
            )
            self.id, execution = started.id, started.execution
        if execution is None:
            raise _BegunBeforeError(f"execution {self.id} was begun with this key")
        return execution

    def began_before(self, error: BaseException) -> bool:
        """True if a run ended with this error because its key was used before."""
        return isinstance(error, _BegunBeforeError)

    def report_earlier(self, settings: Settings) -> int:
        """Report that nothing was started because of the key; print the id of the first run."""
        if settings.as_json:
            print_document({"status": "begun_before", "record": self.id, "exit_status": int(ExitStatus.OK)}, settings)
        else:
            click.echo(self.id, file=results())
        click.echo(
            f"factflow: nothing was started: idempotency key {clean(self._key or '')!r} has begun execution {self.id} "
            f"before; `factflow execution wait {self.id}` waits for its end",
            err=True,
        )
        return ExitStatus.OK


class _RecordingStarter:
    """Manager whose starts are recorded, as `Starter` documents it."""

    def __init__(
        self, recorder: Recorder, executions: Executions, manager: Starter, nursery: trio.Nursery, progress: Progress
    ) -> None:
        self._recorder = recorder
        self._executions = executions
        self._manager = manager
        self._nursery = nursery
        self._progress = progress

    async def start(
        self,
        config: PipelineGlobalConfig,
        *,
        execution_id: str | None,
        init: Sequence[InitMessageConfig] | None,
        asked_ns: int | None,
        allow_loss: bool,
    ) -> RunningExecution:
        execution = await self._recorder.start(
            self._executions,
            self._manager,
            self._nursery,
            self._progress,
            config,
            execution_id=execution_id,
            init=init,
            asked_ns=asked_ns,
            allow_loss=allow_loss,
        )
        self._progress.say(f"recorded as execution {self._recorder.id}")
        return execution
