import gzip
import json
import os
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin._lines import parsed_line
from factflow_engine.testing.fakes import FakeContext, open_stage, outputs
from factflow_protocols import Reject

REGISTRY = ValidatingAdapterRegistry()
LINES: SearchStrategy[list[str]] = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20), max_size=20
)


async def read(type_name, directory, config, message=None):
    adapter = REGISTRY.create(type_name, config)
    await open_stage(adapter, directory)
    return await outputs(adapter, FakeContext(message))


@settings(max_examples=30)
@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["utf-8", "utf-16", "utf-32-be"]))
def test_read_lines_emits_what_was_written(tmp_path_factory, lines, end, encoding):
    folder = tmp_path_factory.mktemp("lines")
    (folder / "in.txt").write_bytes("".join(line + end for line in lines).encode(encoding))
    emitted = trio.run(read, "read_lines", folder, {"path": "in.txt", "encoding": encoding})
    assert emitted == [
        {"path": str(folder / "in.txt"), "line_number": number, "text": line}
        for number, line in enumerate(lines, start=1)
    ]


async def test_read_lines_keeps_a_last_line_without_end(tmp_path):
    (tmp_path / "in.txt").write_text("a\nb")
    emitted = await read("read_lines", tmp_path, {"path": "in.txt", "path_to": None, "line_number_to": None})
    assert emitted == [{"text": "a"}, {"text": "b"}]


async def test_read_lines_names_its_fields_as_asked_and_skips_blanks(tmp_path):
    (tmp_path / "in.txt").write_text("a\n \n\nb\n")
    config = {"path": "in.txt", "path_to": None, "line_number_to": "at.line", "text_to": "body", "skip_blank": True}
    assert await read("read_lines", tmp_path, config) == [
        {"at": {"line": 1}, "body": "a"},
        {"at": {"line": 4}, "body": "b"},
    ]


def is_open(path):
    return any(link.is_symlink() and link.readlink() == path for link in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which files are open")
async def test_read_lines_is_lazy_and_closes_its_file_with_the_iterator(tmp_path):
    (tmp_path / "in.txt").write_text("a\nb\n")
    adapter = REGISTRY.create("read_lines", {"path": "in.txt"})
    await open_stage(adapter, tmp_path)
    emitted = adapter.process(FakeContext()).emitted
    assert not is_open(tmp_path / "in.txt")
    assert next(emitted)["text"] == "a"
    assert is_open(tmp_path / "in.txt")
    emitted.close()
    assert not is_open(tmp_path / "in.txt")


async def test_lines_of_the_longest_length_are_read_and_longer_ones_rejected(tmp_path):
    (tmp_path / "in.txt").write_text("abc\nabcd\n")
    config = {"path": "in.txt", "max_line_length": 4}
    assert [line["text"] for line in await read("read_lines", tmp_path, config)] == ["abc", "abcd"]
    with pytest.raises(Reject, match=r"in\.txt:2: the line is longer than max_line_length \(3 characters\)"):
        await read("read_lines", tmp_path, config | {"max_line_length": 3})


async def test_bytes_that_are_no_text_are_named_with_file_and_line(tmp_path):
    (tmp_path / "in.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(Reject, match=r"in\.txt:1: not utf-8 text.*encoding_errors: replace"):
        await read("read_lines", tmp_path, {"path": "in.txt"})
    replaced = await read("read_lines", tmp_path, {"path": "in.txt", "encoding_errors": "replace"})
    assert replaced[0]["text"] == "caf\ufffd"
    assert (await read("read_lines", tmp_path, {"path": "in.txt", "encoding": "latin-1"}))[0]["text"] == "café"


@pytest.mark.parametrize("encoding", ["punycode", "idna", "utf-7", "unicode_escape", "hex", "bz2"])
def test_an_encoding_whose_decoding_is_no_plain_table_is_refused(encoding):
    with pytest.raises(ValidationError, match=f"unknown text encoding '{encoding}'"):
        REGISTRY.validate_config("read_lines", {"path": "x", "encoding": encoding})


async def test_a_path_that_would_take_long_to_follow_is_rejected(root):
    with pytest.raises(Reject, match="at most 4096 characters"):
        await read("read_lines", root, {}, {"path": "a/" * 1_000_000})


async def test_a_key_that_comes_twice_is_found_in_little_time(tmp_path):
    keys = ",".join(f'"k{number}":0' for number in range(200_000))
    (tmp_path / "in.jsonl").write_text(f'{{{keys},"k199999":0}}\n')
    before = time.thread_time()
    with pytest.raises(Reject, match="the key 'k199999' comes twice"):
        await read("read_jsonl", tmp_path, {"path": "in.jsonl", "max_line_length": 10_000_000})
    assert time.thread_time() - before < 20  # the square of the keys would be minutes


async def test_utf_16_without_its_mark_is_no_text(tmp_path):
    (tmp_path / "in.txt").write_bytes("a\n".encode("utf-16-le"))
    with pytest.raises(Reject, match=r"not utf-16 text \(UTF-16 stream does not start with BOM\)"):
        await read("read_lines", tmp_path, {"path": "in.txt", "encoding": "utf-16"})


def test_an_unknown_encoding_is_found_when_the_configuration_is():
    with pytest.raises(ValidationError, match="unknown text encoding 'utf-9'"):
        REGISTRY.validate_config("read_lines", {"path": "x", "encoding": "utf-9"})


async def test_a_path_in_the_configuration_leads_anywhere(tmp_path):
    (tmp_path / "outside.txt").write_text("x\n")
    (tmp_path / "pipeline").mkdir()
    emitted = await read("read_lines", tmp_path / "pipeline", {"path": "../outside.txt"})
    assert emitted[0]["path"] == str(tmp_path / "outside.txt")


async def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        await read("read_lines", tmp_path, {"path": "gone.txt"})


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "in.txt").write_text("inside\n")
    (folder / "link.txt").symlink_to("in.txt")
    (folder / "escape.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    (tmp_path / "secret.txt").write_text("secret\n")
    (tmp_path / "root-but-longer").mkdir()
    (tmp_path / "root-but-longer" / "in.txt").write_text("secret\n")
    return folder


@pytest.mark.parametrize("given_path", ["in.txt", "sub/../in.txt", "link.txt", "up/root/in.txt", "{root}/in.txt"])
async def test_a_message_may_name_a_file_in_the_root(root, given_path):
    message = {"file": given_path.format(root=root)}
    config = {"root": "root", "path_field": "file"}
    assert [line["text"] for line in await read("read_lines", root.parent, config, message)] == ["inside"]


@pytest.mark.parametrize(
    "given_path",
    [
        "../secret.txt",
        "escape.txt",
        "up/secret.txt",
        "{root}/../secret.txt",
        "/etc/passwd",
        "../root-but-longer/in.txt",
    ],
)
async def test_a_message_that_names_a_file_outside_the_root_is_rejected(root, given_path):
    with pytest.raises(Reject, match="leads out of root"):
        await read("read_lines", root.parent, {"root": "root"}, {"path": given_path.format(root=root)})


@pytest.mark.parametrize("value", [None, 3, "", "a\0b", ["in.txt"], {"a": 1}])
async def test_a_message_whose_path_is_none_is_rejected(root, value):
    with pytest.raises(Reject, match="must hold a file path"):
        await read("read_lines", root.parent, {"root": "root"}, {"path": value})


async def test_a_path_that_cannot_be_followed_is_rejected_or_not_found(root):
    for given_path in ("loop", "x" * 5000):
        with pytest.raises((Reject, OSError)):
            await read("read_lines", root.parent, {"root": "root"}, {"path": given_path})


async def test_what_is_no_regular_file_is_rejected_without_blocking(root):
    os.mkfifo(root / "pipe")
    for given_path in ("pipe", "sub"):
        with pytest.raises(Reject, match="is not a regular file"):
            await read("read_lines", root.parent, {"root": "root"}, {"path": given_path})


async def test_the_root_is_the_pipelines_folder_unless_given(root):
    assert [line["text"] for line in await read("read_lines", root, {}, {"path": "in.txt"})] == ["inside"]
    with pytest.raises(Reject, match="leads out of root"):
        await read("read_lines", root, {}, {"path": "../secret.txt"})


JSONL = '{"a": 1}\n\n  \nnonsense\n[1, "x", null]\n'


async def test_read_jsonl_emits_values_and_passes_over_blank_lines(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"a": 1}\n\n3\r\n"x"')
    assert await read("read_jsonl", tmp_path, {"path": "in.jsonl"}) == [{"a": 1}, 3, "x"]


async def test_read_jsonl_names_the_bad_line_and_what_came_before_it_stands(tmp_path):
    (tmp_path / "in.jsonl").write_text(JSONL)
    adapter = REGISTRY.create("read_jsonl", {"path": "in.jsonl"})
    await open_stage(adapter, tmp_path)
    emitted = adapter.process(FakeContext()).emitted
    assert next(emitted) == {"a": 1}
    with pytest.raises(Reject, match=r"in\.jsonl:4: not a JSON value"):
        next(emitted)


async def test_read_jsonl_skips_bad_lines_with_a_warning(tmp_path, caplog):
    (tmp_path / "in.jsonl").write_text(JSONL)
    assert await read("read_jsonl", tmp_path, {"path": "in.jsonl", "on_error": "skip"}) == [{"a": 1}, [1, "x", None]]
    assert "in.jsonl:4: not a JSON value" in caplog.messages[0]


async def test_read_jsonl_emits_bad_lines_as_what_they_are(tmp_path):
    (tmp_path / "in.jsonl").write_text(JSONL)
    bad = (await read("read_jsonl", tmp_path, {"path": "in.jsonl", "on_error": "emit"}))[1]
    assert (bad["line_number"], bad["text"], bad["path"]) == (4, "nonsense", str(tmp_path / "in.jsonl"))


@pytest.mark.parametrize("line", ["NaN", "-Infinity", '{"a": 1, "a": 2}', "[" * 100_000, "1" * 5000, '{"a": }'])
async def test_what_only_looks_like_json_is_a_bad_line(tmp_path, line):
    (tmp_path / "in.jsonl").write_text(line + "\n")
    with pytest.raises(Reject, match=r"in\.jsonl:1: not a JSON value"):
        await read("read_jsonl", tmp_path, {"path": "in.jsonl"})


BAD_LINES = {
    "not JSON": b"{x",
    "integer beyond 64 bits": b'{"n": 123456789012345678901234567890}',
    "lone surrogate": b'{"n": "\\ud83d"}',
    "depth": b"[" * 200 + b"]" * 200,
    "not text": b'{"n": "\xff"}',
    "length": b'"' + b"x" * 3000 + b'"',
    "infinity": b'{"n": [1e999]}',
    "minus infinity": b"-1e999",
    "key twice": b'{"a": 1, "a": 2}',
}


@pytest.mark.parametrize("text", ["9" * 5000, f'{{"n": [-{"9" * 5000}]}}'])
def test_an_integer_of_very_many_digits_is_named_with_what_to_write(text):
    with pytest.raises(Reject, match=r"an integer of 5,000 digits does not fit into 64 bits; write it as a text"):
        parsed_line(text, "in.jsonl:1")


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(sorted(BAD_LINES)) | st.integers(0, 999), max_size=12),
    st.sampled_from(["fail", "skip", "emit"]),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.booleans(),
)
def test_each_problem_of_a_line_falls_under_the_lines_rule(tmp_path_factory, drawn, on_error, end, last_has_end):
    path = tmp_path_factory.mktemp("bad") / "in.jsonl"
    lines = [BAD_LINES[line] if isinstance(line, str) else b'{"good": %d}' % line for line in drawn]
    path.write_bytes(end.join(lines) + (end if last_has_end else b""))
    config = {"path": path.name, "on_error": on_error, "max_line_length": 1000}
    adapter = REGISTRY.create("read_jsonl", config)
    trio.run(open_stage, adapter, path.parent)
    values, error = [], None
    try:
        values.extend(adapter.process(FakeContext()).emitted)  # keeps those before the error
    except Reject as raised:
        error = raised
    bad = [number for number, line in enumerate(drawn, start=1) if isinstance(line, str)]
    good = [{"good": line} for line in drawn if isinstance(line, int)]
    if on_error == "emit":
        assert [value["line_number"] for value in values if "error" in value] == bad
        assert [value for value in values if "error" not in value] == good
    elif on_error == "fail" and bad:
        assert str(error).startswith(f"{path}:{bad[0]}: ")
        assert values == [{"good": line} for line in drawn[: bad[0] - 1]]
        return
    else:
        assert values == good
    assert error is None


async def test_what_only_looks_like_an_infinity_is_read(tmp_path):
    value = {"text": "\u00cb\x7f", "number": 1e308, "bytes": "\ufffd" * 9}
    (tmp_path / "in.jsonl").write_text(json.dumps(value, ensure_ascii=False))
    assert await read("read_jsonl", tmp_path, {"path": "in.jsonl"}) == [value]


@settings(max_examples=30)
@given(
    LINES,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"]),
    st.integers(0, 3),
    st.booleans(),
)
def test_a_byte_order_mark_is_left_out_and_every_gzip_member_read(tmp_path_factory, lines, encoding, spare, compressed):
    folder = tmp_path_factory.mktemp("mark")
    lines = [line.lstrip("\ufeff") for line in lines]
    text = "".join(line + "\n" for line in lines)
    data = ("\ufeff" + text).encode(encoding.removesuffix("-sig")) if encoding != "utf-16" else text.encode(encoding)
    middle = len(data) // 2
    name = "in.txt.GZ" if compressed else "in.txt"
    (folder / name).write_bytes(gzip.compress(data[:middle]) + gzip.compress(data[middle:]) if compressed else data)
    longest = max([1, *map(len, lines)]) + spare
    config = {"path": name, "encoding": encoding, "max_line_length": longest}
    assert [line["text"] for line in trio.run(read, "read_lines", folder, config)] == lines


async def test_a_damaged_gzip_file_is_named_with_the_line_and_what_came_before_stands(tmp_path):
    whole = gzip.compress(b"".join(b'{"n": %d}\n' % number for number in range(100_000)))
    (tmp_path / "in.gz").write_bytes(whole[: len(whole) // 2])
    adapter = REGISTRY.create("read_jsonl", {"path": "in.gz", "on_error": "skip"})
    await open_stage(adapter, tmp_path)
    values = adapter.process(FakeContext()).emitted
    assert next(values) == {"n": 0}
    with pytest.raises(Reject, match=r"in\.gz:\d+: damaged gzip data: Compressed file ended before"):
        list(values)
    (tmp_path / "in.gz").write_bytes(b"plain\n")
    with pytest.raises(Reject, match=r"in\.gz:1: damaged gzip data: Not a gzipped file.*set compression: none"):
        await read("read_lines", tmp_path, {"path": "in.gz"})
    assert len(await read("read_lines", tmp_path, {"path": "in.gz", "compression": "none"})) == 1


async def test_a_utf_16_file_that_is_read_as_utf_8_is_recognised(tmp_path):
    (tmp_path / "in.txt").write_bytes("a\n".encode("utf-16"))
    with pytest.raises(Reject, match=r"in\.txt:1: not utf-8 text \(at character 1\); set encoding: utf-16$"):
        await read("read_lines", tmp_path, {"path": "in.txt"})


async def test_a_line_far_too_long_is_passed_over_in_little_memory(tmp_path):
    with (tmp_path / "in.jsonl").open("wb") as file:
        file.write(b"1\n")
        for _ in range(64):
            file.write(b"x" * 1_000_000)
        file.write(b"\n2\n")
    tracemalloc.start()
    try:
        assert await read("read_jsonl", tmp_path, {"path": "in.jsonl", "on_error": "skip"}) == [1, 2]
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
