"""`factflow config check` and `config diff`."""

import pytest

SWITCH = """\
version: "1.0"
routes:
  in:
    adapters: [{{type: log}}]
    outbound_mode: first
    outbound:
      - {{route: big, condition: {{field: total, operator: gte, value: 100}}}}
      - {{route: small, condition: {{field: total, operator: {operator}, value: 100}}}}
  big: {{adapters: [{{type: log}}]}}
  small: {{adapters: [{{type: log}}]}}
init_message: {{route: in, payload: {{total: 1}}}}
"""


def test_what_holds_is_counted_and_what_fails_is_shown_with_its_message(factflow, pipeline):
    said = factflow("config", "check", pipeline(SWITCH.format(operator="lt")))
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[:3] == [
        "reachable: proved 5",
        "live_condition: proved 2",
        "covering: refuted 1 (not required)",
    ]
    file = pipeline(SWITCH.format(operator="gt"))
    said = factflow("config", "check", file, "--require", "covering")
    assert said.status == 1
    assert said.out.splitlines()[:4] == [
        "fails  routes.in.outbound[1]: reachable: no message can go here",
        "fails  routes.small: reachable: no message can come to this route",
        "fails  routes.in.outbound: covering: no outbound takes this message (unrouted: filter)",
        "       {}",
    ]


def test_the_document_has_every_verdict(factflow, pipeline):
    said = factflow("config", "check", pipeline(SWITCH.format(operator="lt")), "--output", "json")
    assert said.document["holds"] is True
    assert said.document["required"] == ["reachable", "live_condition", "loops_end"]
    assert said.document["verdicts"][0] == {
        "property": "reachable",
        "path": "routes.in.outbound[0]",
        "status": "holds",
        "message": "a message that goes here",
        "example": '{"total":100}',
    }
    assert said.document["most_held"][0]["route"] == "in"


def test_the_difference_of_two_versions_is_a_message(factflow, pipeline):
    old = pipeline(SWITCH.format(operator="lt"))
    new = old.with_name("new.yaml")
    new.write_text(SWITCH.format(operator="lte").replace("gte, value: 100", "gt, value: 100"))
    said = factflow("config", "diff", old, new)
    assert said.status == 1
    assert said.out.splitlines() == [
        "routes.in.outbound: this message goes to route big no more",
        '  {"total":100}',
        "routes.in.outbound: this message goes to route small now",
        '  {"total":100}',
    ]
    document = factflow("config", "diff", old, new, "--output", "json").document
    assert document["equivalent"] is False
    assert document["differences"][0]["example"] == '{"total":100}'
    same = factflow("config", "diff", old, old)
    assert (same.status, same.out) == (0, "the two do the same with every message\n")


@pytest.mark.parametrize("command", ["check", "diff"])
def test_a_configuration_with_errors_is_refused_with_its_findings(factflow, pipeline, command):
    file = pipeline("routes: 3")
    said = factflow("config", command, file, *([file] if command == "diff" else []))
    assert said.status == 2
    assert "E102" in said.err


@pytest.mark.parametrize("command", ["check", "diff"])
def test_a_secret_is_shown_as_its_reference(factflow, pipeline, monkeypatch, command):
    monkeypatch.setenv("API_TOKEN", "very-secret")
    text = SWITCH.format(operator="neq").replace("gte, value: 100", 'eq, value: "${API_TOKEN}"')
    old = pipeline(text)
    new = old.with_name("new.yaml")
    new.write_text(text.replace("operator: eq", "operator: gt"))
    files = [old] if command == "check" else [old, new]
    said = factflow("config", command, *files, "--output", "json")
    assert "very-secret" not in said.out + said.err
    assert "${API_TOKEN}" in said.out


def test_a_message_that_json_lacks_is_written_as_python_does(factflow, pipeline):
    text = (
        SWITCH.format(operator="lt")
        .replace("gte, value: 100", "type_is, value: float")
        .replace("lt, value: 100", "between, value: [-.inf, .inf]")
    )
    said = factflow("config", "check", pipeline(text), "--require", "covering")
    assert said.status in {0, 1}
