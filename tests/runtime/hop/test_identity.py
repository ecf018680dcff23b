"""Ids of emitted messages when a source says something else the second time: nothing is taken for a repeat that is none."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.seams import Seams
from factflow_engine.testing.fakes import FakeContext, open_stage
from factflow_engine.testing.virtual_time import CountedIds, SimulatedClock, SimulatedRandomness
from factflow_protocols import AdapterResult, Emit
from support.pipelines import Recorder, load, registry_of, run
from support.sqlite_queues import simulated

TWICE = "error_handling: {max_retries: 1, retry_delay_seconds: 0, jitter: none}"


async def pulled_twice(first: Iterable[Any], second: Iterable[Any]) -> list[list[tuple[str, Any, dict[str, Any]]]]:
    """Id, payload and headers of what two attempts of one message emit; the first one fails at its end."""
    seen: list[list[tuple[str, Any, dict[str, Any]]]] = []

    async def source(context):
        seen.append([])

        def elements():
            yield from first if context.attempt == 1 else second
            if context.attempt == 1:
                raise ValueError("interrupted")

        return AdapterResult(emitted=elements(), headers={"from": "source", "both": 1})

    async def look(context):
        seen[-1].append((context.message_id, context.message, dict(context.headers)))
        return AdapterResult.forward()

    text = f"routes: {{r: {{inbound: {{concurrency: 1}}, adapters: [{{type: source}}, {{type: look}}], {TWICE}}}}}"
    await run(text, adapters={"source": source, "look": look}, publish=[("r", "parent")])
    return seen


ELEMENTS = st.lists(
    st.tuples(st.none() | st.sampled_from("ab"), st.sampled_from(["parent", "x", {"y": 1}])), max_size=8
)


@given(ELEMENTS, ELEMENTS)
async def test_an_id_stands_for_one_payload_whatever_else_is_emitted(first, second):
    def emitted(elements):
        return [value if key is None else Emit(value, key=key) for key, value in elements]

    one, other = await pulled_twice(emitted(first), emitted(second))
    said: dict[str, Any] = {}
    for attempt, elements in ((one, first), (other, second)):
        assert [value for _, value, _ in attempt] == [value for _, value in elements]
        assert len({message_id for message_id, _, _ in attempt}) == len(attempt)
        for (message_id, _, _), element in zip(attempt, elements, strict=True):
            assert said.setdefault(message_id, element) == element
    keyed = [Counter((key, str(value)) for key, value in elements if key) for elements in (first, second)]
    ids = [
        {message_id for (message_id, _, _), (key, _) in zip(attempt, elements, strict=True) if key}
        for attempt, elements in ((one, first), (other, second))
    ]
    assert len(ids[0] & ids[1]) == (keyed[0] & keyed[1]).total(), "what is named in both is the same in both"
    if first == second:
        assert one == other


async def test_headers_of_an_element_go_over_its_results_and_are_no_part_of_its_id():
    plain, headed = await pulled_twice(
        [Emit(1, key="k"), 2], [Emit(1, key="k", headers={"both": None, "own": 1}), Emit(2)]
    )
    assert [message_id for message_id, _, _ in plain] == [message_id for message_id, _, _ in headed]
    assert [headers for _, _, headers in plain] == [{"from": "source", "both": 1}] * 2
    assert [headers for _, _, headers in headed] == [{"from": "source", "own": 1}, {"from": "source", "both": 1}]


async def on_file(path, first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """What a second route handles of both attempts, behind a queue that refuses an id that it has seen."""
    handled = Recorder()

    async def source(context):
        def elements():
            yield from first if context.attempt == 1 else second
            if context.attempt == 1:
                raise ValueError("interrupted")

        return AdapterResult(emitted=elements())

    registry = registry_of(source=source, handle=handled.adapter())
    text = f"routes: {{r: {{adapters: [{{type: source}}], outbound: [{{route: s}}], {TWICE}}}, s: {{adapters: [{{type: handle}}]}}}}"
    queue = simulated(path / "q.db")
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        execution = await manager.start(load(registry, text), execution_id="x")
        await execution.publish("r", None)
        await execution.complete()
    await queue.stop()
    return handled.seen


@pytest.mark.parametrize(
    ("first", "second"),
    [(["b", "c", "d"], ["a", "b", "c", "d"]), (["b", "c", "d"], ["d"]), (["b", "b"], ["b", "b", "b"]), (["b"], ["a"])],
)
async def test_a_source_that_has_changed_loses_nothing_on_a_queue_that_keeps_ids(
    tmp_path, autojump_clock, first, second
):
    handled = await on_file(tmp_path, first, second)
    assert not Counter(second) - Counter(handled)


async def test_elements_with_keys_are_handled_once_though_others_come_and_go(tmp_path, autojump_clock):
    first = [Emit(name, key=name) for name in "bcdd"]
    handled = await on_file(tmp_path, first, [Emit(name, key=name) for name in "adddcce"])
    assert Counter(handled) == Counter("abccddde")


@pytest.mark.parametrize("kept", [False, True])
async def test_a_message_that_leaves_as_something_else_has_another_id(autojump_clock, kept):
    """The same of what is no element, but the message itself: it leaves by the same outbound, and has no ordinal."""
    ids = []
    for said in ("one", "one", "other", "root"):

        async def become(context, said=said):
            return AdapterResult.forward() if kept and said == "root" else AdapterResult(message=said)

        async def look(context):
            ids.append((context.parent_id, context.message_id))
            return None

        seams = Seams(clock=SimulatedClock(), randomness=SimulatedRandomness(0), ids=CountedIds())
        text = "routes: {r: {adapters: [{type: become}], outbound: [{route: s}]}, s: {adapters: [{type: look}]}}"
        await run(text, adapters={"become": become, "look": look}, publish=[("r", "root")], seams=seams)
    assert len({parent for parent, _ in ids}) == 1, "one message, handled four times"
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"key": 1}, r"Emit\(key=...\) needs a str or None, got int; write key=str"),
        ({"headers": []}, r"Emit\(headers=...\) needs a mapping or None, got list; write headers="),
    ],
)
def test_what_is_no_key_or_no_headers_is_refused(arguments, text):
    with pytest.raises(TypeError, match=text):
        Emit(None, **arguments)


def test_one_element_is_no_list_of_them():
    with pytest.raises(TypeError, match=r"got Emit; write emitted=\[value\]"):
        AdapterResult(emitted=Emit(1))


def test_it_shows_what_it_says():
    assert repr(Emit(1)) == "Emit(1)"
    assert repr(Emit([1], key="k", headers={"a": 1})) == "Emit([1], key='k', headers={'a': 1})"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (lambda: AdapterResult(message=Emit(1)), r"message: cannot carry a Emit; use AdapterResult\(emitted="),
        (lambda: AdapterResult(emitted=[Emit(1, key="\ud800")]), "expected a key that is text, got one with a lone"),
        (lambda: AdapterResult(emitted=[Emit(object())]), "message: cannot carry a object"),
        (lambda: AdapterResult(emitted=[Emit(1, headers={1: 2})]), "headers: expected str keys"),
    ],
)
async def test_what_cannot_be_carried_fails_the_parent(result, text):
    async def source(context):
        return result()

    report = await run("routes: {r: {adapters: [{type: source}]}}", adapters={"source": source}, publish=[("r", 0)])
    [failure] = report.failures
    assert text.replace("\\", "") in failure.error


async def test_walked_files_are_named_by_their_paths(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b"):
        (tmp_path / name).write_text("")
    adapter = registry_of().create("walk_directory", {"root": "."})
    await open_stage(adapter, tmp_path)
    result = adapter.process(FakeContext())
    assert [(element.key, element.payload["relative_path"]) for element in result.emitted] == [
        ("a", "a"),
        ("sub/b", "sub/b"),
    ]
