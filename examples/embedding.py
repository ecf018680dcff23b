"""A pipeline inside a trio program: load it, publish to it, read the report."""

import trio

import factflow_engine as factflow

PIPELINE = """
version: "1.0"
routes:
  greet:
    adapters:
      - {type: filter, config: {condition: {field: text, operator: exists}}}
      - {type: shout, condition: {field: loud, operator: eq, value: true}}
"""

registry = factflow.ValidatingAdapterRegistry()


@registry.register("shout")
class Shout(factflow.PipelineAdapter):
    """Prints the text in capitals."""

    async def process(self, context: factflow.PipelineContext) -> factflow.AdapterResult:  # noqa: D102 - see the class
        print(context.message["text"].upper())
        return factflow.AdapterResult.forward()


async def main() -> None:  # noqa: D103 - see the module
    config = factflow.PipelineConfigLoader(registry).load_text(PIPELINE)
    async with factflow.OrchestratorManager(registry=registry) as manager:
        execution = await manager.start(config)
        for message in ({"text": "hello"}, {"text": "world", "loud": True}, {"loud": True}):
            await execution.publish("greet", message)
        report = await execution.complete()
    print(report.status, *(f"{outcome}={count}" for outcome, count in report.outcomes.items()))


if __name__ == "__main__":
    trio.run(main)
