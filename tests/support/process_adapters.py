"""Adapters that tests run in worker processes: of a module, because a worker process has to import them."""

import contextvars
import ctypes
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from factflow_protocols import AdapterResult, Emit, PipelineAdapter, Reject, RetryLater

print("imported")

SET = contextvars.ContextVar("SET", default="nothing")


class Config(BaseModel):
    mark: str = "-"
    folder: str = ""


class OddError(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        self.code, self.hint = code, hint
        super().__init__(f"odd {code}, {hint}")


class UnpicklableOddError(Exception):
    def __init__(self, text: str) -> None:
        self.lock = threading.Lock()
        super().__init__(text)


class Work(PipelineAdapter):
    """Does what the message says, in a worker process."""

    config_model = Config
    runs_in: ClassVar = "process"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.made_in = os.getpid()
        self.calls = 0
        if config.folder:
            Path(config.folder, f"made-{os.getpid()}").touch()
        if config.mark == "unmakeable":
            raise ValueError("not to be made")
        if config.mark == "slow":
            time.sleep(1.5)
        if config.mark == "exits":
            sys.exit(5)

    def process(self, context):
        self.calls += 1
        return getattr(self, context.message["do"])(context)

    def who(self, context):
        return AdapterResult(message={"pid": os.getpid(), "made_in": self.made_in, "calls": self.calls})

    def see(self, context):
        return AdapterResult(
            message={
                "message": context.message, "payload": context.payload, "headers": dict(context.headers),
                "key": context.key, "ids": [context.message_id, context.correlation_id, context.parent_id],
                "attempt": context.attempt, "place": [context.execution_id, context.route, context.stage],
                "mark": self.config.mark,
            },
            headers={"seen": True, "gone": None},
        )  # fmt: skip

    def forward(self, context):
        return AdapterResult.forward()

    def end(self, context):
        return None

    def emit(self, context):
        return AdapterResult(emitted=[Emit({"n": n}, key=str(n), headers={"n": n}) for n in range(3)])

    def emit_lazily(self, context):
        return AdapterResult(emitted=iter([1]))

    def give_dict(self, context):
        return {"not": "a result"}

    def give_object(self, context):
        return AdapterResult(message=object())

    def fail(self, context):
        raise ValueError("it failed")

    def fail_oddly(self, context):
        raise OddError(3, hint="see")

    def fail_unpicklably(self, context):
        raise UnpicklableOddError("held")

    def fail_locally(self, context):
        class LocalError(Exception):
            pass

        raise LocalError("of nowhere")

    def fail_in_a_group(self, context):
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    def reject(self, context):
        raise Reject("never")

    def later(self, context):
        if context.message["marker"] and not Path(context.message["marker"]).exists():
            Path(context.message["marker"]).touch()
            raise RetryLater(0.01, "not yet")
        return AdapterResult.forward()

    def exit(self, context):
        sys.exit(3)

    def exit_well(self, context):
        sys.exit()

    def segfault(self, context):
        ctypes.string_at(0)

    def abort(self, context):
        os.abort()

    def kill(self, context):
        os.kill(os.getpid(), signal.SIGKILL)

    def terminate(self, context):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        return AdapterResult.forward()

    def close_everything(self, context):
        os.closerange(3, 100)
        time.sleep(60)

    def hang(self, context):
        Path(context.message["folder"], f"hangs-{os.getpid()}").touch()
        while True:
            pass

    def hang_with_child(self, context):
        child = subprocess.Popen(["sleep", "600"])
        Path(context.message["folder"], f"child-{child.pid}").touch()
        return self.hang(context)

    def leave_child(self, context):
        child = subprocess.Popen(["sleep", "600"], stderr=subprocess.DEVNULL)
        Path(context.message["folder"], f"child-{child.pid}").touch()
        return AdapterResult.forward()

    def kill_program(self, context):
        program = os.getppid()
        os.kill(program, signal.SIGKILL)
        while os.getppid() == program:
            time.sleep(0.001)
        return AdapterResult.forward()

    def leave_child_and_die(self, context):
        child = os.fork()
        if not child:
            time.sleep(600)
            os._exit(0)
        Path(context.message["folder"], f"child-{child}").touch()
        os._exit(9)

    def find(self, context):
        return AdapterResult(message={"file": importlib.import_module(context.message["module"]).__file__})

    def say(self, context):
        print("said")
        return AdapterResult.forward()

    def keep(self, context):
        before = SET.get()
        SET.set("something")
        return AdapterResult(message={"before": before})

    def burn(self, context):
        until = time.process_time() + context.message["seconds"]
        while time.process_time() < until:
            pass
        return AdapterResult.forward()


class Threaded(Work):
    """As `Work`, in a thread."""

    runs_in: ClassVar = None
