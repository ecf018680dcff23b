"""The tasks of a trio run."""

import trio


def all_tasks():
    """Give every task, those of the program around the run included."""
    pending = [trio.lowlevel.current_root_task()]
    while pending:
        task = pending.pop()
        yield task
        pending.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
