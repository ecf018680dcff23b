"""The root of the command line: the table of commands, and the version.

Imports click and nothing of the engine; see `lazy`.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NoReturn

import click

from factflow_engine.cli.guard import guarded
from factflow_engine.cli.lazy import LazyCommand, LazyGroup
from factflow_engine.cli.options import asks_json, debug_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import OutputClosedError
from factflow_engine.version import __version__

_COMMANDS: Final = {
    "run": LazyCommand(
        target="factflow_engine.cli.run:run_command",
        summary="Run a pipeline to its end, in this process.",
    ),
    "publish": LazyCommand(
        target="factflow_engine.cli.publish:publish_command",
        summary="Put messages into a durable queue of a pipeline.",
    ),
    "config": LazyCommand(
        target="factflow_engine.cli.config:config_group",
        summary="Check configurations, and keep them by name.",
    ),
    "execution": LazyCommand(
        target="factflow_engine.cli.execution:execution_group",
        summary="Show, wait for, cancel, replay and recover recorded executions.",
    ),
    "doctor": LazyCommand(
        target="factflow_engine.cli.doctor:doctor_command",
        summary="Say what is in the home, and what is wrong.",
    ),
    "test": LazyCommand(
        target="factflow_engine.cli.config_tests.command:test_command",
        summary="Run the tests beside pipelines, in virtual time.",
    ),
    "graph": LazyCommand(
        target="factflow_engine.cli.graph:graph_command",
        summary="Draw a pipeline's routes and queues.",
    ),
    "adapters": LazyCommand(
        target="factflow_engine.cli.adapters:adapters_group",
        summary="List and describe the adapters that are installed.",
    ),
    "queue": LazyCommand(
        target="factflow_engine.cli.queue:queue_group",
        summary="Look into durable queues and keep them in order.",
    ),
    "dlq": LazyCommand(
        target="factflow_engine.cli.dlq:dlq_group",
        summary="List, show, put back and delete dead letters.",
    ),
    "storage": LazyCommand(
        target="factflow_engine.cli.storage:storage_group",
        summary="Look into object stores, copy from them and check them.",
    ),
    "lineage": LazyCommand(
        target="factflow_engine.cli.lineage:lineage_group",
        summary="Read what happened to each message.",
    ),
    "explain": LazyCommand(
        target="factflow_engine.cli.explain:explain_command",
        summary="Explain what happened to one message, and why.",
    ),
    "bench": LazyCommand(
        target="factflow_engine.cli.bench:bench_group",
        summary="Compare algorithms by simulation.",
    ),
}


class RootGroup(LazyGroup):
    """Command group that ends the process: every error of a command passes through the guard once."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - click's signature
        owns_process: bool = False,  # noqa: FBT001, FBT002 - as the others
        **extra: Any,
    ) -> Any:
        """See click; exits with one of `ExitStatus`, or returns it if not in standalone mode.

        `owns_process` is for the `factflow` script: the process exists for this command alone.
        """
        settings = Settings(owns_process=owns_process, asks_json=asks_json(sys.argv[1:] if args is None else args))
        call = partial(
            super().main,
            args,
            prog_name,
            complete_var,
            standalone_mode=False,
            windows_expand_args=windows_expand_args,
            **{**extra, "obj": settings},
        )
        status = guarded(call, settings)
        if standalone_mode:
            raise SystemExit(int(status))
        return status

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """See click; a closed pipe (help is printed in here) is left to the guard instead of exiting with status 1."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError as error:
            raise OutputClosedError from error

    def invoke(self, ctx: click.Context) -> Any:
        """See click; a closed pipe is handled by the guard."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OutputClosedError from error


@click.group(
    cls=RootGroup,
    commands_by_name=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
Examples:
  factflow run pipeline.yaml
  factflow run pipeline.yaml --adapters my_adapters.py --output json > report.json
  factflow config validate pipelines/
  factflow test pipelines/
  factflow graph pipeline.yaml --format dot | dot -Tsvg > pipeline.svg
  factflow adapters show filter

Exit status: 0 done, 1 failed, 2 something to change in the input, 3 messages failed (run --fail-on-failed), 130
Ctrl-C, 143 SIGTERM.""",
)
@debug_option
@click.version_option(__version__, "-V", "--version", prog_name="factflow")
def root() -> None:
    """Run declarative pipelines: YAML routes of adapters, connected by queues."""


def main() -> NoReturn:
    """Run the `factflow` script.

    Raises:
        SystemExit: Always, with one of `ExitStatus`.
    """
    root.main(prog_name="factflow", owns_process=True)
    raise AssertionError("click returned in standalone mode")  # pragma: no cover
