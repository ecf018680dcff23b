"""Events of one execution as OpenLineage 2-0-2 has them: an execution is a run, and each of its routes a run below it.

Kept separate from sending because this is pure: the same execution gives the same events. Facets and their versions are
those of https://openlineage.io/spec. A run's id is the execution's own, if the engine made it; of an id that somebody chose,
and may choose again for the next execution, it is a digest of that id and the time of the start.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from factflow_engine.error_texts import bounded

_SPEC: Final = "https://openlineage.io/spec"
_EVENT_SCHEMA: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = {
    "jobType": ("2-0-4", "JobTypeJobFacet"),
    "parent": ("1-2-0", "ParentRunFacet"),
    "errorMessage": ("1-0-1", "ErrorMessageRunFacet"),
    "processing_engine": ("1-1-1", "ProcessingEngineRunFacet"),
    "inputStatistics": ("1-0-0", "InputStatisticsInputDatasetFacet"),
    "outputStatistics": ("1-0-2", "OutputStatisticsOutputDatasetFacet"),
}
"""Name of a facet to the version and the name of its schema."""

_LONGEST_ERROR: Final = 10_000

_HEX_ID: Final = re.compile(r"[0-9a-f]{32}")


class EventType(StrEnum):
    """Transitions of a run's state."""

    START = "START"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    ABORT = "ABORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePorts:
    """Queues of one route.

    Attributes:
        route: Id of the route.
        inbound: Queue that it reads.
        outbound: Queues that it publishes to.
        dead_letters: Its dead-letter queue, or None.
    """

    route: str
    inbound: str
    outbound: tuple[str, ...]
    dead_letters: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCounts:
    """Numbers of one route at its end.

    Attributes:
        received: Messages that have begun.
        emitted: Messages that outbound queues accepted.
        dead_lettered: Messages in the dead-letter queue.
    """

    received: int
    emitted: int
    dead_lettered: int


class EventFactory:
    """Maker of the events of one execution."""

    def __init__(
        self,
        *,
        namespace: str,
        execution_id: str,
        started_ns: int,
        pipeline: str,
        version: str,
        routes: Sequence[RoutePorts],
    ) -> None:
        """Note what all events have in common.

        Args:
            namespace: Namespace of jobs and datasets.
            execution_id: Id of the execution.
            started_ns: Time of its start, in nanoseconds since the epoch.
            pipeline: Name of the pipeline, without secrets.
            version: Version of the engine.
            routes: The routes, in the configuration's order.
        """
        self._namespace = namespace
        self._run = execution_id if _HEX_ID.fullmatch(execution_id) else f"{execution_id}\0{started_ns}"
        self._started_ns = started_ns
        self._pipeline = pipeline
        self._version = version
        self._routes = tuple(routes)
        self._producer = f"urn:x-factflow:engine:{version}"

    def started(self) -> list[dict[str, Any]]:
        """Return the events of the start: the execution's, then each route's."""
        return self._events(EventType.START, self._started_ns, None, {})

    def ended(
        self, kind: EventType, wall_ns: int, *, error: str | None, counts: Mapping[str, RouteCounts]
    ) -> list[dict[str, Any]]:
        """Return the events of the end: each route's, then the execution's.

        Args:
            kind: The transition, of the execution and of its routes alike.
            wall_ns: Time of the end, in nanoseconds since the epoch.
            error: Reason why the execution failed or was aborted, without secrets; None if it completed.
            counts: Numbers by route id.
        """
        first, *others = self._events(kind, wall_ns, error, counts)
        return [*others, first]

    def _events(
        self, kind: EventType, wall_ns: int, error: str | None, counts: Mapping[str, RouteCounts]
    ) -> list[dict[str, Any]]:
        events = [self._event(kind, wall_ns, run=self._execution_run(error), job=self._job("PIPELINE"))]
        for ports in self._routes:
            event = self._event(
                kind, wall_ns, run=self._route_run(ports.route, error), job=self._job("ROUTE", ports.route)
            )
            event["inputs"] = [self._input(ports.inbound, counts.get(ports.route))]
            event["outputs"] = self._outputs(ports, counts.get(ports.route))
            events.append(event)
        return events

    def _event(self, kind: EventType, wall_ns: int, *, run: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
        return {
            "eventType": kind.value,
            "eventTime": _time(wall_ns),
            "run": run,
            "job": job,
            "producer": self._producer,
            "schemaURL": _EVENT_SCHEMA,
        }

    def _execution_run(self, error: str | None) -> dict[str, Any]:
        return {"runId": run_id(self._run), "facets": self._run_facets(error)}

    def _route_run(self, route: str, error: str | None) -> dict[str, Any]:
        parent = self._facet(
            "parent",
            run={"runId": run_id(self._run)},
            job={"namespace": self._namespace, "name": self._pipeline},
        )
        return {"runId": run_id(self._run, route), "facets": {"parent": parent, **self._run_facets(error)}}

    def _run_facets(self, error: str | None) -> dict[str, Any]:
        engine = self._facet(
            "processing_engine",
            name="factflow-engine",
            version=self._version,
            openlineageAdapterVersion=self._version,
        )
        if error is None:
            return {"processing_engine": engine}
        message = self._facet("errorMessage", message=bounded(error, _LONGEST_ERROR), programmingLanguage="PYTHON")
        return {"processing_engine": engine, "errorMessage": message}

    def _job(self, kind: str, route: str | None = None) -> dict[str, Any]:
        return {
            "namespace": self._namespace,
            "name": self._pipeline if route is None else f"{self._pipeline}.{route}",
            "facets": {
                "jobType": self._facet("jobType", processingType="BATCH", integration="FACTFLOW", jobType=kind),
            },
        }

    def _input(self, queue: str, counts: RouteCounts | None) -> dict[str, Any]:
        dataset: dict[str, Any] = {"namespace": self._namespace, "name": queue}
        if counts is not None:
            dataset["inputFacets"] = {"inputStatistics": self._facet("inputStatistics", rowCount=counts.received)}
        return dataset

    def _outputs(self, ports: RoutePorts, counts: RouteCounts | None) -> list[dict[str, Any]]:
        """Return the datasets; the number of messages is known for a sole outbound queue, and for dead letters."""
        rows: dict[str, int | None] = dict.fromkeys(ports.outbound)
        if counts is not None and len(rows) == 1:
            rows = dict.fromkeys(rows, counts.emitted)
        if ports.dead_letters is not None:
            shared = ports.dead_letters in rows
            rows[ports.dead_letters] = None if shared or counts is None else counts.dead_lettered
        outputs = []
        for queue, count in rows.items():
            dataset: dict[str, Any] = {"namespace": self._namespace, "name": queue}
            if count is not None:
                dataset["outputFacets"] = {"outputStatistics": self._facet("outputStatistics", rowCount=count)}
            outputs.append(dataset)
        return outputs

    def _facet(self, name: str, /, **fields: Any) -> dict[str, Any]:
        version, schema = _FACETS[name]
        url = f"{_SPEC}/facets/{version}/{schema}.json#/$defs/{schema}"
        return {"_producer": self._producer, "_schemaURL": url, **fields}


def run_id(execution_id: str, route: str | None = None) -> str:
    """Return the UUID of an execution's run, or of a route's: always the same one for the same names."""
    if route is None and _HEX_ID.fullmatch(execution_id):
        return _uuid(execution_id)
    text = execution_id if route is None else f"{execution_id}\0{route}"
    digest = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8: made by rules of one's own
    digest[8] = digest[8] & 0x3F | 0x80
    return _uuid(digest.hex())


def _uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _time(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + (
        f".{wall_ns // 1_000 % 1_000_000:06d}Z"
    )
