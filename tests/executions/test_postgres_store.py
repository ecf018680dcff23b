"""The PostgreSQL store of executions against the public checks, and what only a server can suffer."""

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
import trio

from factflow_engine.executions import (
    ExecutionFilter,
    ExecutionStoreError,
    ExecutionStoreUrlError,
    execution_store,
    open_executions,
    recording,
    sql_executions,
)
from factflow_engine.executions import (
    postgres as postgres_store,
)
from factflow_engine.executions.postgres import PostgresDatabase
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing.conformance.expectations import check_name
from support.execution_conformance import CONFIG, EXECUTION_CHECKS, draft
from support.pipelines import load, registry_of


def opener(url):
    @asynccontextmanager
    async def open_store():
        store = execution_store(url)
        try:
            yield store
        finally:
            await store.close()

    return open_store


@pytest.mark.parametrize("check", EXECUTION_CHECKS, ids=check_name)
async def test_postgres(check, postgres):
    await check(opener(postgres.schema()))


async def test_two_processes_make_the_tables_at_once(postgres):
    open_store = opener(postgres.schema())
    async with open_store() as one, open_store() as two, trio.open_nursery() as nursery:
        nursery.start_soon(one.save_config, CONFIG)
        nursery.start_soon(two.configs)
    async with open_store() as store:
        assert len(await store.configs()) == 1


async def test_a_server_that_restarts_loses_nothing_and_interrupts_nobody(postgres):
    async with opener(postgres.schema())() as store:
        begun = await store.begin(draft(1), lease_seconds=600)
        with postgres.stopped(), pytest.raises(ExecutionStoreError, match="cannot connect") as caught:
            await store.status(begun.id)
        assert "tester" not in str(caught.value)
        assert (await store.status(begun.id)).status == "running"
        assert await store.examine() == ()


async def test_a_server_that_is_stopped_keeps_no_execution_from_ending(postgres, monkeypatch, caplog):
    monkeypatch.setattr(postgres_store, "_SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(recording, "FINISH_SECONDS", 1.0)
    registry = registry_of()
    config = load(registry, "routes: {r: {adapters: [{type: forward}]}}")
    url = postgres.schema() + "&connect_timeout=2"
    with trio.fail_after(100):
        async with AsyncExitStack() as stack:
            executions = await stack.enter_async_context(open_executions(url, renew_seconds=0.1))
            manager = await stack.enter_async_context(OrchestratorManager(registry=registry))
            started = await executions.start(manager, config)
            with postgres.frozen():
                report = await started.execution.complete()
                await stack.aclose()
    assert report.status == "completed"
    [problem] = executions.problems
    assert problem.startswith(f"the end of execution {started.id} (completed) could not be recorded: ")
    assert "could not be recorded" in caplog.text
    async with opener(url)() as store:
        assert (await store.status(started.id)).status in ("running", "completed")


def test_a_commit_without_an_answer_is_not_repeated(postgres):
    database = PostgresDatabase.from_url(postgres.schema() + "&application_name=unanswered")
    calls = []

    def work(session):
        calls.append(session.now)
        session.change("INSERT INTO config(id, name, active, version, created_ns) VALUES ('a', 'b', 1, 1, 1)")
        postgres.terminate("unanswered")

    with pytest.raises(ExecutionStoreError, match="PostgreSQL at"):
        database.transact(work, writes=True)
    assert len(calls) == 1
    database.close()


async def test_a_start_whose_answer_got_lost_is_repeated_and_still_its_own(postgres):
    url = postgres.schema()
    async with opener(url)() as store:
        await store.configs()
    database = PostgresDatabase.from_url(url + "&application_name=unanswered")
    asked = replace(draft(1), idempotency_key="once")
    found = []

    def work(session):
        found.append(sql_executions.begin(session, asked, lease_seconds=600))
        if len(found) == 1:
            postgres.terminate("unanswered")
        return found[-1]

    assert database.transact(work, writes=True, repeatable=True).is_new
    assert len(found) == 2
    database.close()
    async with opener(url)() as store:  # its transaction was stored: the same again
        assert await store.begin(asked, lease_seconds=600) == (asked.id, True)
        assert await store.begin(replace(draft(2), idempotency_key="once"), lease_seconds=600) == (asked.id, False)
        assert [each.id for each in await store.executions(ExecutionFilter())] == [asked.id]


def test_a_transaction_that_only_reads_cannot_write(postgres):
    database = PostgresDatabase.from_url(postgres.schema())
    with pytest.raises(ExecutionStoreError, match="read-only transaction"):
        database.transact(lambda session: session.change("DELETE FROM config"), writes=False)
    database.close()


def test_tables_of_a_newer_version_are_left_alone(postgres):
    url = postgres.schema()
    database = PostgresDatabase.from_url(url)
    database.transact(lambda session: None, writes=True)
    database.close()
    postgres.rows(f"UPDATE {url.rpartition('=')[2]}.executions_version SET version = 99")
    with pytest.raises(ExecutionStoreError, match="version 99, this engine knows 2; use the engine that made it"):
        database.transact(lambda session: None, writes=False)
    database.close()


def test_a_wrong_url_is_refused_without_its_password():
    with pytest.raises(ExecutionStoreUrlError, match="did you mean 'schema'") as caught:
        execution_store("postgresql://u:hidden@h/d?schemas=x")
    assert "hidden" not in str(caught.value)
    assert execution_store("postgresql://u:hidden@h/d?schema=x").name == "postgresql://h/d?schema=x"
