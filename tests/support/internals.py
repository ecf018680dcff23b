"""The engine's private parts that tests look at, found in one place.

Whoever moves or renames these parts changes this file, and no test.
"""

from contextlib import contextmanager

import pytest

from factflow_engine.runtime.hop import sources
from factflow_engine.runtime.hop.sources import Source
from factflow_engine.runtime.hop.workers import Workers


def lifecycle_of(execution):
    """Return what the manager runs of an execution."""
    return execution._lifecycle


def route_of(execution, route_id):
    """Return a route's state, as the loop carries it."""
    return execution._lifecycle.routes[route_id]


def routes_of(execution):
    """Return the states of all routes, in the order of the configuration."""
    return list(execution._lifecycle.routes.values())


def workers_of(execution):
    """Return the workers that have not ended."""
    return execution._lifecycle.loop.workers.all


def ready_routes_of(execution):
    """Return the routes that are listed as having work."""
    return execution._lifecycle.loop.workers.ready


def parked_workers_of(execution):
    """Return the tasks of the workers that wait for work."""
    return execution._lifecycle.loop.workers._parked


def troubled_of(execution, route, stage):
    """Return the names of breakers that the limit of a stage, by its place in its route, takes for open or on trial."""
    return route_of(execution, route).stages[stage].limit._troubled


def replace_routes(execution, replacement):
    """Have those who wait for the end look at what `replacement` makes of the routes."""
    progress = execution._lifecycle.loop.progress
    progress._routes = replacement(progress._routes)


def release_circuit(execution, route, name):
    """Let what waits on this route for this breaker be tried again."""
    execution._lifecycle.loop.settlement.release_circuit(route, name)


def count_switches(monkeypatch):
    """Count in the list that is returned, in place of making them, the switches of workers to other context variables."""
    switches = []

    async def switch(self, worker, context):
        switches.append(context)

    monkeypatch.setattr(Workers, "switch", switch)
    return switches


def is_worker(task):
    """Return whether this task is one of a loop's workers."""
    return "_run_worker" in task.name


def transport_of(execution):
    """Return what carries frames between routes and the program around them."""
    return execution._lifecycle.transport


def refuse_offers(execution):
    """Have everything that is published go the way of what has to wait or is refused."""
    execution._offer = lambda route, payload, headers, key, /: None


def queues_in(manager):
    """Return the queues of a manager's memory provider, by name: for each its channels."""
    return manager._provider._channels


def queues_of(execution):
    """Return the queues of the memory provider that an execution runs on, by name: for each its channels."""
    return execution._lifecycle._channels._provider._channels


def staging_connection(adapter):
    """Return the connection to the staging file of a `write_jsonl` adapter."""
    return adapter._target._staging._connection


def connection_of_staging(staging):
    """Return the connection to a staging file."""
    return staging._connection


def table_of(adapter):
    """Return the table of a `write_sqlite` adapter, which has its file open."""
    return adapter._table


def table_connection(adapter):
    """Return the connection of a `write_sqlite` adapter."""
    return adapter._table._connection


def connection_of(execution):
    """Return the life of the links to a provider outside the process."""
    return execution._lifecycle.transport._connection


def consumers_of(queue):
    """Return the consumers of an SQLite provider in this process, by line."""
    return queue._consumers._subscriptions


def writer_of(queue):
    """Return the thread-bound writer of an SQLite provider: everything that is asked of the file goes through it."""
    return queue._writer


def threads_of(queue):
    """Return the threads in which an SQLite provider does its work."""
    return queue._writer._threads


def process_id_of(lineage):
    """Return the id of the process that a lineage store runs in; None if there is none."""
    return None if lineage._process is None else lineage._process.pid


def far_of(lineage):
    """Return the store in a process that a lineage store moves to."""
    return lineage._far


def opened_by(connection):
    """Return the number of connections to PostgreSQL that were opened so far."""
    return connection._blocking.opened


async def expire(lineage):
    """Have a store in PostgreSQL remove the days that it no longer keeps; return the names of their tables."""
    return await lineage._expire()


def store_of(queue):
    """Return the open file of an SQLite provider."""
    return queue._writer._store


def lineage_connection_of(sink):
    """Return the connection of the segment that an SQLite lineage sink writes to."""
    return sink._segment._connection


@contextmanager
def pulled_plainly():
    """Pull what stages emit by `Source.pull` alone, as where nothing is done natively."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (sources._Listed, sources._Inline, sources._Async):
            patch.setattr(kind, "begin", Source.begin)
        yield
