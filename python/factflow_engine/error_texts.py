"""Descriptions of errors, for reports, logs and dead letters. Nothing here raises, whatever the error's class does.

Kept separate from `errors`, which has the engine's own classes. An adapter may raise anything, and a description that
raised would take the error's message along: so class names, texts, tracebacks, notes and the contents of groups are
read by these functions, through Python's own descriptors where the error's class may have replaced an attribute.
"""

import traceback
from collections.abc import Iterator
from typing import Final, TypeGuard, TypeVar

AnyError = TypeVar("AnyError", bound=BaseException)

DESCRIBED_CHARACTERS: Final = 2000
"""Most characters of an error's text that are kept."""

CUT: Final = "…"
"""Mark at the end of a text that was cut."""

_HINTS: Final = (
    (
        RuntimeError,
        "no running event loop",
        "this is trio, not asyncio: write trio.sleep, trio.open_tcp_stream, ... instead of asyncio's",
    ),
    (
        RuntimeError,
        "Attempted to call run() from inside a run()",
        "trio runs here already: write `await function()` in an async process",
    ),
    (
        TypeError,
        "Trio expected a sync function",
        "it returned a coroutine, which nobody awaited: write `async def process`, and await there",
    ),
)
"""Hints after errors that are raised by code for another event loop: class, beginning of the text, hint."""

_NAME: Final = vars(type)["__name__"].__get__
_MODULE: Final = vars(type)["__module__"].__get__
_QUALIFIED: Final = vars(type)["__qualname__"].__get__
_MRO: Final = vars(type)["__mro__"].__get__
_MEMBERS: Final = vars(BaseExceptionGroup)["exceptions"].__get__
_SET_CONTEXT: Final = vars(BaseException)["__context__"].__set__


def class_name(error: BaseException) -> str:
    """Return the name of an error's class."""
    return str(_NAME(type(error)))


def qualified_name(error: BaseException) -> str:
    """Return the name of an error's class with its module, unless that is `builtins`."""
    try:
        return f"{_MODULE(type(error))}.{_QUALIFIED(type(error))}".removeprefix("builtins.")
    except BaseException:  # noqa: BLE001 - its module is what its author wrote
        return class_name(error)


def class_names(error: BaseException, within: type = object) -> tuple[str, ...]:
    """Return the names of an error's class and its bases, those below `within`, in the order of resolution."""
    return tuple(_NAME(base) for base in _MRO(type(error)) if issubclass(base, within))


def sole_cause(error: Exception) -> Exception:
    """Return the only exception that a nursery wrapped; the error itself if it wraps several, or none."""
    while is_a(error, ExceptionGroup) and len(inside := _MEMBERS(error)) == 1:
        error = inside[0]
    return error


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions in a group and its subgroups, without recursion: groups may be nested deeply."""
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if inside := members(error):
            waiting.extend(inside)
        else:
            yield error


def members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions in a group; none if it is no group."""
    return _MEMBERS(error) if is_group(error) else ()


def is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """True if an error is a group."""
    return is_a(error, BaseExceptionGroup)


def is_a(error: BaseException, *classes: type[BaseException]) -> bool:
    """True if an error is of one of the classes; unlike `isinstance`, this does not ask the error's own `__class__`."""
    return issubclass(type(error), classes)


def error_text(error: BaseException) -> str:
    """Return an error's text, bounded; of a group, its contents, too.

    It can be encoded: a lone surrogate, as in the text of a file name, becomes its escape.
    """
    text = _text(error)
    # Leaf by leaf without recursion, because groups may be nested deeply; and no more leaves than are shown.
    waiting = list(reversed(members(error)))
    between = ": "
    while waiting and len(text) < DESCRIBED_CHARACTERS:
        leaf = waiting.pop()
        if inside := members(leaf):
            waiting.extend(reversed(inside))
        else:
            text += f"{between}{class_name(leaf)}: {_text(leaf)}"
            between = "; "
    # Cut first, because the text may be as large as a message; and again, because escaping lengthens it.
    return bounded(bounded(text, DESCRIBED_CHARACTERS).encode(errors="backslashreplace").decode(), DESCRIBED_CHARACTERS)


def bounded(text: str, most: int) -> str:
    """Return the text, cut and marked if it is longer than `most` characters."""
    return text if len(text) <= most else text[: most - len(CUT)] + CUT


def describe(error: BaseException) -> str:
    """Return an error's class and text, for one line of a report; unwrap one that a nursery wrapped alone."""
    if is_a(error, ExceptionGroup):
        error = sole_cause(error)  # type: ignore[arg-type]  # a type checker does not follow the line above
    return f"{class_name(error)}: {error_text(error)}"


def trace_of(error: BaseException) -> str:
    """Return an error as Python prints it, with its traceback and causes; if Python cannot print it, its description."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as failure:  # noqa: BLE001 - its causes, notes and class are its author's
        return f"{describe(error)}\n<its traceback cannot be printed: {class_name(failure)}>\n"


def noted(error: AnyError, failure: AnyError) -> AnyError:
    """Return an error with a note of a failure beside it; if it takes no note, the failure with a note of the error."""
    try:
        BaseException.add_note(error, _text(failure))
    except BaseException:  # noqa: BLE001 - its notes are its author's
        failure.add_note(f"beside {describe(error)}")
        return failure
    return error


def set_context(error: BaseException, context: BaseException) -> None:
    """Note what an error was raised from."""
    _SET_CONTEXT(error, context)


def _text(error: BaseException) -> str:
    try:
        text = str.__str__(str(error))  # a subclass of `str` may have its own idea of length
    except BaseException as failure:  # noqa: BLE001 - `__str__` is the error's author's
        return f"<its text cannot be had: {class_name(failure)}>"
    hints = [hint for kind, beginning, hint in _HINTS if is_a(error, kind) and text.startswith(beginning)]
    return "; ".join([text, *hints])
