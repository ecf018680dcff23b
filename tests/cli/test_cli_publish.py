"""`factflow publish`, and `factflow run --forever`, which gets what is published."""

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.timeout(120)
COMMAND = [sys.executable, "-W", "error", "-c", "from factflow_engine.cli import main; main()"]
PIPELINE = """\
version: "1.0"
name: service
routes:
  parse:
    inbound: {queue: /queue/parse.in, ordering: key, capacity: 5000}
    adapters: [{type: write_jsonl, config: {path: out.jsonl}}]
  news:
    inbound: {queue: /topic/news, subscription: readers}
    adapters: [{type: log, config: {text: "{text}"}}]
"""
ECHO = PIPELINE.replace("{type: write_jsonl, config: {path: out.jsonl}}", "{type: write_stdout}")


@pytest.fixture
def service(pipeline, tmp_path):
    """The options that name a pipeline and its queue."""
    return ["--pipeline", pipeline(PIPELINE), "--queue", f"sqlite:///{tmp_path}/q.db"]


@pytest.fixture
def stored(factflow, tmp_path):
    """Count of what waits in each queue of the file."""

    def stored():
        said = factflow("queue", "stats", f"sqlite:///{tmp_path}/q.db", "-o", "json")
        return {line["queue"]: line["waiting"] for line in said.document.get("lines", [])}

    return stored


QUEUE = "exec:service:/queue/parse.in"


@pytest.mark.parametrize("target", ["parse", "/queue/parse.in", QUEUE])
def test_a_message_goes_to_the_queue_of_a_route(factflow, service, stored, tmp_path, target):
    said = factflow("publish", target, *service, "--payload", '{"n": 1}')
    assert (said.status, said.out) == (0, f"1 message published to {QUEUE}\n")
    assert stored() == {QUEUE: 1}
    said = factflow("run", *service[1:])
    assert said.status == 0
    assert (tmp_path / "out.jsonl").read_text() == '{"n":1}\n'


def test_an_id_names_another_execution(factflow, service, stored):
    assert factflow("publish", "parse", *service, "--id", "nightly", "--payload", "1").status == 0
    assert stored() == {"exec:nightly:/queue/parse.in": 1}


def test_keys_and_headers_are_the_messages(factflow, service, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text('{"account": 7}\n{"account": "b"}\n')
    options = ("--key-field", "account", "--header", "source=shell", "--header", "note=a=b")
    assert factflow("publish", "parse", *service, "--from", file, *options).status == 0
    (tmp_path / "p2.yaml").write_text(
        PIPELINE.replace("{type: write_jsonl, config: {path: out.jsonl}}", "{type: tell}")
    )
    (tmp_path / "telling.py").write_text(
        "from factflow_protocols import AdapterResult, PipelineAdapter\n"
        "class Tell(PipelineAdapter):\n"
        '    adapter_type = "tell"\n'
        "    async def process(self, context):\n"
        "        print(context.key, dict(context.headers))\n"
        "        return AdapterResult.forward()\n"
    )
    said = factflow("run", tmp_path / "p2.yaml", *service[2:], "--adapters", tmp_path / "telling.py")
    headers = {"source": "shell", "note": "a=b"}
    assert f"7 {headers}" in said.out
    assert f"b {headers}" in said.out


def test_all_lines_of_a_file_are_published_in_order(factflow, service, stored, tmp_path):
    lines = [f'{{"n": {number}}}' for number in range(2500)]
    file = tmp_path / "in.jsonl.gz"
    file.write_bytes(gzip.compress("\n\n".join(lines).encode()))
    said = factflow("publish", "parse", *service, "--from", file, "-o", "json")
    assert said.document == {"published": 2500, "queue": QUEUE, "message_id": None}
    assert stored() == {QUEUE: 2500}
    factflow("run", *service[1:])
    assert [json.loads(line)["n"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == list(range(2500))


BAD = ["{", '{"a": 1, "a": 2}', "[NaN]", "1e999", str(1 << 70), '"\\ud800"', "[" * 200 + "]" * 200]


@pytest.mark.parametrize("line", BAD)
def test_a_file_with_a_bad_line_is_not_published(factflow, service, tmp_path, line):
    file = tmp_path / "in.jsonl"
    file.write_text('{"n": 1}\n' * 1200 + line + '\n{"n": 2}\n')
    said = factflow("publish", "parse", *service, "--from", file)
    assert said.status == 2
    [error] = said.err.splitlines()
    assert error.startswith(f"factflow: {file}:1201: not a ")
    assert error.endswith("; nothing was published")
    assert not (tmp_path / "q.db").exists()


@pytest.mark.parametrize("key", ["{}", '{"k": null}', '{"k": true}', '{"k": [1]}'])
def test_a_line_without_its_key_is_a_bad_one(factflow, service, tmp_path, key):
    file = tmp_path / "in.jsonl"
    file.write_text(f'{{"k": 1}}\n{key}\n')
    said = factflow("publish", "parse", *service, "--from", file, "--key-field", "k")
    assert said.status == 2
    assert f"{file}:2: --key-field: " in said.err


def publish_input(tmp_path, text, *options):
    arguments = [
        "publish",
        "parse",
        "--pipeline",
        "pipeline.yaml",
        "--queue",
        "sqlite:///q.db",
        "--from",
        "-",
        *options,
    ]
    return subprocess.run(
        [*COMMAND, *arguments], cwd=tmp_path, input=text, capture_output=True, timeout=60, check=False
    )


def test_of_standard_input_the_messages_before_a_bad_line_are_published_and_counted(service, stored, tmp_path):
    ended = publish_input(tmp_path, b'{"n": 1}\n' * 1500 + b"\xff\n" + b'{"n": 2}\n' * 10)
    assert ended.returncode == 2
    assert ended.stderr.decode() == (
        "factflow: standard input:1501: not utf-8 text (at byte 1); 1,500 messages published, the last one from standard "
        "input:1500\n"
    )
    assert stored() == {QUEUE: 1500}


def test_a_last_line_without_an_end_and_a_byte_order_mark_are_read(service, stored, tmp_path):
    ended = publish_input(tmp_path, b'\xef\xbb\xbf{"n": 1}\r\n\n{"n": 2}', "-o", "json")
    assert json.loads(ended.stdout)["published"] == 2
    assert stored() == {QUEUE: 2}


def test_gzip_is_unpacked_whatever_the_files_name_and_named_on_standard_input(factflow, service, stored, tmp_path):
    packed = gzip.compress(b'{"n": 1}\n{"n": 2}\n')
    (tmp_path / "in.jsonl").write_bytes(packed)
    assert factflow("publish", "parse", *service, "--from", tmp_path / "in.jsonl").status == 0
    assert stored() == {QUEUE: 2}
    ended = publish_input(tmp_path, packed)
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith(
        "factflow: standard input is gzip: unpack it first, as in `gzip -dc FILE | "
    )
    assert stored() == {QUEUE: 2}


@pytest.mark.parametrize("cycle", [False, True], ids=["", "on a cycle"])
def test_the_first_publisher_finds_the_capacity_of_the_route(service, stored, tmp_path, cycle):
    """A queue of a cycle has none on disk: it could wait for itself."""
    pipeline = PIPELINE.replace("ordering: key, capacity: 5000", "capacity: 10")
    loop = pipeline.replace(
        "  news:", "    outbound: [{queue: /queue/parse.in, condition: {field: n, operator: eq, value: 2}}]\n  news:"
    )
    service[1].write_text(loop if cycle else pipeline)
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n' * 30)
    command = [*COMMAND, "publish", "parse", *map(str, service)]
    assert subprocess.run([*command, "--payload", "1"], cwd=tmp_path, check=False).returncode == 0
    if cycle:
        assert subprocess.run([*command, "--from", "in.jsonl"], cwd=tmp_path, check=False).returncode == 0
        assert stored() == {QUEUE: 31}
        return
    with Running(tmp_path, "publish", "parse", *service, "--from", "in.jsonl") as process:
        assert "waiting for room in exec:service:/queue/parse.in" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert stored() == {QUEUE: 10}


def test_standard_input_that_is_closed_is_an_error(service, tmp_path):
    arguments = shlex.join([*COMMAND, "publish", "parse", *map(str, service), "--from", "-"])
    ended = subprocess.run(
        ["/bin/sh", "-c", f"{arguments} <&-"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "standard input is closed" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["parse", "--queue", "sqlite:///FOLDER/q.db", "--payload", "1"], "add --pipeline FILE"),
        (["/queue/parse.in", "--queue", "sqlite:///FOLDER/q.db", "--payload", "1"], "add --id ID"),
        (["/queue/parse.in", "--queue", "sqlite:///FOLDER/q.db", "--id", "a b", "--payload", "1"], "1 to 64 letters"),
        (["exec:a:/queue/x", "--queue", "sqlite:///FOLDER/q.db", "--id", "a", "--payload", "1"], "leave out --id"),
        (["/queue/a b", "--queue", "sqlite:///FOLDER/q.db", "--id", "a", "--payload", "1"], "write '/queue/a-b'"),
        (["parse", "SERVICE"], "--payload JSON, or --from FILE"),
        (["parse", "SERVICE", "--payload", "1", "--from", "-"], "--payload JSON, or --from FILE"),
        (["parse", "SERVICE", "--payload", "{"], "--payload is not JSON"),
        (["parse", "SERVICE", "--payload", str(1 << 70)], "--payload: no message can carry this"),
        (
            ["parse", "SERVICE", "--payload", "1", "--key-field", "k"],
            "--payload: --key-field: the message has no field 'k'",
        ),
        (["parse", "SERVICE", "--payload", "1", "--key-field", "a..b"], "is not a field path"),
        (["parse", "SERVICE", "--payload", "1", "--key-field", "k", "--key", "k"], "give one"),
        (["parse", "SERVICE", "--payload", "1", "--header", "a"], "expected NAME=VALUE"),
        (["parse", "SERVICE", "--payload", "1", "--header", "a=1", "--header", "a=2"], "given twice"),
        (["parse", "SERVICE", "--payload", "1", "--header", "dead_letter=x"], "marks dead letters"),
        (["parse", "SERVICE", "--from", "nowhere.jsonl"], "nowhere.jsonl cannot be read: No such file"),
        (["parse", "SERVICE", "--from", "FOLDER"], "is a folder"),
        (["prase", "SERVICE", "--payload", "1"], "no route 'prase'; did you mean 'parse'?"),
        (["/queue/prase.in", "SERVICE", "--payload", "1"], "did you mean '/queue/parse.in'?"),
        (["exec:other:/queue/parse.in", "SERVICE", "--payload", "1"], "no route of the pipeline reads"),
        (["parse", "--pipeline", "PIPELINE", "--queue", "memory://", "--payload", "1"], "outlives this process"),
        (["parse", "--pipeline", "PIPELINE", "--payload", "1"], "Missing option '--queue'"),
    ],
)
def test_wrong_arguments_name_the_remedy(factflow, service, tmp_path, arguments, expected):
    given = []
    for argument in arguments:
        given += service if argument == "SERVICE" else [argument.replace("FOLDER", str(tmp_path))]
    given = [service[1] if argument == "PIPELINE" else argument for argument in given]
    said = factflow("publish", *given)
    assert said.status == 2
    assert expected in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "q.db").exists()


def test_without_a_pipeline_the_queue_must_exist(factflow, service, stored):
    named = ["/queue/parse.in", "--id", "service", *service[2:], "--payload", "2"]
    assert factflow("publish", *named).status == 2
    factflow("publish", "parse", *service, "--payload", "1")
    assert factflow("publish", *named).status == 0
    assert stored() == {QUEUE: 2}
    said = factflow("publish", "/queue/prase.in", "--id", "service", *service[2:], "--payload", "2")
    assert said.status == 2
    assert "exec:service:/queue/prase.in" in said.err


@pytest.mark.parametrize("target", ["news", "/topic/news"])
def test_a_topic_that_nobody_has_subscribed_would_lose_the_message(factflow, service, stored, target):
    said = factflow("publish", target, *service, "--payload", "1")
    assert said.status == 2
    factflow("publish", "parse", *service, "--payload", "1")
    said = factflow("publish", target, *service, "--payload", '{"text": "hello"}')
    assert said.status == 2
    assert "would be lost" in said.err
    factflow("run", *service[1:])
    assert factflow("publish", target, *service, "--payload", '{"text": "hello"}').status == 0
    assert stored()["/topic/news"] == 1


class Running:
    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_for_ever_takes_what_is_published_until_a_signal(factflow, service, stored, tmp_path, number):
    service[1].write_text(ECHO)
    with Running(tmp_path, "run", *service[1:], "--forever") as process:
        for message in range(3):
            said = factflow("publish", "parse", *service, "--payload", json.dumps({"n": message}))
            assert said.status == 0
            assert json.loads(process.stdout.readline()) == {"n": message}
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    assert "completed  service in " in err
    assert "draining" in err
    assert "Traceback" not in err
    assert set(stored().values()) == {0}


def test_failed_messages_of_a_run_for_ever_have_their_status(factflow, service, tmp_path):
    service[1].write_text(
        PIPELINE.replace(
            "{type: write_jsonl", "{type: pick_fields, config: {fields: [a], missing: reject}}, {type: write_jsonl"
        )
    )
    arguments = ["run", *service[1:], "--forever", "--fail-on-failed", "--output", "json", "--progress", "plain"]
    with Running(tmp_path, *arguments) as process:
        assert factflow("publish", "parse", *service, "--payload", "{}").status == 0
        while "failed 1" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    document = json.loads(out)
    assert (document["exit_status"], document["interrupted_by"], document["status"]) == (3, "SIGTERM", "completed")


@pytest.mark.parametrize("queue", [[], ["--queue", "memory://"]])
def test_a_run_for_ever_needs_a_durable_queue(factflow, service, queue):
    said = factflow("run", service[1], "--forever", *queue)
    assert said.status == 2
    assert "add --queue sqlite:///queue.db, or leave out --forever" in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_full_queue_is_waited_for_and_an_interruption_says_how_many_are_published(service, tmp_path, number):
    service[1].write_text(PIPELINE.replace("ordering: key, capacity: 5000", "capacity: 10"))
    assert subprocess.run([*COMMAND, "run", *map(str, service[1:])], cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n' * 30)
    with Running(tmp_path, "publish", "parse", *service, "--from", "in.jsonl", "-o", "json") as process:
        line = process.stderr.readline()
        assert "0 messages published" in line
        assert "waiting for room in exec:service:/queue/parse.in" in line
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"interrupted by {number.name}: 0 messages published; of the next 30" in err
    assert "of the next 30, in.jsonl:1 to in.jsonl:30, the first may be, too" in err
    assert "Traceback" not in err
    document = json.loads(out)
    assert (document["status"], document["published"]) == ("error", 0)
    assert document["error"] in err


def test_the_document_of_a_bad_line_says_how_many_are_published(service, tmp_path):
    command = [*COMMAND, "publish", "parse", *map(str, service), "--from", "-", "-o", "json"]
    said = subprocess.run(command, cwd=tmp_path, input="1\n2\n{\n", stdout=subprocess.PIPE, text=True, check=False)
    document = json.loads(said.stdout)
    assert (said.returncode, document["status"], document["published"]) == (2, "error", 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wait_for_standard_input_is_interrupted_and_what_came_is_published(service, stored, tmp_path, number):
    reading, writing = os.pipe()
    command = [*COMMAND, "publish", "parse", *map(str, service), "--from", "-"]
    pipes = {"stdin": reading, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        os.close(reading)
        os.write(writing, b"1\n2\n")
        while stored() != {QUEUE: 2}:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    os.close(writing)
    assert process.returncode == 128 + number
    assert "2 messages published, the last one from standard input:2" in err or "of the next 2" in err


def test_lines_are_published_as_they_come(service, tmp_path):
    service[1].write_text(ECHO)
    reading, writing = os.pipe()
    publish = [*COMMAND, "publish", "parse", *map(str, service), "--from", "-"]
    with Running(tmp_path, "run", *service[1:], "--forever", "--progress", "none") as process:
        try:
            publishing = subprocess.Popen(publish, cwd=tmp_path, stdin=reading, stdout=subprocess.DEVNULL)
            os.close(reading)
            for number in range(3):
                os.write(writing, f'{{"n": {number}}}\n'.encode())
                assert json.loads(process.stdout.readline()) == {"n": number}  # before more has come
        finally:
            os.close(writing)
        assert publishing.wait(60) == 0
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
