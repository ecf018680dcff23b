"""Configurations by name, recorded executions, and the home that holds them."""

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from factflow_engine.config.snapshot import written_of
from factflow_engine.executions import Home
from factflow_engine.storages.providers import open_storage
from support.factflow_process import started

GOOD = """\
version: "1.0"
name: nightly
routes:
  a:
    adapters:
      - {type: delay, config: {seconds: 0}}
init_message: {route: a, payload: {n: 1}}
"""
SLOW = GOOD.replace("seconds: 0", "seconds: 600")
BAD = GOOD.replace("delay", "dealy")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".factflow"


def executions(factflow: Callable[..., Any], *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = factflow("execution", "list", "--output", "json", *words).document["executions"]
    return found


# -- the home ----------------------------------------------------------------------------------------------------------


def test_a_run_that_needs_no_home_makes_none(factflow, pipeline, tmp_path: Path) -> None:
    assert factflow("run", pipeline(GOOD)).status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]
    for words in (["execution", "list"], ["config", "list"], ["doctor"]):
        assert factflow(*words).status == 0
    assert factflow("execution", "get", "latest").status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]


def test_a_run_is_recorded_where_a_home_is_named_or_there(factflow, pipeline, tmp_path: Path) -> None:
    file = pipeline(GOOD)
    assert factflow("run", file, "--home", "there").status == 0
    assert len(executions(factflow, "--home", "there")) == 1
    assert factflow("run", file, env={"FACTFLOW_HOME": "there"}).status == 0
    assert len(executions(factflow, "--home", "there")) == 2
    assert factflow("run", file, "--tag", "x", "--metadata", "n=1", "--metadata", "who=me").status == 0
    assert factflow("run", file).status == 0  # it is there by now
    one, other = executions(factflow)
    assert (one["tag"], other["tag"], other["metadata"]) == ("", "x", {"n": 1, "who": "me"})


def test_the_report_names_its_record(factflow, pipeline) -> None:
    said = factflow("run", pipeline(GOOD), "--home", "h", "--output", "json")
    assert said.document["record"] == executions(factflow, "--home", "h")[0]["id"]
    assert said.document["record"] in said.err


@pytest.mark.parametrize(
    "words", [["run", "pipeline.yaml"], ["execution", "list"], ["config", "create", "pipeline.yaml"]]
)
def test_what_is_no_home_is_refused_with_one_line(factflow, pipeline, tmp_path: Path, words: list[str]) -> None:
    pipeline(GOOD)
    (tmp_path / "file").write_text("")
    said = factflow(*words, "--home", "file")
    assert said.status == 2
    assert "is a file; expected a folder" in said.err
    assert said.err.count("\n") <= 2


def test_a_pipeline_that_stores_makes_a_home(factflow, pipeline, home: Path) -> None:
    ran = factflow("run", pipeline(GOOD.replace("seconds: 0}", "seconds: 0}, store: true")), "--output", "json")
    assert ran.status == 0
    [stored] = (home / "objects").rglob("*.msgpack")
    assert stored.relative_to(home / "objects").parts[:4] == ("executions", ran.document["record"], "a", "delay")
    assert factflow("doctor").status == 0


# -- configurations ----------------------------------------------------------------------------------------------------


def test_a_configuration_is_kept_by_name_and_run(factflow, pipeline) -> None:
    created = factflow("config", "create", pipeline(GOOD), "--output", "json").document
    assert (created["name"], created["version"], created["runnable"]) == ("nightly", 1, True)
    ran = factflow("config", "run", "night", "--output", "json")
    assert (ran.status, ran.document["outcomes"]["completed"]) == (0, 1)
    [one] = executions(factflow, "--config", "nightly")
    assert (one["config_id"], one["config_version"], one["status"]) == (created["id"], 1, "completed")
    assert factflow("config", "get", "nightly", "--yaml").out == GOOD
    again = factflow("config", "create", pipeline(GOOD))
    assert (again.status, "already" in again.err) == (2, True)


def test_values_of_the_environment_are_not_stored(factflow, pipeline, home: Path) -> None:
    text = GOOD.replace("{n: 1}", "{n: '${DB_PASSWORD}'}")
    env = {"DB_PASSWORD": "hunter22hunter22"}
    assert factflow("config", "create", pipeline(text), env=env).status == 0
    assert factflow("config", "run", "nightly", env=env).status == 0
    for part in home.iterdir():
        assert b"hunter22" not in part.read_bytes()
    assert b"${DB_PASSWORD}" in b"".join(part.read_bytes() for part in home.iterdir())


def test_edits_make_versions_and_what_ran_keeps_its_own(factflow, pipeline) -> None:
    factflow("config", "create", pipeline(GOOD))
    factflow("config", "run", "nightly")
    edited = factflow("config", "edit", "nightly", "--file", pipeline(GOOD.replace("n: 1", "n: 2")))
    assert "version 2" in edited.out
    same = factflow("config", "edit", "nightly", "--file", pipeline(GOOD.replace("n: 1", "n: 2")))
    assert "is unchanged" in same.out
    factflow("config", "run", "nightly")
    factflow("config", "run", "nightly", "--version", "1")
    assert [one["config_version"] for one in executions(factflow)] == [1, 2, 1]
    oldest = factflow("execution", "get", executions(factflow)[-1]["id"], "--output", "json").document
    assert written_of(oldest["snapshot"])["init_message"][0]["payload"] == {"n": 1}
    assert factflow("config", "get", "nightly", "--version", "1", "--yaml").out == GOOD
    renamed = factflow("config", "edit", "nightly", "--rename", "weekly")
    assert (renamed.status, factflow("config", "get", "weekly").status) == (0, 0)


def test_a_version_that_is_not_there_is_named(factflow, pipeline) -> None:
    factflow("config", "create", pipeline(GOOD))
    said = factflow("config", "get", "nightly", "--version", "9")
    assert (said.status, said.err.strip()) == (
        2,
        "factflow: there is no version '9'; configuration 'nightly' has versions 1 to 1",
    )


def test_an_editor_edits(factflow, pipeline, tmp_path: Path) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/n: 1/n: 3/' \"$1\"\n")
    editor.chmod(0o755)
    factflow("config", "create", pipeline(GOOD))
    said = factflow("config", "edit", "nightly", env={"EDITOR": str(editor), "VISUAL": str(editor)})
    assert "version 2" in said.out, said.err
    assert "n: 3" in factflow("config", "get", "nightly", "--yaml").out


def test_one_with_errors_is_saved_and_not_run(factflow, pipeline) -> None:
    created = factflow("config", "create", pipeline(BAD))
    assert (created.status, "E103" in created.err, "1 error" in created.out) == (0, True, True)
    listed = factflow("config", "list").out
    assert "1 error" in listed
    ran = factflow("config", "run", "nightly", "--output", "json")
    assert (ran.status, ran.document["status"], ran.document["findings"][0]["code"]) == (2, "invalid", "E103")
    assert executions(factflow) == []


def test_drift_of_the_adapters_shows(factflow, pipeline, tmp_path: Path) -> None:
    adapters = tmp_path / "mine.py"
    adapters.write_text(
        "from factflow_protocols import AdapterResult, PipelineAdapter\n"
        "class Dealy(PipelineAdapter):\n"
        "    adapter_type = 'dealy'\n"
        "    async def process(self, context):\n"
        "        return AdapterResult.forward()\n"
    )
    text = BAD.replace(", config: {seconds: 0}", "")
    factflow("config", "create", pipeline(text), "--adapters", adapters)
    [known] = factflow("config", "list", "--adapters", adapters, "--output", "json").document["configs"]
    [unknown] = factflow("config", "list", "--output", "json").document["configs"]
    assert (known["state"], known["runnable"]) == ("ok", True)
    assert (unknown["state"], unknown["runnable"]) == ("1 error, none when it was saved", False)


def test_an_inactive_one_is_not_run(factflow, pipeline) -> None:
    factflow("config", "create", pipeline(GOOD))
    assert "(inactive)" in factflow("config", "edit", "nightly", "--deactivate").out
    said = factflow("config", "run", "nightly")
    assert (said.status, "--activate" in said.err) == (2, True)
    assert factflow("config", "list", "--active").out == ""
    factflow("config", "edit", "nightly", "--activate")
    assert factflow("config", "run", "nightly").status == 0


def test_deleting_asks_and_keeps_what_ran(factflow, pipeline) -> None:
    factflow("config", "create", pipeline(GOOD))
    factflow("config", "run", "nightly")
    assert factflow("config", "delete", "nightly", answer="n\n").status == 1
    assert factflow("config", "delete", "nightly", "--yes").status == 0
    assert factflow("config", "get", "nightly").status == 2
    assert factflow("execution", "get", "latest").status == 0


def test_payload_and_init_messages_of_a_stored_run(factflow, pipeline) -> None:
    factflow("config", "create", pipeline(GOOD))
    skipped = factflow("config", "run", "nightly", "--skip-init", "--output", "json").document
    assert skipped["outcomes"]["completed"] == 0
    given = factflow("config", "run", "nightly", "--payload", '{"n": 7}', "--output", "json").document
    assert given["outcomes"]["completed"] == 1
    both = factflow("config", "run", "nightly", "--payload", "1", "--skip-init")
    assert (both.status, "leave one out" in both.err) == (2, True)


def test_a_key_runs_once(factflow, pipeline) -> None:
    file = pipeline(GOOD)
    first = factflow("run", file, "--idempotency-key", "k", "--output", "json").document
    second = factflow("run", file, "--idempotency-key", "k", "--output", "json")
    assert (second.status, second.document["record"]) == (0, first["record"])
    assert second.document["status"] == "begun_before"
    other = factflow("run", pipeline(GOOD.replace("n: 1", "n: 2")), "--idempotency-key", "k")
    assert (other.status, "another configuration" in other.err) == (2, True)
    assert len(executions(factflow)) == 1


@pytest.mark.parametrize("texts", [["x"], ["=x"], ["a=1", "a=2"]])
def test_metadata_that_cannot_be_is_refused(factflow, pipeline, texts: list[str]) -> None:
    words = [word for text in texts for word in ("--metadata", text)]
    assert factflow("run", pipeline(GOOD), *words).status == 2


# -- executions --------------------------------------------------------------------------------------------------------


def test_an_execution_is_shown_in_every_way(factflow, pipeline) -> None:
    factflow("run", pipeline(GOOD), "--tag", "one")
    for named in ("latest", "one", executions(factflow)[0]["id"], executions(factflow)[0]["id"][:14]):
        shown = factflow("execution", "get", named)
        assert (shown.status, "completed" in shown.out) == (0, True)
    stats = factflow("execution", "stats", "one", "--output", "json").document
    assert (stats["is_final"], stats["counts"]["completed"]) == (True, 1)
    routes = factflow("execution", "routes", "one", "--output", "json").document
    assert routes["routes"]["a"]["received"] == 1
    assert factflow("execution", "routes", "one").out.splitlines()[1].split()[:2] == ["a", "1"]
    assert factflow("execution", "dag", "one").out.startswith("flowchart LR")
    assert factflow("execution", "dag", "one", "--format", "dot").out.startswith("digraph")
    assert {node["kind"] for node in json.loads(factflow("execution", "dag", "one", "--format", "json").out)["nodes"]} == {
        "init", "queue", "route",
    }  # fmt: skip
    waited = factflow("execution", "wait", "one")
    assert (waited.status, waited.out.split()[1]) == (0, "completed")
    assert factflow("execution", "cancel", "one").status == 1
    assert factflow("execution", "get", "two").status == 2


def test_a_failed_one_fails_the_wait(factflow, pipeline) -> None:
    text = GOOD.replace("{type: delay, config: {seconds: 0}}", "{type: call, config: {function: 'builtins:int'}}")
    text = text.replace("name: nightly", "name: nightly\norchestrator: {max_failed_messages: 0}")
    assert factflow("run", pipeline(text), "--home", "h").status == 1
    assert factflow("execution", "wait", "latest", "--home", "h").status == 1
    shown = factflow("execution", "get", "latest", "--home", "h").out
    assert "failed" in shown
    assert "TypeError" in shown


@contextmanager
def running(folder: Path) -> Iterator[Any]:
    """Run a pipeline that does not end by itself, in a process of its own, until its record is there."""
    (folder / "slow.yaml").write_text(SLOW)
    process = started(folder, "run", "slow.yaml", "--tag", "slow", "--progress", "plain", "--drain-timeout", "0")
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "recorded as execution" in line:
                break
        yield process
    finally:
        process.kill()
        process.communicate()


def test_one_of_another_process_is_seen_and_cancelled(factflow, tmp_path: Path) -> None:
    with running(tmp_path) as process:
        assert executions(factflow, "--status", "running")[0]["pid"] == process.pid
        assert factflow("execution", "wait", "slow", "--timeout", "0").status == 6
        asked = factflow("execution", "cancel", "slow", "--no-wait")
        assert (asked.status, "is asked to cancel" in asked.out) == (0, True)
        assert factflow("execution", "wait", "slow", "--timeout", "60").status == 4
        process.communicate(timeout=60)
        assert process.returncode == 1
    assert executions(factflow)[0]["status"] == "cancelled"


def test_what_was_terminated_is_cancelled(factflow, tmp_path: Path) -> None:
    with running(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 143
    assert factflow("execution", "wait", "slow").status == 4


def test_what_was_killed_is_interrupted_and_doctor_says_so(factflow, tmp_path: Path, home: Path) -> None:
    with running(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    assert executions(factflow)[0]["status"] == "running"  # its lease has not run out
    with closing(sqlite3.connect(home / "executions.db")) as store:
        store.execute("UPDATE execution SET lease_ns = lease_ns - 20000000000")  # as if 20 seconds had passed
        store.commit()
    assert executions(factflow, "--status", "interrupted")[0]["tag"] == "slow"
    assert factflow("execution", "wait", "slow").status == 5
    sick = factflow("doctor", "--output", "json")
    assert (sick.status, len(sick.document["problems"])) == (1, 1)
    settled = factflow("execution", "cancel", "slow")
    assert (settled.status, "was interrupted, and is settled: cancelled" in settled.out) == (0, True)
    again = factflow("execution", "cancel", "slow")
    assert (again.status, "had ended before: cancelled" in again.out) == (1, True)
    assert executions(factflow)[0]["status"] == "cancelled"
    assert factflow("doctor").status == 0


# -- replay and recovery -----------------------------------------------------------------------------------------------


def test_a_replay_says_what_it_published_and_a_recovery_takes_no_key(factflow, pipeline) -> None:
    text = GOOD.replace("seconds: 0}}", "seconds: 0}, store: true}").replace(
        "init_message",
        "    outbound: [{route: b}]\n  b:\n    adapters: [{type: delay, config: {seconds: 0}}]\ninit_message",
    )
    factflow("run", pipeline(text), "--tag", "one")
    words = ("execution", "replay", "one", "--from-stage", "delay", "--idempotency-key", "k")
    first = factflow(*words, "--output", "json")
    assert (first.status, first.document["routes"]["b"]["received"]) == (0, 1)
    assert "1 stored messages published" in first.err
    second = factflow(*words)
    assert (second.status, second.out.strip()) == (0, first.document["record"])
    refused = factflow("execution", "recover", "one", "--idempotency-key", "k")
    assert (refused.status, "one begins" in refused.err) == (2, True)


@pytest.mark.parametrize("way", ["replay", "fork"])
def test_an_object_that_the_lineage_knows_and_nobody_has_is_missed_before_anything_is_published(
    factflow, pipeline, home: Path, tmp_path: Path, way: str
) -> None:
    text = GOOD.replace("seconds: 0}}", "seconds: 0}, store: true}\n      - {type: log}") + "lineage: {mode: full}\n"
    factflow("run", pipeline(text), "--tag", "one")
    changed = tmp_path / "changed.yaml"
    changed.write_text(text)
    words = ("execution", way, "one", "--from-stage", "delay", *(["--config", changed] if way == "fork" else []))
    assert factflow(*words, "--dry-run").status == 0
    before = len(factflow("execution", "list", "--output", "json").document["executions"])
    shutil.rmtree(next(home.glob("objects/executions/*/*/delay")))
    refused = factflow(*words)
    assert (refused.status, "delay/" in refused.err, "does not exist" in refused.err) == (2, True, True)
    assert len(factflow("execution", "list", "--output", "json").document["executions"]) == before


def test_a_replay_and_a_recovery_need_no_lineage(factflow, pipeline, home: Path) -> None:
    text = GOOD.replace("seconds: 0}}", "seconds: 0}, store: true}\n      - {type: log}") + "lineage: {mode: full}\n"
    factflow("run", pipeline(text), "--tag", "one")
    shutil.rmtree(home / "lineage")
    (home / "lineage").touch()
    replayed = factflow("execution", "replay", "one", "--from-stage", "delay", "--dry-run", "--output", "json")
    assert (replayed.status, replayed.document["objects"]) == (0, 1)
    assert (
        "is a file; expected a folder of segments, or one segment of it; objects that only it knows of" in replayed.err
    )
    with closing(sqlite3.connect(home / "executions.db")) as store:
        store.execute("UPDATE execution SET status = 'interrupted', report = NULL")
        store.commit()
    assert factflow("execution", "recover", "one").status == 0


# -- doctor ------------------------------------------------------------------------------------------------------------


def test_doctor_finds_a_damaged_store_and_an_open_home(factflow, pipeline, home: Path) -> None:
    factflow("run", pipeline(GOOD), "--tag", "x")
    well = factflow("doctor", "--output", "json")
    assert (well.status, well.document["problems"]) == (0, [])
    assert well.document["parts"][0]["size_bytes"] > 4096
    home.chmod(0o755)
    assert "chmod 700" in factflow("doctor").out
    home.chmod(0o700)
    with (home / "executions.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8192))
    damaged = factflow("doctor")
    assert (damaged.status, "wrong: " in damaged.out) == (1, True)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return every file; the index of a log, which SQLite makes from the log and shares between processes, is none."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }


def test_doctor_and_verify_change_no_byte(factflow, pipeline, tmp_path: Path, home: Path) -> None:
    text = GOOD.replace("seconds: 0}}", "seconds: 0}, store: true}").replace(
        "init_message", "lineage: {mode: full}\ninit_message"
    )
    factflow("run", pipeline(text))
    factflow("config", "create", pipeline(text))
    before = bytes_of(home)
    assert factflow("doctor").status == 0
    assert factflow("storage", "verify").status == 0
    assert bytes_of(home) == before
    assert not list(home.rglob("*-shm"))
    # A process that dies leaves a log.
    with running(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    before = bytes_of(home)
    assert before["executions.db-wal"]
    assert factflow("doctor", "--output", "json").document["parts"][0]["holds"].startswith("1 configurations, 2 exec")
    assert factflow("storage", "verify").status == 0
    assert bytes_of(home) == before


def test_doctor_counts_all_executions(factflow, pipeline, monkeypatch) -> None:
    monkeypatch.setattr("factflow_engine.cli.doctor._PAGE_EXECUTIONS", 2)
    for _ in range(5):
        factflow("run", pipeline(GOOD), "--home", "h")
    parts = factflow("doctor", "--home", "h", "--output", "json").document["parts"]
    assert parts[0]["holds"] == "0 configurations, 5 executions (5 completed)"


def test_doctor_reads_the_objects(factflow, home: Path) -> None:
    Home(home).make()

    async def store() -> None:
        storage = open_storage(Home(home).objects_url)
        await storage.write("executions/a/b", b"whole")
        await storage.close()

    trio.run(store)
    well = factflow("doctor", "--output", "json")
    assert (well.status, well.document["parts"][0]["holds"]) == (0, "1 stored objects")
    for path in home.rglob("b"):
        path.write_bytes(b"torn")
    sick = factflow("doctor")
    assert (sick.status, "wrong: object 'executions/a/b'" in sick.out) == (1, True)
    assert factflow("doctor", "--no-objects").status == 0
