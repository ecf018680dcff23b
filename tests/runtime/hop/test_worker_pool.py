"""`WorkerPool`: whom a worker that may have to wait wakes, and whom it does not."""

import gc
import weakref

import pytest

from factflow_engine.native import Worker, WorkerPool


def a_worker():
    return Worker(quantum_ns=1, quantum_turns=1)


def pool_of(*, ready=(), parked=(), workers=1, most=1):
    woken = []
    pool = WorkerPool(
        ready=list(ready),
        parked=list(parked),
        workers=[a_worker() for _ in range(workers)],
        most=most,
        wake=lambda: woken.append(pool.active),
    )
    return pool, woken


@pytest.mark.parametrize(
    ("given", "wakes"),
    [
        ({"ready": ["a route"], "parked": ["a task"], "workers": 2, "most": 2}, True),
        ({"ready": ["a route"], "parked": [], "workers": 1, "most": 2}, True),
        ({"ready": ["a route"], "parked": ["a task"], "workers": 2, "most": 5}, True),
        ({"ready": ["a route"], "parked": [], "workers": 2, "most": 2}, False),
        ({"ready": [], "parked": ["a task"], "workers": 2, "most": 2}, False),
        ({"ready": [], "parked": [], "workers": 1, "most": 2}, False),
    ],
)
def test_who_leaves_wakes_another_if_there_is_work_and_one_who_could_do_it(given, wakes):
    pool, woken = pool_of(**given)
    pool.active = a_worker()
    pool.leave()
    assert woken == ([None] if wakes else []), "whoever is woken finds nobody active"
    assert pool.active is None


def test_who_leaves_looks_at_the_lists_as_they_are_then():
    ready, parked, woken = [], [], []
    pool = WorkerPool(ready=ready, parked=parked, workers=[a_worker()], most=1, wake=lambda: woken.append(1))
    pool.leave()
    ready.append("a route")
    pool.leave()
    assert woken == []
    parked.append("a task")
    pool.leave()
    assert woken == [1]


def test_an_error_of_waking_is_raised_and_nobody_is_active_then():
    def wake():
        raise OSError("no more workers")

    pool = WorkerPool(ready=[1], parked=[1], workers=[], most=1, wake=wake)
    pool.active = a_worker()
    with pytest.raises(OSError, match="no more workers"):
        pool.leave()
    assert pool.active is None


def test_waking_may_look_at_the_pool_and_change_it():
    pool, other = None, a_worker()

    def wake():
        assert pool.active is None
        pool.active = other

    pool = WorkerPool(ready=[1], parked=[1], workers=[], most=1, wake=wake)
    pool.active = a_worker()
    pool.leave()
    assert pool.active is other


class Part:
    """Something that has a pool."""


@pytest.mark.parametrize("field", ["ready", "parked", "workers", "wake", "active"])
def test_a_pool_goes_with_what_it_refers_to_though_that_has_the_pool(field):
    part = Part()
    given = {"ready": [], "parked": [], "workers": [], "wake": print}
    if field in given:
        given[field] = part.__init__ if field == "wake" else [part]
    part.pool = WorkerPool(most=1, **given)
    if field == "active":
        part.pool.active = a_worker()
        part.pool.active.value = part
    gone = weakref.ref(part)
    del part, given
    gc.collect()
    assert gone() is None
