"""The README's example does what the README says, as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

_README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def _block(language: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", _README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"the README should have one {language} block, it has {len(blocks)}"
    return blocks[0]


@pytest.mark.timeout(60)
def test_the_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(_block("yaml"), encoding="utf-8")
    (tmp_path / "program.py").write_text(_block("python"), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert ran.stdout == _block("text")


def test_every_command_that_the_readme_shows_exists() -> None:
    shown = set(re.findall(r"^factflow ([a-z]+)", _README, flags=re.MULTILINE))
    assert shown == {"run", "config", "graph", "adapters"}


def test_the_folders_of_the_map_exist() -> None:
    root = Path(__file__).parent.parent
    rows = re.findall(r"^\| (`.*?`) \|", _README, flags=re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(named) > 10
    engine = root / "python" / "factflow_engine"
    missing = [name for name in named if not (root / name).exists() and not (engine / name).exists()]
    assert missing == []
