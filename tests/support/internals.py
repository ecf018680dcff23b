"""The engine's private parts that tests look at, found in one place.

Whoever moves or renames these parts changes this file, and no test.
"""


def lifecycle_of(execution):
    """Return what the manager runs of an execution."""
    return execution._lifecycle


def route_of(execution, route_id):
    """Return a route's state, as the loop carries it."""
    return execution._lifecycle.routes[route_id]


def routes_of(execution):
    """Return the states of all routes, in the order of the configuration."""
    return list(execution._lifecycle.routes.values())


def loop_of(execution):
    """Return the loop."""
    return execution._lifecycle.loop


def workers_of(execution):
    """Return the loop's workers that have not ended."""
    return execution._lifecycle.loop._workers


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
