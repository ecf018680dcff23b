"""Models of a test file: what is published, how stages answer, what goes wrong, and what is expected.

Kept separate from reading and running because the schema and the documentation are made from them. Unknown fields are
refused; messages are any YAML value, with bytes and times as `payloads` writes them. Short forms, such as a list for
`{messages: ...}`, are written out before (`completion`).
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from factflow_engine.adapters.builtin._config import explained
from factflow_engine.config.frozen import FrozenDict
from factflow_engine.config.models.base import ConfigModel, Sequence_

ANSWERS: Final = ("returns", "emits", "filters", "forwards", "sticks")
"""Fields of which one says what a call gives; `emits` and `raises` may stand together."""

Seconds = Annotated[float, Field(ge=0, le=1e9)]
Count = Annotated[int, Field(ge=0)]


def _excluding(owner: ConfigModel, names: tuple[str, ...], expected: str) -> None:
    written = [name for name in names if name in owner.model_fields_set]
    if len(written) > 1:
        raise explained(f"expected {expected}, got {' and '.join(written)}", "keep one of them", "T105")


class InputModel(ConfigModel):
    """A message that comes from outside."""

    route: str = Field(description="Route that gets it.")
    payload: Any = Field(description="The message.")
    key: str | None = Field(default=None, description="Its key; see inbound.ordering.")
    headers: FrozenDict[str, Any] = Field(default_factory=FrozenDict, description="Its headers.")
    at: Seconds = Field(default=0.0, description="Virtual seconds after the start at which it is published.")


class RaisedModel(ConfigModel):
    """An exception that a call raises."""

    text: str = Field(description="Its text.")
    type: str = Field(
        default="StubbedError",
        min_length=1,
        description="Name of its class: a built-in one, Reject, RetryLater, Overloaded, or one that is made up.",
    )
    bases: Sequence_[str] = Field(
        default=(), description="Names of the classes above it, the nearest first, for breakers that ask for them."
    )
    delay: Seconds = Field(
        default=1.0, description="Of RetryLater, Overloaded and CircuitOpenError: seconds until another attempt."
    )


class AnswerModel(ConfigModel):
    """Answer of a stage to a call."""

    returns: Any = Field(default=None, description="The message that goes on; null is one.")
    emits: Sequence_[Any] = Field(default=(), description="Messages that go on: payloads, or {payload, key, headers}.")
    filters: Literal[True] = Field(default=True, description="The message ends here.")
    forwards: Literal[True] = Field(default=True, description="The message goes on unchanged.")
    sticks: Literal[True] = Field(default=True, description="The call returns only when a time limit cancels it.")
    raises: RaisedModel | None = Field(
        default=None, description="The call fails: a text, or {type, text}. With emits, after the last message."
    )
    headers: FrozenDict[str, Any] | None = Field(default=None, description="Headers of what goes on; null removes one.")

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        _excluding(self, ANSWERS, "one answer")
        if "raises" in self.model_fields_set:
            _excluding(self, ("raises", "returns", "filters", "forwards", "sticks"), "one answer")
        return self

    @property
    def has_answer(self) -> bool:
        """True if it says what a call gives."""
        return not self.model_fields_set.isdisjoint({*ANSWERS, "raises"})


class CaseModel(AnswerModel):
    """An answer to some messages."""

    input: Any = Field(default=None, description="The message that is answered so: this payload.")
    when: FrozenDict[str, Any] = Field(
        default_factory=FrozenDict, description="Messages that are answered so: a condition, as of an outbound."
    )
    attempt: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of the message's attempt that is answered so, from 1."
    )
    calls: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of calls that are answered so; later ones come to the next case."
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        _excluding(self, ("input", "when"), "one of input and when")
        if not self.has_answer:
            raise explained(
                "expected an answer, got none", "add returns:, emits:, filters: true, forwards: true or raises:", "T102"
            )
        return self


class LognormalModel(ConfigModel):
    """Times whose logarithm is normally distributed."""

    median: float = Field(gt=0, le=1e9, description="Seconds that half of the calls exceed.")
    sigma: float = Field(default=0.5, ge=0, le=5, description="Standard deviation of the logarithm.")


class BimodalModel(ConfigModel):
    """Most calls are quick, some slow."""

    quick: Seconds = Field(description="Seconds of a quick call.")
    slow: Seconds = Field(description="Seconds of a slow one.")
    slow_share: float = Field(default=0.1, ge=0, le=1, description="Share of slow calls.")


class TimesModel(ConfigModel):
    """Seconds that calls take, in virtual time: exactly one of the fields."""

    constant: Seconds | None = Field(default=None, description="Every call takes so many seconds.")
    lognormal: LognormalModel | None = Field(default=None, description="As most servers: {median, sigma}.")
    bimodal: BimodalModel | None = Field(default=None, description="As a cache: {quick, slow, slow_share}.")

    @model_validator(mode="after")
    def _one_distribution(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise explained(
                f"expected one distribution, got {' and '.join(sorted(self.model_fields_set)) or 'none'}",
                "write {constant: 0.5}, for example",
                "T105",
            )
        return self


class FailsModel(ConfigModel):
    """Calls that fail, whatever the stage answers."""

    first: Count = Field(default=0, description="Number of calls, from the first, that fail.")
    share: float = Field(default=0.0, ge=0, le=1, description="Share of calls that fail, drawn from the seed.")


class StubModel(AnswerModel):
    """Behaviour of a stage. Without an answer and cases, its own adapter answers."""

    cases: Sequence_[CaseModel] = Field(
        default=(), description="Answers to some messages; the first case that applies. Others get the stage's answer."
    )
    times: TimesModel | None = Field(
        default=None, description="Seconds that a call takes: a number, or a distribution."
    )
    fails: FailsModel | None = Field(default=None, description="Calls that fail: the first N, or {share: 0.1}.")
    finishes: AnswerModel | None = Field(
        default=None, description="What the stage adds when no message is left: returns or emits."
    )

    @property
    def is_stubbed(self) -> bool:
        """True if the stage's adapter is not called."""
        return self.has_answer or bool(self.cases) or self.finishes is not None


class RangeModel(ConfigModel):
    """Seconds between two bounds."""

    at_least: Seconds | None = Field(default=None, description="Least number of seconds.")
    at_most: Seconds | None = Field(default=None, description="Greatest number of seconds.")


class MessageModel(ConfigModel):
    """An expected message."""

    payload: Any = Field(default=None, description="Its payload, exactly.")
    contains: Any = Field(default=None, description="Part of its payload: maps may have more entries.")
    matches: FrozenDict[str, Any] = Field(
        default_factory=FrozenDict, description="Condition on its payload, as of an outbound."
    )
    key: str | None = Field(default=None, description="Its key.")
    headers: FrozenDict[str, Any] = Field(default_factory=FrozenDict, description="Headers that it has, among others.")
    at: RangeModel | None = Field(
        default=None, description="Virtual seconds at which it leaves: a number, or {at_least, at_most}."
    )


Order = Literal["any", "key", "exact"]


class MessagesModel(ConfigModel):
    """Expected messages of a queue, or of a stage's calls."""

    messages: Sequence_[MessageModel] | None = Field(
        default=None, description="All messages: payloads, or {payload|contains|matches, key, headers, at}."
    )
    count: Count | None = Field(default=None, description="Number of messages.")
    order: Order | None = Field(
        default=None, description="any; key: in this order among those of one key; exact: in this order."
    )


class OutcomesModel(ConfigModel):
    """Ends of messages in a route; those that are left out are 0."""

    completed: Count = Field(default=0, description="Messages that went on, or ended in a sink.")
    filtered: Count = Field(default=0, description="Messages that a stage, or no outbound, took.")
    dead_lettered: Count = Field(default=0, description="Messages that failed, and went to a dead-letter queue.")
    failed: Count = Field(default=0, description="Messages that failed.")


class FailureModel(ConfigModel):
    """Expected failures of messages."""

    route: str = Field(description="Route in which they failed.")
    error: str | None = Field(default=None, description="Pattern that is found in the error's text, as of matches.")
    text: str | None = Field(default=None, description="The error's text, exactly.")
    type: str | None = Field(default=None, description="Name of the error's class.")
    count: Annotated[int, Field(ge=1)] = Field(default=1, description="Number of such messages.")


class ExpectModel(ConfigModel):
    """Expectations. What is not listed must not come out: outputs, failures and dead letters."""

    outputs: FrozenDict[str, MessagesModel] = Field(
        default_factory=FrozenDict, description="Messages that leave the pipeline, by queue."
    )
    order: Order = Field(default="any", description="Order of outputs whose queue has none of its own.")
    outcomes: FrozenDict[str, OutcomesModel] = Field(
        default_factory=FrozenDict, description="Ends of messages, by route; exactly these, for the routes listed."
    )
    reached: Sequence_[str] = Field(
        default=(), description="Routes, or stages as route/stage, that some message reaches."
    )
    not_reached: Sequence_[str] = Field(default=(), description="Routes, or stages, that no message reaches.")
    calls: FrozenDict[str, MessagesModel] = Field(
        default_factory=FrozenDict, description="Calls of stages, attempts included: a number, or messages."
    )
    failures: Sequence_[FailureModel] = Field(default=(), description="All messages that end failed.")
    dead_letters: Sequence_[FailureModel] = Field(default=(), description="All messages that end dead-lettered.")
    duration: RangeModel | None = Field(default=None, description="Virtual seconds that the run takes.")
    status: Literal["completed", "failed", "cancelled"] | None = Field(
        default=None, description="Status of the execution; by default completed, with until any."
    )


class TestModel(ConfigModel):
    """One test."""

    __test__ = False  # pytest takes it for a class of tests

    name: str = Field(min_length=1, max_length=200, description="Name of the test, unique in the file.")
    description: str = Field(default="", description="For people.")
    seed: int = Field(default=0, ge=0, description="Seed of the schedule, and of all that is drawn.")
    init: bool | None = Field(
        default=None, description="True: the pipeline's init messages are published; by default if there are no inputs."
    )
    inputs: Sequence_[InputModel] = Field(default=(), description="Messages from outside.")
    stages: FrozenDict[str, StubModel] = Field(
        default_factory=FrozenDict, description="Behaviour of stages, by route/stage; replaces that of the file."
    )
    allow: Sequence_[str] = Field(default=(), description="Stages, as route/stage, whose own adapters may read files.")
    faults: Sequence_[FrozenDict[str, Any]] = Field(
        default=(), description="What goes wrong, as {fault: fail_stage, stage: route/stage, nth: 1}."
    )
    queue: str = Field(default="memory://", description="Queue of the run.")
    processes: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Processes that share the work.")
    until: Seconds | None = Field(default=None, description="Virtual seconds after which the run is stopped.")
    expect: ExpectModel = Field(description="What must come out.")


class TestFileModel(ConfigModel):
    """A file of tests."""

    __test__ = False

    pipeline: str | None = Field(
        default=None, description="Path of the pipeline, relative to the file; by default what the file's name says."
    )
    recorded: str | None = Field(
        default=None, description="Hash of the pipeline's snapshot of which a run was recorded."
    )
    environment: FrozenDict[str, str] = Field(
        default_factory=FrozenDict, description="Variables that the pipeline sees; no other is there."
    )
    stages: FrozenDict[str, StubModel] = Field(
        default_factory=FrozenDict, description="Behaviour of stages in all tests, by route/stage."
    )
    allow: Sequence_[str] = Field(default=(), description="Stages whose own adapters may read files, in all tests.")
    tests: Sequence_[TestModel] = Field(min_length=1, description="The tests.")
