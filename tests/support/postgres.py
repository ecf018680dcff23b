"""PostgreSQL servers for tests: real ones, on loopback, in a folder that is thrown away.

A server ends with the process that started it, however that ends: it is the child of a shell that reads from a pipe.
As root, whom PostgreSQL refuses, it runs as `nobody`. Without PostgreSQL its tests are skipped, except in CI, where
`FACTFLOW_TEST_POSTGRES=required` makes that an error.
"""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import trio

USER = "tester"
PASSWORD = "s3cret-of-the-tests"
MISSING = (
    "PostgreSQL is not installed: nothing of its stores is tested. "
    "Install it (Debian: apt-get install postgresql), so that `initdb` is on PATH or in /usr/lib/postgresql/*/bin"
)

_KEEPER = 'rm=$1; shift; "$@" & pid=$!; trap "" INT TERM; read -r how; kill -"${how:-QUIT}" $pid; wait $pid; [ -z "$how" ] && rm -rf "$rm"'
"""Keep the server until a line comes that names the signal to stop it with, or the pipe breaks: then the folder goes."""

_INITDB = ("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")

_numbers = itertools.count(1)


def program(name: str) -> str | None:
    """Path of one of PostgreSQL's programs, the newest version's."""
    newest = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int("0" + path.parts[-3].partition(".")[0])
    )
    return str(newest[-1]) if newest else shutil.which(name)


class Server:
    """A server of one's own, which may be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._user = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "nobody")
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        initdb = program("initdb")
        assert initdb is not None
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", USER, "--pwfile", folder / "password", *_INITDB],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **self._user,
        )

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def schema(self) -> str:
        """URL of a store in a schema of its own."""
        return f"{self.url}?schema=test_{next(_numbers)}"

    def start(self) -> None:
        postgres = program("postgres")
        assert postgres is not None
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "64MB",
            "max_connections": 50,
            "log_min_messages": "fatal",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        command = ["sh", "-c", _KEEPER, "sh", self.folder, postgres, "-D", self.folder / "data", *options]
        with (self.folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder, **self._user
            )
        for _ in range(600):
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if self._keeper.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End the server, by default as a crash would."""
        assert self._keeper is not None
        assert self._keeper.stdin is not None
        self._keeper.communicate(f"{how.name.removeprefix('SIG')}\n".encode(), timeout=60)
        self._keeper = None

    @contextmanager
    def stopped(self, how: signal.Signals = signal.SIGQUIT) -> Iterator[None]:
        """Have no server within the block."""
        self.stop(how)
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have a server that says nothing within the block, though its machine still takes connections and data."""
        assert self._keeper is not None
        [server] = _children(self._keeper.pid)
        frozen = [server]
        os.kill(server, signal.SIGSTOP)  # first, so that it starts no more
        try:
            for backend in _children(server):
                frozen.append(backend)
                os.kill(backend, signal.SIGSTOP)
            yield
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)

    def connect(self) -> psycopg.Connection[tuple]:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=10)

    def rows(self, query: str, *arguments: object) -> list[tuple]:
        with self.connect() as connection:
            cursor = connection.execute(query, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def terminate(self, application: str = "factflow%") -> int:
        """End the server's side of the connections of an application; return their number."""
        ended = self.rows(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE %s", application
        )
        return len(ended)


def _children(parent: int) -> list[int]:
    """Processes whose parent this is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state = path.read_text()
        except OSError:  # it has ended
            continue
        if int(state.rpartition(")")[2].split()[1]) == parent:
            found.append(int(path.parent.name))
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def running() -> Iterator[Server]:
    """A server for all tests of a process: the fixture `postgres`."""
    if program("initdb") is None:
        if os.environ.get("FACTFLOW_TEST_POSTGRES") == "required":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="factflow-postgres-"))
    try:
        server = Server(folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Proxy:
    """A way to a server that can be blocked: what was accepted then moves no more, and nobody is told."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open = trio.Event()
        self._open.set()
        self.port = 0

    @property
    def url(self) -> str:
        return self._server.url.replace(f":{self._server.port}/", f":{self.port}/")

    def block(self) -> None:
        self._open = trio.Event()

    def clear(self) -> None:
        self._open.set()

    async def run(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()
            await trio.serve_listeners(self._serve, listeners, handler_nursery=nursery)

    async def _serve(self, client: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._server.port) as server, trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, client, server)
            nursery.start_soon(self._carry, server, client)

    async def _carry(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some():
                await self._open.wait()
                await target.send_all(data)
            await target.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await target.aclose()
