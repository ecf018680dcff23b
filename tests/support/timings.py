"""Growth of what a call costs, told from what disturbs a measurement.

A measurement is only ever disturbed upwards, and by the machine: so the quickest of several is taken, of the thread's own
time, and a growth that seems too large is measured again. What really grows more does so each time.
"""

import time

ATTEMPTS = 5
CALLS = 2


def least_seconds(call):
    """The thread's time of the quickest of some calls."""
    timings = []
    for _ in range(CALLS):
        begun = time.thread_time()
        call()
        timings.append(time.thread_time() - begun)
    return min(timings)


def grows_at_most(factor, fewer, more, *, slack=0.0):
    """True if the second call costs no more than so many times the first, and `slack` seconds; measured again if not."""
    return any(least_seconds(more) < factor * least_seconds(fewer) + slack for _ in range(ATTEMPTS))
