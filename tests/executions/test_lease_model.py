"""Executions of any number of processes, against a model: what readers see follows from leases alone."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from factflow_engine.executions import ExecutionFilter, UnknownRecordError, sql_executions
from factflow_engine.executions.sqlite import SqliteDatabase
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.seams import Seams
from support.execution_conformance import draft

ENDS = st.sampled_from([ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
SECONDS = st.integers(1, 4)


class Modelled:
    """An execution as it should be."""

    def __init__(self, lease: tuple[int, int]) -> None:
        self.lease = lease  # boot, and its last second
        self.end: ExecutionStatus | None = None
        self.presumed = False  # cancelled by somebody while its lease had run out
        self.cancel: float | None = None

    def status(self, boot: int, now: int) -> ExecutionStatus:
        if self.end is not None:
            return self.end
        if self.presumed:
            return ExecutionStatus.CANCELLED
        alive = self.lease[0] == boot and self.lease[1] > now
        return ExecutionStatus.RUNNING if alive else ExecutionStatus.INTERRUPTED


class Leases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.boot, self.now = 1, 0
        seams = replace(Seams.real(), machine_instant=lambda: (f"boot-{self.boot}", self.now * 10**9))
        path = Path(self.folder.name) / "executions.db"
        self.databases = [SqliteDatabase(path, seams=seams) for _ in range(2)]  # two processes
        self.model: dict[str, Modelled] = {}

    def teardown(self) -> None:
        for database in self.databases:
            database.close()
        self.folder.cleanup()

    def write(self, process: int, function, *arguments, **options):
        def work(session):
            result = function(session, *arguments, **options)
            sql_executions.store_interruptions(session)
            return result

        return self.databases[process].transact(work, writes=True, durable=False)

    def one(self, data) -> str:
        return data.draw(st.sampled_from(sorted(self.model)))

    @rule(process=st.integers(0, 1), seconds=SECONDS)
    def begin(self, process: int, seconds: int) -> None:
        new = draft(len(self.model) + 1)
        self.write(process, sql_executions.begin, new, lease_seconds=seconds)
        self.model[new.id] = Modelled((self.boot, self.now + seconds))

    @precondition(lambda self: self.model)
    @rule(process=st.integers(0, 1), seconds=SECONDS, data=st.data())
    def renew(self, process: int, seconds: int, data) -> None:
        name = self.one(data)
        modelled = self.model[name]
        options = {"lease_seconds": seconds, "statistics": None, "seen_ns": 1}
        if modelled.end is not None:
            with pytest.raises(UnknownRecordError):
                self.write(process, sql_executions.renew, name, **options)
            return
        lapsed = modelled.status(self.boot, self.now) is not ExecutionStatus.RUNNING
        assert tuple(self.write(process, sql_executions.renew, name, **options)) == (modelled.cancel, lapsed)
        modelled.lease, modelled.presumed = (self.boot, self.now + seconds), False

    @precondition(lambda self: self.model)
    @rule(process=st.integers(0, 1), end=ENDS, data=st.data())
    def finish(self, process: int, end: ExecutionStatus, data) -> None:
        name = self.one(data)
        self.write(process, sql_executions.finish, name, end, ended_ns=2, error=None, report={}, limits=None)
        self.model[name].end = end

    @precondition(lambda self: self.model)
    @rule(process=st.integers(0, 1), grace=st.sampled_from([0.0, 1.0, 5.0]), data=st.data())
    def cancel(self, process: int, grace: float, data) -> None:
        name = self.one(data)
        modelled = self.model[name]
        seen = modelled.status(self.boot, self.now)
        if seen in (ExecutionStatus.RUNNING, ExecutionStatus.INTERRUPTED):
            modelled.cancel = grace if modelled.cancel is None else min(modelled.cancel, grace)
            modelled.presumed = seen is ExecutionStatus.INTERRUPTED
        found = self.write(process, sql_executions.request_cancel, name, grace_seconds=grace)
        assert found.status is modelled.status(self.boot, self.now)

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def reboot(self) -> None:
        self.boot, self.now = self.boot + 1, 0

    @invariant()
    def readers_see_the_model(self) -> None:
        for database in self.databases:
            found = database.transact(
                lambda session: sql_executions.executions(session, ExecutionFilter()), writes=False
            )
            seen = {one.id: one.status for one in found}
            assert seen == {name: one.status(self.boot, self.now) for name, one in self.model.items()}


Leases.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestLeases = Leases.TestCase
