"""Rules of OpenLineage 2-0-2 for the events that we make, as JSON Schemas written from the published specification.

They are stricter than the published ones: fields and facets that those do not know, or leave open, are refused here.
`FACTFLOW_OPENLINEAGE_SPEC` may name a checkout's folder `spec` of github.com/OpenLineage/OpenLineage; events are then
checked with the published schemas, too.
"""

import json
import os
from functools import cache
from pathlib import Path

import jsonschema
import referencing

_URI = {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:[^ ]+$"}
_NAME = {"type": "string", "minLength": 1}
_UUID = {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(required, optional=None):
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def _facet(version, schema, required, optional=None):
    url = f"https://openlineage.io/spec/facets/{version}/{schema}.json#/$defs/{schema}"
    return _object({"_producer": _URI, "_schemaURL": {"const": url}, **required}, optional)


_PARENT = _facet(
    "1-2-0",
    "ParentRunFacet",
    {"run": _object({"runId": _UUID}), "job": _object({"namespace": _NAME, "name": _NAME})},
)
_RUN_FACETS = {
    "parent": _PARENT,
    "processing_engine": _facet(
        "1-1-1", "ProcessingEngineRunFacet", {"version": _NAME}, {"name": _NAME, "openlineageAdapterVersion": _NAME}
    ),
    "errorMessage": _facet(
        "1-0-1", "ErrorMessageRunFacet", {"message": {"type": "string"}, "programmingLanguage": _NAME}
    ),
}
_JOB_FACETS = {
    "jobType": _facet(
        "2-0-4",
        "JobTypeJobFacet",
        {"processingType": {"enum": ["BATCH", "STREAMING", "SERVICE"]}, "integration": _NAME},
        {"jobType": _NAME},
    )
}


def _dataset(facets_name, facet_name, version, schema):
    statistics = _object({}, {facet_name: _facet(version, schema, {}, {"rowCount": _COUNT})})
    return _object({"namespace": _NAME, "name": _NAME}, {facets_name: statistics})


EVENT = _object(
    {
        "eventType": {"enum": ["START", "COMPLETE", "ABORT", "FAIL"]},
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
        "producer": _URI,
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": _object({"runId": _UUID}, {"facets": _object({}, _RUN_FACETS)}),
        "job": _object({"namespace": _NAME, "name": _NAME}, {"facets": _object({}, _JOB_FACETS)}),
    },
    {
        "inputs": {
            "type": "array",
            "items": _dataset("inputFacets", "inputStatistics", "1-0-0", "InputStatisticsInputDatasetFacet"),
        },
        "outputs": {
            "type": "array",
            "items": _dataset("outputFacets", "outputStatistics", "1-0-2", "OutputStatisticsOutputDatasetFacet"),
        },
    },
)


def check_event(event) -> None:
    """Raise jsonschema's error unless the event is valid."""
    jsonschema.Draft202012Validator(EVENT).validate(event)
    if folder := os.environ.get("FACTFLOW_OPENLINEAGE_SPEC"):
        check_published(event, Path(folder))


def check_published(event, folder: Path) -> None:
    """Check an event, and each of its facets, with the published schemas."""
    registry = _published(folder)
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER

    def check(value, url):
        jsonschema.Draft202012Validator({"$ref": url}, registry=registry, format_checker=formats).validate(value)

    check(event, event["schemaURL"].partition("#")[0])
    check(event, event["schemaURL"])
    for owner in (event["run"], event["job"], *event.get("inputs", ()), *event.get("outputs", ())):
        for name in ("facets", "inputFacets", "outputFacets"):
            for facet, value in owner.get(name, {}).items():
                check(value, value["_schemaURL"])
                check({facet: value}, value["_schemaURL"].partition("#")[0])  # the facet's name is the schema's


@cache
def _published(folder: Path):
    schemas = [
        json.loads(path.read_text()) for path in (folder / "OpenLineage.json", *(folder / "facets").glob("*.json"))
    ]
    return referencing.Registry().with_resources(
        [(schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas]
    )
