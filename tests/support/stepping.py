"""An execution that synchronous code drives: each call runs until every task is blocked, then hands back.

For state machines, whose steps are ordinary functions. trio runs in a thread of its own under a virtual clock.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

import trio
import trio.testing

from factflow_engine.runtime.execution.manager import OrchestratorManager
from support.pipelines import load, registry_of


class SteppedExecution:
    """A started execution; call `close` at the end."""

    def __init__(self, text: str, adapters: Mapping[str, Any]) -> None:
        self._text = text
        self._adapters = adapters
        self._answers: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._send, self._token = self._answer()

    def step(self, action: Callable[[Any], Any]) -> Any:
        """Call the action with the execution in its own run, let everything settle, and return what it returned."""
        trio.from_thread.run_sync(self._send.send_nowait, action, trio_token=self._token)
        return self._answer()

    def close(self) -> None:
        """End the execution and its run."""
        trio.from_thread.run_sync(self._send.close, trio_token=self._token)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _answer(self) -> Any:
        answer = self._answers.get(timeout=30)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _run(self) -> None:
        try:
            trio.run(self._main, clock=trio.testing.MockClock())
        except BaseException as error:
            self._answers.put(error)

    async def _main(self) -> None:
        registry = registry_of(**self._adapters)
        send, receive = trio.open_memory_channel[Any](1)
        async with OrchestratorManager(registry=registry) as manager:
            execution = await manager.start(load(registry, self._text))
            self._answers.put((send, trio.lowlevel.current_trio_token()))
            async for action in receive:
                result = action(execution)
                await trio.testing.wait_all_tasks_blocked()
                self._answers.put(result)
            await execution.cancel()
