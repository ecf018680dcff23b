"""What a text costs is proportional to its size, whatever its author had in mind (guarantee 8).

Times are of this process's processor alone and compared with each other: a square would make four times the text cost
sixteen times as much, and a busy machine does not.
"""

from collections.abc import Callable, Mapping

import pytest

from factflow_engine.config import LoadResult, PipelineConfigLoader
from factflow_engine.config.hiding import Hiding
from factflow_engine.config.suggestions import MOST_WORK, Suggestions
from support.timings import grows_at_most

HEAD = 'version: "1.0"\n'
ROUTE = "routes: {a: {adapters: [{type: plain}]}}\n"


def payload(items: list[str]) -> str:
    return f"{HEAD}init_message: {{route: a, payload: [{', '.join(items)}]}}\n{ROUTE}"


def routes(count: int, body: Callable[[int], str]) -> str:
    return f"{HEAD}routes:\n" + "".join(f"  r{index:05}: {{{body(index)}}}\n" for index in range(count))


def stages(stages: list[str]) -> str:
    return f"{HEAD}routes: {{a: {{adapters: [{', '.join(stages)}]}}}}\n"


def condition(text: str) -> str:
    return stages([f"{{type: plain, condition: {text}}}"])


TEXTS: dict[str, tuple[int, Callable[[int], str]]] = {
    "references without an end": (4_000, lambda n: f'{HEAD}description: "{"${A:" * n}"\n{ROUTE}'),
    "what begins like a reference": (4_000, lambda n: f'{HEAD}description: "{"${" * n}"\n{ROUTE}'),
    "references with defaults": (800, lambda n: payload([f'"${{A{i}:x}}"' for i in range(n)])),
    "short secrets in many texts": (400, lambda n: payload([f'"x{i}${{SHORTEST}}", "${{NO{i}}}"' for i in range(n)])),
    "references in many stages": (200, lambda n: stages([f'{{type: plain, name: "s${{A:x}}{i}"}}' for i in range(n)])),
    "outbounds to unknown routes": (300, lambda n: routes(n, lambda i: f"outbound: [{{route: rout-{i:05}x}}]")),
    "unknown adapter types": (300, lambda n: stages([f"{{type: plainn{i}}}" for i in range(n)])),
    "unknown fields": (400, lambda n: HEAD + ROUTE + "".join(f"field{i}: 1\n" for i in range(n))),
    "anchors": (1_000, lambda n: payload([f"&a{i} 1" for i in range(n)])),
    "aliases": (1_000, lambda n: payload(["&a {x: 1}"] + ["*a"] * n)),
    "repeated keys": (500, lambda n: payload(["{" + ", ".join(f"k{i // 2}: 1" for i in range(n)) + "}"])),
    "merge keys": (500, lambda n: HEAD + ROUTE + "init_message:\n" + "- <<: 1\n" * n),
    "routes in a chain": (150, lambda n: routes(n, lambda i: f"outbound: [{{route: r{min(i + 1, n - 1):05}}}]")),
    "routes in a circle": (150, lambda n: routes(n, lambda i: f"outbound: [{{route: r{(i + 1) % n:05}}}]")),
    "routes in pairs": (150, lambda n: routes(n + n % 2, lambda i: f"outbound: [{{route: r{i ^ 1:05}}}]")),
    "dead letters to the next": (
        150,
        lambda n: routes(n, lambda i: f"error_handling: {{dead_letter_queue: /queue/r{(i + 1) % n:05}}}"),
    ),
    "all write and read one topic": (
        150,
        lambda n: routes(n, lambda _: "inbound: {queue: /topic/x}, outbound: [{queue: /topic/x}]"),
    ),
    "a wide section inherited": (
        150,
        lambda n: (
            f"{HEAD}error_handling: {{{', '.join(f'f{i}: 1' for i in range(n))}}}\n"
            + routes(n, lambda _: "error_handling: {max_retries: 1}").removeprefix(HEAD)
        ),
    ),
    "names of one stage": (200, lambda n: stages(["{type: plain}"] * n)),
    "long keys above findings": (
        500,
        lambda n: condition(f"{{field: a, operator: eq, value: {{{'x' * 10 * n}: [{', '.join(['{$bin: 1}'] * n)}]}}}}"),
    ),
    "operators that there are not": (
        200,
        lambda n: condition(f"{{all_of: [{', '.join(['{field: a, operator: eqq, value: 1}'] * n)}]}}"),
    ),
    "unknown keys of a condition": (500, lambda n: condition(f"{{{', '.join(f'k{i}: 1' for i in range(n))}}}")),
    "a wide list": (
        500,
        lambda n: condition(f"{{field: a, operator: in, value: [{', '.join(f'{{k: {i}}}' for i in range(n))}]}}"),
    ),
    "findings along a line": (400, lambda n: payload([f'"${{A", "x{i}"' for i in range(n)])),
}


def check(loader: PipelineConfigLoader, text: str) -> LoadResult:
    result = loader.check_text(text)
    result.render()
    return result


@pytest.mark.parametrize("name", TEXTS)
def test_four_times_the_text_costs_about_four_times_as_much(
    name: str, loader_with: Callable[[Mapping[str, str]], PipelineConfigLoader]
) -> None:
    loader = loader_with({"SHORTEST": "ab"})
    size, make = TEXTS[name]
    small, large = make(size), make(4 * size)
    check(loader, small)
    assert grows_at_most(9, lambda: check(loader, small), lambda: check(loader, large), slack=0.05)


def test_routes_that_share_a_topic_are_checked_without_an_edge_for_each_pair(loader: PipelineConfigLoader) -> None:
    topic = routes(
        1_000, lambda _: "inbound: {queue: /topic/x}, adapters: [{type: plain}], outbound: [{queue: /topic/x}]"
    )
    (found,) = loader.check_text(topic).findings  # a million pairs
    assert found.code == "W203"


def test_the_nearest_name_is_suggested_while_there_is_work_left() -> None:
    suggestions = Suggestions()
    names = [f"route-number-{index:06}" for index in range(2_000)]
    assert suggestions.remedy("rout-number-000100x", names) == "write 'route-number-000100'"
    assert suggestions.left < MOST_WORK
    for _ in range(100):
        suggestions.remedy("rout-number-000100x", names)
    assert suggestions.left < len(names)
    assert suggestions.remedy("rout-number-000100x", names).startswith(
        "remove it, or write one of: route-number-000000"
    )


def test_a_variable_in_thousands_of_places_is_refused_before_it_is_put_there(
    loader_with: Callable[[Mapping[str, str]], PipelineConfigLoader],
) -> None:
    loader = loader_with({"LARGE": "x" * 1_000_000})
    found = loader.check_text(payload(['"${LARGE}"'] * 5_000)).findings
    assert [finding.code for finding in found] == ["E021"]


def test_an_inherited_list_is_refused_where_it_is_too_large_for_all_that_inherit_it(
    loader: PipelineConfigLoader,
) -> None:
    names = ", ".join(f"E{index}" for index in range(3_000))
    text = f"{HEAD}error_handling: {{max_retries: 1, retry_on: [{names}]}}\n"
    (found,) = loader.check_text(text + routes(1_000, lambda _: "").removeprefix(HEAD)).findings
    assert (found.code, found.line) == ("E005", 2)


def test_a_path_shows_the_beginning_of_a_long_key(loader: PipelineConfigLoader) -> None:
    key = "x" * 1_000
    findings = loader.check_text(f"{HEAD}routes: {{{key}: {{adapters: [1, 2, 3]}}}}\n").findings
    assert findings
    assert all(len(finding.path) < 200 for finding in findings)


def test_values_are_found_at_the_price_of_the_text_however_many_there_are() -> None:
    values = {f"secret-{index}": f"${{S{index}}}" for index in range(20_000)}
    hiding = Hiding(values)
    assert (
        hiding("a secret-17, another secret-19999 and a secret-20000") == "a ${S17}, another ${S19999} and a ${S2000}0"
    )
    few = Hiding(dict(list(values.items())[:20]))
    few("secret-1")
    text = "no secret, and secret-1 beside it; " * 5
    assert grows_at_most(
        20, lambda: [few(text) for _ in range(500)], lambda: [hiding(text) for _ in range(500)], slack=0.05
    )
