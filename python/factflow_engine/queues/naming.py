"""Naming rules of queues; pure, so that the loader can check names without a provider."""

import re
from typing import Final

MAX_NAME_LENGTH: Final = 255

_NAME: Final = re.compile(r"/(queue|topic)/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


_OWN: Final = re.compile("exec:[A-Za-z0-9._-]{1,64}:(/.*)")
"""Stored name of a queue that belongs to an execution, at providers whose queues outlive executions."""

_PREFIX: Final = re.compile("exec:[A-Za-z0-9._-]{1,64}:")


def owner_of(queue: str, subscription: str) -> str | None:
    """Return the prefix of the execution that owns a queue, or a topic's subscription; None if none does."""
    found = _PREFIX.match(subscription if is_topic(queue) else queue)
    return None if found is None else found[0]


def prefix_of(execution_id: str) -> str:
    """Return the prefix of the names of an execution's own queues and subscriptions."""
    return f"exec:{execution_id}:"


def execution_id_of(prefix: str) -> str:
    """Return the id of the execution whose queues have this prefix; the inverse of `prefix_of`."""
    return prefix.removeprefix("exec:").removesuffix(":")


def is_topic(queue: str) -> bool:
    """True if messages go to every subscription (a topic) rather than to one consumer (a queue)."""
    return queue.startswith("/topic/")


def memory_queue_name_problem(name: str) -> str | None:
    """Return the fault of a queue name, and what to write instead; None if it is valid.

    Names are `/queue/...` (each message to one consumer, private to an execution) or `/topic/...` (each message to
    every subscription, shared by executions), then one or more segments of letters, digits, `.`, `_` and `-`.
    """
    if len(name) > MAX_NAME_LENGTH:
        return f"is {len(name)} characters long; use at most {MAX_NAME_LENGTH}"
    if _NAME.fullmatch(name):
        return None
    bare = re.sub(r"[^A-Za-z0-9._/-]+", "-", name).strip("/-")
    if bare.startswith(("queue/", "topic/")):
        suggestion = "/" + re.sub(r"/+", "/", bare)
    else:
        suggestion = "/queue/" + re.sub(r"/+", "/", bare or "name")
    return (
        "is not a queue name: expected /queue/NAME or /topic/NAME with segments of letters, digits, '.', '_' and '-'; "
        f"write {suggestion!r}"
    )


def stored_queue_name_problem(name: str) -> str | None:
    """Return the fault of a queue's stored name, which may have an execution's prefix; None if it is valid."""
    own = _OWN.fullmatch(name)
    bare = own[1] if own else name
    if own and is_topic(bare):
        return f"is no execution's own: topics are everybody's; write {bare!r}"
    return memory_queue_name_problem(bare)
