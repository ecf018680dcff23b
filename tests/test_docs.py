"""The pages under docs/: their examples run, their links lead somewhere, the reference says what the sources say.

What a page says about the engine beyond that is tested in `tests/docs/`, a module for each page.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from factflow_engine import AdapterDiscovery, OperatorRegistry, PipelineConfigLoader, ValidatingAdapterRegistry
from factflow_engine.cli.root import root
from support.doc_pages import DOCS, PAGES, ROOT, WRITTEN, blocks, files, languages, name, tables, text, without_blocks

GENERATED = [page for page in PAGES if page.parent == DOCS / "reference"]
SHOWN = [page for page in PAGES if page not in GENERATED]

EVERYWHERE = {"python", "yaml", "sh"}
"""Languages of blocks that are tested here; blocks of another one need a test of their page."""


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as its readers' programs make them."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_page_and_to_a_heading_of_it(page: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", without_blocks(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name(page)} links to {target}"
        assert not anchor or anchor in anchors(found), f"{name(page)} links to {target}"


def own_test_of(page: Path) -> Path:
    return ROOT / "tests" / "docs" / f"test_docs_{page.stem.replace('-', '_')}.py"


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_block_is_read_by_a_test(page: Path) -> None:
    own_test = own_test_of(page)
    assert languages(page) <= EVERYWHERE or own_test.exists()
    for file in files(page):
        assert own_test.exists(), f"{name(page)} has a file {file}, and no {own_test.name} that uses it"


def prints_elsewhere(page: Path) -> bool:
    """True if a test of the page's own runs its programs, and compares what they print."""
    own_test = own_test_of(page)
    return own_test.exists() and "assert_programs_print_what_is_shown(PAGE" in own_test.read_text(encoding="utf-8")


WITH_PROGRAMS = [page for page in WRITTEN if blocks(page, "python") and not prints_elsewhere(page)]


@pytest.mark.parametrize("page", WITH_PROGRAMS, ids=name)
def test_the_programs_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    programs = [block for block in blocks(page, "python") if block not in files(page).values()]
    (tmp_path / "program.py").write_text("\n".join(programs), encoding="utf-8")
    # By `CI` hypothesis is patient: of a package that is installed from a checkout it reads every source at the first draw.
    ran = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("page", [page for page in WRITTEN if blocks(page, "yaml")], ids=name)
def test_the_pipelines_of_a_page_load(page: Path, tmp_path: Path) -> None:
    registry = ValidatingAdapterRegistry()
    for file, block in files(page).items():
        if file.endswith(".py"):
            (tmp_path / file).write_text(block, encoding="utf-8")
            AdapterDiscovery(registry).from_file(tmp_path / file)
    for pipeline in blocks(page, "yaml"):
        PipelineConfigLoader(registry).load_text(pipeline)


def commands(page: Path) -> list[str]:
    """Return the commands of `factflow` that a page shows: in its blocks, and in its sentences."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    shown = [line.partition(" # ")[0].partition(" | ")[0].strip().removesuffix(" &") for line in lines]
    shown += re.findall(r"`(factflow [a-z]+ [^`]*)`", without_blocks(page))
    return [command for command in shown if command.startswith("factflow ")]


@pytest.mark.parametrize("page", [page for page in SHOWN if commands(page)], ids=name)
def test_the_command_line_takes_every_command_that_a_page_shows(page: Path) -> None:
    for shown in commands(page):
        command, words = root, shlex.split(shown)[1:]
        context = click.Context(root, info_name="factflow")
        while isinstance(command, click.Group) and words:
            child = command.get_command(context, words[0])
            assert child is not None, f"{name(page)}: {shown}"
            context, command, words = click.Context(child, info_name=words[0], parent=context), child, words[1:]
        if words:  # not only the name of a command
            command.make_context(context.info_name, words)  # raises what the user would be told


def test_every_operator_is_on_the_page_of_conditions() -> None:
    [rows] = tables(DOCS / "conditions.md")
    listed = {operator for _, cell in rows for operator in re.findall(r"`(\w+)`", cell)}
    assert listed == {*OperatorRegistry().names(), "all_of", "any_of", "not", "any_element"}


def test_every_page_is_in_the_index() -> None:
    index = DOCS / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)", text(index))}
    assert {name(page) for page in PAGES if page not in linked} == {"docs/README.md"}


def test_the_reference_is_what_the_sources_say() -> None:
    ran = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
