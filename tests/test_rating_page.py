"""The rating page in a real browser: whole sessions with a reload, audio that plays, accessibility."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_listening import write_speech
from test_receiver import free_port, server

from lightning_wavenet.cli.main import main
from lightning_wavenet.listening.ratings import Key, read_answers, screened

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["mos", "preference"])
def study(request, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    names = [f"s{number}" for number in range(4)]
    for seed, system in enumerate("ab"):
        write_speech(root / system, names, seed, seconds=0.2)
    about = {"kind": request.param, "systems": {name: {"clips": str(root / name)} for name in "ab"}, "sentences": 4}
    about["edge_seconds"] = 0.02
    about["design"] = {"ratings": 2, "trials": 2, "gold": 1, "repeats": 1, "calibration": 1}
    (root / "study.yaml").write_text(yaml.safe_dump(about))
    main(["listening", "export", str(root / "study.yaml"), "--out", str(root / "study")])
    return root / "study"


def axe(page: Any) -> list[str]:
    """What an audit by axe-core finds wrong."""
    import axe_playwright_python

    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run({preload: false})")
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


def begin(page: Any, headphones: str = "yes") -> None:
    page.locator(f"input[name=headphones][value={headphones}]").check()
    page.locator("input[name=native][value=yes]").check()
    page.locator("#consent").check()
    page.get_by_role("button", name="Begin").click()
    assert page.locator("#level-done").is_disabled()
    page.locator("#level-play").click()
    page.locator("#level-done").click()  # waits until the clip has ended


def rate(page: Any, answer: str, pairs: bool) -> None:
    """One trial, by the keyboard alone."""
    assert page.locator("#choices input").first.is_disabled()
    for key in "ab" if pairs else "p":
        page.keyboard.press(key)
        page.locator("#players .play").nth("ab".index(key) if pairs else 0).and_(page.locator(".heard")).wait_for()
    keys = {"left": "1", "none": "2", "right": "3"}
    page.keyboard.press(keys.get(answer, answer))
    page.keyboard.press("Enter")


def collected(page: Any) -> list[str]:
    """Errors of the page, as they come."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors


def test_a_session_by_keyboard_with_a_reload_in_its_middle(study, browser, tmp_path):
    pairs = Key.read(study).kind == "preference"
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors = collected(page)
    # Says of every clip how long it played, and what the decoder found in it.
    page.add_init_script(
        """window.played = [];
        const play = Audio.prototype.play;
        Audio.prototype.play = function () {
          this.addEventListener('ended', () => window.played.push([this.src, this.duration, this.currentTime]));
          return play.call(this);
        };"""
    )
    address = f"{(study / 'public' / 'index.html').as_uri()}?form=1&listener=keyboard"
    page.goto(address)
    assert axe(page) == []
    begin(page)
    assert axe(page) == []
    answers = ["left", "right", "none", "left", "right"] if pairs else list("54321")
    count = 1 + 2 + 1 + 1
    for number, answer in enumerate(answers):
        if number == 3:
            page.reload()  # what was answered is there, what was not is asked again
        rate(page, answer, pairs)
        if number == 0:
            assert axe(page) == []
    page.locator("#end").wait_for()
    assert axe(page) == []
    played = page.evaluate("window.played")
    assert len(played) == (count - 3) * (2 if pairs else 1)
    for source, duration, position in played:
        file = study / "public" / "audio" / Path(source).name
        assert duration == pytest.approx((file.stat().st_size - 44) / 32_000, abs=0.01)
        assert position == pytest.approx(duration, abs=0.05)
    key, found = Key.read(study), {}
    for kind in ("csv", "json"):
        with page.expect_download() as download:
            page.locator(f"#save-{kind}").click()
        download.value.save_as(tmp_path / f"answers.{kind}")
        found[kind], bad = read_answers([tmp_path / f"answers.{kind}"], key)
        assert not bad
    assert list(found["csv"].answer) == list(found["json"].answer) == answers
    assert list(found["csv"].trial) == list(range(count))
    assert set(found["csv"].form) == {1}
    assert set(found["csv"].headphones) == {"yes"}
    assert errors == []
    context.close()


def test_answers_reach_the_receiver_and_nothing_else_does(study, browser, tmp_path):
    port, out = free_port(), tmp_path / "answers.jsonl"
    public = study / "public" / "study.js"
    told = json.loads(public.read_text().removeprefix("window.STUDY = ").removesuffix(";\n"))
    pairs = told["kind"] == "preference"
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route(
        "**/study.js", lambda route: route.fulfill(body=f"window.STUDY = {json.dumps(told | {'post': '/answers'})}")
    )
    with server(study, out, port):
        page.goto(f"http://127.0.0.1:{port}/?form=0&listener=sent")
        begin(page, headphones="no")
        for _ in range(5):
            rate(page, "none" if pairs else "3", pairs)
        page.get_by_text("All your answers have arrived").wait_for()
    answers, bad = read_answers([out], Key.read(study))
    assert not bad
    assert len(answers) == 5
    assert screened(answers, Key.read(study)).left_out["no headphones"] == ["sent"]
    assert all(url.startswith(f"http://127.0.0.1:{port}/") for url in asked)
    with (study / "private" / "manifest.csv").open() as file:
        systems = {row["system"] for row in csv.DictReader(file)}
    assert not systems & {part for url in asked for part in url.split("/")}
    context.close()


def test_what_does_not_arrive_is_sent_again(study, browser):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    told = json.loads((study / "public" / "study.js").read_text().removeprefix("window.STUDY = ").removesuffix(";\n"))
    away = {"url": True}
    received: list[dict] = []

    def receive(route: Any) -> None:
        if away["url"]:
            route.abort()
        else:
            received.append(json.loads(route.request.post_data))
            route.fulfill(status=200, body='{"kept": true}', headers={"Access-Control-Allow-Origin": "*"})

    page.route(
        "**/study.js",
        lambda route: route.fulfill(
            body=f"window.STUDY = {json.dumps(told | {'post': 'http://receiver.test/answers'})}"
        ),
    )
    page.route("http://receiver.test/**", receive)
    page.goto(f"{(study / 'public' / 'index.html').as_uri()}?form=0")
    begin(page)
    pairs = told["kind"] == "preference"
    for _ in range(5):
        rate(page, "right" if pairs else "2", pairs)
    page.get_by_text("5 of 5 answers have not arrived yet").wait_for()
    away["url"] = False
    page.locator("#resend").click()
    page.get_by_text("All your answers have arrived").wait_for()
    assert [row["trial"] for row in received] == list(range(5))
    context.close()


def test_it_fits_in_both_themes_on_phone_and_desktop(study, browser):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{(study / 'public' / 'index.html').as_uri()}?form=0")
    for step in ("welcome", "trial"):
        if step == "trial":
            begin(page)
        for theme in ("light", "dark"):
            for width in (360, 1280):
                page.emulate_media(color_scheme=theme)
                page.set_viewport_size({"width": width, "height": 740})
                assert axe(page) == []
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
