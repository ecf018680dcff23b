"""What may be stored, as the loader sees it: forms of `store`, declared metadata, and findings about both."""

import json

import pytest
from jsonschema import Draft202012Validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import (
    PipelineConfigLoader,
    StorageMetadataConfig,
    StorageMetadataField,
    StoreConfig,
    config_schema,
)
from factflow_engine.config.frozen import FrozenDict
from factflow_engine.frames import pack
from factflow_engine.stages.embedding import build_embedding_metadata
from factflow_engine.stages.fields import DeclaredMetadata

REGISTRY = ValidatingAdapterRegistry()


def stage(text, *, top="", environ=None):
    loader = PipelineConfigLoader(REGISTRY, environ=environ or {})
    return loader.check_text(f'version: "1.0"\n{top}\nroutes: {{r: {{adapters: [{{type: log, {text}}}]}}}}')


def stored(text, **options):
    result = stage(text, **options)
    assert result.is_valid, result.render()
    assert not result.findings
    assert result.config is not None
    return result.config.routes["r"].adapters[0].store


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: s", None),
        ("store: false", None),
        ("store: null", None),
        ("store: true", StoreConfig()),
        ("store: {}", StoreConfig()),
        ("store: {what: input}", StoreConfig(what="input")),
        ("store: '${KEEP}'", StoreConfig()),
        ("store: '${NOT:false}'", None),
        (
            "store: {content_field: page.html, extension: .html, content_type: text/html}",
            StoreConfig(content_field="page.html", extension="html", content_type="text/html"),
        ),
        (
            "store: {metadata: {fields: [{name: url, type: string, required: true}, {name: n, source: a.n, default: 3, type: number}]}}",
            StoreConfig(
                metadata=StorageMetadataConfig(
                    fields=(
                        StorageMetadataField(name="url", type="string", required=True),
                        StorageMetadataField(name="n", source="a.n", default=3, type="number"),
                    )
                )
            ),
        ),
    ],
)
def test_the_forms_of_store(text, expected):
    assert stored(text, environ={"KEEP": "true"}) == expected


@pytest.mark.parametrize("text", ["store: true", "store: {what: input, metadata: {fields: [{name: a, default: x}]}}"])
def test_a_snapshot_loads_as_itself_and_is_hashed(text):
    config = stage(text, top="storage: {url: 'memory://', metadata: {fields: [{name: b}]}}").config
    assert config is not None
    again = PipelineConfigLoader(REGISTRY).load_mapping(config.to_mapping())
    assert again == config
    assert again.hash == config.hash
    other = stage("store: false").config
    assert other is not None
    assert other.hash != config.hash
    hash(config.routes["r"].adapters[0])
    assert isinstance(config.routes, FrozenDict)


@pytest.mark.parametrize(
    ("text", "code", "problem"),
    [
        ("store: output", "E104", "expected a mapping, got 'output'"),
        ("store: {what: both}", "E105", "expected 'output' or 'input', got 'both'"),
        ("store: {wat: input}", "E101", "there is no field 'wat' here"),
        ("store: {extension: ../x}", "E105", "is no file extension for objects"),
        ("store: {extension: meta.json}", "E105", "object stores keep metadata in files that end in .meta.json"),
        ("store: {content_field: 'a..b'}", "E105", "is not a field path"),
        ("store: {content_type: html}", "E105", "'html' is no media type"),
        ("store: {metadata: {fields: [{name: a, source: 'b['}]}}", "E404", ""),
        ("store: {metadata: {fields: [{name: provenance}]}}", "E105", "is a field of the engine's own"),
        ("store: {metadata: {fields: [{name: 'a b'}]}}", "E106", ""),
        ("store: {metadata: {fields: [{name: a}, {name: a}]}}", "E105", "the field 'a' is declared twice; remove one"),
        ("store: {metadata: {fields: [{name: a, type: text}]}}", "E105", "expected 'any', 'string'"),
        ("store: {metadata: {fields: [{name: a, type: integer, default: x}]}}", "E105", "the default is a string, and the field's type is integer"),
        ("store: {metadata: {fields: [{name: a, type: list, default: x}]}}", "E105", "the field's type is list"),
        ("store: {metadata: {fields: [{name: a, required: true, default: x}]}}", "E105", "a field with a default is never missing"),
        ("store: {metadata: {fields: [{source: a}]}}", "E102", "the field 'name' is missing"),
    ],
)  # fmt: skip
def test_findings(text, code, problem):
    found = stage(text).findings
    assert [each.code for each in found] == [code], found
    assert problem in found[0].message


@pytest.mark.parametrize(
    "section", ["{metadata: {fields: [{name: a, required: true}]}}", "{content_field: html}", "{content_field: html, result_field: stored, drop_content: true}"]
)  # fmt: skip
def test_the_adapter_takes_the_same_fields(section):
    text = f'{{version: "1.0", routes: {{r: {{adapters: [{{type: store_object, config: {section}}}]}}}}}}'
    assert PipelineConfigLoader(REGISTRY).check_text(text).findings == ()


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{metadata: {fields: [{name: a}, {name: a}]}}", "declared twice"),
        ("{drop_content: true}", "drop_content needs content_field and result_field"),
        ("{what: input}", "there is no field 'what' here"),
    ],
)
def test_what_the_adapter_refuses(section, problem):
    text = f'{{version: "1.0", routes: {{r: {{adapters: [{{type: store_object, config: {section}}}]}}}}}}'
    [found] = PipelineConfigLoader(REGISTRY).check_text(text).findings
    assert problem in found.message


@pytest.mark.parametrize(
    ("config", "store", "is_refused"),
    [
        ("{}", "true", True),
        ("{}", "{what: input}", True),
        ("{}", "{extension: msgpack}", True),
        ("{extension: .bin}", "{extension: bin}", True),
        ("{content_field: html}", "{content_field: title}", True),
        ("{content_field: html, extension: html}", "true", False),
        ("{content_field: html}", "true", False),
        ("{}", "{extension: stored}", False),
        ("{}", "false", False),
    ],
)
def test_a_stage_never_stores_two_objects_under_one_key(config, store, is_refused):
    text = (
        f'{{version: "1.0", routes: {{r: {{adapters: [{{type: store_object, config: {config}, store: {store}}}]}}}}}}'
    )
    found = PipelineConfigLoader(REGISTRY).check_text(text).findings
    assert [(each.code, each.path) for each in found] == [("E209", "routes.r.adapters[0].store")] * is_refused


def test_the_schema_and_the_loader_agree_on_media_types():
    schema = Draft202012Validator(config_schema(REGISTRY))
    for text in ("text/html", "text/html; charset=utf-8", "html", "text/html;", "a b/c"):
        store = {"content_type": text}
        document = {"version": "1.0", "routes": {"r": {"adapters": [{"type": "log", "store": store}]}}}
        assert (
            schema.is_valid(document)
            == stage(f"store: {json.dumps(store)}").is_valid
            == (text.startswith("text/html") and text[-1] in "l8")
        ), text


def test_a_name_that_no_store_takes_as_part_of_a_key(monkeypatch):
    monkeypatch.setattr("factflow_engine.config.storage.key_problem", lambda key: "too odd" if "/odd/" in key else "")
    [found] = stage("name: odd, store: true").findings
    assert (found.code, found.path) == ("E106", "routes.r.adapters[0].name")
    assert "too odd" in found.message


def test_a_secret_url_is_not_shown():
    top = "storage: {url: '${URL}'}"
    [found] = stage("store: true", top=top, environ={"URL": "gopher://user:hunter2@host"}).findings
    assert found.code == "E208"
    assert "hunter2" not in f"{found}"


def test_nothing_foreign_is_imported_to_check_a_url(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(
        '{version: "1.0", storage: {url: "gopher://x"}, routes: {r: {adapters: [{type: log, store: true}]}}}'
    )
    result = PipelineConfigLoader(REGISTRY).check(file, imports=False)
    assert result.findings == ()
    assert [each.path for each in result.unchecked] == ["storage.url"]


@pytest.mark.parametrize("value", [True, False, None, {}, {"what": "input"}, {"content_field": "a", "extension": "b"}])
def test_the_schema_accepts_what_the_loader_does(value):
    document = {"version": "1.0", "routes": {"r": {"adapters": [{"type": "log", "store": value}]}}}
    assert PipelineConfigLoader(REGISTRY).check_mapping(document).is_valid
    Draft202012Validator(config_schema(REGISTRY)).validate(document)


def test_the_schema_refuses_what_the_loader_does():
    document = {"version": "1.0", "routes": {"r": {"adapters": [{"type": "log", "store": {"what": "both"}}]}}}
    assert not Draft202012Validator(config_schema(REGISTRY)).is_valid(document)


def test_embedding_metadata_can_be_declared_as_it_is_built():
    fields = build_embedding_metadata(
        model="m", dimensions=2, source_key="executions/e/r/s/0", segment_span=(0, 1), is_normalised=False
    )
    kinds = {str: "string", int: "integer", bool: "boolean"}
    declared = StorageMetadataConfig(
        fields=tuple(
            StorageMetadataField(name=name, source=f"embedding.{name}", type=kinds[type(value)], required=True)
            for name, value in fields.items()
        )
    )
    assert DeclaredMetadata(declared.fields).of(pack({"embedding": fields}), "0") == fields
