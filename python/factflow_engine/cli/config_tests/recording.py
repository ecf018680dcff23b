"""`factflow run --record FILE`: the run is recorded, and written as a test of its configuration.

Kept separate from `running`, which imports it only if a run is recorded. The file is written at the end and whole: a process
that dies before leaves none.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import trio

from factflow_engine.app import App, StoreUrls
from factflow_engine.cli.config_tests.output import write_file
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.session import SessionEnd
from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.seams import AroundCall, CallRecords, Seams
from factflow_engine.testing.config_tests.reading import ConfigTestFileError, read_tests
from factflow_engine.testing.config_tests.recorded_file import HEAD, RecordingError, recorded_text
from factflow_engine.testing.config_tests.recording import Recording
from factflow_engine.testing.config_tests.running import run_tests
from factflow_engine.testing.config_tests.suites import open_suite

_COLLECT_SECONDS = 1.0
"""Time for taking the last outputs once the execution has ended."""


class RunRecording:
    """Recording of one run, and the file that it is written to.

    Args:
        app: Engine that runs it.
        config: The pipeline.
        path: The file.

    Attributes:
        app: Engine to run it with instead.

    Raises:
        InvalidInputError: The file cannot be written, or is another one than a recording.
    """

    def __init__(self, app: App, config: PipelineGlobalConfig, path: Path) -> None:
        self._path = path
        self._config = config
        self._plain = app.registry
        self._recording = Recording(config)
        _check(path)
        self.app: App = _RecordingApp(
            registry=self._recording.registry(app.registry),
            loader=app.loader,
            queue=MemoryQueue(),
            problems=app.problems,
            recording=self._recording,
        )

    def end(self, end: SessionEnd) -> str:
        """Write the file, and return what is to be said about it."""
        try:
            if end.report is None:
                raise RecordingError("the run did not start")
            text = recorded_text(
                self._recording,
                self._config,
                end.report,
                pipeline=os.path.relpath(self._config.file, self._path.parent),
                environ=os.environ,
            )
        except RecordingError as error:
            return f"--record {self._path}: no test was written: {error}"
        write_file(self._path, text, "--record")
        return self._tried()

    def _tried(self) -> str:
        """Run the test that was written, and say whether it passes."""
        try:
            suite = open_suite(read_tests(self._path), self._plain)
            results = list(run_tests(suite))
        except ConfigTestFileError as error:
            return f"--record {self._path}: the test that was written cannot be run: {error}"
        if all(result.passed for result in results):
            return f"the run was recorded as a test: factflow test {self._path}"
        what = ", ".join(problem.what for result in results for problem in result.problems)
        return (
            f"the run was recorded as a test, which does not pass ({what}): something besides its messages decided it, such "
            f"as time; see `factflow test {self._path}`, and change the test by hand"
        )


def _check(path: Path) -> None:
    try:
        head = path.read_text(encoding="utf-8", errors="replace")[: len(HEAD)]
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise InvalidInputError(f"--record {path}: there is no folder {path.parent}") from None
    except OSError as error:
        raise InvalidInputError(f"--record {path}: {error.strerror or error}") from error
    else:
        if head != HEAD:
            raise InvalidInputError(f"--record {path}: the file is no recording; remove it, or name another file")


@dataclass(frozen=True, slots=True, kw_only=True)
class _RecordingApp(App):
    """Engine whose runs are recorded."""

    recording: Recording

    @asynccontextmanager
    async def manager(
        self,
        *,
        calls: CallRecords | None = None,
        stores: StoreUrls | None = None,
        around_call: AroundCall | None = None,
    ) -> AsyncIterator[OrchestratorManager]:
        """See `App.manager`."""
        assert around_call is None, "a run is recorded once"
        opened = App.manager(self, calls=calls, stores=stores, around_call=self.recording.around_call)
        async with opened as manager, trio.open_nursery() as nursery:
            yield cast(
                "OrchestratorManager",
                _RecordingManager(manager, self.recording, cast("MemoryQueue", self.queue), nursery),
            )
            nursery.cancel_scope.deadline = trio.current_time() + _COLLECT_SECONDS


class _RecordingManager:
    """Manager that notes init messages, and collects what leaves its execution."""

    def __init__(
        self, manager: OrchestratorManager, recording: Recording, queue: MemoryQueue, nursery: trio.Nursery
    ) -> None:
        self._manager = manager
        self._recording = recording
        self._queue = queue
        self._nursery = nursery

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def start(
        self,
        config: PipelineGlobalConfig,
        *,
        execution_id: str | None = None,
        init: Sequence[InitMessageConfig] | None = None,
        **options: Any,
    ) -> PipelineOrchestrator:
        """Start an execution; see `OrchestratorManager.start`."""
        self._recording.init = tuple(config.init_message if init is None else init)
        if execution_id is None:
            seams = Seams.real()
            execution_id = seams.ids.new(seams.clock.wall_ns()).hex()
        await self._recording.collect(self._queue, execution_id, self._nursery)
        return await self._manager.start(config, execution_id=execution_id, init=init, **options)
