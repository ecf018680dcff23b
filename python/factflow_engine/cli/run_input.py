"""Input of a run besides its file: payloads, the execution's id, the budget of a drain.

Kept separate from `run` because `publish` must name the same executions and read payloads in the same way.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from factflow_engine.adapters.builtin._json import json_message
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.config.hiding import Hiding
from factflow_engine.errors import CodecError
from factflow_engine.runtime.execution.manager import is_execution_id

DRAIN_SECONDS: Final = 10.0
"""Budget of a drain that neither the operator nor the configuration sets."""


def drain_seconds(config: PipelineGlobalConfig, asked: float | None) -> float:
    """Return the seconds that a drain gives to work: the operator's, else the configuration's; always finite."""
    for seconds in (asked, config.orchestrator.drain_seconds):
        if seconds is not None:
            return seconds
    return DRAIN_SECONDS


def durable_id(config: PipelineGlobalConfig, asked: str | None) -> str:
    """Return the id of an execution whose messages outlive the process: the one asked for, else the pipeline's name.

    Raises:
        InvalidInputError: The id is invalid.
    """
    if asked is None:
        # The id is printed and stored; a literal name is no secret, even if a variable has the same value.
        literal = config.to_mapping()["name"] == config.name
        asked = config.name if literal else Hiding(config.secrets)(config.name)
    if not is_execution_id(asked):
        raise InvalidInputError(
            f"{asked!r} cannot name an execution's messages: pass --id with 1 to 64 letters, digits, '.', '_' or '-'"
        )
    return asked


def parsed_payload(option: str, text: str) -> Any:
    """Return the payload that an option gives as JSON.

    Raises:
        InvalidInputError: It is not JSON, or no message can carry it.
    """
    try:
        return json_message(text)
    except CodecError as error:
        raise InvalidInputError(f"{option}: no message can carry this: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f'{option} is not JSON: {error}; quote it for the shell, as in {option} \'{{"path": "docs"}}\''
        ) from error


def parsed_metadata(texts: Sequence[str]) -> dict[str, Any]:
    """Return the values that `--metadata NAME=VALUE` gives: JSON if it is, else text.

    Raises:
        InvalidInputError: A text has no name, or a name is given twice.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not name.isprintable():
            raise InvalidInputError(f"--metadata: expected NAME=VALUE, got {text!r}")
        if name in values:
            raise InvalidInputError(f"--metadata: {name!r} is given twice; once is enough")
        try:
            values[name] = json.loads(value)
        except (ValueError, RecursionError):
            values[name] = value
    return values


def replaced_init_message(config: PipelineGlobalConfig, payload: Any) -> InitMessageConfig:
    """Return the init message with another payload.

    Raises:
        InvalidInputError: The configuration does not have exactly one init message.
    """
    if len(config.init_message) != 1:
        remedy = (
            "edit their payloads in the file"
            if config.init_message
            else "add `init_message: {route: ..., payload: ...}` to it"
        )
        raise InvalidInputError(
            "--set-payload replaces the payload of the one init message, the configuration has "
            f"{len(config.init_message) or 'none'}; {remedy}"
        )
    message = config.init_message[0]
    return InitMessageConfig(route=message.route, payload=payload, headers=message.headers, key=message.key)
