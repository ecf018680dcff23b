"""Sidecars: what the store's writer accepts its reader reads, alone and while it describes two objects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.storages import content as store_content
from factflow_engine.storages.content import DEEPEST_METADATA, LARGEST_METADATA_BYTES, described
from factflow_engine.storages.file import FileStorage, sidecar
from factflow_protocols import StorageError

LARGEST = LARGEST_METADATA_BYTES // 2
SCALE = 32
"""Metadata are this much smaller than the real ones where many are tried."""


def nested(value, depth):
    for number in range(depth):
        value = [value] if number % 2 else {"k": value}
    return value


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5
)
DEEP = st.builds(nested, VALUES, st.integers(0, DEEPEST_METADATA + 2))


def filled(value, share):
    """Custom metadata of many copies of a value: about this share of the largest."""
    return {"many": [value] * int(share * LARGEST / SCALE / (len(json.dumps(value)) + 2))}


CUSTOMS = st.builds(filled, VALUES | DEEP, st.sampled_from([0.001, 0.99, 1.0, 1.01])) | DEEP.map(lambda v: {"one": v})


@pytest.fixture
def smaller():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_content, "LARGEST_METADATA_BYTES", LARGEST_METADATA_BYTES // SCALE)
        patch.setattr(sidecar, "LARGEST_BYTES", sidecar.LARGEST_BYTES // SCALE)
        yield


@pytest.mark.usefixtures("smaller")
@given(CUSTOMS, CUSTOMS)
def test_what_the_writer_accepts_the_reader_reads(custom, former):
    try:
        versions = [
            described("k", content_type="a/b; " + "~" * 250, size_bytes=size, checksum=f"{size:064x}", custom=each)
            for size, each in enumerate((custom, former))
        ]
    except StorageError:
        return  # refused
    assert sidecar.decode(sidecar.encode("k", versions)) == versions


@pytest.mark.parametrize("accepted", [True, False])
async def test_large_metadata_of_small_values_is_read_or_refused(tmp_path, accepted):
    storage = FileStorage(tmp_path)
    await storage.write("k", b"old", custom={"is": "old"})
    custom = {"spans": [[[number % 10]] for number in range(LARGEST // 7 + (-100 if accepted else 100))]}
    if accepted:
        await storage.write("k", b"new", custom=custom)
        content, metadata = await storage.read("k")
        assert (content, metadata.custom) == (b"new", custom)
    else:
        with pytest.raises(StorageError, match="its custom metadata takes"):
            await storage.write("k", b"new", custom=custom)
        assert (await storage.read("k"))[0] == b"old"


@pytest.mark.parametrize(("depth", "accepted"), [(DEEPEST_METADATA - 1, True), (DEEPEST_METADATA, False), (900, False)])
async def test_metadata_may_be_as_deep_as_a_message(tmp_path, depth, accepted):
    custom = {"k": nested([], depth - 1)}
    if accepted:
        await FileStorage(tmp_path).write("k", b"x", custom=custom)
        assert (await FileStorage(tmp_path).metadata("k")).custom == custom
    else:
        with pytest.raises(StorageError, match="more than 128 maps and lists inside each other"):
            await FileStorage(tmp_path).write("k", b"x", custom=custom)


async def test_a_description_that_another_program_enlarged_is_not_carried_into_one_that_nobody_reads(tmp_path):
    storage = FileStorage(tmp_path)
    await storage.write("k", b"old")
    path = tmp_path / "k.meta.json"
    text = "x" * (2 * LARGEST_METADATA_BYTES - 1000)
    path.write_text(json.dumps({**json.loads(path.read_text()), "custom": {"text": text}}))
    assert (await storage.metadata("k")).custom == {"text": text}
    with pytest.raises(StorageError, match="delete that object first"):
        await storage.write("k", b"new", custom={"text": "y" * 2000})
    assert (await storage.read("k"))[0] == b"old"
    assert not list(tmp_path.glob(".factflow-tmp-*"))
    await storage.delete("k")
    await storage.write("k", b"new", custom={"text": "y" * 2000})
    assert (await storage.read("k"))[0] == b"new"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_json_lacks_make_a_sidecar_damaged_and_can_be_written_over(tmp_path, number):
    storage = FileStorage(tmp_path)
    await storage.write("k", b"old", custom={"n": 12345.5})
    path = tmp_path / "k.meta.json"
    path.write_text(path.read_text().replace("12345.5", number))
    with pytest.raises(StorageError, match=f"{number} is not JSON"):
        await storage.read("k")
    await storage.write("k", b"new")
    assert (await storage.read("k"))[0] == b"new"
