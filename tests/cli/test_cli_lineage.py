"""`factflow lineage` and `factflow explain`: what they print, and what they say of wrong input."""

import json
import sqlite3

import pytest
import trio

from factflow_engine.executions import Home
from factflow_engine.lineage.providers import open_lineage
from factflow_engine.lineage.sqlite.folder import segments
from factflow_engine.storages.providers import open_storage
from factflow_engine.testing import lineage_entry
from support.lineage_demo import EXECUTION, PAGES, ROOT_ID, record, rows

FAILED = PAGES[1].hex()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a home with the rows of the demo, in which commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)
    trio.run(record, tmp_path / ".factflow" / "lineage")
    return tmp_path / ".factflow"


def test_list_shows_the_newest_first_and_selects(factflow, home):
    said = factflow("lineage", "list")
    assert said.status == 0
    assert said.out.splitlines()[0].startswith(PAGES[2].hex())
    assert "    attempt 2, waited 2 s for retry\n" in said.out
    assert "    attempt 2, TimeoutError: the model did not answer within 30 s (adapters.py:12)\n" in said.out
    found = factflow("lineage", "list", "--status", "failed", "--output", "json").document
    assert [row["attempt"] for row in found["visits"]] == [3, 2, 1]
    assert found["more"] is False
    assert found["visits"][0]["detail"]["type"] == "TimeoutError"
    cut = factflow("lineage", "list", "--limit", "2")
    assert len(cut.out.splitlines()) == 3
    assert "--limit lists more" in cut.err
    plain = factflow("lineage", "list", "--stage", "http_request", "--output", "plain").out
    assert plain.split("\t")[:5] == [ROOT_ID.hex(), "2026-09-21 14:13:20", EXECUTION, "fetch", "http_request"]
    assert "no visit is recorded" in factflow("lineage", "list", "--execution", "x' OR '1'='1").err


def test_failures_chain_and_children(factflow, home):
    [failure] = factflow("lineage", "failures", "--output", "json").document["failures"]
    assert (failure["message_id"], failure["outcome"], failure["attempts"]) == (FAILED, "dead_lettered", 3)
    assert "TimeoutError" in factflow("lineage", "failures").out
    chain = factflow("lineage", "chain", FAILED, "--output", "json").document["chain"]
    assert [way["message_id"] for way in chain] == [ROOT_ID.hex(), FAILED]
    children = factflow("lineage", "children", ROOT_ID.hex()).out
    assert all(page.hex() in children for page in PAGES)
    assert "no children" in factflow("lineage", "children", FAILED).err


def test_stats_agree_with_the_rows(factflow, home):
    found = factflow("lineage", "stats", "--output", "json").document
    entries, outcomes = rows()
    assert sum(sum(stage["statuses"].values()) for stage in found["stages"]) == len(entries)
    assert sum(sum(route["outcomes"].values()) for route in found["routes"]) == len(outcomes)
    text = factflow("lineage", "stats").out
    assert "summarize" in text
    assert "dead-lettered" in text
    plain = factflow("lineage", "stats", "--output", "plain", "--stage", "summarize").out
    assert plain.rstrip("\n").split("\t")[:9] == [EXECUTION, "parse", "summarize", "2", "3", "0", "0", "0", "2"]


def test_sql_reads_and_nothing_else(factflow, home):
    said = factflow(
        "lineage", "sql", "SELECT stage, count(*) AS n FROM visits GROUP BY 1 ORDER BY 1", "--output", "json"
    )
    assert said.document == {
        "columns": ["stage", "n"],
        "rows": [["http_request", 1], ["markdown", 5], ["summarize", 5], ["translate", 5]],
        "more": False,
    }
    found = factflow(
        "lineage", "sql", f"SELECT outcome FROM outcomes WHERE message_id = x'{FAILED}'", "--output", "plain"
    )
    assert found.out == "dead_lettered\n"
    refused = factflow("lineage", "sql", "DROP TABLE visits")
    assert refused.status == 2
    assert "only reads" in refused.err
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    assert "took longer than 0.1 s" in factflow("lineage", "sql", endless, "--timeout", "0.1").err


def test_export_writes_every_row_once(factflow, home, tmp_path):
    entries, outcomes = rows()
    lines = [json.loads(line) for line in factflow("lineage", "export").out.splitlines()]
    assert sorted((row["message_id"], row["stage"], row["attempt"]) for row in lines) == sorted(
        (row.message_id.hex(), row.stage, row.attempt) for row in entries
    )
    said = factflow("lineage", "export", "--rows", "outcomes", "--to", "out.jsonl", "--output", "json")
    assert said.document == {"file": "out.jsonl", "rows": len(outcomes)}
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == len(outcomes)
    from pyarrow import parquet  # imported late: it takes a second

    assert factflow("lineage", "export", "--to", "out.parquet").status == 0
    table = parquet.read_table(tmp_path / "out.parquet")
    assert sorted(map(str, table.to_pylist())) == sorted(str(row._asdict()) for row in entries)
    for name, said in (("out.csv", "expected a name that ends in"), ("no/such/out.jsonl", "cannot be written")):
        refused = factflow("lineage", "export", "--to", name)
        assert refused.status == 2
        assert said in refused.err
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("words", [("--stage", "markdown"), ("--status", "failed")])
def test_export_of_outcomes_refuses_what_selects_visits(factflow, home, words):
    said = factflow("lineage", "export", "--rows", "outcomes", *words)
    assert (said.status, said.out, "select visits" in said.err) == (2, "", True)


@pytest.mark.parametrize("fails", ["the store", "the file"])
def test_export_blames_what_has_failed(factflow, home, monkeypatch, fails):
    async def broken(*_, **__):
        raise OSError(5, "Input/output error")

    if fails == "the store":
        monkeypatch.setattr("factflow_engine.lineage.sqlite.reader.SqliteLineageReader.visits", broken)
    said = factflow("lineage", "export", "--to", home.parent / "gone" / "x.jsonl" if fails == "the file" else "x.jsonl")
    assert (said.status == 0, "cannot be written" in said.err) == (False, fails == "the file")
    assert not list(home.parent.glob("*unfinished"))


def test_export_without_the_extra_names_it(factflow, home, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    said = factflow("lineage", "export", "--to", "out.parquet")
    assert said.status == 2
    assert "factflow-engine[parquet]" in said.err


def test_explain_says_it_all(factflow, home):
    said = factflow("explain", FAILED[:20])
    assert said.status == 0
    for part in (
        f"Message {FAILED}", f"came from   {ROOT_ID.hex()}  fetch/http_request", "dead-lettered after 3 attempts",
        "attempt 2", "waited 2 s for retry", 'lang neq "en" did not hold: it was "en"',
        f"executions/{EXECUTION}/parse/markdown/{FAILED}", "no store was named",
    ):  # fmt: skip
        assert part in said.out, part
    document = factflow("explain", FAILED, "--output", "json").document
    [way] = document["passages"]
    assert way["outcome"]["outcome"] == "dead_lettered"
    assert len(way["visits"]) == 9
    assert [each["message_id"] for each in document["ancestors"]] == [ROOT_ID.hex()]
    root = factflow("explain", ROOT_ID.hex()).out
    assert "it is a root" in root
    assert all(page.hex() in root for page in PAGES)


def test_explain_finds_stored_objects(factflow, home):
    (home / "objects").mkdir()
    assert "none: no stage stored it" in factflow("explain", FAILED).out


async def store(url: str) -> list[str]:
    storage = open_storage(url)
    keys = [f"executions/{EXECUTION}/parse/{stage}/{FAILED}.txt" for stage in ("markdown", "summarize")]
    for key in keys:
        await storage.write(key, b"whole")
    await storage.close()
    return keys


def test_explain_names_a_damaged_object_and_goes_on(factflow, home):
    [damaged, whole] = trio.run(store, Home(home).objects_url)
    (home / "objects" / f"{damaged}.meta.json").write_text("{")
    said = factflow("explain", FAILED)
    assert said.status == 0
    assert f"{damaged}\n" in said.out
    assert f"{whole}  (5 bytes)" in said.out
    first, second = factflow("explain", FAILED, "--output", "json").document["objects"]
    assert (first["key"], first["size_bytes"], second["size_bytes"], second["problem"]) == (damaged, None, 5, None)
    assert first["problem"] in said.out


def test_explain_goes_on_without_a_store_that_cannot_be_read(factflow, home):
    (home.parent / "file").write_text("")
    said = factflow("explain", FAILED, "--storage", f"file://{home.parent}/file")
    assert (said.status, "cannot all be looked up: " in said.out) == (0, True)
    assert "dead-lettered after 3 attempts" in said.out
    assert (
        "is a file"
        in factflow("explain", FAILED, "--storage", f"file://{home.parent}/file", "-o", "json").document[
            "objects_unread"
        ]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zz", "is no message id"),
        ("01a", "is no message id"),
        ("ffffffff", "is recorded"),
        ("01a0c450", "several messages begin with"),
        ("01a0'; DROP TABLE visit; --", "is no message id"),
    ],
)
def test_a_wrong_id_is_one_clear_error(factflow, home, text, said):
    for command in (("explain",), ("lineage", "chain"), ("lineage", "children")):
        refused = factflow(*command, text)
        assert refused.status == 2
        assert said in refused.err
        assert len(refused.err.splitlines()) == 1


def test_where_nothing_is_recorded_one_line_says_so(factflow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)
    for arguments, part in (
        ((), "there is no lineage in"),
        (("--home", "elsewhere"), "there is no lineage in"),
        (("--lineage", "sqlite:///nowhere"), "there is no lineage in 'nowhere'"),
        (("--lineage", "sqlit:///nowhere"), "did you mean sqlite://"),
        (("--lineage", "nowhere"), "write sqlite:///nowhere"),
    ):
        refused = factflow("lineage", "list", *arguments)
        assert refused.status == 2
        assert part in refused.err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_segment_is_named_once_and_the_others_are_read(factflow, home):
    async def write_another() -> None:
        sink = open_lineage(f"sqlite:///{home}/lineage?segment_seconds=0.001")
        await sink.write([lineage_entry(9)], [])
        await sink.close()

    trio.run(write_another)
    hurt, _ = segments(home / "lineage")
    hurt.path.write_bytes(b"x" * 10_000)
    said = factflow("lineage", "list")
    assert said.status == 0
    assert said.out.count("parse/markdown") == 1
    assert said.err.count(hurt.name) == 1
    assert "its rows are missing here" in said.err


def test_texts_of_messages_cannot_steer_the_terminal(factflow, home):
    path = segments(home / "lineage")[0].path
    connection = sqlite3.connect(path)
    connection.execute("UPDATE place SET stage = char(27) || '[31m' || char(10) || 'evil' WHERE stage = 'markdown'")
    connection.commit()
    connection.close()
    for command in (("lineage", "list"), ("explain", FAILED), ("lineage", "stats")):
        assert "\x1b" not in factflow(*command).out
