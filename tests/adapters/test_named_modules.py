"""A module that was named for its adapters has some, or says why not, with the line to write."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from factflow_engine.app import AdapterModuleError, build_app
from factflow_engine.config import Finding
from support.distributions import Site, open_site

HEAD = "from typing import ClassVar\nfrom factflow_protocols import AdapterResult, PipelineAdapter\n"
PROCESS = "    async def process(self, context): return AdapterResult.forward()\n"
GOOD = f'{HEAD}class Mine(PipelineAdapter):\n    adapter_type = "mine"\n{PROCESS}'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    with open_site(tmp_path, monkeypatch) as made:
        yield made


def finding(module: str | Path) -> Finding:
    with pytest.raises(AdapterModuleError) as caught:
        build_app(adapters=[str(module)])
    (found,) = caught.value.findings
    assert found.remedy in str(caught.value)
    return found


def test_a_class_without_its_type_is_named_with_the_line_to_add(site: Site) -> None:
    site.module("mine.py", f"{HEAD}class CountWords(PipelineAdapter):\n{PROCESS}")
    found = finding("mine.py")
    assert (found.code, found.file, found.line) == ("E311", str(site.folder / "mine.py"), 3)
    assert "class CountWords is an adapter, and does not say its type" in found.message
    assert found.remedy == 'write in its body: adapter_type: ClassVar[str] = "count_words"'


def test_the_type_under_which_the_program_registers_the_class_is_suggested(site: Site) -> None:
    site.module(
        "service.py",
        f"{HEAD}from factflow_engine import ValidatingAdapterRegistry\nregistry = ValidatingAdapterRegistry()\n"
        f'@registry.register("shout")\nclass Loud(PipelineAdapter):\n{PROCESS}',
    )
    assert finding("service.py").remedy.endswith('= "shout"')


def test_a_class_that_is_refused_is_named_with_its_line(site: Site) -> None:
    site.module(
        "mine.py",
        f'{HEAD}\nclass Mine(PipelineAdapter):\n    adapter_type = "mine"\n    async def procces_(self, context): ...\n',
    )
    found = finding("mine.py")
    assert (found.code, found.file, found.line) == ("E311", str(site.folder / "mine.py"), 4)
    assert "process is still abstract" in found.message
    assert found.remedy.startswith("rename procces_() to process(): write in it: async def process(")


def test_another_signature_of_process_is_told_where_the_message_is(site: Site) -> None:
    site.module(
        "mine.py",
        f'{HEAD}class Mine(PipelineAdapter):\n    adapter_type = "mine"\n    async def process(self, message, headers): ...\n',
    )
    found = finding("mine.py")
    assert (found.line, found.column) == (5, 5)
    assert "its signature is (self, message, headers)" in found.message
    assert "the message is context.message" in found.remedy


def test_a_constructor_that_cannot_be_called_is_named_with_its_line(site: Site) -> None:
    constructor = "    def __init__(self, config): ...\n"
    site.module("mine.py", GOOD.replace(PROCESS, constructor + PROCESS))
    found = finding("mine.py")
    assert (found.code, found.line, found.column) == ("E311", 5, 5)
    assert "give the class a config_model" in found.remedy


def test_a_module_without_any_adapter_is_told_the_marker(site: Site) -> None:
    site.module("mine.py", "x = 1\n")
    found = finding("mine.py")
    assert (found.code, found.file, found.message) == ("E311", "mine.py", "no adapter found")
    assert "adapter_type: ClassVar[str]" in found.remedy


def test_a_module_whose_adapters_are_there_already_is_fine(site: Site) -> None:
    site.module("mine.py", GOOD)
    assert "mine" in build_app(adapters=["mine.py", "./mine.py"]).registry.types()
    site.module("plug_known.py", GOOD.replace('"mine"', '"known"'))
    site.distribution("plug-known", known="plug_known:Mine")
    assert "known" in build_app(adapters=["plug_known"]).registry.types()


def test_a_folder_is_told_the_files_in_it(site: Site) -> None:
    site.module("steps_folder/mine.py", GOOD)
    assert "mine" in build_app(adapters=["steps_folder"]).registry.types()  # as a package
    found = finding(f"{site.folder}/steps_folder")
    assert found.message == "this is a folder"
    assert "steps_folder/mine.py" in found.remedy


def test_a_missing_file_is_told_where_paths_start_and_a_similar_one(site: Site) -> None:
    site.module("sub/my_steps.py", GOOD)
    found = finding("sub/my_step.py")
    assert (found.code, found.message) == ("E309", "there is no such file")
    assert "did you mean sub/my_steps.py?" in found.remedy
    assert f"relative paths start from {site.folder}" in found.remedy


def test_a_name_without_its_suffix_is_told_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps_without_suffix.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    found = finding("steps_without_suffix")
    assert found.code == "E309"
    assert found.remedy.startswith("write steps_without_suffix.py")


def test_a_module_that_raises_is_one_finding_and_can_be_corrected(site: Site) -> None:
    site.module("mine.py", "import no_such_package_anywhere\n")
    found = finding("mine.py")
    assert (found.code, found.file, found.line) == ("E309", str(site.folder / "mine.py"), 1)
    site.module("mine.py", GOOD)
    assert "mine" in build_app(adapters=["mine.py"]).registry.types()


def test_plug_ins_can_be_left_out(site: Site) -> None:
    site.module("plug_left.py", "raise AssertionError('it was imported')")
    site.distribution("plug-left", left="plug_left:Mine")
    assert build_app().problems != ()
    assert build_app(plug_ins=False).problems == ()
