"""`Crew`: whom a worker that may have to wait wakes, and whom it does not."""

import gc
import weakref

import pytest

from factflow_engine.native import Crew, Worker


def a_worker():
    return Worker(quantum_ns=1, quantum_turns=1)


def crew_of(*, ready=(), parked=(), workers=1, most=1):
    woken = []
    crew = Crew(
        ready=list(ready),
        parked=list(parked),
        workers=[a_worker() for _ in range(workers)],
        most=most,
        wake=lambda: woken.append(crew.active),
    )
    return crew, woken


@pytest.mark.parametrize(
    ("given", "wakes"),
    [
        ({"ready": ["a lane"], "parked": ["a task"], "workers": 2, "most": 2}, True),
        ({"ready": ["a lane"], "parked": [], "workers": 1, "most": 2}, True),
        ({"ready": ["a lane"], "parked": ["a task"], "workers": 2, "most": 5}, True),
        ({"ready": ["a lane"], "parked": [], "workers": 2, "most": 2}, False),
        ({"ready": [], "parked": ["a task"], "workers": 2, "most": 2}, False),
        ({"ready": [], "parked": [], "workers": 1, "most": 2}, False),
    ],
)
def test_who_leaves_wakes_another_if_there_is_work_and_one_who_could_do_it(given, wakes):
    crew, woken = crew_of(**given)
    crew.active = a_worker()
    crew.leave()
    assert woken == ([None] if wakes else []), "whoever is woken finds nobody active"
    assert crew.active is None


def test_who_leaves_looks_at_the_lists_as_they_are_then():
    ready, parked, woken = [], [], []
    crew = Crew(ready=ready, parked=parked, workers=[a_worker()], most=1, wake=lambda: woken.append(1))
    crew.leave()
    ready.append("a lane")
    crew.leave()
    assert woken == []
    parked.append("a task")
    crew.leave()
    assert woken == [1]


def test_an_error_of_waking_is_raised_and_nobody_is_active_then():
    def wake():
        raise OSError("no more workers")

    crew = Crew(ready=[1], parked=[1], workers=[], most=1, wake=wake)
    crew.active = a_worker()
    with pytest.raises(OSError, match="no more workers"):
        crew.leave()
    assert crew.active is None


def test_waking_may_look_at_the_crew_and_change_it():
    crew, other = None, a_worker()

    def wake():
        assert crew.active is None
        crew.active = other

    crew = Crew(ready=[1], parked=[1], workers=[], most=1, wake=wake)
    crew.active = a_worker()
    crew.leave()
    assert crew.active is other


class Part:
    """Something that has a crew."""


@pytest.mark.parametrize("field", ["ready", "parked", "workers", "wake", "active"])
def test_a_crew_goes_with_what_it_refers_to_though_that_has_the_crew(field):
    part = Part()
    given = {"ready": [], "parked": [], "workers": [], "wake": print}
    if field in given:
        given[field] = part.__init__ if field == "wake" else [part]
    part.crew = Crew(most=1, **given)
    if field == "active":
        part.crew.active = a_worker()
        part.crew.active.value = part
    gone = weakref.ref(part)
    del part, given
    gc.collect()
    assert gone() is None
