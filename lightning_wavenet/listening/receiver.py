"""Takes in the answers of listeners over HTTP, and gives out the page: `wavenet listening serve`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.atomic import write_text
from lightning_wavenet.listening.ratings import ROW, Key

MOST_BYTES = 4_096
"""Of an answer."""
BODY_SECONDS = 10.0
"""In which an answer has to come in."""
_YES_NO = ("yes", "no")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_LONGEST_SECONDS = 1e7


class Results:
    """Answers in a file, a JSON object a line: what `add` has returned for is on the disk.

    Args:
        path: The file; it is made, or added to.
        key: Of the study.
    """

    def __init__(self, path: Path, key: Key) -> None:
        self.path = path
        self.key = key
        self._thread = threading.Lock()
        self._process = FileLock(f"{path}.lock")
        self._size = -1
        self._there: dict[tuple[str, str], str] = {}
        self._forms: dict[str, str] = {}
        self._torn = False
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, answer: Mapping[str, Any]) -> str | None:
        """Adds an answer, once; one that is there already is confirmed again.

        Returns:
            Why it is refused; None where it is kept.
        """
        row = {name: answer.get(name, "") for name in ROW}
        plain = {name: str(value) for name, value in row.items()}
        if reason := self.key.refuses(plain) or _unusual(row):
            return reason
        with self._thread, self._process:
            self._read()
            place = (plain["listener"], plain["trial"])
            if place in self._there:
                return None if self._there[place] == plain["answer"] else "the trial was answered before"
            if self._forms.get(plain["listener"], plain["form"]) != plain["form"]:
                return "the listener has answered another form"
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            self._append(b"\n" + line if self._torn else line)
            self._there[place] = plain["answer"]
            self._forms[plain["listener"]] = plain["form"]
        return None

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(descriptor, line) < len(line):
                raise OSError("a part of the answer was not written")
            os.fsync(descriptor)
        except OSError:
            self._size = -1
            raise
        finally:
            os.close(descriptor)
        self._size += len(line)
        self._torn = False

    def _read(self) -> None:
        """What is in the file, where that is not what was read or written last."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size == self._size:
            return
        text = self.path.read_bytes() if size else b""
        self._size, self._torn = len(text), bool(text) and not text.endswith(b"\n")
        rows = _parsed(text)
        self._there = {(str(row.get("listener")), str(row.get("trial"))): str(row.get("answer")) for row in rows}
        self._forms = {str(row.get("listener")): str(row.get("form")) for row in rows}

    def forget(self, listener: str) -> int:
        """Deletes the answers of a listener, and says how many there were."""
        with self._thread, self._process:
            lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
            kept = [line for line in lines if not any(row.get("listener") == listener for row in _parsed(line))]
            if len(kept) < len(lines):
                write_text(self.path, b"".join(kept).decode("utf-8", "replace"))
            self._size = -1
            return len(lines) - len(kept)


def _parsed(text: bytes) -> list[dict[str, Any]]:
    """The objects of lines; what a crash left of one is passed over."""
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _unusual(row: Mapping[str, Any]) -> str | None:
    """Why what a listener tells besides the answer cannot be kept."""
    for name in ("headphones", "native"):
        if row[name] not in _YES_NO:
            return f"{name} must be yes or no"
    seconds = row["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_SECONDS:
        return "seconds must be a number"
    if not isinstance(row["time"], str) or not _TIME.fullmatch(row["time"]):
        return "time must be such as 2026-01-31T12:00:00.000Z"
    return None


def application(study: Path, results: Results) -> Starlette:
    """The page of a study under /, and what takes in its answers under /answers.

    Args:
        study: Folder that `wavenet listening export` made; only `public` in it is given out.
        results: Where answers go.
    """

    async def answers(request: Request) -> Response:
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS)
            answer = json.loads(body)
        except TimeoutError:
            return _refused("too slow", 408)
        except _TooLongError:
            return _refused("too long", 413)
        except ClientDisconnect:
            return _refused("gone", 400)
        except (ValueError, RecursionError):
            return _refused("not JSON", 400)
        if not isinstance(answer, dict):
            return _refused("not an answer", 400)
        try:
            reason = await asyncio.to_thread(results.add, answer)
        except OSError:
            return _refused("cannot be written now: try again", 503)
        return JSONResponse({"kept": True}) if reason is None else _refused(reason, 400)

    return Starlette(
        routes=[
            Route("/answers", answers, methods=["POST"]),
            Mount("/", StaticFiles(directory=study / "public", html=True)),
        ],
        # The page may lie on another server.
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"], allow_headers=["*"])],
    )


class _TooLongError(Exception):
    pass


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise _TooLongError
    return body


def _refused(reason: str, status: int) -> Response:
    return JSONResponse({"kept": False, "reason": reason}, status)


def serve(study: Path, path: Path, host: str, port: int) -> None:
    """Runs until it is interrupted.

    Args:
        study: The study's folder.
        path: Where answers go.
        host: Address to listen at.
        port: Of it.

    Raises:
        RequestError: The folder has no study, or the port is taken.
    """
    import uvicorn

    app = application(study, Results(path, Key.read(study)))
    # No addresses of listeners are kept, in a log neither.
    config = uvicorn.Config(
        app, host, port, access_log=False, log_level="warning", timeout_keep_alive=5, server_header=False
    )
    try:
        uvicorn.Server(config).run()
    except SystemExit as error:
        raise RequestError(f"cannot listen at {host}:{port}: is the port taken? Choose another --port") from error
