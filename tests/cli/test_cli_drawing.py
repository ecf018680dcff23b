import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.cli.drawing import Kind, graph_of, to_dot, to_mermaid
from factflow_engine.cli.drawing.condition_text import condition_text


def written(**changes: Any) -> dict[str, Any]:
    """A configuration in written form, as small as a drawing needs it."""
    return {"version": "1.0", "name": "p", "routes": {"a": route("a"), "b": route("b")}, "init_message": [], **changes}


def route(route_id: str, **changes: Any) -> dict[str, Any]:
    inbound = {"queue": f"/queue/{route_id}", "subscription": route_id}
    return {"name": route_id, "inbound": inbound, "adapters": [], "outbound": [], "error_handling": {}, **changes}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"field": "tokens", "operator": "gt", "value": 0}, "tokens > 0"),
        ({"field": "url", "operator": "matches", "value": "^https://"}, 'url matches "^https://"'),
        ({"field": "lang", "operator": "in", "value": ["en", "no"]}, 'lang in ["en", "no"]'),
        ({"not": {"field": "a", "operator": "exists"}}, "not (a exists)"),
        (
            {
                "all_of": [
                    {"field": "a", "operator": "eq", "value": True},
                    {
                        "any_of": [
                            {"field": "b", "operator": "lt", "value": 1},
                            {"field": ["c", 0], "operator": "exists"},
                        ]
                    },
                ]
            },
            'a = true and (b < 1 or ["c", 0] exists)',
        ),
        (
            {"any_element": {"field": "tags", "condition": {"field": "@", "operator": "eq", "value": "x"}}},
            "any element of tags with (@ = x)",
        ),
        ({"all_of": []}, "always"),
        ({"any_of": []}, "never"),
    ],
)
def test_conditions_read_as_sentences(condition: dict[str, Any], expected: str) -> None:
    assert condition_text(condition) == expected


def test_an_outbound_to_a_route_goes_through_its_inbound_queue() -> None:
    graph = graph_of(written(routes={"a": route("a", outbound=[{"route": "b"}]), "b": route("b")}))
    names = {node.id: node.lines[0] for node in graph.nodes}
    assert [(names[edge.source], names[edge.target]) for edge in graph.edges] == [
        ("/queue/a", "a"),
        ("a", "/queue/b"),
        ("/queue/b", "b"),
    ]


def test_the_first_that_holds_is_numbered() -> None:
    outbound = [{"queue": "/queue/x", "condition": {"field": "n", "operator": "exists"}}, {"queue": "/queue/y"}]
    graph = graph_of(written(routes={"a": route("a", outbound=outbound, outbound_mode="first")}))
    assert [edge.label for edge in graph.edges[1:]] == ["1. n exists", "2. else"]


def test_topics_init_messages_and_dead_letters_are_told_apart() -> None:
    failing = route("a", outbound=[{"queue": "/topic/t"}], error_handling={"dead_letter_queue": "/queue/dead"})
    graph = graph_of(written(routes={"a": failing}, init_message=[{"route": "a"}, {"route": "a"}]))
    assert {node.lines[0]: node.kind for node in graph.nodes} == {
        "init message": Kind.INIT,
        "/queue/a": Kind.QUEUE,
        "a": Kind.ROUTE,
        "/topic/t": Kind.TOPIC,
        "/queue/dead": Kind.QUEUE,
    }
    assert [edge.label for edge in graph.edges if edge.failures] == ["dead letters"]


_NODE = re.compile(r'  n\d+(\["|\[\("|\{\{"|\(\[")[^"<>|\[\]{}]*(<br/>[^"<>|\[\]{}]*)*("\]|"\)\]|"\}\}|"\]\))')
_EDGE = re.compile(r'  n\d+ (-->|-\.->)(\|"[^"<>|\[\]{}]*"\|)? n\d+')


@given(st.text(st.characters()), st.text(st.characters()))
def test_no_text_breaks_out_of_a_mermaid_label(name: str, value: str) -> None:
    outbound = [{"queue": "/queue/x", "condition": {"field": name, "operator": "eq", "value": value}}]
    graph = graph_of(written(name=name, routes={"a": route("a", name=name, outbound=outbound)}))
    first, comment, *rest = to_mermaid(graph).rstrip("\n").split("\n")
    assert first == "flowchart LR"
    assert re.fullmatch(r"  %% [^{}<>\"]*", comment)
    assert len(rest) == len(graph.nodes) + len(graph.edges)
    for line in rest:
        assert _NODE.fullmatch(line) or _EDGE.fullmatch(line), line


def test_a_mermaid_label_says_what_it_stood_for() -> None:
    graph = graph_of(written(routes={"a": route("a", name='say "hi" <b>')}))
    drawn = to_mermaid(graph)
    decoded = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), drawn)
    assert 'a: say "hi" <b>' in decoded
    assert "<b>" not in drawn


_QUOTED = r'"(?:[^"\\]|\\.)*"'
_DOT_LINE = re.compile(
    rf"digraph {_QUOTED} \{{|  rankdir=LR;|  (node|edge) \[.*\];"
    rf"|  n\d+ \[shape=\w+, label={_QUOTED}\];|  n\d+ -> n\d+( \[(label={_QUOTED})?(, )?(style=dashed)?\])?;|\}}"
)


@given(st.text(st.characters()), st.text(st.characters()))
def test_no_text_breaks_out_of_a_dot_label(name: str, value: str) -> None:
    outbound = [{"queue": "/queue/x", "condition": {"field": name, "operator": "eq", "value": value}}]
    graph = graph_of(written(name=name, routes={"a": route("a", name=name, outbound=outbound)}))
    lines = to_dot(graph).rstrip("\n").split("\n")
    assert all(_DOT_LINE.fullmatch(line) for line in lines), lines
