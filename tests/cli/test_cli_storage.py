"""`factflow storage`: each command on a folder, what it says of wrong input, and that a copy stays in its folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from factflow_engine.executions.home import Home
from factflow_engine.storages.file import FileStorage


def fill(folder: Path, **objects: bytes) -> str:
    async def write() -> None:
        storage = FileStorage(folder)
        for key, content in objects.items():
            await storage.write(key.replace("__", "/"), content, content_type="text/plain", custom={"from": key})

    trio.run(write)
    return f"file://{folder}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return fill(tmp_path / "store", a__1=b"one\n", a__2=b"two\n", b=b"three\n")


def test_list_prints_keys_in_order_by_prefix_and_up_to_a_limit(factflow: Callable[..., Any], url: str) -> None:
    assert factflow("storage", "list", "--storage", url).out == "a/1\na/2\nb\n"
    assert factflow("storage", "list", "a", "--storage", url, "-o", "plain").out == "a/1\na/2\n"
    assert factflow("storage", "list", "--storage", url, "--limit", 1).out == "a/1\n"
    assert factflow("storage", "list", "x", "--storage", url).out == ""
    assert factflow("storage", "list", "--storage", url, "-o", "json").document == {
        "objects": [{"key": "a/1"}, {"key": "a/2"}, {"key": "b"}]
    }


def test_list_long_says_what_each_object_is(factflow: Callable[..., Any], url: str, tmp_path: Path) -> None:
    (tmp_path / "store" / "b").write_bytes(b"cut")
    rows = [
        line.split("\t") for line in factflow("storage", "list", "-l", "--storage", url, "-o", "plain").out.splitlines()
    ]
    assert [row[:3] for row in rows] == [["a/1", "4", "text/plain"], ["a/2", "4", "text/plain"], ["b", "", "corrupt"]]
    document = factflow("storage", "list", "-l", "--storage", url, "-o", "json").document
    assert [set(row) for row in document["objects"]][1:] == [
        {"key", "size_bytes", "content_type", "checksum"},
        {"key", "error"},
    ]


def test_get_prints_the_bytes_and_says_if_they_are_not_those_that_were_stored(
    factflow: Callable[..., Any], url: str, tmp_path: Path
) -> None:
    assert factflow("storage", "get", "a/1", "--storage", url).out == "one\n"
    (tmp_path / "store" / "a" / "1").write_bytes(b"two\n")
    said = factflow("storage", "get", "a/1", "--storage", url)
    assert (said.status, said.out) == (1, "two\n")
    assert "its bytes are not those that were written" in said.err
    assert factflow("storage", "get", "a/3", "--storage", url).status == 2


def test_metadata_prints_what_is_known(factflow: Callable[..., Any], url: str) -> None:
    said = factflow("storage", "metadata", "a/1", "--storage", url)
    assert [line.split()[0] for line in said.out.splitlines()] == ["key", "bytes", "type", "sha256", "custom.from"]
    document = factflow("storage", "metadata", "a/1", "--storage", url, "-o", "json").document
    assert (document["size_bytes"], document["custom"]) == (4, {"from": "a__1"})


def test_the_objects_of_a_home_are_the_default(
    factflow: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = factflow("storage", "list")
    assert said.status == 2
    assert "there is no home" in said.err
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    home = Home(tmp_path / ".factflow")
    home.make()
    assert "nothing was stored there yet" in factflow("storage", "list").err
    fill(home.objects, k=b"x")
    assert factflow("storage", "list").out == "k\n"
    assert factflow("storage", "list", "--home", ".factflow").out == "k\n"
    assert factflow("storage", "list", env={"FACTFLOW_HOME": ".factflow"}).out == "k\n"
    assert "write one of them" in factflow("storage", "list", "--home", "h", "--storage", "file://./x").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--storage", "nonsense"), "write file://./nonsense for a folder"),
        (("list", "--storage", "file://./missing"), "there is no store"),
        (("list", "../x"), "no key begins so"),
        (("get", "../x"), "the part '..'"),
        (("metadata", "missing"), "does not exist; `factflow storage list` shows those that do"),
        (("download", "missing", "--to", "copy"), "no key begins with 'missing'"),
        (("verify", "/x"), "no key begins so"),
    ],
)
def test_wrong_input_is_answered_in_one_line(
    factflow: Callable[..., Any], url: str, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = factflow("storage", *arguments, *(() if "--storage" in arguments else ("--storage", url)))
    assert answer.status == 2
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_download_makes_a_store_of_its_folder(factflow: Callable[..., Any], url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert factflow("storage", "download", "a", "--to", copy, "--storage", url).out == "2 objects copied, 8 bytes\n"
    assert (copy / "a" / "1").read_bytes() == b"one\n"
    assert factflow("storage", "verify", "--storage", f"file://{copy}").status == 0
    document = factflow("storage", "download", "--to", copy, "--storage", url, "-o", "json").document
    assert document == {"copied": 1, "size_bytes": 6, "present": 2, "failed": {}}


def test_download_replaces_a_file_only_if_asked_to(factflow: Callable[..., Any], url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "b").write_bytes(b"mine")
    said = factflow("storage", "download", "--to", copy, "--storage", url)
    assert (said.status, said.out) == (1, "2 objects copied, 8 bytes; 1 failed\n")
    assert "--overwrite replaces it" in said.err
    assert (copy / "b").read_bytes() == b"mine"
    assert factflow("storage", "download", "--to", copy, "--overwrite", "--storage", url).status == 0
    assert (copy / "b").read_bytes() == b"three\n"


def test_download_follows_no_link_out_of_its_folder(factflow: Callable[..., Any], url: str, tmp_path: Path) -> None:
    outside, copy = tmp_path / "outside", tmp_path / "copy"
    outside.mkdir()
    copy.mkdir()
    (copy / "a").symlink_to(outside)
    (copy / "b").symlink_to(outside / "b")
    said = factflow("storage", "download", "--to", copy, "--storage", url, "--overwrite")
    assert said.status == 1
    assert "symbolic link" in said.err
    assert list(outside.iterdir()) == []


def test_download_copies_no_damaged_object(factflow: Callable[..., Any], url: str, tmp_path: Path) -> None:
    (tmp_path / "store" / "a" / "1").write_bytes(b"ONE\n")
    said = factflow("storage", "download", "--to", tmp_path / "copy", "--storage", url)
    assert (said.status, said.out) == (1, "2 objects copied, 10 bytes; 1 failed\n")
    names = sorted(path.name for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert names == [".factflow-lock", "2", "2.meta.json", "b", "b.meta.json"]


def test_verify_says_what_is_wrong_and_repairs_what_it_can(
    factflow: Callable[..., Any], url: str, tmp_path: Path
) -> None:
    assert factflow("storage", "verify", "--storage", url).out == "3 objects whole, 14 bytes; 0 problems\n"
    store = tmp_path / "store"
    (store / "a" / "1").write_bytes(b"ONE\n")
    (store / "a" / "2").unlink()
    (store / "mine").write_bytes(b"")
    (store / ".factflow-tmp-x").write_bytes(b"")
    (store / "link").symlink_to("/etc")
    (store / "a" / "bad.meta.json").symlink_to("/etc")
    answer = factflow("storage", "verify", "--storage", url, "-o", "plain")
    assert answer.status == 1
    rows = [line.split("\t")[:2] for line in answer.out.splitlines()]
    assert rows == [["corrupt", "a/1"], ["foreign", "a/bad.meta.json"], ["foreign", "link"], ["orphaned", "mine"]]
    assert "2 unfinished writes, too young" in factflow("storage", "verify", "--storage", url).out
    others = factflow("storage", "verify", "b", "--storage", url, "--grace", 0, "--repair")
    assert (others.status, others.out) == (0, "1 object whole, 6 bytes; 0 problems\n")
    document = factflow("storage", "verify", "--storage", url, "--grace", 0, "--repair", "-o", "json").document
    assert [each["key"] for each in document["repaired"]] == [".factflow-tmp-x", "a/2.meta.json"]
    assert (document["objects"], document["unfinished"], len(document["problems"])) == (1, 0, 4)
    assert (store / "a" / "1").read_bytes() == b"ONE\n", "no object is changed"


def test_keys_and_metadata_of_any_origin_cannot_act_on_the_terminal(
    factflow: Callable[..., Any], tmp_path: Path
) -> None:
    url = fill(tmp_path / "store", k=b"x")
    sidecar = tmp_path / "store" / "k.meta.json"
    document = json.loads(sidecar.read_text())
    document["content_type"] = "\x1b[31mtext"
    document["custom"] = {"\x1b]0;x\x07": "\u202eevil\x1b[0m"}
    sidecar.write_text(json.dumps(document))
    (tmp_path / "store" / "k\u202e").write_bytes(b"")
    for command in (("list",), ("list", "-l"), ("metadata", "k"), ("verify",)):
        answer = factflow("storage", *command, "--storage", url)
        assert not set("\x1b\x07\u202e") & set(answer.out + answer.err), command
