import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from factflow_engine.cli.config_validate import files_below
from factflow_engine.config.codes_of_tests import ALL_CODES

GOOD = """\
version: "1.0"
routes:
  a:
    adapters:
      - {type: delay, config: {seconds: 0}}
init_message: {route: a, payload: {n: 1}}
"""
BAD = """\
version: "1.0"
routes:
  a:
    adapters:
      - {type: dealy, config: {seconds: 0}}
"""


def test_a_good_file_is_ok(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    file = pipeline(GOOD)
    said = factflow("config", "validate", file)
    assert (said.status, said.out, said.err) == (0, f"ok  {file}: no problems\n", "")


def test_a_finding_has_place_code_underlined_line_and_remedy(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    file = pipeline(BAD)
    said = factflow("config", "validate", file)
    assert said.status == 2
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{file}:5:16: E103 ")
    assert lines[1] == "    5 |       - {type: dealy, config: {seconds: 0}}"
    assert lines[2] == "      |                ^^^^^"
    assert "delay" in lines[3]
    assert f"invalid  {file}: 1 error" in lines


def test_the_document_has_every_finding_with_its_place(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    file = pipeline(BAD)
    said = factflow("config", "validate", file, "--output", "json")
    assert said.status == 2
    assert said.document["valid"] is False
    (entry,) = said.document["files"]
    first = entry["findings"][0]
    assert (entry["file"], entry["config_hash"]) == (str(file), None)
    assert (first["code"], first["severity"], first["line"], first["column"]) == ("E103", "error", 5, 16)
    assert first["path"] == "routes.a.adapters[0].type"


def test_a_folder_is_checked_whole_in_order(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    folder = pipeline(GOOD, "all/b.yaml").parent
    pipeline(BAD, "all/a/x.yml")
    pipeline(GOOD, "all/c.yaml")
    pipeline("not: looked at", "all/.git/hidden.yaml")
    pipeline("not: looked at", "all/notes.txt")
    said = factflow("config", "validate", folder, "--output", "json")
    assert said.status == 2
    names = [Path(entry["file"]).relative_to(folder).as_posix() for entry in said.document["files"]]
    assert names == ["a/x.yml", "b.yaml", "c.yaml"]
    text = factflow("config", "validate", folder)
    assert text.status == 2
    assert text.out.splitlines()[-1] == "3 files: 2 ok, 1 invalid"


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "pipelines" / "a.yaml").touch()
    assert files_below(tmp_path) == ([tmp_path / "pipelines" / "a.yaml"], [])


def test_what_cannot_be_read_of_a_folder_is_named_and_is_not_valid(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pipeline(GOOD, "all/good.yaml").parent
    (folder / "closed").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "gone.yaml").symlink_to("nowhere.yaml")
    scandir = os.scandir

    def refuse_one(path: str) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse_one)
    said = factflow("config", "validate", folder, "--output", "json")
    assert said.status == 2
    assert [(Path(one["path"]).name, one["problem"]) for one in said.document["unread"]] == [
        ("closed", "cannot be listed: Permission denied"),
        ("pipe.yaml", "is not a regular file"),
    ]
    assert {Path(entry["file"]).name: entry["valid"] for entry in said.document["files"]} == {
        "good.yaml": True,
        "gone.yaml": False,
    }
    text = factflow("config", "validate", folder)
    assert text.status == 2
    assert "closed: cannot be listed: Permission denied" in text.out
    assert text.out.rstrip().endswith("2 files: 1 ok, 1 invalid, 2 unread")


def test_a_folder_without_configurations_is_an_error(factflow: Callable[..., Any], tmp_path: Path) -> None:
    said = factflow("config", "validate", tmp_path)
    assert said.status == 2
    assert "no .yaml or .yml file" in said.err


def test_a_missing_file_is_a_finding(factflow: Callable[..., Any], tmp_path: Path) -> None:
    said = factflow("config", "validate", tmp_path / "nowhere.yaml", "--output", "json")
    assert said.status == 2
    assert said.document["files"][0]["findings"][0]["code"].startswith("E0")


def test_warnings_are_told_and_do_not_count(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    warned = pipeline(GOOD + "  # the other route is reached by nothing\n")
    text = GOOD.replace("routes:\n", "routes:\n  lonely:\n    adapters: [{type: delay, config: {seconds: 0}}]\n")
    warned = pipeline(text)
    said = factflow("config", "validate", warned, "--output", "json")
    assert said.status == 0
    severities = {finding["severity"] for finding in said.document["files"][0]["findings"]}
    assert severities == {"warning"}


@pytest.mark.parametrize("command", [["config", "validate"], ["run"], ["graph"]])
def test_hostile_files_cannot_drive_the_terminal(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], command: list[str]
) -> None:
    file = pipeline('version: "1.0"\nroutes:\n  a:\n    "[red]\\e[31m\\n\\u202e": "\\a[/x]"\n', "[bold]x.yaml")
    said = factflow(*command, file)
    assert said.status == 2
    for line in (said.out + said.err).split("\n"):
        assert line.isprintable(), repr(line)
    assert "[bold]x.yaml" in said.out + said.err


def test_a_value_of_the_environment_is_not_printed(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    file = pipeline(GOOD.replace("seconds: 0", 'seconds: "${SECRET_DELAY}"'))
    said = factflow("config", "validate", file, env={"SECRET_DELAY": "hunter2-is-no-number"})
    assert said.status == 2
    assert "hunter2" not in said.out + said.err
    assert "SECRET_DELAY" in said.out


def test_the_schema_accepts_what_the_loader_accepts(factflow: Callable[..., Any]) -> None:
    schema = factflow("config", "schema").document
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    stage = {"type": "delay", "config": {"seconds": 0}}
    assert validator.is_valid({"version": "1.0", "routes": {"a": {"adapters": [stage]}}})
    assert not validator.is_valid({"version": "1.0", "routes": {"a": {"adapters": [{"type": "dealy"}]}}})


def test_the_schema_knows_the_adapters_of_a_named_module(factflow: Callable[..., Any], shout_module: Path) -> None:
    schema = factflow("config", "schema", "--adapters", shout_module).out
    assert '"shout"' in schema


def test_the_catalogue_is_printed_whole(factflow: Callable[..., Any]) -> None:
    rows = factflow("config", "codes", "--output", "json").document["codes"]
    assert [row["code"] for row in rows] == list(ALL_CODES)
    assert {row["severity"] for row in rows if row["code"].startswith("W")} == {"warning"}
    text = factflow("config", "codes").out
    assert all(code in text for code in ALL_CODES)


def test_one_code_is_explained(factflow: Callable[..., Any]) -> None:
    said = factflow("config", "codes", "e103")
    assert said.status == 0
    assert ALL_CODES["E103"].explanation in said.out
    assert factflow("config", "codes", "E999").status == 2


def test_json_output_is_ascii(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    out = factflow("config", "validate", pipeline(GOOD.replace("version", "vérsion")), "-o", "json").out
    assert out.isascii()
    assert "vérsion" in json.dumps(json.loads(out), ensure_ascii=False)


OWN = """\
version: "1.0"
routes:
  a:
    adapters:
      - {type: mine_alone, config: {x: 1}}
      - {type: call, config: {function: "a_module_never_imported:f"}}
      - {type: delay, config: {seconds: 0}}
init_message: {route: a, payload: {n: 1}}
"""


def _raising(tmp_path: Path) -> Path:
    module = tmp_path / "raising.py"
    module.write_text("\n\nraise RuntimeError('it was imported')\n")
    return module


def test_nothing_is_imported_if_that_is_asked_for_and_what_is_not_checked_is_said(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    file, module = pipeline(OWN), _raising(tmp_path)
    said = factflow("config", "validate", file, "--no-imports", "-a", module)
    assert said.status == 0, said.err
    unchecked = f"adapter type 'mine_alone', function 'a_module_never_imported:f', module {module}"
    assert said.out.splitlines() == [
        f"ok  {file}: no problems",
        f"nothing was imported; not checked: {unchecked}",
    ]
    document = factflow("config", "validate", file, "--no-imports", "-a", module, "-o", "json").document
    assert document["imports"] is False
    assert document["files"][0]["unchecked"] == [
        {"line": 5, "column": 16, "path": "routes.a.adapters[0].type", "what": "adapter type 'mine_alone'"},
        {
            "line": 6,
            "column": 22,
            "path": "routes.a.adapters[1].config",
            "what": "function 'a_module_never_imported:f'",
        },
    ]
    with_imports = factflow("config", "validate", file, "-o", "json").document
    assert with_imports["imports"] is True
    assert [found["code"] for found in with_imports["files"][0]["findings"]] == ["E103", "E309"]
    assert with_imports["files"][0]["unchecked"] == []


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("{type: delay, config: {seconds_: 0}}", "E301"),
        ("{type: call, config: {function: no_function}}", "E303"),
        ("{type: call, config: {function: 'a:_b'}}", "E303"),
        ("{type: call, config: {function: 'a:b', argument_: context}}", "E301"),
    ],
)
def test_the_rest_is_checked_without_imports(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], stage: str, code: str
) -> None:
    file = pipeline(GOOD.replace("{type: delay, config: {seconds: 0}}", stage))
    said = factflow("config", "validate", file, "--no-imports", "-o", "json")
    assert said.status == 2
    assert code in [found["code"] for found in said.document["files"][0]["findings"]]


def test_a_queue_of_a_plug_in_cannot_be_asked_without_imports(
    factflow: Callable[..., Any], pipeline: Callable[..., Path]
) -> None:
    file = pipeline(GOOD)
    said = factflow("config", "validate", file, "--no-imports", "--queue", "acme://x")
    assert said.status == 2
    assert "leave out --queue" in said.err
    assert factflow("config", "validate", file, "--no-imports", "--queue", "sqlite:///q.db").status == 0


def test_a_graph_is_drawn_without_imports(factflow: Callable[..., Any], pipeline: Callable[..., Path]) -> None:
    said = factflow("graph", pipeline(OWN), "--no-imports")
    assert said.status == 0
    assert "mine_alone" in said.out
    assert said.err.startswith("nothing was imported; not checked: adapter type 'mine_alone'")


def test_a_module_that_raises_is_a_finding_with_its_line(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    file, module = pipeline(GOOD), _raising(tmp_path)
    said = factflow("config", "validate", file, "-a", module)
    assert said.status == 2
    assert said.err.splitlines()[:4] == [
        f"factflow: --adapters {module} cannot be used",
        f"{module}:3:1: E308 RuntimeError: it was imported",
        "    3 | raise RuntimeError('it was imported')",
        "      | ^^^^^",
    ]
    said = factflow("config", "validate", file, "-a", module, "-o", "json")
    assert (said.document["valid"], said.document["files"]) == (False, [])
    (found,) = said.document["findings"]
    assert (found["code"], found["file"], found["line"]) == ("E308", str(module), 3)
    assert found["remedy"]


def test_a_keyboard_interrupt_of_the_module_itself_is_its_fault(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    module = tmp_path / "interrupts.py"
    module.write_text("raise KeyboardInterrupt\n")
    said = factflow("config", "validate", pipeline(GOOD), "-a", module)
    assert said.status == 2
    assert f"({module}:1)" in said.err
    assert "if __name__ ==" in said.err


def test_ctrl_c_while_a_module_is_imported_names_its_line(
    factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path
) -> None:
    module = tmp_path / "waits.py"
    module.write_text("import signal\n\nsignal.raise_signal(signal.SIGINT)\n")
    said = factflow("config", "validate", pipeline(GOOD), "-a", module)
    assert said.status == 130
    assert said.err.split("\n\n") == [
        f"factflow: interrupted while a module was imported, at {module}:3",
        "factflow: interrupted\n",
    ]
