"""Text as it comes: hostile, bounded, and read by YAML 1.2's core schema."""

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.config import ConfigurationError, PipelineConfigLoader
from factflow_engine.config.nodes import plain_value
from factflow_engine.config.report import Report
from factflow_engine.config.scalars import resolve_plain
from factflow_engine.config.text import Lines, is_text
from factflow_engine.config.yaml import parse

VALID = 'version: "1.0"\nroutes: {a: {adapters: [{type: plain}]}}\n'
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)
MERGE_BOMB = "a0: &a0 {x: 1}\na1: &a1 {<<: [" + "*a0, " * 500 + "]}\n"
HOSTILE = {
    "aliases of aliases": (BOMB, "E005"),
    "merge keys": (MERGE_BOMB, "E013"),
    "brackets": ("[" * 100_000, "E004"),
    "braces": ("{" * 100_000, "E004"),
    "mappings in a line": ("{a: " * 100_000, "E004"),
    "sequences in a line": ("- " * 100_000, "E004"),
    "depth by aliases": ("".join(f"a{n}: &a{n} {'[' * 40}{f'*a{n - 1}' if n else ''}{']' * 40}\n" for n in range(4)), "E004"),
    "50 MB of text": ("a: b\n" * 10_000_000, "E003"),
    "50 MB of bytes": (b"a: b\n" * 10_000_000, "E003"),
    "duplicate keys": (VALID + "routes: {}\n", "E002"),
    "the same key again and again": ("a: 1\n" * 2_000, "E002"),
    "a Python object": ("a: !!python/object/apply:os.system [id]\n", "E011"),
    "a Python object in a valid document": (VALID + "name: !!python/object:os.system {}\n", "E011"),
    "invalid UTF-8": (VALID.encode() + b"name: \xc3\x28\n", "E008"),
    "UTF-16": (VALID.encode("utf-16"), "E008"),
    "byte order mark": ("\ufeff" + VALID, "E009"),
    "byte order mark in bytes": (("\ufeff" + VALID).encode(), "E009"),
    "tabs": ("routes:\n\ta:\n\t\tadapters: []\n", "E010"),
    "an impossible escape": ('a: "\\U00110000"\n', "E001"),
    "an impossible directive": ("%YAML 9999999999999.1\n---\na: 1\n", "E001"),
    "quotes": ('"' * 100_000, "E001"),
    "a number without end": ("a: " + "9" * 900_000, "E020"),
    "half a surrogate pair": ("a: \ud800\n", "E018"),
    "an alias in itself": ("a: &a [*a]\n", "E014"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_one_finding_and_cheap(name: str, loader: PipelineConfigLoader) -> None:
    text, code = HOSTILE[name]
    started = time.process_time()
    result = loader.check_text(text)
    seconds = time.process_time() - started
    assert [finding.code for finding in result.findings] == [code]
    assert result.config is None
    assert seconds < 1
    tracemalloc.start()
    loader.check_text(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000


def test_a_huge_file_is_not_read_whole(loader: PipelineConfigLoader, tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(10_000_000_000)
    assert [finding.code for finding in loader.check(path).findings] == ["E003"]


def test_the_size_bound_can_be_raised(loader: PipelineConfigLoader, registry: object) -> None:
    text = VALID + "# " + "x" * 1_100_000
    assert not loader.check_text(text).is_valid
    assert PipelineConfigLoader(loader._registry, max_bytes=2_000_000).check_text(text).is_valid


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("010", 10), ("0o10", 8), ("0x1F", 31), ("1_000", "1_000"),
        ("+5", 5), ("-0", 0), ("1.10", 1.1), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-.inf", float("-inf")), ("inf", "inf"),
        ("12:30:45", "12:30:45"), ("2020-01-01", "2020-01-01"), ("~", None), ("", None), ("null", None), ("nULL", "nULL"),
        ("True", True), ("tRUE", "tRUE"), ("1.2.3", "1.2.3"), ("+", "+"), ("-", "-"), (".", "."), ("0b1", "0b1"), ("\uff11", "\uff11"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    resolved = resolve_plain(text)
    assert resolved == value
    assert type(resolved) is type(value)


def test_not_a_number_is_resolved() -> None:
    resolved = resolve_plain(".nan")
    assert isinstance(resolved, float)
    assert resolved != resolved


def test_tags_of_the_core_schema_are_understood_and_quotes_make_strings() -> None:
    report = Report("<text>")
    node = parse("[!!str 1, ! 2, '3', \"4\", !!int 6, !!float 7, !!null '', !!bool true, !!seq [], !!map {}]", report)
    assert report.findings() == ()
    assert node is not None
    assert plain_value(node) == ["1", "2", "3", "4", 6, 7.0, None, True, [], {}]


def test_anchors_and_aliases_stand_for_the_same_value() -> None:
    report = Report("<text>")
    node = parse("a: &x {b: [1, 2]}\nc: *x\nd: [*x, &y z, *y]\n", report)
    assert node is not None
    assert plain_value(node) == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": [{"b": [1, 2]}, "z", "z"]}


@given(st.text("ab\r\n\x85\u2028\t", max_size=30), st.integers(0, 30))
def test_a_mark_is_where_editors_show_it(text: str, offset: int) -> None:
    offset = min(offset, len(text))
    mark = Lines(text).mark(offset)
    before = text[:offset] + ("\n" if text[offset - 1 : offset + 1] == "\r\n" else "")
    normal = before.replace("\r\n", "\n").replace("\r", "\n")
    if text[offset - 1 : offset + 1] != "\r\n":
        assert mark.line == normal.count("\n") + 1
        assert mark.column == len(normal) - (normal.rfind("\n") + 1) + 1


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("pipeline.yaml", False), ("dir/a.yaml", False), ("C:\\a.yaml", False), ("a: 1", True), ("{}", True), (" [1]", True),
        ("\ufeff{}", True), ("a\nb", True), ("", True), ("  ", True), ("x" * 1_024, False), ("x" * 1_025, True),
    ],
)  # fmt: skip
def test_a_string_is_a_text_or_a_path(given_text: str, expected: bool) -> None:
    assert is_text(given_text) is expected


@pytest.mark.parametrize("source", ["no/such.yaml", "a\0b", "x" * 1_000, "\ud800"])
def test_what_cannot_be_read_is_a_finding(source: str, loader: PipelineConfigLoader) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loader.load(source)
    (finding,) = caught.value.findings
    assert (finding.code, finding.line, finding.column) == ("E016", 1, 1)


def test_a_directory_is_a_finding(loader: PipelineConfigLoader, tmp_path: Path) -> None:
    (finding,) = loader.check(tmp_path).findings
    assert finding.code == "E016"
    assert "directory" in finding.message
