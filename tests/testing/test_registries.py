"""Registries from classes and functions, and the text when they cannot be made."""

import functools

import pytest

from factflow_engine import AdapterRegistrationError
from factflow_engine.testing import FakeUseError, adapter_of, run_adapter, validating_registry
from factflow_protocols import AdapterResult, PipelineAdapter


class CountTokens(PipelineAdapter):
    def process(self, context):
        return AdapterResult.forward()


class HTTPFetch(CountTokens):
    pass


class Named(CountTokens):
    adapter_type = "my.named"


class Inherits(Named):
    pass


def shout(context):
    """Shouts."""
    return AdapterResult(message=context.message.upper())


async def whisper(context):
    return AdapterResult(message=context.message.lower())


class Called:
    async def __call__(self, context):
        return AdapterResult(message="called")


def test_names_are_those_of_the_classes_and_functions():
    registry = validating_registry(CountTokens, HTTPFetch, Named, Inherits, shout, other=whisper)
    added = {"count_tokens", "http_fetch", "my.named", "inherits", "shout", "other"}
    assert set(registry.types()) - set(validating_registry().types()) == added
    assert registry.get("count_tokens").adapter_class is CountTokens
    assert registry.get("shout").summary == "Shouts."


def test_functions_are_async_if_they_are_and_run():
    registry = validating_registry(shout, whisper, called=Called(), partial=functools.partial(whisper))
    is_sync = {name: registry.get(name).is_sync for name in ("shout", "whisper", "called", "partial")}
    assert is_sync == {"shout": True, "whisper": False, "called": False, "partial": False}
    assert run_adapter(adapter_of(Called())).output == "called"
    assert run_adapter(whisper, "A").output == "a"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (lambda context: None, r"got a function without a name; write validating_registry\(name=...\)"),
        (CountTokens(), r"got an instance of CountTokens \(the engine makes one for each stage: give the class\)"),
        (7, "got a int"),
    ],
)
def test_what_has_no_name_is_refused(given, text):
    with pytest.raises(FakeUseError, match=text):
        validating_registry(given)


def test_an_instance_is_refused_under_a_name_too_and_classes_are_checked():
    with pytest.raises(FakeUseError, match="give the class"):
        validating_registry(name=CountTokens())
    with pytest.raises(AdapterRegistrationError):
        validating_registry(name=dict)
    with pytest.raises(AdapterRegistrationError, match="already"):
        validating_registry(shout, shout=whisper)
