"""What an installed package says of itself agrees with what the sources say."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import entry_points, metadata, version
from pathlib import Path

import factflow_engine
from support.doc_pages import ROOT

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKSPACE = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]


def test_the_version_stands_in_one_place_and_everybody_reads_it() -> None:
    assert "version" not in PROJECT
    assert "version" in PROJECT["dynamic"]
    assert factflow_engine.__version__ == version("factflow-engine") == WORKSPACE["version"]
    command = [Path(sysconfig.get_path("scripts")) / "factflow", "--version"]
    assert WORKSPACE["version"] in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_each_supported_python_is_a_classifier_and_gets_a_wheel() -> None:
    named = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert tuple(named) == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert f"versions=${{*:-{' '.join(PYTHONS)}}}" in (ROOT / ".ci" / "packages").read_text(encoding="utf-8")
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS


def test_the_metadata_that_are_installed_are_those_of_the_sources() -> None:
    installed = metadata("factflow-engine")
    assert set(installed.get_all("Classifier") or ()) == set(PROJECT["classifiers"])
    assert installed["License-Expression"] == "MIT" == WORKSPACE["license"]
    assert {
        point.name
        for point in entry_points(group="console_scripts")
        if point.dist and point.dist.name == installed["Name"]
    } == set(PROJECT["scripts"])


def test_the_readme_says_how_to_install_every_extra() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## Install\n(.*?)^## ", readme, flags=re.MULTILINE | re.DOTALL)
    extras = {extra for group in re.findall(r"pip install \"\.\[([\w,]+)\]\"", section) for extra in group.split(",")}
    assert extras == set(PROJECT["optional-dependencies"])
    assert WORKSPACE["rust-version"] in section
