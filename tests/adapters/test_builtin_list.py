import pytest
from jsonschema import Draft202012Validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import BUILTIN_ADAPTERS

REGISTRY = ValidatingAdapterRegistry()


def test_the_built_in_types_are_these():
    assert REGISTRY.types() == (
        "call", "call_async", "count_by_field", "delay", "filter", "http_request", "log", "pick_fields", "read_jsonl",
        "read_lines", "read_stdin", "rename_fields", "set_fields", "split", "store_object", "walk_directory", "write_jsonl",
        "write_sqlite", "write_stdout",
    )  # fmt: skip


@pytest.mark.parametrize("type_name", BUILTIN_ADAPTERS)
def test_every_built_in_passes_the_checks_that_anybodys_must(type_name):
    registry = ValidatingAdapterRegistry.empty()
    registry.register(type_name, REGISTRY.get(type_name).adapter_class)
    assert registry.get(type_name) == REGISTRY.get(type_name)


@pytest.mark.parametrize("type_name", BUILTIN_ADAPTERS)
def test_every_built_in_is_described(type_name):
    spec = REGISTRY.get(type_name)
    assert spec.summary.endswith(".")
    assert "\n" not in spec.summary
    schema = REGISTRY.schema(type_name)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    undescribed = [name for name, field in schema["properties"].items() if not field.get("description")]
    assert undescribed == []


@pytest.mark.parametrize("type_name", ["call", "read_lines", "read_jsonl", "walk_directory"])
def test_what_reads_files_or_computes_runs_in_a_thread(type_name):
    assert REGISTRY.get(type_name).is_sync


def test_only_http_needs_an_extra():
    extras = {name: REGISTRY.get(name).requires_extra for name in REGISTRY.types()}
    assert {name: extra for name, extra in extras.items() if extra is not None} == {"http_request": "http"}
