"""Comparison of a run with what its test expects: problems, each with what was expected and what was found.

Kept separate from printing: a problem is text in YAML's shape, of which a diff is made.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.conditions import compile_condition
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.canonical import to_yaml
from factflow_engine.error_texts import CUT
from factflow_engine.testing.config_tests.models import (
    ExpectModel,
    FailureModel,
    MessageModel,
    MessagesModel,
    OutcomesModel,
    RangeModel,
)
from factflow_engine.testing.config_tests.observed import OUTCOMES, FailedMessage, LeftMessage, Observed
from factflow_engine.testing.config_tests.payloads import from_written, is_same, is_within, to_written
from factflow_engine.testing.config_tests.suites import error_condition, leaving

_CLOSE: Final = 1e-6
"""Seconds by which a time may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An expectation that was not met.

    Attributes:
        what: What was expected something of, as `outputs of /queue/sent`.
        expected: What was expected, in YAML's shape.
        actual: What was found, in YAML's shape.
    """

    what: str
    expected: str
    actual: str

    def diff(self) -> str:
        """Return a unified diff from what was expected to what was found."""
        lines = difflib.unified_diff(
            self.expected.splitlines(), self.actual.splitlines(), "expected", "actual", lineterm="", n=3
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.what}\n{self.diff()}"


def problems_of(
    expect: ExpectModel, seen: Observed, config: PipelineGlobalConfig, *, is_stopped: bool
) -> Iterator[Problem]:
    """Yield the expectations that a run did not meet.

    Args:
        expect: What is expected.
        seen: What the run did.
        config: The pipeline.
        is_stopped: True if the test stops the run at a time.
    """
    yield from _status(expect, seen, is_stopped=is_stopped)
    queues, dead = leaving(config)
    for queue in queues:
        wanted = expect.outputs.get(queue)
        if wanted is None and queue in dead:
            continue  # `dead_letters` says what is expected of it
        wanted = wanted or MessagesModel.model_validate({"messages": ()})
        yield from _messages(f"outputs of {queue}", wanted, seen.outputs.get(queue, ()), wanted.order or expect.order)
    for stage, calls in expect.calls.items():
        yield from _messages(f"calls of {stage}", calls, seen.calls.get(stage, ()), calls.order or "any")
    for route, outcomes in expect.outcomes.items():
        yield from _outcomes(route, outcomes, seen.outcomes[route])
    yield from _failures("failures", expect.failures, [each for each in seen.failures if each.outcome == "failed"])
    letters = [each for each in seen.failures if each.outcome == "dead_lettered"]
    yield from _failures("dead letters", expect.dead_letters, letters)
    for name, places, is_wanted in (("reached", expect.reached, True), ("not_reached", expect.not_reached, False)):
        wrong = [place for place in places if (place in seen.reached) is not is_wanted]
        if wrong:
            words = {True: "reached", False: "not reached"}
            yield Problem(
                what=name,
                expected=to_yaml(dict.fromkeys(wrong, words[is_wanted])),
                actual=to_yaml(dict.fromkeys(wrong, words[not is_wanted])),
            )
    if expect.duration is not None and not _is_in(seen.seconds, expect.duration):
        yield Problem(what="duration", expected=_range_text(expect.duration), actual=f"{seconds_text(seen.seconds)}\n")


def _status(expect: ExpectModel, seen: Observed, *, is_stopped: bool) -> Iterator[Problem]:
    wanted = expect.status
    if wanted is None and not is_stopped:
        wanted = "completed"
    if wanted is not None and seen.status != wanted:
        found = seen.status or "no process is left"
        yield Problem(
            what="status", expected=f"{wanted}\n", actual=f"{found}{': ' + seen.error if seen.error else ''}\n"
        )


def _outcomes(route: str, wanted: OutcomesModel, found: Mapping[str, int]) -> Iterator[Problem]:
    expected = {outcome: getattr(wanted, outcome) for outcome in OUTCOMES}
    if expected != found:
        yield Problem(what=f"outcomes of {route}", expected=to_yaml(expected), actual=to_yaml(dict(found)))


# -- messages -------------------------------------------------------------------------------------------------------


def _messages(what: str, wanted: MessagesModel, found: Sequence[LeftMessage], order: str) -> Iterator[Problem]:
    if wanted.count is not None and len(found) != wanted.count:
        yield Problem(what=f"number of {what}", expected=f"{wanted.count}\n", actual=f"{len(found)}\n")
    if wanted.messages is None:
        return
    matchers = [_Matcher(each) for each in wanted.messages]
    pairs = _pairs(matchers, found)
    is_met = len(pairs) == len(matchers) == len(found)
    if is_met and order == "exact":
        is_met = all(matcher.takes(message) for matcher, message in zip(matchers, found, strict=True))
    elif is_met and order == "key":
        is_met = _keeps_keys(matchers, found)
    if not is_met:
        yield _difference(what, matchers, found, pairs, order)


class _Matcher:
    """An expected message."""

    def __init__(self, model: MessageModel) -> None:
        written = model.model_fields_set
        self.model = model
        self._payload = from_written(model.payload)
        self._is_exact = "payload" in written
        self._part = from_written(model.contains)
        self._has_part = "contains" in written
        self._condition = compile_condition(model.matches) if "matches" in written else None
        self._headers = {name: from_written(value) for name, value in model.headers.items()}

    def takes(self, message: LeftMessage) -> bool:
        """True if a message is the expected one."""
        model = self.model
        return (
            not (self._is_exact and not is_same(self._payload, message.payload))
            and not (self._has_part and not is_within(self._part, message.payload))
            and (self._condition is None or self._condition.matches_value(message.payload))
            and ("key" not in model.model_fields_set or model.key == message.key)
            and all(
                name in message.headers and is_same(value, message.headers[name])
                for name, value in self._headers.items()
            )
            and (model.at is None or _is_in(message.at, model.at))
        )

    def text(self) -> Any:
        """Return the expectation as it is written."""
        model, written = self.model, self.model.model_fields_set
        if written == {"payload"}:
            return model.payload
        found = {name: getattr(model, name) for name in type(model).model_fields if name in written}
        if model.at is not None:
            found["at"] = {name: getattr(model.at, name) for name in sorted(model.at.model_fields_set)}
        return found

    def shown(self, message: LeftMessage) -> Any:
        """Return a message, with as much of it as the expectation speaks of."""
        written, payload = self.model.model_fields_set, to_written(message.payload)
        if written <= {"payload", "contains", "matches"}:
            return payload
        found: dict[str, Any] = {"payload": payload}
        if "key" in written:
            found["key"] = message.key
        if "headers" in written:
            found["headers"] = to_written({name: message.headers.get(name) for name in self.model.headers})
        if "at" in written:
            found["at"] = round(message.at, 6)
        return found


def _pairs(matchers: Sequence[_Matcher], found: Sequence[LeftMessage]) -> dict[int, int]:
    """Return a greatest assignment of expectations to messages (Kuhn's augmenting paths), those in order preferred."""
    takes = [[place for place, message in enumerate(found) if matcher.takes(message)] for matcher in matchers]
    taken: dict[int, int] = {}

    for start in range(len(matchers)):
        # Breadth first, without recursion: a chain may be as long as the list.
        came_from: dict[int, int] = {}
        waiting = [start]
        seen: set[int] = set()
        free = None
        while waiting and free is None:
            expected = waiting.pop(0)
            for place in takes[expected]:
                if place in seen:
                    continue
                seen.add(place)
                came_from[place] = expected
                if place not in taken:
                    free = place
                    break
                waiting.append(taken[place])
        while free is not None:
            expected = came_from[free]
            previous = next((place for place, holder in taken.items() if holder == expected), None)
            taken[free] = expected
            if previous is not None and previous != free:
                del taken[previous]
            free = previous if expected != start else None
    return {expected: place for place, expected in taken.items()}


def _keeps_keys(matchers: Sequence[_Matcher], found: Sequence[LeftMessage]) -> bool:
    """True if messages of one key come in the order of what is expected, whether that names the key or not."""
    left = dict(enumerate(matchers))
    last: dict[str, int] = {}  # place of the expectation that the latest message of each key has met
    for message in found:
        after = -1 if message.key is None else last.get(message.key, -1)
        place = next((place for place, matcher in left.items() if place > after and matcher.takes(message)), None)
        if place is None:
            return False
        if message.key is not None:
            last[message.key] = place
        del left[place]
    return True


def _difference(
    what: str, matchers: Sequence[_Matcher], found: Sequence[LeftMessage], pairs: Mapping[int, int], order: str
) -> Problem:
    """Return expected and found messages, in an order in which equal ones stand beside each other."""
    expected = [matcher.text() for matcher in matchers]
    actual: list[Any]
    if order == "any":
        paired = set(pairs.values())
        rest = [place for place in range(len(found)) if place not in paired]
        actual = []
        for number, matcher in enumerate(matchers):
            if number in pairs:
                expected[number] = shown = matcher.shown(found[pairs[number]])
                actual.append(shown)
            elif rest:
                actual.append(matcher.shown(found[rest.pop(0)]))
        actual += [to_written(found[place].payload) for place in rest]
    else:
        actual = []
        for place, message in enumerate(found):
            matcher_at = matchers[place] if place < len(matchers) else None
            if matcher_at is not None and matcher_at.takes(message):
                expected[place] = matcher_at.shown(message)
            actual.append(to_written(message.payload) if matcher_at is None else matcher_at.shown(message))
    suffix = "" if order == "any" else {"exact": ", in order", "key": ", in order of each key"}[order]
    return Problem(what=what + suffix, expected=_listed(expected), actual=_listed(actual))


def _listed(values: Sequence[Any]) -> str:
    return to_yaml(list(values)) if values else "[]\n"


# -- failures -------------------------------------------------------------------------------------------------------


def _failures(what: str, wanted: Sequence[FailureModel], found: Sequence[FailedMessage]) -> Iterator[Problem]:
    left = list(found)
    expected: list[dict[str, Any]] = []
    met: list[dict[str, Any]] = []
    is_met = True
    for model in wanted:
        takes = _failure_test(model)
        for _ in range(model.count):
            hit = next((each for each in left if takes(each)), None)
            if hit is None:
                is_met = False
                names = ("route", "type", "error", "text")
                expected.append({name: getattr(model, name) for name in names if getattr(model, name) is not None})
            else:
                left.remove(hit)
                shown = _shown_failure(hit)
                expected.append(shown)
                met.append(shown)
    if left or not is_met:
        yield Problem(what=what, expected=_listed(expected), actual=_listed([*met, *map(_shown_failure, left)]))


def _failure_test(model: FailureModel) -> Any:
    pattern = None if model.error is None else compile_condition(error_condition(model.error))

    def takes(found: FailedMessage) -> bool:
        return (
            found.route == model.route
            and (model.type is None or found.type == model.type)
            and (model.text is None or _is_text(found.error, model.text))
            and (pattern is None or pattern.matches_value({"error": found.error}))
        )

    return takes


def _is_text(found: str, text: str) -> bool:
    """True if an error's text is this one; it may have been cut."""
    return found == text or (found.endswith(CUT) and text.startswith(found.removesuffix(CUT)))


def _shown_failure(found: FailedMessage) -> dict[str, Any]:
    return {"route": found.route, "type": found.type, "error": found.error}


# -- times ----------------------------------------------------------------------------------------------------------


def _is_in(value: float, bounds: RangeModel) -> bool:
    return (bounds.at_least is None or value >= bounds.at_least - _CLOSE) and (
        bounds.at_most is None or value <= bounds.at_most + _CLOSE
    )


def _range_text(bounds: RangeModel) -> str:
    words = {"at_least": "at least", "at_most": "at most"}
    parts = [
        f"{word} {seconds_text(getattr(bounds, name))}"
        for name, word in words.items()
        if getattr(bounds, name) is not None
    ]
    return " and ".join(parts) + "\n"


def seconds_text(seconds: float) -> str:
    """Return virtual seconds for people."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + " s"
