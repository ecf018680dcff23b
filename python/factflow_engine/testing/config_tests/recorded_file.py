"""File of a recorded run: its inputs, the answers of its stages by message, and what came out, as a test.

Secrets of the environment are in no file: each is replaced by a placeholder, in messages and in the `environment:` that the
test's pipeline sees, so that the two still agree. Kept separate from the recording, which knows no YAML.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.canonical import to_yaml
from factflow_engine.config.hiding import Hiding
from factflow_engine.config.scalars import resolve_plain
from factflow_engine.config.yaml import MAX_DEPTH, MAX_NODES
from factflow_engine.frames import unpack
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus
from factflow_engine.testing.config_tests.completion import DESCRIBED
from factflow_engine.testing.config_tests.observed import OUTCOMES, LeftMessage
from factflow_engine.testing.config_tests.payloads import to_written
from factflow_engine.testing.config_tests.reading import MOST_BYTES as FILE_BYTES
from factflow_engine.testing.config_tests.recording import PURE, Answered, Recording
from factflow_engine.testing.config_tests.suites import leaving, stages_of
from factflow_protocols import FactflowError

HEAD: Final = "# Recorded by `factflow run --record`."
"""First line of every recorded file."""

_REFERENCE: Final = re.compile(r"\$\{(?:secret:)?([A-Za-z_][A-Za-z0-9_]*)")
_EMITTED: Final = frozenset({"payload", "key", "headers"})


class RecordingError(FactflowError):
    """Run of which no test can be written: the text says why."""


def recorded_text(
    recording: Recording,
    config: PipelineGlobalConfig,
    report: ExecutionReport,
    *,
    pipeline: str,
    environ: Mapping[str, str],
) -> str:
    """Return the text of the test file of a run.

    Args:
        recording: The recording.
        config: The pipeline.
        report: Report of the run.
        pipeline: Path of the pipeline, from the folder of the test file.
        environ: Variables that the pipeline was loaded with.

    Raises:
        RecordingError: The run did not complete, or is too large for a test.
    """
    if report.status is not ExecutionStatus.COMPLETED:
        raise RecordingError(f"the run did not complete: it is {report.status}")
    if recording.is_full:
        raise RecordingError("its messages are too large together; record a run of fewer messages")
    if report.failures_omitted:
        raise RecordingError(
            f"{report.failures_omitted:,} failures are not in its report; let the report keep more (orchestrator), or record "
            "a run of fewer messages"
        )
    closed = _Closed(config, environ)
    document = {
        "pipeline": pipeline,
        "recorded": config.hash,
        **({"environment": closed.environment} if closed.environment else {}),
        **closed(_body(recording, config, report)),
    }
    nodes, depth = _size(document)
    try:
        text = f"{HEAD}\n{to_yaml(document)}"
    except TypeError as error:
        raise RecordingError(str(error)) from None
    if nodes > MAX_NODES or len(text.encode()) > FILE_BYTES or depth > MAX_DEPTH:
        raise RecordingError(
            f"its test would have {nodes:,} values in {len(text.encode()):,} bytes, {depth} deep, and a file may have "
            f"{MAX_NODES:,} in {FILE_BYTES:,}, {MAX_DEPTH} deep; record a run of fewer messages"
        )
    return text


def _body(recording: Recording, config: PipelineGlobalConfig, report: ExecutionReport) -> dict[str, Any]:
    stages = {
        stage: _stage(recording.calls.get(stage, []), recording.finished.get(stage, []), stage)
        for stage, kind in stages_of(config).items()
        if kind not in PURE
    }
    inputs = [
        {
            "route": each.route,
            "payload": to_written(each.payload),
            **({} if each.key is None else {"key": each.key}),
            **({"headers": to_written(each.headers)} if each.headers else {}),
        }
        for each in recording.init
    ]
    test = {"name": "the recorded run", "init": False, "inputs": inputs, "expect": _expect(recording, config, report)}
    return {**({"stages": stages} if stages else {}), "tests": [test]}


# -- stages ---------------------------------------------------------------------------------------------------------


def _stage(calls: Sequence[tuple[bytes, int, Answered]], finished: Sequence[Answered], stage: str) -> dict[str, Any]:
    if len(finished) > 1:
        raise RecordingError(f"stage {stage!r} added messages at its end more than once")
    ends = {"finishes": _answer(finished[0])} if finished else {}
    if not calls:
        return {"raises": "not called in the recorded run", **ends}
    answers = [_answer(answer) for _, _, answer in calls]
    if answers[0] in ({"forwards": True}, {"filters": True}) and all(answer == answers[0] for answer in answers):
        return {**answers[0], **ends}
    by_message: dict[bytes, dict[int, list[dict[str, Any]]]] = {}
    for (payload, attempt, _), answer in zip(calls, answers, strict=True):
        by_message.setdefault(payload, {}).setdefault(attempt, []).append(answer)
    cases = [
        {"input": to_written(unpack(payload)), **case}
        for payload, attempts in by_message.items()
        for case in _cases(attempts)
    ]
    return {"cases": cases, **ends}


def _cases(attempts: Mapping[int, Sequence[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield the cases of one message: one if all its attempts have one answer, else some for each attempt."""
    every = [answer for given in attempts.values() for answer in given]
    if all(answer == every[0] for answer in every):
        yield every[0]
        return
    for attempt, given in sorted(attempts.items()):
        for case in _runs(given):
            yield {"attempt": attempt, **case}


def _runs(answers: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield equal answers in a row as one, with the number of calls; the last answers all that follow."""
    begun = 0
    for place in range(1, len(answers) + 1):
        if place == len(answers):
            yield answers[begun]
        elif answers[place] != answers[begun]:
            yield {**answers[begun], "calls": place - begun}
            begun = place


def _answer(answer: Answered) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if answer.kind == "returns":
        found["returns"] = to_written(unpack(answer.value))
    elif answer.kind == "emits":
        found["emits"] = [_emitted(*each) for each in answer.emitted]
    elif answer.kind:
        found[answer.kind] = True
    if answer.error is not None:
        error = answer.error
        found["raises"] = error["text"] if error["type"] == "StubbedError" else dict(error)
    if answer.headers:
        found["headers"] = to_written(unpack(answer.headers))
    return found or {"sticks": True}


def _emitted(payload: bytes, key: str | None, headers: bytes) -> Any:
    value = to_written(unpack(payload))
    looks_described = isinstance(value, dict) and "payload" in value and value.keys() <= _EMITTED
    if key is None and not headers and not looks_described:
        return value
    return {
        "payload": value,
        **({} if key is None else {"key": key}),
        **({"headers": to_written(unpack(headers))} if headers else {}),
    }


# -- expectations ---------------------------------------------------------------------------------------------------


def _expect(recording: Recording, config: PipelineGlobalConfig, report: ExecutionReport) -> dict[str, Any]:
    queues, dead = leaving(config)
    outputs = {
        queue: [_output(each, has_headers=queue not in dead) for each in recording.outputs[queue]]
        for queue in queues
        if recording.outputs.get(queue)
    }
    outcomes = {
        route: {outcome: getattr(counts, outcome) for outcome in OUTCOMES if getattr(counts, outcome)}
        for route, counts in report.routes.items()
    }
    failed = Counter((each.route, each.error_type, each.error) for each in report.failures)
    failures = [
        {
            "route": route,
            **({} if kind in recording.renamed else {"type": kind}),
            "text": text,
            **({} if count == 1 else {"count": count}),
        }
        for (route, kind, text), count in failed.items()
    ]
    letters = [
        {"route": route, **({} if counts.dead_lettered == 1 else {"count": counts.dead_lettered})}
        for route, counts in report.routes.items()
        if counts.dead_lettered
    ]
    return {
        **({"outputs": outputs} if outputs else {}),
        "outcomes": outcomes,
        **({"failures": failures} if failures else {}),
        **({"dead_letters": letters} if letters else {}),
    }


def _output(message: LeftMessage, *, has_headers: bool) -> Any:
    payload = to_written(message.payload)
    headers = to_written(message.headers) if has_headers else {}
    looks_described = isinstance(payload, dict) and not DESCRIBED.isdisjoint(payload)
    if message.key is None and not headers and not looks_described:
        return payload
    return {
        "payload": payload,
        **({} if message.key is None else {"key": message.key}),
        **({"headers": headers} if headers else {}),
    }


def _size(value: Any) -> tuple[int, int]:
    """Return the number of values of a document as the reader counts them, keys too, and its depth."""
    nodes, deepest = 0, 0
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        nodes, deepest = nodes + 1, max(deepest, depth)
        if isinstance(one, Mapping):
            nodes += len(one)
            waiting += [(item, depth + 1) for item in one.values()]
        elif isinstance(one, (list, tuple)):
            waiting += [(item, depth + 1) for item in one]
    return nodes, deepest


# -- secrets --------------------------------------------------------------------------------------------------------


class _Closed:
    """Removal of secrets: replaces values by placeholders, which the test's environment has in their place.

    Args:
        config: The pipeline.
        environ: Variables that it was loaded with.

    Attributes:
        environment: Variables of the pipeline that are defined, secrets by their placeholders.
    """

    def __init__(self, config: PipelineGlobalConfig, environ: Mapping[str, str]) -> None:
        names = [name for name in dict.fromkeys(_REFERENCE.findall(config.source)) if name in environ]
        secret = {name for written in config.secrets.values() for name in _REFERENCE.findall(written)}
        self.environment: dict[str, str] = {
            name: _placeholder(name, environ[name]) if name in secret else environ[name] for name in names
        }
        self._texts = {
            value: _REFERENCE_WHOLE.sub(lambda found: self.environment.get(found[1], found[0]), written)
            for value, written in config.secrets.items()
        }
        self._hide = Hiding(self._texts)
        self._bytes = [
            (value.encode(errors="surrogatepass"), text.encode()) for value, text in self._texts.items() if value
        ]

    def __call__(self, value: Any) -> Any:
        """Return plain data without secrets."""
        match value:
            case str():
                return self._texts.get(value) or self._hide(value)
            case bool() | None:
                return value
            case int() | float():
                return self._number(value)
            case {"$bytes": str(text)} if len(value) == 1:
                return {"$bytes": self._base64(text)}
            case {"$ext": [code, str(text)]} if len(value) == 1:
                return {"$ext": [code, self._base64(text)]}
            case Mapping():
                return {self(key): self(item) for key, item in value.items()}
            case _:
                return [self(item) for item in value]

    def _base64(self, text: str) -> str:
        data = base64.b64decode(text)
        for value, replaced in self._bytes:
            data = data.replace(value, replaced)
        return base64.b64encode(data).decode()

    def _number(self, value: float) -> Any:
        text = self._texts.get(str(value))
        return value if text is None else resolve_plain(text)


_REFERENCE_WHOLE: Final = re.compile(r"\$\{(?:secret:)?([A-Za-z_][A-Za-z0-9_]*)(?::[^}]*)?\}")


def _placeholder(name: str, value: str) -> str:
    """Return a value that says nothing, of the kind of the secret: a number, a URL, or a text."""
    if not isinstance(resolve_plain(value), str):
        return "1"
    scheme, colon, _ = value.partition("://")
    return f"{scheme}://redacted.invalid/{name}" if colon and scheme.isalnum() else f"redacted-{name}"
