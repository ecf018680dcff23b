"""Bucket stores against a real S3 server, and what only they have: URLs, sidecars by content, errors of a server."""

import itertools
from contextlib import asynccontextmanager

import pytest

from factflow_engine import open_storage
from factflow_engine.storages.verification import verify
from factflow_engine.testing import DURABLE_STORAGE_CHECKS, STORAGE_CHECKS, check_name
from support.s3_server import ENVIRONMENT, s3_server

boto3 = pytest.importorskip("boto3")
FOLDERS = (f"folder-{number}/ü b" for number in itertools.count())


@pytest.fixture(scope="module")
def endpoint():
    with s3_server() as found:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, value)
            boto3.client("s3", endpoint_url=found).create_bucket(Bucket="bucket")
        yield found


@pytest.fixture
def s3(endpoint, monkeypatch):
    """A client of the server that is not the store's."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT": endpoint}.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3", endpoint_url=endpoint)


@pytest.fixture
def url(s3):
    return f"s3://bucket/{next(FOLDERS)}"


@pytest.fixture
def names(s3, url):
    """The names in the store's folder, as another client sees them."""
    folder = url.removeprefix("s3://bucket/") + "/"

    def found():
        answer = s3.list_objects_v2(Bucket="bucket", Prefix=folder)
        return [each["Key"].removeprefix(folder) for each in answer.get("Contents", ())]

    return found


@pytest.mark.parametrize("check", STORAGE_CHECKS + DURABLE_STORAGE_CHECKS, ids=check_name)
async def test_s3(check, url):
    @asynccontextmanager
    async def open_bucket():
        storage = open_storage(url)
        yield storage
        await storage.close()

    await check(open_bucket)


async def problems_of(storage, **options):
    found = []
    counts = await verify(storage, found=found.append, **options)
    return found, counts
