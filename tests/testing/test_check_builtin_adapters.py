"""The built-in adapters pass the checks of adapters, all but those that need a network or the process's own streams."""

import json

import pytest

from factflow_engine import AdapterResult
from factflow_engine.adapters.builtin import BUILTIN_ADAPTERS
from factflow_engine.testing import check_adapter, check_name
from factflow_engine.testing.conformance.adapters import ADAPTER_CHECKS
from factflow_engine.testing.conformance.stateful import STATEFUL_ADAPTER_CHECKS

NUMBERS = [{"n": number, "lang": lang, "words": ["a", "b"]} for number, lang in enumerate(["en", "de", "en", "fr"])]
LEFT_OUT = {
    "http_request": "needs a network",
    "read_stdin": "reads the standard input of this process, which can be read once",
    "write_stdout": "writes to the standard output of this process",
}


def doubled(message):
    return AdapterResult(message={"n": 2 * message["n"]})


async def emitted(message):
    return AdapterResult(emitted=({"n": message["n"], "part": part} for part in range(3)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files for adapters that read some."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "inner").mkdir()
    for name in ("one", "inner/two"):
        (folder / f"{name}.txt").write_text("first\nsecond\nthird\n")
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps({'line': line})}\n" for line in range(3)))
    return folder


def cases(files):
    here = __name__
    return {
        "call": ({"function": f"{here}:doubled"}, NUMBERS),
        "call_async": ({"function": f"{here}:emitted"}, NUMBERS),
        "count_by_field": ({"field": "lang"}, NUMBERS),
        "delay": ({"seconds": 0.001}, NUMBERS),
        "filter": ({"condition": {"field": "n", "operator": "gt", "value": 1}}, NUMBERS),
        "log": ({"text": "checked"}, NUMBERS),
        "pick_fields": ({"fields": ["n"]}, NUMBERS),
        "read_jsonl": ({"root": str(files)}, [{"path": "one.jsonl"}, {"path": "inner/two.jsonl"}]),
        "read_lines": ({"root": str(files)}, [{"path": "one.txt"}, {"path": "inner/two.txt"}]),
        "rename_fields": ({"fields": {"n": "number"}}, NUMBERS),
        "set_fields": ({"fields": {"seen": True}}, NUMBERS),
        "split": ({"field": "words", "element_to": "word", "keep": ["n"]}, NUMBERS),
        "store_object": ({}, NUMBERS),
        "walk_directory": ({"root": str(files)}, NUMBERS[:2]),
        "write_jsonl": ({"path": "out.jsonl"}, NUMBERS),
        "write_sqlite": ({"path": "out.db", "table": "numbers", "columns": {"n": "n"}}, NUMBERS),
    }


def test_every_builtin_type_is_checked_or_left_out_for_a_reason(files):
    assert {*cases(files), *LEFT_OUT} == set(BUILTIN_ADAPTERS)


@pytest.mark.parametrize("adapter", sorted(set(BUILTIN_ADAPTERS) - set(LEFT_OUT)))
def test_a_builtin_adapter_passes_its_checks(adapter, files):
    config, messages = cases(files)[adapter]
    report = check_adapter(adapter, config=config, messages=messages)
    print(report)
    report.raise_if_failed()


def test_each_check_applies_to_some_of_them(files):
    names = set()
    for adapter in ("set_fields", "call_async", "count_by_field", "write_sqlite"):
        config, messages = cases(files)[adapter]
        names |= {result.name for result in check_adapter(adapter, config=config, messages=messages).passed}
    assert names == set(map(check_name, (*ADAPTER_CHECKS, *STATEFUL_ADAPTER_CHECKS)))
