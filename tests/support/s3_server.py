"""A real S3 server for tests: moto's, in a process of its own on loopback."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-tests",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server; give its endpoint."""
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1", "MOTO_S3_DEFAULT_MAX_KEYS": "50"},
    )
    assert process.stderr is not None
    try:
        found = None
        said = []
        while found is None:
            line = process.stderr.readline()
            said.append(line)
            assert line, f"the server ended: {''.join(said)}"
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
        with Path(os.devnull).open(
            "w"
        ) as nothing:  # it logs each request: nobody reads on, and a full pipe would stop it
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=nothing)
        try:
            yield found[0]
        finally:
            process.terminate()
            process.wait(30)
            drain.wait(30)
    finally:
        process.kill()
        process.wait(30)
        process.stderr.close()
