"""What a first message needs of the libraries under the engine, and nothing else: trio runs, YAML is read, a model is built."""

import time

import trio
from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    value: int = Field(default=1, ge=0)


async def main() -> None:
    Model.model_validate(YAML(typ="safe", pure=True).load("value: 1"))


trio.run(main)
print(f'{{"at": {time.monotonic()}, "cpu_ms": {time.process_time() * 1e3}}}')
