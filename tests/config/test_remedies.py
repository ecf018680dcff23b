"""Typical mistakes in YAML: each has one finding at its place that says what to write instead."""

import pytest

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import Finding, PipelineConfigLoader

ROUTE = 'version: "1.0"\nroutes:\n  r:\n    adapters: [{type: log}]\n'


def findings(text: str) -> list[Finding]:
    return list(PipelineConfigLoader(ValidatingAdapterRegistry(), environ={}).check_text(text).findings)


def stage(written: str) -> str:
    return ROUTE.replace("[{type: log}]", f"[{written}]")


@pytest.mark.parametrize(
    ("text", "code", "line", "remedy"),
    [
        (f"{ROUTE}    inbound: {{concurrency: '4'}}\n", "E104", 5, "write 4, without quotes"),
        (f"{ROUTE}    inbound: {{concurrency: $N}}\n", "E104", 5, "write ${N}, in quotes, for the environment's variable"),
        (f"{ROUTE}    description: 5\n", "E104", 5, 'quote it: "5"'),
        (f"{ROUTE}    description: no\n    name: 007\n", "E104", 6, 'quote it: "007"'),
        (f"{ROUTE}    outbound: s\n", "E104", 5, "write [{route: s}]"),
        (f"{ROUTE}    outbound: [{{route: First}}]\n    name: First\n", "E202", 5, "write the route's id, 'r'; this is its name"),
        (ROUTE.replace("[{type: log}]", "{type: log}"), "E104", 4, "begin each element with a hyphen: - ..."),
        (ROUTE.replace("[{type: log}]", "log"), "E104", 4, "write [{type: log}]"),
        (ROUTE.replace("[{type: log}]", "[log]"), "E104", 4, "write {type: log}"),
        (ROUTE.replace("  r:\n", "  - name: r\n"), "E104", 3, "write a key for each element rather than a hyphen: NAME: ..."),
        (ROUTE.replace('"1.0"', "1"), "E006", 1, 'write version: "1.0", in quotes'),
        (stage("{type: log, config: null}"), "E104", 4, "write its fields below it, further indented, or remove the key"),
        (stage("{type: delay, config: {seconds: 5s}}"), "E303", 4, "write the number alone: the name of the field says its unit"),
        (stage("{type: delay, config: {seconds: -1}}"), "E303", 4, "write a number greater than or equal to 0"),
        (stage("{type: delay, config: {seconds: soon}}"), "E303", 4, "`factflow adapters show delay` describes the fields and their values"),
        (stage("{type: log, config: {level: loud}}"), "E303", 4, "write one of these"),
        (f"{ROUTE}      config: {{text: x}}\n", "E001", 5, "indent it as deep as the lines that it belongs to; fields of an element stand under its first field"),
        (ROUTE.replace("version: ", "version:"), "E001", 2, "put a space behind the colon of each key, on the lines above too, and quote text with a colon in it"),
        (stage("{type: log, condition: 'n > 3'}"), "E104", 4, "write {field: n, operator: gt, value: 3}"),
        (stage("{type: log, condition: 'user.name == \"Ann\"'}"), "E104", 4, 'write {field: user.name, operator: eq, value: "Ann"}'),
        (stage("{type: log, condition: payload.get('n')}"), "E104", 4, "write {field: NAME, operator: eq, value: ...}"),
        (f"{ROUTE}    outbound: [s]\n", "E104", 5, "write {route: s}"),
        (f"{ROUTE}    outbound: [/queue/s]\n", "E104", 5, "write {queue: /queue/s}"),
        (f"{ROUTE}    concurrency: 4\n", "E101", 5, "write it under inbound: {concurrency: ...}"),
        (ROUTE.replace('version: "1.0"\n', ""), "E102", 1, 'add version: "1.0"'),
        (ROUTE.replace("adapters:", "steps:"), "E101", 4, "write 'adapters'"),
        (f"{ROUTE}    error_handling: {{dlq: /queue/d}}\n", "E101", 5, "write 'dead_letter_queue'"),
        (f"{ROUTE}    max_retries: 4\n", "E101", 5, "write it under error_handling: {max_retries: ...}"),
        (f"{ROUTE}    init_message: {{payload: 1}}\n", "E101", 5, "write it at the top of the file, beside routes:"),
        (f"{ROUTE}init_message: {{route: r, payload: {{}}, text: hi}}\n", "E101", 5, "write it under payload: {text: ...}"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_where_it_is_and_told_what_to_write(text: str, code: str, line: int, remedy: str) -> None:
    found = findings(text)
    assert [(each.code, each.line, each.remedy) for each in found] == [(code, line, remedy)]


def test_a_field_of_the_adapter_beside_its_config_is_told_to_move() -> None:
    (found,) = findings(stage("{type: log, max_value_length: 10}"))
    assert (found.code, found.path) == ("E101", "routes.r.adapters[0].max_value_length")
    assert found.remedy == "write it under config: {max_value_length: ...}"


def test_a_condition_without_its_key_and_a_key_without_its_space_are_told_both() -> None:
    found = findings(stage("{type: filter, config: {field: n, operator: gt, value: 3}}"))
    assert [each.remedy for each in found if each.code == "E301"] == [
        f"write it under condition: {{{name}: ...}}" for name in ("field", "operator", "value")
    ]
    [unknown] = [each for each in findings(stage("{type:log}")) if each.code == "E101"]
    assert unknown.remedy == "write type: log, with a space behind the colon"


def test_an_adapter_written_as_a_key_is_told_the_form() -> None:
    found = {each.code: each for each in findings(stage("{log: {text: x}}"))}
    assert set(found) == {"E101", "E102"}
    unknown = found["E101"]
    assert "an adapter is written type: NAME, with its settings under config:" in unknown.remedy


@pytest.mark.parametrize("value", ["yes", "on", "No", "off"])
def test_another_spelling_of_a_boolean_is_told_the_one_of_yaml(value: str) -> None:
    right = "true" if value in {"yes", "on"} else "false"
    (found,) = findings(stage(f"{{type: read_lines, config: {{skip_blank: {value}}}}}"))
    assert (found.code, found.remedy) == ("E303", f"write {right}")
