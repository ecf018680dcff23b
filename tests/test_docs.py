"""The pages under docs/: their examples run, their links lead somewhere, the reference says what the sources say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from factflow_engine import OperatorRegistry, PipelineConfigLoader, ValidatingAdapterRegistry

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/reference/*.md"), ROOT / "README.md", ROOT / "bench" / "README.md"]
)
WRITTEN = [page for page in PAGES if page.parent == ROOT / "docs"]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as its readers' programs make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_page_and_to_a_heading_of_it(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text(page), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name(page)} links to {target}"
        assert not anchor or anchor in anchors(found), f"{name(page)} links to {target}"


@pytest.mark.parametrize("page", [page for page in WRITTEN if blocks(page, "python")], ids=name)
def test_the_programs_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("page", [page for page in WRITTEN if blocks(page, "yaml")], ids=name)
def test_the_pipelines_of_a_page_load(page: Path) -> None:
    for pipeline in blocks(page, "yaml"):
        PipelineConfigLoader(ValidatingAdapterRegistry()).load_text(pipeline)


def test_every_operator_has_a_row() -> None:
    rows = "\n".join(re.findall(r"^\| (`[^|]+) \|", text(ROOT / "docs" / "conditions.md"), flags=re.MULTILINE))
    assert {operator for operator in OperatorRegistry().names() if f"`{operator}`" not in rows} == set()


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)", text(index))}
    assert {name(page) for page in PAGES if page not in linked} == {"docs/README.md"}


def test_the_reference_is_what_the_sources_say() -> None:
    ran = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
