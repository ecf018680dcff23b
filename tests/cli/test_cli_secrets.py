"""What `factflow` prints shows no value of the environment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LEAKS = """\
from pydantic import BaseModel
from factflow_protocols import AdapterResult, StatefulAdapter

class Config(BaseModel):
    dsn: str
    where: str

class Leaks(StatefulAdapter):
    adapter_type = "leaks"
    config_model = Config

    def __init__(self, config):
        self.config = config

    async def open(self, stage):
        self.maybe("open")

    async def process(self, context):
        self.maybe("process")

    def maybe(self, here):
        if here == self.config.where:
            raise ConnectionRefusedError(111, f"cannot use {self.config.dsn}, having " + self.config.dsn[13:])
"""

PIPELINE = """\
version: "1.0"
name: "leaks ${PW}"
routes:
  r:
    name: "r of ${PW}"
    adapters: [{type: leaks, config: {dsn: "postgres://u:${PW}", where: WHERE}}]
init_message: {route: r, payload: 1}
"""


@pytest.fixture
def said(factflow: Callable[..., Any], pipeline: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "leaks.py").write_text(LEAKS)

    def call(command: str, *options: str, where: str = "nowhere") -> Any:
        file = pipeline(PIPELINE.replace("WHERE", where))
        adapters = ("--adapters", tmp_path / "leaks.py")
        return factflow(*command.split(), file, *adapters, *options, env={"PW": "hunter2secret"})

    return call


@pytest.mark.parametrize("where", ["open", "process", "nowhere"])
@pytest.mark.parametrize("options", [(), ("--debug",), ("-o", "json"), ("--log-level", "debug")])
def test_a_run_shows_no_value(said: Callable[..., Any], where: str, options: tuple[str, ...]) -> None:
    run = said("run", *options, where=where)
    assert "hunter2" not in run.out + run.err
    if where != "nowhere":
        assert "cannot use postgres://u:${PW}, having ${PW}" in run.out + run.err
    assert ("ConnectionRefusedError: " in run.err) or (where, options) != ("open", ("--debug",))


def test_a_value_names_no_execution_that_outlives_the_process(
    said: Callable[..., Any], pipeline: Callable[..., Path], factflow: Callable[..., Any], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'q.db'}"
    run = said("run", "--queue", url)
    assert run.status == 2
    assert "'leaks ${PW}' cannot name an execution's messages: pass --id" in run.err
    file = pipeline('version: "1.0"\nname: NAME\nroutes: {r: {adapters: [{type: delay, config: {seconds: 0}}]}}\n')
    text = file.read_text()
    for name, id_ in (("hunter2secret", "hunter2secret"), ("${NOT_SET:x}", "x"), ("${PW}", None)):
        file.write_text(text.replace("NAME", f'"{name}"') + 'description: "${PW}"')
        run = factflow("run", file, "--queue", url, "-o", "json", env={"PW": "hunter2secret"})
        assert run.document.get("execution_id") == id_


def test_a_check_shows_no_value(said: Callable[..., Any]) -> None:
    assert said("config validate", "-o", "json").document["files"][0]["name"] == "leaks ${PW}"
