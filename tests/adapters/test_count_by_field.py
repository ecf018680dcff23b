from collections import Counter

import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import count_by_field
from factflow_engine.frames import pack, unpack
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


@given(
    st.lists(st.sampled_from(["count", "snapshot", "crash", "join"]).flatmap(
        lambda step: st.tuples(st.just(step), st.integers(0, 3), st.sampled_from("abcd"))
    ), max_size=40),
    st.integers(1, 5),
)  # fmt: skip
def test_every_acknowledged_message_is_counted_once_whatever_process_dies(steps, bound):
    """A process's last snapshot is what it had acknowledged; the rest is delivered again to whoever lives."""

    async def run():
        processes = [[REGISTRY.create("count_by_field", {"field": "kind", "max_values": bound}), [], None]]
        expected = []

        async def deliver(process, kind):
            await outputs(process[0], FakeContext({"kind": kind}))
            process[1].append(kind)

        for step, choice, kind in steps:
            process = processes[choice % len(processes)]
            if step == "count":
                expected.append(kind)
                await deliver(process, kind)
            elif step == "snapshot":
                process[1], process[2] = [], unpack(pack(process[0].snapshot()))
            elif step == "join" or len(processes) == 1:
                processes.append([REGISTRY.create("count_by_field", {"field": "kind", "max_values": bound}), [], None])
            else:
                processes.remove(process)
                if process[2] is not None:
                    processes[0][0].restore(process[2])
                    processes[0][2] = unpack(pack(processes[0][0].snapshot()))
                    processes[0][1] = []
                for again in process[1]:
                    await deliver(processes[0], again)
        last = processes[0]
        for other in processes[1:]:
            last[0].restore(unpack(pack(other[0].snapshot())))
        return (await finished(last[0]))[0], Counter(expected)

    summary, expected = trio.run(run)
    assert summary["total"] == expected.total()
    assert len(summary["counts"]) <= bound
    assert all(count <= expected[kind] for kind, count in summary["counts"].items())
    if len(expected) <= bound:
        assert summary["counts"] == expected


async def test_the_largest_summary_and_state_can_be_messages(monkeypatch):
    monkeypatch.setattr(count_by_field, "MAX_LABEL_BYTES", 1000)
    adapter = REGISTRY.create("count_by_field", {"field": "kind"})
    for number in range(20):
        await outputs(adapter, FakeContext({"kind": f"{number:0100}"}))
    [summary] = await finished(adapter)
    assert (len(summary["counts"]), summary["other"]) == (10, 10)
    twin = REGISTRY.create("count_by_field", {"field": "kind"})
    twin.restore(unpack(pack(adapter.snapshot())))
    twin.restore({"counts": {"x" * 100: 3}, "missing": 1, "other": 1})
    [summary] = await finished(twin)
    assert (len(summary["counts"]), summary["other"], summary["missing"]) == (10, 14, 1)


def test_as_many_values_as_may_be_asked_for_fit_into_a_message():
    adapter = REGISTRY.create("count_by_field", {"field": "kind", "max_values": count_by_field.MAX_VALUES})
    adapter.restore({"counts": {f"{number:040}": number for number in range(500_000)}, "missing": 0, "other": 0})
    [summary] = trio.run(finished, adapter)
    assert len(summary["counts"]) == count_by_field.MAX_VALUES
    assert unpack(pack(adapter.snapshot()))["other"] == sum(range(count_by_field.MAX_VALUES, 500_000))
