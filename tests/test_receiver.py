"""The receiver of answers: what it confirms is on the disk, and hostile input leaves nothing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient
from test_listening import write_speech

from lightning_wavenet.cli.main import main
from lightning_wavenet.listening.ratings import Key, read_answers
from lightning_wavenet.listening.receiver import Results, application
from lightning_wavenet.listening.simulation import simulate


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Two systems, ten sentences; 200 listeners have four trials each, beside those that check."""
    root = tmp_path_factory.mktemp("received")
    names = [f"s{number}" for number in range(10)]
    for seed, system in enumerate("ab"):
        write_speech(root / system, names, seed, seconds=0.5)
    about = {"systems": {name: {"clips": str(root / name)} for name in "ab"}, "sentences": 10}
    about["design"] = {"ratings": 34, "trials": 4, "gold": 1, "repeats": 0, "calibration": 1}
    (root / "study.yaml").write_text(yaml.safe_dump(about))
    main(["listening", "export", str(root / "study.yaml"), "--out", str(root / "study")])
    return root / "study"


@pytest.fixture(scope="module")
def rows(study) -> list[dict]:
    return simulate(Key.read(study), 0)


@pytest.fixture
def results(study, tmp_path) -> Results:
    return Results(tmp_path / "answers.jsonl", Key.read(study))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_are_kept_once_and_confirmed_again(study, rows, results):
    client = TestClient(application(study, results))
    for row in rows[:3]:
        assert client.post("/answers", json=row).json() == {"kept": True}
    assert client.post("/answers", json=rows[0]).json() == {"kept": True}  # its confirmation may have been lost
    changed = rows[0] | {"answer": "1" if rows[0]["answer"] != "1" else "2"}
    assert client.post("/answers", json=changed).status_code == 400
    assert lines(results.path) == rows[:3]


HOSTILE = [
    b"",
    b"[]",
    b"null",
    b'"a"',
    b"{",
    b"\xff\xfe",
    b"[" * 4_000,
    b"0" * 5_000,
    b'{"study": NaN}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_answer_is_refused(body, study, results):
    client = TestClient(application(study, results))
    assert client.post("/answers", content=body).status_code in (400, 413)
    assert not results.path.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"study": "another"},
        {"listener": "=HYPERLINK(1)"},
        {"listener": ""},
        {"listener": "a" * 65},
        {"listener": ["a"]},
        {"form": "0; drop"},
        {"form": 10**9},
        {"trial": True},
        {"first": "../../etc/passwd"},
        {"second": "x"},
        {"answer": 7},
        {"answer": "=1+1"},
        {"seconds": "=1+1"},
        {"seconds": -1},
        {"seconds": 1e300},
        {"headphones": "+1"},
        {"native": None},
        {"time": "@now"},
    ],
    ids=lambda change: "-".join(map(str, next(iter(change.items()))))[:30],
)
def test_hostile_answers_are_refused(change, study, rows, results):
    client = TestClient(application(study, results))
    reply = client.post("/answers", json=rows[0] | change)
    assert reply.status_code == 400
    assert reply.json()["reason"]
    assert not results.path.exists()


def test_more_than_an_answer_is_not_kept(study, rows, results):
    client = TestClient(application(study, results))
    assert client.post("/answers", json=rows[0] | {"address": "10.0.0.1"}).json() == {"kept": True}
    assert lines(results.path) == [rows[0]]


def test_only_the_public_folder_is_given_out(study, results):
    client = TestClient(application(study, results))
    assert "<title>" in client.get("/").text
    assert client.get("/study.js").text.startswith("window.STUDY")
    for path in ("/study.json", "/private/manifest.csv", "/../private/manifest.csv", "/%2e%2e/study.json", "/audio/"):
        assert client.get(path).status_code == 404


def test_what_a_crash_left_of_a_line_is_passed_over(study, rows, results, tmp_path):
    results.add(rows[0])
    with results.path.open("a") as file:
        file.write('{"study": "')
    again = Results(results.path, Key.read(study))
    assert again.add(rows[1]) is None
    answers, bad = read_answers([results.path], Key.read(study))
    assert len(answers) == 2
    assert [row.line for row in bad] == [2]


def test_a_listener_is_forgotten(study, rows, results, capsys):
    own = [row for row in rows if row["listener"] == rows[0]["listener"]]
    other = next(row for row in rows if row["listener"] != rows[0]["listener"])
    for row in [*own, other]:
        assert results.add(row) is None
    main(["listening", "forget", str(results.path), "--study", str(study), "--listener", rows[0]["listener"]])
    assert f"{len(own)} answers" in capsys.readouterr().out
    assert lines(results.path) == [other]
    assert results.add(own[0]) is None  # Who was forgotten may begin anew.


@contextmanager
def server(study: Path, out: Path, port: int) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "lightning_wavenet", "listening", "serve", str(study), "--out", str(out)]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def send(port: int, row: dict) -> bool:
    """Whether an answer was confirmed."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/answers", json.dumps(row).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)["kept"]
    except (urllib.error.URLError, OSError, ValueError):
        return False


@pytest.mark.slow
def test_200_listeners_at_once_and_a_kill_lose_no_confirmed_answer(study, rows, tmp_path):
    own: dict[str, list[dict]] = {}
    for row in rows:
        own.setdefault(row["listener"], []).append(row)
    assert len(own) >= 200
    port, out = free_port(), tmp_path / "answers.jsonl"
    confirmed: list[tuple[str, int]] = []

    def listen(answers: list[dict]) -> None:
        for row in answers:
            for _ in range(200):
                if send(port, row):
                    confirmed.append((row["listener"], row["trial"]))
                    break
                time.sleep(0.1)

    threads = [threading.Thread(target=listen, args=(answers,)) for answers in own.values()]
    with server(study, out, port) as process:
        for thread in threads:
            thread.start()
        while len(confirmed) < len(rows) // 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = {(row["listener"], row["trial"]) for row in map(json.loads, out.read_text().splitlines())}
        assert set(confirmed) <= kept
        with server(study, out, port):
            for thread in threads:
                thread.join()
    assert len(confirmed) == len(rows)
    answers, bad = read_answers([out], Key.read(study))
    assert not bad
    assert len(answers) == len(rows)


@pytest.mark.slow
def test_slow_clients_hold_nobody_up(study, rows, tmp_path):
    port = free_port()
    with server(study, tmp_path / "answers.jsonl", port):
        slow = []
        for _ in range(100):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(b"POST /answers HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            slow.append(connection)
        began = time.monotonic()
        assert send(port, rows[0])
        assert time.monotonic() - began < 5
        slow[0].settimeout(30)
        assert b"408" in slow[0].recv(1_000)
        for connection in slow:
            connection.close()


def test_a_taken_port_is_refused_in_a_line(study, tmp_path, capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stop:
            main(["listening", "serve", str(study), "--out", str(tmp_path / "a"), "--port", str(port)])
    assert stop.value.code == 2
    assert "choose another --port" in capfd.readouterr().err.lower()
