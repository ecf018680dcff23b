"""Queues that `factflow publish` publishes to: a route's, a queue of an execution, or a topic.

Kept separate from `publish` because a wrong name must be found here: a message in a queue that nobody reads is lost to
everybody, and no error ever says so.
"""

import difflib
from collections.abc import AsyncGenerator, Iterable

from factflow_engine.cli.durable_queue import with_queue
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.run_input import durable_id
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.graph import build_graph
from factflow_engine.queues.naming import is_topic, prefix_of, stored_queue_name_problem
from factflow_engine.runtime.execution.manager import is_execution_id
from factflow_engine.runtime.transport.durable_channels import stored_capacity
from factflow_protocols import QueueAdministration


def target_of(name: str, config: PipelineGlobalConfig | None, execution_id: str | None) -> tuple[str, str | None]:
    """Return the stored name of a queue or topic, and the subscription of the route that is to read a topic.

    Args:
        name: Id of a route, name of a queue or topic as a pipeline has it, or a queue's stored name.
        config: The pipeline, if one is given.
        execution_id: The execution's id, if one is given.

    Raises:
        InvalidInputError: The name is invalid, no route reads the queue, or the pipeline or the id is missing.
    """
    if name.startswith("exec:") and execution_id is not None:
        raise InvalidInputError(f"{name!r} names its execution already: leave out --id")
    if name.startswith(("exec:", "/")):
        problem = stored_queue_name_problem(name)
        if problem is not None:
            raise InvalidInputError(f"{name!r} {problem}")
    elif config is None:
        raise InvalidInputError(
            f"{name!r} is the id of a route, whose queue the pipeline's file names: add --pipeline FILE; or name a queue, as "
            "in /queue/parse, or as `factflow queue stats` shows it"
        )
    if config is None:
        return _scoped(name, _checked_id(name, execution_id)), None
    prefix = prefix_of(durable_id(config, execution_id))
    routes = config.routes
    if not name.startswith(("exec:", "/")):
        if name not in routes:
            raise InvalidInputError(f"the pipeline has no route {name!r}; {_nearest(name, routes)}")
        inbound = routes[name].inbound
        return (
            (inbound.queue, prefix + inbound.subscription)
            if is_topic(inbound.queue)
            else (prefix + inbound.queue, None)
        )
    read = {route.inbound.queue for route in routes.values()}
    if name.removeprefix(prefix) not in read:
        raise InvalidInputError(f"no route of the pipeline reads {name!r}; {_nearest(name, read)}")
    return _scoped(name.removeprefix(prefix), prefix), None


def reader_of(queue: str, config: PipelineGlobalConfig, execution_id: str | None) -> tuple[str, int]:
    """Return the subscription and the capacity of the route that reads a point-to-point queue, as a run gives them.

    Args:
        queue: The queue's stored name, one of the execution's.
        config: The pipeline; one of its routes reads the queue.
        execution_id: The execution's id, if one is given.
    """
    prefix = prefix_of(durable_id(config, execution_id))
    cycles = build_graph(config).cycles
    return next(
        (route.inbound.subscription, stored_capacity(route_id, route.inbound, cycles))
        for route_id, route in config.routes.items()
        if prefix + route.inbound.queue == queue
    )


def check_target(url: str, queue: str, subscription: str | None) -> None:
    """Check that a queue, or a topic with this subscription, is in the store of a URL.

    Raises:
        InvalidInputError: It is not, or the store cannot be read.
    """

    async def look(queues: QueueAdministration) -> None:
        if not is_topic(queue):
            messages = queues.browse(queue)
            await anext(messages, None)  # raises if there is no such queue
            if isinstance(messages, AsyncGenerator):
                await messages.aclose()
            return
        known = {line.subscription for line in (await queues.statistics()).lines if line.queue == queue}
        if not known or subscription not in {None, *known}:
            reader = (
                "nobody has subscribed to it" if subscription is None else f"{subscription} has not subscribed to it"
            )
            raise InvalidInputError(
                f"a message to topic {queue!r} would be lost: {reader} yet; run the pipeline once, then publish"
            )

    with_queue(url, look)


def _scoped(name: str, prefix: str) -> str:
    return name if is_topic(name) or name.startswith("exec:") else prefix + name


def _checked_id(name: str, execution_id: str | None) -> str:
    """Return the prefix of an execution's names; empty if the queue needs none."""
    if is_topic(name) or name.startswith("exec:"):
        return ""
    if execution_id is None:
        raise InvalidInputError(
            f"{name!r} belongs to an execution: add --id ID (`factflow queue stats` shows exec:ID:{name}), or --pipeline FILE"
        )
    if not is_execution_id(execution_id):
        raise InvalidInputError(
            f"--id {execution_id!r} is no execution's id: expected 1 to 64 letters, digits, '.', '_' or '-'"
        )
    return prefix_of(execution_id)


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
