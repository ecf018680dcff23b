"""`factflow run` in this process: what it prints and how it ends, without signals."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SPLIT = """\
version: "1.0"
name: splitting
routes:
  split:
    adapters:
      - {type: split, config: {field: items}}
    outbound:
      - {route: maps, condition: {field: kind, operator: eq, value: map}}
  maps:
    adapters:
      - {type: pick_fields, config: {fields: [kind]}}
init_message: {route: split, payload: {items: [{kind: map}, {kind: map}, {kind: other}]}}
"""

FAILING = """\
version: "1.0"
name: failing
routes:
  a:
    adapters:
      - {type: split, config: {field: items}}
    outbound: [{route: b}]
  b:
    adapters:
      - {type: pick_fields, config: {fields: [x]}}
init_message: {route: a, payload: {items: [1, 2, {x: 3}]}}
"""

SHOUT = """\
version: "1.0"
routes:
  a:
    adapters: [{type: shout}]
init_message: {route: a, payload: hello}
"""


def test_a_run_reports_every_outcome(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    said = factflow("run", pipeline(SPLIT))
    assert said.status == 0
    lines = said.out.splitlines()
    assert lines[0].startswith("completed  splitting in ")
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert rows == {"split": ["4", "3", "1", "0", "0", "2"], "maps": ["2", "2", "0", "0", "0", "0"]}


def test_the_document_says_the_same(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    document = factflow("run", pipeline(SPLIT), "--output", "json").document
    assert document["status"] == "completed"
    assert document["outcomes"] == {"completed": 5, "filtered": 1, "dead_lettered": 0, "failed": 0}
    assert document["routes"]["split"]["emitted"] == 2
    assert len(document["config_hash"]) == 64


def test_failed_messages_are_named_and_do_not_fail_the_run(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    said = factflow("run", pipeline(FAILING))
    assert said.status == 0
    assert "2 messages failed" in said.out
    assert "  b/pick_fields  2 x Reject: " in said.out


def test_more_failures_than_allowed_fail_the_run(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    said = factflow("run", pipeline(FAILING + "orchestrator: {max_failed_messages: 0}\n"), "-o", "json")
    assert said.status == 1
    assert said.document["status"] == "failed"
    assert "max_failed_messages" in said.document["error"]


def test_progress_goes_to_standard_error(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    said = factflow("run", pipeline(SPLIT))
    assert said.err.startswith("factflow: 0.0 s, running")
    assert "completed, ended 6, failed 0" in said.err.splitlines()[-1]
    assert factflow("run", pipeline(SPLIT), "--progress", "none").err == ""


def test_a_live_view_without_a_terminal_is_refused(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    said = factflow("run", pipeline(SPLIT), "--progress", "live")
    assert said.status == 2
    assert "--progress plain" in said.err


def test_another_payload_replaces_the_init_messages(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    said = factflow("run", pipeline(SPLIT), "-o", "json", "--set-payload", '{"items": [{"kind": "map"}]}')
    assert said.document["routes"]["split"]["received"] == 2
    null = factflow("run", pipeline(SPLIT), "-o", "json", "--set-payload", "null")
    assert null.document["outcomes"]["failed"] == 1, "null is a payload too, and `split` rejects it"


@pytest.mark.parametrize(
    ("change", "payload", "remedy"),
    [
        ((), "{", "quote it for the shell"),
        (("init_message: ", "# "), "1", "add `init_message"),
        (("init_message: {", "init_message: [{route: split, payload: 1}, {"), "1", "edit their payloads"),
    ],
)
def test_a_payload_that_cannot_be_set_is_refused_with_a_remedy(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], change: tuple[str, ...], payload: str, remedy: str
) -> None:
    text = SPLIT.replace(*change) if change else SPLIT
    said = factflow(
        "run", pipeline(text.replace("}]}}\n", "}]}}]\n") if "[{route" in text else text), "--set-payload", payload
    )
    assert said.status == 2, said
    assert remedy in said.err


def test_an_invalid_configuration_is_explained_on_standard_error(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    said = factflow("run", pipeline(SPLIT.replace("pick_fields,", "pick_feilds,")))
    assert said.status == 2
    assert said.out == ""
    assert "E103" in said.err
    assert "^^^^^^^^^^^" in said.err
    assert "cannot be run: 1 error" in said.err


def test_an_invalid_configuration_is_a_document_where_one_was_promised(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    said = factflow("run", pipeline(SPLIT.replace("pick_fields,", "pick_feilds,")), "-o", "json")
    assert said.status == 2
    assert said.document["status"] == "invalid"
    assert [finding["code"] for finding in said.document["findings"]] == ["E103"]


def test_what_adapters_print_stays_out_of_the_document(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], shout_module: Path
) -> None:
    said = factflow("run", pipeline(SHOUT), "--adapters", shout_module, "--output", "json")
    assert said.document["status"] == "completed"
    assert "shouting" in said.err
    assert "shouting" in factflow("run", pipeline(SHOUT), "--adapters", shout_module).out


def test_log_stages_are_heard_from_the_level_on(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    file = pipeline(SPLIT.replace("- {type: pick", "- {type: log, config: {fields: [kind]}}\n      - {type: pick"))
    assert factflow("run", file).err.count("factflow: info: message [maps/log") == 2
    assert "message [" not in factflow("run", file, "--log-level", "warning").err


def test_a_stage_that_cannot_open_fails_the_run_before_it_begins(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    module = tmp_path / "closed.py"
    module.write_text(
        "from factflow_protocols import AdapterResult, StatefulAdapter\n"
        "class Closed(StatefulAdapter):\n"
        "    adapter_type = 'closed'\n"
        "    async def open(self, stage):\n"
        "        raise OSError('\\x1b[2Jno such door')\n"
        "    async def process(self, context):\n"
        "        return AdapterResult.forward()\n"
    )
    said = factflow("run", pipeline(SHOUT.replace("shout", "closed")), "--adapters", module, "-o", "json")
    assert said.status == 1
    assert said.document["error_type"] == "ExecutionStartError"
    assert "no such door" in said.err
    assert "\x1b" not in said.err


def test_hostile_messages_cannot_drive_the_terminal(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], samples: Any
) -> None:
    payload = json.dumps({"items": [samples.HOSTILE]})
    said = factflow("run", pipeline(FAILING), "--set-payload", payload)
    assert "1 message failed" in said.out
    for line in (said.out + said.err).split("\n"):
        assert line.isprintable(), repr(line)


def test_the_graph_of_a_real_configuration_is_drawn(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    mermaid = factflow("graph", pipeline(SPLIT))
    assert mermaid.status == 0
    assert mermaid.out.splitlines() == [
        "flowchart LR",
        "  %% splitting",
        '  n0(["init message"])',
        '  n1[("/queue/split")]',
        '  n2["split<br/>split"]',
        '  n3[("/queue/maps")]',
        '  n4["maps<br/>pick_fields"]',
        "  n0 --> n1",
        "  n1 --> n2",
        '  n2 -->|"kind = map"| n3',
        "  n3 --> n4",
    ]
    dot = factflow("graph", pipeline(SPLIT), "--format", "dot")
    assert dot.status == 0
    assert '  n2 -> n3 [label="kind = map"];' in dot.out.splitlines()


def test_a_graph_shows_no_value_of_the_environment(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    file = pipeline(SPLIT.replace("value: map", 'value: "${TOKEN}"'))
    said = factflow("graph", file, env={"TOKEN": "hunter2"})
    assert said.status == 0
    assert "hunter2" not in said.out
    assert "TOKEN" in said.out


def test_a_run_to_which_no_message_came_says_why(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    """It said `completed`, and who had forgotten the init message had to find that out."""
    file = pipeline('version: "1.0"\nroutes: {r: {adapters: [{type: log}]}}\n')
    run = factflow("run", file, "--progress", "none")
    assert run.status == 0
    assert "no message came: the pipeline has no init_message" in run.err
    run = factflow("run", pipeline(SPLIT), "--progress", "none")
    assert run.err == ""
