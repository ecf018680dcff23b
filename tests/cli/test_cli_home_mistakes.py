"""What a command says when the home is missing or closed, its store refuses a record, or parts of it or
the adapters are not there."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from factflow_engine.executions import recording
from factflow_engine.executions.sql_store import SqlStore

ADAPTERS = """\
from factflow_protocols import AdapterResult, PipelineAdapter


class Shout(PipelineAdapter):
    adapter_type = "shout"

    async def process(self, context):
        return AdapterResult(message={"text": context.message["text"].upper()})
"""
PIPELINE = """\
version: "1.0"
name: shouts
routes:
  a:
    adapters:
      - {type: shout, store: true}
      - {type: shout, name: again}
      - {type: count_by_field, config: {field: text}}
init_message: {route: a, payload: {text: hello}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)


@pytest.fixture
def interrupted(factflow, pipeline, tmp_path: Path) -> str:
    """An execution whose process died after its last message, and the file of its adapters."""
    adapters = tmp_path / "shouts.py"
    adapters.write_text(ADAPTERS)
    assert factflow("run", pipeline(PIPELINE), "--adapters", adapters).status == 0
    with closing(sqlite3.connect(tmp_path / ".factflow" / "executions.db")) as store:
        store.execute("UPDATE execution SET status = 'interrupted', report = NULL")
        store.commit()
    return str(adapters)


@pytest.mark.parametrize(("command", "what"), [("execution", "executions"), ("config", "configs")])
def test_a_list_of_a_home_that_is_not_there_says_so(factflow, tmp_path: Path, command: str, what: str) -> None:
    said = factflow(command, "list")
    place = str(tmp_path / ".factflow")
    assert (said.status, said.out) == (0, "")
    assert said.err == (
        f"factflow: there is no home at {place!r}, so nothing was recorded there; name one with --home or FACTFLOW_HOME\n"
    )
    assert factflow(command, "list", "--output", "json").document == {what: []}


def test_a_home_without_rights_says_what_to_change(factflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, *_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # as whoever is not root sees it
    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    said = factflow("execution", "list", "--home", "closed")
    assert said.status == 2
    assert "permission denied; change the owner or the mode of the folder, or choose another with --home" in said.err


def test_an_end_that_cannot_be_recorded_is_said_once(factflow, pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(SqlStore, "finish", refuse)
    monkeypatch.setattr(recording, "FINISH_SECONDS", 0.01)
    text = PIPELINE.replace("type: shout", "type: delay, config: {seconds: 0}")
    said = factflow("run", pipeline(text), "--tag", "one", "--output", "json")
    assert said.status == said.document["exit_status"] == 7
    assert said.err.count("(completed) could not be recorded: OSError: no room") == 1


@pytest.mark.parametrize("words", [["recover", "latest"], ["replay", "latest", "--from-stage", "shout"]])
def test_adapters_that_were_forgotten_are_asked_for(factflow, interrupted: str, words: list[str]) -> None:
    said = factflow("execution", *words)
    assert said.status == 2
    assert said.err.startswith(
        "factflow: adapters that it ran with are not here; name their modules as its run did, with --adapters\n"
    )
    assert factflow("execution", *words, "--adapters", interrupted).status == 0


def test_an_execution_and_its_recovery_are_replayed_as_one(factflow, interrupted: str) -> None:
    assert factflow("execution", "recover", "latest", "--adapters", interrupted).status == 0
    said = factflow("execution", "replay", "latest", "--from-stage", "shout", "--dry-run", "--adapters", interrupted)
    assert "1 message," in said.out
    assert said.err == "factflow: nothing was published\n"


def test_a_recovered_execution_names_what_goes_on_with_it(factflow, interrupted: str) -> None:
    [first] = factflow("execution", "list", "--output", "json").document["executions"]
    assert first["recovered_by"] is None
    assert factflow("execution", "recover", "latest", "--adapters", interrupted).status == 0
    latest, before = factflow("execution", "list", "--output", "json").document["executions"]
    assert (before["id"], before["status"], before["recovered_by"]) == (first["id"], "interrupted", latest["id"])
    assert (latest["status"], latest["recovered_by"]) == ("completed", None)
    assert latest["id"] in factflow("execution", "list", "--output", "plain").out.splitlines()[1]
    assert f"recovered by:  {latest['id']}\n" in factflow("execution", "get", first["id"]).out


def died(tmp_path: Path, statistics: str | None) -> None:
    """Make of the one execution that has run one that died, after or before it had said what it did."""
    with closing(sqlite3.connect(tmp_path / ".factflow" / "executions.db")) as store:
        store.execute("UPDATE execution SET status = 'interrupted', report = NULL, statistics = ?", [statistics])
        store.commit()


ON_DISK = PIPELINE.replace("type: shout", "type: delay, config: {seconds: 0}").replace(
    "      - {type: count_by_field, config: {field: text}}\n", ""
)


@pytest.mark.parametrize("statistics", [None, "{}"])
def test_a_recovery_on_another_queue_is_refused(factflow, pipeline, tmp_path: Path, statistics: str | None) -> None:
    assert factflow("run", pipeline(ON_DISK), "--queue", "sqlite:///q.db", "--tag", "one").status == 0
    died(tmp_path, statistics)
    said = factflow("execution", "recover", "one", "--queue", "sqlite:///other.db")
    assert said.status == 2
    assert said.err == (
        f"factflow: queue 'sqlite:///{tmp_path}/other.db' does not hold execution 'shouts', which would begin anew there: it "
        f"ran on 'sqlite:///{tmp_path}/q.db'. Name the queue that has its messages with --queue; if they were dropped, run it "
        "again\n"
    )
    assert not (tmp_path / "other.db").exists()
    assert factflow("execution", "recover", "one").status == 0, "its own, where it had ended"


@pytest.mark.parametrize(("statistics", "status"), [(None, 0), ("{}", 2)])
def test_what_died_before_it_began_begins_on_its_queue(
    factflow, pipeline, tmp_path: Path, statistics: str | None, status: int
) -> None:
    assert factflow("run", pipeline(ON_DISK), "--queue", "sqlite:///q.db", "--tag", "one").status == 0
    died(tmp_path, statistics)
    for path in tmp_path.glob("q.db*"):
        path.unlink()
    assert factflow("execution", "recover", "one").status == status
    assert (tmp_path / "q.db").exists() == (status == 0)


def test_a_queue_that_is_none_is_refused(factflow, pipeline, tmp_path: Path) -> None:
    assert factflow("run", pipeline(ON_DISK), "--queue", "sqlite:///q.db", "--tag", "one").status == 0
    died(tmp_path, "{}")
    (tmp_path / "text").write_text("x" * 5_000)
    said = factflow("execution", "recover", "one", "--queue", "sqlite:///text")
    assert said.status == 2
    assert "is not a usable SQLite file" in said.err


def test_objects_whose_folder_was_removed_are_missing(factflow, pipeline, tmp_path: Path) -> None:
    text = "lineage: {mode: full}\n" + PIPELINE.replace("type: shout", "type: delay, config: {seconds: 0}")
    assert factflow("run", pipeline(text)).status == 0
    assert factflow("doctor").status == 0
    assert factflow("storage", "verify").status == 0
    shutil.rmtree(tmp_path / ".factflow" / "objects")
    found = factflow("doctor")
    assert (found.status, "does not exist, and execution" in found.out) == (1, True)
    verified = factflow("storage", "verify")
    assert (verified.status, "missing" in verified.out) == (1, True)
    assert not (tmp_path / ".factflow" / "objects").exists(), "looking makes nothing"
