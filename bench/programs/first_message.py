"""The shortest useful program: one route, one adapter, one message; says when the message was handled."""

import time

import trio

import factflow_engine as factflow

PIPELINE = """
version: "1.0"
routes:
  hello:
    adapters: [{type: greet, condition: {field: name, operator: exists}}]
init_message: {route: hello, payload: {name: world}}
"""

registry = factflow.ValidatingAdapterRegistry()
handled: list[tuple[float, float]] = []


@registry.register("greet")
class Greet(factflow.PipelineAdapter):
    async def process(self, context: factflow.PipelineContext) -> factflow.AdapterResult:
        handled.append((time.monotonic(), time.process_time()))
        return factflow.AdapterResult(message={"text": f"hello, {context.message['name']}"})


async def main() -> None:
    config = factflow.PipelineConfigLoader(registry).load_text(PIPELINE)
    async with factflow.OrchestratorManager(registry=registry) as manager:
        execution = await manager.start(config)
        await execution.complete()


trio.run(main)
print(f'{{"at": {handled[0][0]}, "cpu_ms": {handled[0][1] * 1e3}}}')
