"""Outermost error handler of every command: an error becomes one line and an exit status, a traceback only on request.

Kept separate from the commands so that each failure is phrased in one place, in text and in JSON.
"""

import io
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress

import click

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.interrupts import Interrupts, is_interrupt, noticed_interrupts
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.streams import restored_streams, results, settle_streams
from factflow_engine.cli.text import OutputClosedError, clean
from factflow_engine.error_texts import sole_cause
from factflow_engine.errors import NoLineageError, NoStorageError, StateLossError
from factflow_protocols import FactflowError


class InvalidInputError(FactflowError):
    """Invalid input of the command: the user has to change what it names first.

    Attributes:
        document: Further entries of the JSON document.
    """

    def __init__(self, text: str, document: Mapping[str, object] | None = None) -> None:
        self.document = dict(document or {})
        super().__init__(text)


def guarded(call: Callable[[], object], settings: Settings) -> int:
    """Run a command and return its exit status.

    Args:
        call: Runs the command; a number that it returns is the exit status, anything else means 0.
        settings: What the options asked for.
    """
    if settings.owns_process:
        settle_streams()
    _tolerate_any_text()
    with restored_streams(owns_process=settings.owns_process):
        return _flushed(call, settings)


def _flushed(call: Callable[[], object], settings: Settings) -> int:
    try:
        with noticed_interrupts() as interrupts:
            status = _reported(call, settings, interrupts)
        for stream in (results(), sys.stdout, sys.stderr):
            stream.flush()
    except (OutputClosedError, BrokenPipeError):
        _silence_closed_streams()
        return ExitStatus.OUTPUT_CLOSED
    except OSError as error:
        click.echo(f"factflow: standard output cannot be written: {error.strerror or error}", err=True)
        _silence_closed_streams()
        return ExitStatus.FAILED
    return status


def _reported(call: Callable[[], object], settings: Settings, interrupts: Interrupts) -> int:
    try:
        result = call()
    except click.ClickException as error:
        settings.as_json = settings.as_json or settings.asks_json  # its option may come after the one that is wrong
        error.show()
        _print_error(error.format_message(), type(error).__name__, settings)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _report_interruption(settings)
    except (OutputClosedError, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - the outermost boundary: it is reported, here and once
        if interrupts.noticed:
            _show_traceback(error, settings)
            return _report_interruption(settings)
        return _report_error(sole_cause(error), settings)
    except BaseExceptionGroup as group:
        if not is_interrupt(group):
            raise
        return _report_interruption(settings)
    return result if isinstance(result, int) else ExitStatus.OK


def _report_error(error: Exception, settings: Settings) -> int:
    """Print one line (and the traceback if asked for) and choose the status."""
    if isinstance(error, ExceptionGroup) and error.subgroup(OutputClosedError) is not None:
        raise OutputClosedError from error
    if isinstance(error, OutputClosedError):
        raise error
    invalid = isinstance(error, (InvalidInputError, NoLineageError, NoStorageError, StateLossError))
    expected = isinstance(error, FactflowError)
    _show_traceback(error, settings)
    said = settings.hidden(str(error)) or type(error).__name__
    hint = "" if settings.debug or invalid else "  (--debug shows where)"
    lines = (said if expected else f"{type(error).__name__}: {said}").splitlines()
    click.echo("\n".join([f"factflow: {clean(lines[0])}{hint}", *map(clean, lines[1:])]), err=True)
    more = error.document if isinstance(error, InvalidInputError) else {}
    _print_error(said, type(error).__name__, settings, more)
    return ExitStatus.INVALID if invalid else ExitStatus.FAILED


def _report_interruption(settings: Settings) -> int:
    click.echo("factflow: interrupted", err=True)
    _print_error("interrupted", KeyboardInterrupt.__name__, settings)
    return ExitStatus.INTERRUPTED


def _print_error(said: str, error_type: str, settings: Settings, more: Mapping[str, object] | None = None) -> None:
    """Print the document of an error, if one was promised and none was printed; `more` is a part of it."""
    if settings.as_json and not settings.document_printed:
        print_document({"status": "error", "error": said, "error_type": error_type, **(more or {})}, settings)


def _show_traceback(error: Exception, settings: Settings) -> None:
    """Print the traceback if it was asked for."""
    if settings.debug:
        for line in settings.hidden("".join(traceback.format_exception(error))).splitlines():
            click.echo(clean(line), err=True)


def _tolerate_any_text() -> None:
    """Escape characters that the terminal's encoding lacks instead of failing in the middle of a report."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence_closed_streams() -> None:
    """Redirect streams that nobody reads to nothing, or the interpreter complains about them while it exits."""
    for stream in (results(), sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError):  # a replaced stream without a descriptor has nothing to redirect
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
