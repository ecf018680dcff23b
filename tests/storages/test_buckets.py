"""Bucket stores against a real S3 server, and what only they have: URLs, sidecars by content, errors of a server."""

import itertools
from contextlib import asynccontextmanager

import boto3
import pytest
import trio

from factflow_engine import StorageUrlError, open_storage
from factflow_engine.storages.bucket import BucketStorage, attributes, calls
from factflow_engine.storages.verification import verify
from factflow_engine.testing import DURABLE_STORAGE_CHECKS, STORAGE_CHECKS, check_name
from factflow_protocols import ObjectMetadata, StorageCorruptError, StorageError, StorageNotFoundError
from support.s3_server import ENVIRONMENT, s3_server

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


async def test_small_metadata_travels_with_the_object_and_large_in_a_sidecar(url, names):
    storage = open_storage(url)
    await storage.write("small", b"x", custom={"n": 1})
    assert names() == ["small"]
    await storage.write("large", b"x", custom={"text": "ü" * 1000})
    [sidecar] = [name for name in names() if name.startswith("large.")]
    assert attributes.sidecar_owner(sidecar)[0] == "large"
    assert [key async for key in storage.list()] == ["large", "small"]
    await storage.delete("large")
    assert names() == ["small"]


async def test_a_redelivered_write_leaves_no_second_sidecar(url, names):
    storage = open_storage(url)
    for attempt in range(3):
        await storage.write("k", b"x", custom={"text": "a" * 4000, "attempt": attempt})
        assert len(names()) == 2
    for _ in range(2):
        await storage.write("k", b"x", custom={"text": "a" * 4000})
        assert len(names()) == 2
    assert (await storage.metadata("k")).custom == {"text": "a" * 4000}


async def test_who_reads_an_object_while_it_is_replaced_finds_a_pair(url, names):
    storage = open_storage(url)
    texts = [letter * 4000 for letter in "abcdef"]
    await storage.write("k", b"a", custom={"text": texts[0]})

    async def replace():
        for text in texts:
            await storage.write("k", text[:1].encode(), custom={"text": text})

    async def read():
        for _ in range(12):
            content, metadata = await storage.read("k")
            assert metadata.custom["text"][:1].encode() == content
            assert (await storage.metadata("k")).custom["text"] in texts

    async with trio.open_nursery() as nursery:
        for work in (replace, read, read):
            nursery.start_soon(work)
    assert len(names()) == 2


async def test_a_sidecar_that_goes_between_two_requests_is_looked_for_again(url, monkeypatch):
    storage = open_storage(url)
    await storage.write("k", b"old", custom={"text": "a" * 4000})
    described, replaced = calls._described, []

    def replace_behind(client, key):
        found = described(client, key)
        if not replaced:
            replaced.append(True)
            calls.put(client, key, b"new", content_type="a/b", custom={"text": "b" * 4000}, token="1")
        return found

    monkeypatch.setattr(calls, "_described", replace_behind)
    assert (await storage.metadata("k")).custom == {"text": "b" * 4000}
    assert replaced


async def test_verify_finds_sidecars_that_nobody_names_damaged_objects_and_those_of_others(url, names, s3):
    storage = open_storage(url)
    folder = url.removeprefix("s3://bucket/")
    await storage.write("a/k", b"x", custom={"text": "b" * 4000})
    forgotten = attributes.sidecar_name("a/k", "0" * 32)  # of a writer that was killed
    s3.put_object(Bucket="bucket", Key=f"{folder}/{forgotten}", Body=b"{}")
    await storage.write("rotten", b"abc")
    head = s3.head_object(Bucket="bucket", Key=f"{folder}/rotten")
    s3.put_object(Bucket="bucket", Key=f"{folder}/rotten", Body=b"abx", Metadata=head["Metadata"])
    s3.put_object(Bucket="bucket", Key=f"{folder}/mine", Body=b"abx")
    s3.put_object(Bucket="bucket", Key=f"{folder}/.factflow-x", Body=b"")
    found, counts = await problems_of(storage)
    assert sorted((each.kind, each.key) for each in found) == [
        ("corrupt", "rotten"),
        ("foreign", ".factflow-x"),
        ("orphaned", "mine"),
    ]
    assert (counts.objects, counts.unfinished) == (1, 1)
    found, counts = await problems_of(storage, repair=True, grace_seconds=-3600)
    assert (counts.repaired, len(found)) == (1, 4)
    assert (await storage.metadata("a/k")).custom == {"text": "b" * 4000}
    assert sum(name.startswith("a/k.") for name in names()) == 1


async def test_a_sidecar_that_is_gone_or_changed_is_noticed(url, names, s3):
    storage = open_storage(url)
    folder = url.removeprefix("s3://bucket/")
    await storage.write("k", b"x", custom={"text": "a" * 4000})
    [name] = [name for name in names() if name != "k"]
    s3.put_object(Bucket="bucket", Key=f"{folder}/{name}", Body=b'{"custom": {}}')
    with pytest.raises(StorageCorruptError, match="is damaged"):
        await storage.read("k")
    s3.delete_object(Bucket="bucket", Key=f"{folder}/{name}")
    with pytest.raises(StorageCorruptError, match="is missing"):
        await storage.metadata("k")
    await storage.delete("k")
    assert not await storage.exists("k")


async def test_large_objects_go_and_come_in_parts(url):
    storage = open_storage(url)
    size = 20

    async def parts():
        for number in range(size):
            yield bytes([number]) * (1 << 20)

    metadata = await storage.write("k", parts(), custom={"n": 1})
    assert metadata.size_bytes == size << 20
    async with storage.stream("k") as stream:
        received = [part async for part in stream]
    assert [part[0] for part in received] == list(range(size))
    content, again = await storage.read("k")
    assert (len(content), again) == (size << 20, metadata)


@pytest.mark.slow
async def test_a_large_object_that_is_replaced_while_it_streams_is_an_error(url):
    storage = open_storage(url)
    await storage.write("k", b"a" * (9 << 20))
    with pytest.raises(StorageError, match="was replaced while it was being read"):
        async with storage.stream("k") as stream:
            await storage.write("k", b"b" * (9 << 20))
            _ = [part async for part in stream]


@pytest.mark.slow
async def test_more_than_a_page_of_keys_is_listed(url, s3):
    folder = url.removeprefix("s3://bucket/")
    for number in range(120):
        s3.put_object(Bucket="bucket", Key=f"{folder}/{number:04}", Body=b"")
    storage = open_storage(url)
    assert [key async for key in storage.list()] == [f"{number:04}" for number in range(120)]
    assert [key async for key in storage.list("011")] == [f"{number:04}" for number in range(110, 120)]


async def test_errors_of_a_server_are_one_line_without_secrets(s3, monkeypatch):
    storage = open_storage("s3://no-such-bucket/x")
    with pytest.raises(StorageError, match="its bucket does not exist"):
        await storage.write("k", b"x")
    with pytest.raises(StorageError, match="its bucket does not exist"):
        _ = [key async for key in storage.list()]
    with pytest.raises((StorageError, StorageNotFoundError)):
        await storage.read("k")
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="HTTP error") as raised:
        await open_storage("s3://bucket").metadata("k")
    assert "\n" not in str(raised.value)
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StorageError, match="set AWS_ALLOW_HTTP=true"):
        await open_storage("s3://bucket").metadata("k")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "expected the name of a bucket"),
        ("s3://B", "expected the name of a bucket"),
        ("s3://key:secret@bucket/x", r"has credentials; put them into the environment"),
        ("s3://bucket/x?region=y", "endpoint and region come from the environment"),
        ("s3://bucket/../x", r"the part '\.\.'"),
        ("s3://bucket/" + "x" * 81, "more than 80 bytes"),
        ("az://container/x", "its client cannot be made"),
    ],
)
def test_a_url_that_names_no_bucket_is_answered(url, said, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StorageUrlError, match=said) as raised:
        open_storage(url)
    assert "secret" not in str(raised.value)


def test_clients_of_all_schemes_can_be_made(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    for url in ("s3://bucket", "gs://bucket/x", "az://container/x/"):
        assert isinstance(open_storage(url), BucketStorage)


def test_headers_fit_what_buckets_take_whatever_the_metadata():
    for size in range(0, 4000, 37):
        metadata = ObjectMetadata(content_type="a/b", size_bytes=1, checksum="0" * 64, custom={"k": "ü" * size})
        headers = attributes.encode("k", metadata, "1")
        assert headers == attributes.encode("k", metadata, "1")
        assert (headers.sidecar is None) == (headers == attributes.encode("k", metadata, "2"))
        assert sum(map(len, headers.attributes.values())) < 2000
        assert all(value.isascii() and value.isprintable() for value in headers.attributes.values())
        found = attributes.decode("k", headers.attributes, 1)
        if headers.sidecar is not None:
            assert attributes.with_sidecar("k", found, headers.sidecar[1]) == metadata
        else:
            assert found.metadata == metadata


@pytest.mark.parametrize(
    "header",
    ["{", "[]", "{}", '{"checksum": "x"}', "[" * 100_000, '{"checksum": "' + "0" * 64 + '", "sidecar": "../x"}'],
)
def test_headers_of_any_origin_are_refused_and_not_believed(header):
    with pytest.raises(StorageCorruptError):
        attributes.decode("k", {"factflow": header}, 1)
