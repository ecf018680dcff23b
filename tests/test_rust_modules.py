"""The Rust workspace keeps its house: no circle of modules, one meaning for a type's name, errors that hide their kinds."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from support.rust_modules import circles_of, errors_of, graph_of, modules_of, types_of

RUST = Path(__file__).parent.parent / "rust"
CRATES = ["core", "bindings"]


def crate(name):
    return modules_of(RUST / name / "src")


@pytest.mark.parametrize("name", CRATES)
def test_no_modules_name_each_other_in_a_circle(name):
    graph = graph_of(crate(name))
    assert sum(map(len, graph.values())) > len(graph), "the reader found next to nothing: it has lost its way"
    circles = [sorted("::".join(module) for module in circle) for circle in circles_of(graph)]
    assert circles == [], "expected modules below or beside each other, got a circle; move what they share into its own"


SMALL = {
    "lib.rs": "pub mod low;\nmod high;\npub use high::High;\n",
    "low.rs": "// use crate::high::High\npub struct Low;\n",
    "high.rs": "use crate::{low::{Low}};\npub struct High(Low);\n",
}


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({}, None),
        ({"low.rs": "use super::high::High as Top;"}, {("low",), ("high",)}),
        ({"low.rs": "fn low() { crate::high::go() }"}, {("low",), ("high",)}),
        ({"low.rs": "use crate::\n    high::{\n    High,\n};"}, {("low",), ("high",)}),
        ({"low.rs": "use super::High;"}, {(), ("low",), ("high",)}),
        ({"high.rs": "mod a;\nmod b;", "high/a.rs": "use super::b::B;", "high/b.rs": "use super::a;"}, "a and b"),
        ({"low/deep.rs": "use crate::high;", "high/far.rs": "use crate::low;"}, {("low",), ("high",)}),
        ({"low.rs": "#[cfg(test)]\nmod tests {\nuse super::high::High;\n}"}, None),
        ({"low.rs": 'fn low() { panic!("crate::high::go") }'}, None),
    ],
)
def test_the_reader_finds_circles_of_files_and_of_folders(tmp_path, files, circle):
    for name, text in {**SMALL, **files}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    if circle == "a and b":
        circle = {("high", "a"), ("high", "b")}
    found = circles_of(graph_of(modules_of(tmp_path)))
    assert (frozenset(circle) in found) if circle else (found == set())


def test_a_name_of_a_type_means_one_type_in_the_whole_workspace():
    places = defaultdict(list)
    for name in CRATES:
        for type_name, module in types_of(crate(name)):
            places[type_name].append("::".join((name, *module)))
    assert len(places) > 100, "the reader found next to no types: it has lost its way"
    twins = {type_name: found for type_name, found in places.items() if len(found) > 1}
    assert twins == {}, "expected one type of a name, got several; name each by what it alone is"


def test_errors_of_the_core_hide_what_kinds_there_are():
    errors = dict(errors_of(crate("core")))
    assert set(errors) >= {"ValueError", "FrameError", "PathError", "TableError", "SettingsError", "IllegalTransition"}
    shown = {name: fields for name, fields in errors.items() if fields}
    assert shown == {}, "expected errors that are asked by methods, got public fields or variants"


@pytest.mark.parametrize("name", CRATES)
def test_the_root_of_a_crate_is_an_index(name):
    functions = re.findall(r"\bfn (\w+)", crate(name)[()])
    assert functions == {"core": [], "bindings": ["_native"]}[name]
    assert re.findall(r"\b(?:struct|enum|trait|impl)\b", crate(name)[()]) == []


OPAQUE = "pub struct Bad {{ {field} }}\nenum Kind {{ A }}\nimpl core::error::Error for Bad {{}}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (OPAQUE.format(field="kind: Kind, pub(crate) at: usize"), []),
        (OPAQUE.format(field="pub kind: Kind"), ["pub kind"]),
        ("pub enum Bad { A(u8) }\nimpl std::error::Error for Bad {}\n", ["enum Bad"]),
        ("pub struct Bad(pub u8);\nimpl core::error::Error for Bad {}\n", ["pub u8"]),
    ],
)
def test_the_reader_finds_errors_that_show_their_kinds(text, shown):
    assert dict(errors_of({("error",): text})) == {"Bad": shown}


def test_the_reader_finds_types_of_one_name():
    texts = {("a",): "struct Twin;\nimpl T for X {\n    type Error = u8;\n}", ("b",): "pub(crate) enum Twin { }"}
    assert list(types_of(texts)) == [("Twin", ("a",)), ("Twin", ("b",))]


def test_a_free_threaded_interpreter_keeps_its_lock_for_the_module():
    assert re.search(r"#\[pymodule\(gil_used = true\)\]", (RUST / "bindings/src/lib.rs").read_text()), (
        "free-threading is not proven: the module's lists and caches trust the interpreter's lock"
    )
