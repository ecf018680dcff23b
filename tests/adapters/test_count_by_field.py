from collections import Counter

import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.testing.fakes import FakeContext, finished, outputs

REGISTRY = ValidatingAdapterRegistry()


async def count(incoming, **config):
    adapter = REGISTRY.create("count_by_field", {"field": "kind", **config})
    passed = [out for message in incoming for out in await outputs(adapter, FakeContext(message))]
    return passed, (await finished(adapter))[0]


@given(st.lists(st.sampled_from("abcde"), max_size=40))
def test_counts_are_what_came_most_frequent_first(kinds):
    messages = [{"kind": kind} for kind in kinds]
    passed, summary = trio.run(lambda: count(messages))
    assert passed == messages
    assert summary["counts"] == Counter(kinds)
    assert list(summary["counts"].values()) == sorted(summary["counts"].values(), reverse=True)
    assert (summary["field"], summary["total"]) == ("kind", len(kinds))


@given(st.lists(st.none() | st.integers(0, 9) | st.lists(st.just(1)), max_size=40), st.integers(1, 5))
def test_every_message_is_counted_once_and_values_are_bounded(kinds, bound):
    messages = [{} if kind is None else {"kind": kind} for kind in kinds]
    _, summary = trio.run(lambda: count(messages, max_values=bound))
    assert len(summary["counts"]) <= bound
    assert sum(summary["counts"].values()) + summary["missing"] + summary["other"] == summary["total"] == len(kinds)
    assert summary["missing"] == kinds.count(None)


async def test_messages_end_here_if_asked():
    passed, summary = await count([{"kind": "a"}], messages="end")
    assert passed == []
    assert summary["total"] == 1


async def test_values_that_are_no_strings_stand_as_json():
    kinds = [None, True, 1, 1.5, "text", "x" * 201, {"a": 1}, [1], b"x"]
    _, summary = await count([{"kind": kind} for kind in kinds])
    assert summary["counts"] == {"null": 1, "true": 1, "1": 1, "1.5": 1, "text": 1}
    assert summary["other"] == 4


async def test_a_second_summary_counts_from_the_start():
    adapter = REGISTRY.create("count_by_field", {"field": "kind"})
    for expected in (1, 2):
        await outputs(adapter, FakeContext({"kind": "a"}))
        assert (await finished(adapter))[0]["total"] == expected


async def test_a_message_that_is_no_map_has_no_field():
    _, summary = await count(["text", 3])
    assert summary["missing"] == 2
