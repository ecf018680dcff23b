"""A pipeline that records lineage and stores its stages, run and then asked about: the home, `lineage`, `explain`, references."""

import shutil
from pathlib import Path

import pytest

TRACED = """\
version: "1.0"
name: traced
lineage: {mode: full}
routes:
  parse:
    adapters:
      - {type: split, name: parts, config: {field: items}, store: true}
      - {type: flaky, store: {extension: part.msgpack}, condition: {field: skip, operator: neq, value: true}}
    outbound: [{route: keep, condition: {field: n, operator: neq, value: 6}}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0.01, jitter: none}
  keep:
    adapters:
      - {type: store_object, name: last, config: {extension: obj, result_field: stored}}
      - {type: set_fields, name: lists, config: {fields: {items: []}}}
      - {type: split, name: empty, config: {field: items}, store: true}
init_message:
  - {route: parse, payload: {items: [{n: 1}, {n: 2, skip: true}, {n: 3, fails: 1}, {n: 4, fails: 9}, {n: 5}, {n: 6}]}}
"""
ADAPTER = """\
from factflow_protocols import AdapterResult, PipelineAdapter

class Flaky(PipelineAdapter):
    adapter_type = "flaky"
    async def process(self, context):
        message = context.message
        if message["n"] == 5:
            return None
        if context.attempt <= message.get("fails", 0):
            raise ValueError(f"no luck with {message['n']}")
        return AdapterResult(message={**message, "done": True})
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """Return a folder in which the pipeline has run."""
    from click.testing import CliRunner

    from factflow_engine.cli.root import root

    folder = tmp_path_factory.mktemp("traced")
    (folder / "pipeline.yaml").write_text(TRACED)
    (folder / "flaky.py").write_text(ADAPTER)
    ran = CliRunner().invoke(
        root,
        ["run", str(folder / "pipeline.yaml"), "-a", str(folder / "flaky.py"), "--home", str(folder / ".factflow")],
    )
    assert ran.exit_code == 0, ran.output
    return folder


@pytest.fixture
def here(traced, tmp_path, monkeypatch) -> Path:
    """Return a copy of it as the working directory."""
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)
    shutil.copytree(traced, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def message(factflow, here):
    """Return a function that gives the id of the message with a number, by what its object or its error says."""
    rows = factflow("lineage", "list", "--output", "json", "--limit", "1000").document["visits"]

    def found(said: str, status: str) -> str:
        [one] = {row["message_id"] for row in rows if row["status"] == status and said in str(row)}
        return one

    return found


def keys(factflow, message_id: str) -> list[str]:
    document = factflow("explain", message_id, "--output", "json").document
    return ["/".join(each["key"].split("/")[2:]) for each in document["objects"]]


def test_a_pipeline_that_records_makes_a_home(factflow, pipeline, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)
    text = TRACED.replace("flaky, store: {extension: part.msgpack}", "delay, config: {seconds: 0}")
    ran = factflow("run", pipeline(text.replace(", store: true", "")), "--output", "json")
    assert ran.status == 0
    record = ran.document["record"]
    found = factflow("lineage", "list", "--output", "json", "--execution", record).document["visits"]
    assert {row["execution_id"] for row in found} == {record}
    assert ran.document["lineage"]["written"] == ran.document["lineage"]["recorded"] > len(found)


def test_what_is_recorded_agrees_with_the_report(factflow, here) -> None:
    report = factflow("execution", "get", "latest", "--output", "json").document["report"]
    stats = factflow("lineage", "stats", "--output", "json").document
    for route in stats["routes"]:
        told = report["routes"][route["route"]]["outcomes"]
        assert {name: told[name] for name in route["outcomes"]} == route["outcomes"]
        assert sum(told.values()) == sum(route["outcomes"].values())


def test_explain_says_what_happened(factflow, here, message) -> None:
    skipped = message("skip", "skipped")
    said = factflow("explain", skipped).out
    assert "flaky  skipped" in said
    assert "skip neq true did not hold: it was true" in said
    assert "Route parse: completed" in said
    assert "to keep" in said
    assert keys(factflow, skipped) == [f"parse/parts/{skipped}.msgpack"]

    [failed] = {row["message_id"] for row in factflow("lineage", "failures", "--output", "json").document["failures"]}
    said = factflow("explain", failed).out
    assert "Route parse: failed after 2 attempts" in said
    assert said.count("ValueError: no luck with 4 (") == 2
    assert said.count(" ms for retry") == 1
    assert keys(factflow, failed) == [f"parse/parts/{failed}.msgpack"]

    rows = factflow("lineage", "list", "--status", "failed", "--output", "json").document["visits"]
    [retried] = {row["message_id"] for row in rows} - {failed}
    said = factflow("explain", retried).out
    assert "Route parse: completed after 2 attempts" in said
    assert said.count("ValueError: no luck with 3 (") == 1
    assert set(keys(factflow, retried)) == {f"parse/parts/{retried}.msgpack", f"parse/flaky/{retried}.part.msgpack"}
    [child] = factflow("explain", retried, "--output", "json").document["children"]
    assert child["route"] == "keep"
    assert keys(factflow, child["message_id"]) == [f"keep/last/{child['message_id']}.obj"]
    said = factflow("explain", child["message_id"]).out
    assert "its last stage emitted no message" in said
    assert f"came from   {retried}  parse/flaky  completed" in said


def test_explain_says_why_a_message_was_filtered(factflow, here) -> None:
    query = "SELECT hex(message_id) FROM outcomes WHERE outcome = 'filtered'"
    texts = [factflow("explain", each).out for each in factflow("lineage", "sql", query, "-o", "plain").out.split()]
    assert len(texts) == 2
    assert [text.count("flaky made no message of it") + text.count("no outbound took it") for text in texts] == [1, 1]


def test_whatever_is_recorded_is_there(factflow, here) -> None:
    said = factflow("storage", "verify", "--output", "json")
    assert (said.status, said.document["problems"]) == (0, [])
    objects = [
        path
        for path in (here / ".factflow" / "objects" / "executions").rglob("*.*")
        if not path.name.endswith(".meta.json")
    ]
    # Of messages that have failed, what the stages before have stored is no reference.
    [failed] = factflow("lineage", "failures", "--output", "json").document["failures"]
    assert said.document["references"] == len([path for path in objects if failed["message_id"] not in path.name])
    assert factflow("doctor").status == 0


def test_each_object_that_is_gone_is_found(factflow, here) -> None:
    [failed] = factflow("lineage", "failures", "--output", "json").document["failures"]
    gone = []
    for path in (here / ".factflow" / "objects" / "executions").rglob("*.*"):
        if failed["message_id"] not in path.name:
            path.unlink()
            if not path.name.endswith(".meta.json"):
                gone.append(path.relative_to(here / ".factflow" / "objects").as_posix())
    said = factflow("storage", "verify", "--output", "json")
    assert said.status == 1
    assert sorted(each["key"] for each in said.document["problems"]) == sorted(gone)
    assert {each["kind"] for each in said.document["problems"]} == {"missing"}
    one = min(gone)
    assert factflow("storage", "verify", one, "--output", "json").document["references"] == 1
    sick = factflow("doctor")
    assert sick.status == 1
    assert "does not exist, and execution" in sick.out


def test_records_that_cannot_be_read_do_not_hide_the_objects(factflow, here) -> None:
    (here / ".factflow" / "executions.db").write_bytes(b"no store" * 1000)
    said = factflow("storage", "verify", "--output", "json")
    assert said.status == 1
    assert said.document["objects"] > 0
    assert "executions.db" in said.document["records_unread"]
    assert "missing objects were not looked for to the end" in said.err
    assert len(factflow("doctor", "--output", "json").document["problems"]) == 1


def test_lineage_that_is_a_file_is_said_by_verify(factflow, here) -> None:
    shutil.rmtree(here / ".factflow" / "lineage")
    (here / ".factflow" / "lineage").touch()
    said = factflow("storage", "verify")
    assert said.status == 1
    assert "missing objects were not looked for to the end" in said.err


def test_doctor_finds_damaged_lineage(factflow, here) -> None:
    [segment] = (here / ".factflow" / "lineage").glob("*.db")
    segment.write_bytes(b"no lineage" * 1000)
    sick = factflow("doctor", "--output", "json")
    assert sick.status == 1
    assert segment.name in sick.document["problems"][0]


def test_a_segment_that_is_damaged_in_the_middle_is_said_by_all_that_read_it(factflow, here) -> None:
    rows = factflow("lineage", "list", "--output", "json").document["visits"]
    [segment] = (here / ".factflow" / "lineage").glob("*.db")
    data = bytearray(segment.read_bytes())
    data[3 * 4096 :] = b"U" * (len(data) - 3 * 4096)  # all but the schema and the places
    segment.write_bytes(data)
    message = rows[0]["message_id"]
    for words in (
        ("lineage", "list"),
        ("lineage", "stats"),
        ("lineage", "failures"),
        ("lineage", "sql", "SELECT count(*) FROM visits"),
        ("explain", message),
        ("storage", "verify"),
    ):
        said = factflow(*words)
        assert f"segment {segment.name!r} is damaged" in said.err, words
    assert said.status == 1, "objects may be missing of which only that segment knows"
    sick = factflow("doctor", "--output", "json")
    assert (sick.status, segment.name in sick.document["problems"][0]) == (1, True)
