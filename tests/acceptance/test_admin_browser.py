"""Support's main path in a real browser: log in, find a memory, open it, reprocess it with a reason, see the log."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from demo.servers import Installation
from tests.acceptance.wire import App
from tests.support.opened import opened

pytestmark = [pytest.mark.process, pytest.mark.browser]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # playwright's loop runs in this thread; Django is not used in it
    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def memory(make_app: Any) -> dict[str, Any]:
    app: App = make_app()
    made = app.create_memory()
    app.wait(f"/v1/memories/{made['id']}/post-processing", lambda run: run["state"] == "finished")
    return {**made, "uid": app.uid, "app": app}


def log_in(page: Any, server: Installation) -> None:
    name, password = (server.folder / "staff.txt").read_text().split()
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    assert page.get_by_role("heading", level=1).count() >= 1


def accessible(page: Any) -> None:
    """The basics of WCAG: a title, a language, headings in order, a label for every field, a text for every link."""
    assert page.title().strip()
    assert page.locator("html").get_attribute("lang")
    assert page.locator("h1").count() >= 1
    levels = [int(tag[1]) for tag in page.locator("h1,h2,h3,h4,h5,h6").evaluate_all("all => all.map(e => e.tagName)")]
    assert all(below - above <= 1 for above, below in pairwise(levels)), levels
    bare = page.locator(
        "input:not([type=hidden]):not([type=submit]):not([type=button]), select, textarea"
    ).evaluate_all(
        """all => all.filter(e => !(e.labels && e.labels.length) && !e.getAttribute('aria-label')
             && !e.getAttribute('aria-labelledby') && !e.title).map(e => e.outerHTML)"""
    )
    assert bare == []
    nameless = page.locator("a[href], button").evaluate_all(
        """all => all.filter(e => !e.innerText.trim() && !e.getAttribute('aria-label') && !e.title
             && !e.querySelector('img[alt]:not([alt=""]), svg title')
             && e.offsetParent !== null).map(e => e.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_support_reprocesses_a_memory_and_the_history_says_who_and_why(
    browser: Any, server: Installation, memory: dict[str, Any], javascript: bool
) -> None:
    reason = f"The title is wrong ({'with' if javascript else 'without'} scripts)."
    with opened(browser, java_script_enabled=javascript) as page:
        log_in(page, server)

        page.goto(f"{server.url}/admin/memories/memoryrow/?q={memory['id']}")
        row = page.get_by_role("row").filter(has_text=memory["id"][:8])
        assert row.count() == 1
        row.get_by_role("link", name=memory["id"][:8]).click()
        assert memory["id"][:8] in page.get_by_role("heading", level=1).all_inner_texts()[-1]
        assert memory["id"] in page.content()
        assert memory["uid"] in page.content()
        if javascript:
            accessible(page)
        # The words are private until somebody gives a reason to read them.
        assert memory["transcript_segments"][0]["text"] not in page.content()

        page.goto(f"{server.url}/admin/memories/memoryrow/?q={memory['id']}")
        page.locator("input.action-select").first.check()
        page.locator("select[name=action]").first.select_option("reprocess")
        page.locator("#changelist-form").get_by_role("button", name=re.compile("Go|Run")).first.click()
        if javascript:
            accessible(page)
        page.get_by_label(re.compile("Reason", re.I)).fill(reason)
        page.get_by_role("button", name="Reprocess").click()
        assert memory["id"] in page.locator(".messagelist").inner_text()

        page.goto(f"{server.url}/admin/memories/memoryrow/?q={memory['id']}")
        page.get_by_role("row").get_by_role("link", name=memory["id"][:8]).click()
        history = page.content()
        assert reason in history
        assert "Reprocess" in history
    run = memory["app"].wait(f"/v1/memories/{memory['id']}/post-processing", lambda run: run["state"] == "finished")
    assert run["kind"] == "reprocess"
    assert run["reason"] == reason
    assert run["outcome"] == "success"


def test_a_reason_is_required(browser: Any, server: Installation, memory: dict[str, Any]) -> None:
    with opened(browser, java_script_enabled=False) as page:
        log_in(page, server)
        page.goto(f"{server.url}/admin/memories/memoryrow/?q={memory['id']}")
        runs = memory["app"].get(f"/v1/memories/{memory['id']}/post-processing").json()["id"]
        page.locator("input.action-select").first.check()
        page.locator("select[name=action]").first.select_option("reprocess")
        page.locator("#changelist-form").get_by_role("button", name=re.compile("Go|Run")).first.click()
        page.locator("form").filter(has=page.get_by_label(re.compile("Reason", re.I))).evaluate(
            "form => { form.noValidate = true }"
        )
        page.get_by_role("button", name="Reprocess").click()
        assert page.get_by_text("This field is required").count() == 1
        assert memory["app"].get(f"/v1/memories/{memory['id']}/post-processing").json()["id"] == runs


def test_the_admin_is_closed_to_strangers(browser: Any, server: Installation, memory: dict[str, Any]) -> None:
    with opened(browser) as page:
        for path in ("/admin/", "/admin/memories/memoryrow/", "/admin/memories/memoryrow/1/change/"):
            page.goto(server.url + path)
            assert "/admin/login/" in page.url
            assert memory["id"][:8] not in page.content()
        for label in ("Username", "Password"):
            assert page.get_by_label(label).count() == 1


EVIL = "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def spoken(make_app: Any, speech_wav: bytes) -> dict[str, Any]:
    """A memory with a kept recording, markup in what was said, and a run of its upload that ended."""
    app: App = make_app()
    assert app.post("/v1/users/store-recording-permission?value=true").status_code == 200
    made = app.create_memory()
    # Its own first run ends before the recording comes, or that one would wait in line.
    app.wait(f"/v1/memories/{made['id']}/post-processing", lambda run: run["state"] == "finished")
    sent = app.upload(f"/v1/memories/{made['id']}/post-processing", speech_wav)
    assert sent.status_code < 300, sent.text
    app.wait(
        f"/v1/memories/{made['id']}/post-processing",
        lambda run: run["state"] == "finished" and run["kind"] == "postprocess",
        seconds=200,
    )
    app.patch(f"/v1/memories/{made['id']}", json={"title": EVIL, "overview": EVIL}).raise_for_status()
    return {**made, "uid": app.uid, "app": app}


def test_support_sees_why_hears_a_word_and_looks_before_doing(
    browser: Any, server: Installation, spoken: dict[str, Any]
) -> None:
    with opened(browser, timeout=30) as page:
        log_in(page, server)
        page.goto(f"{server.url}/admin/memories/memoryrow/?q={spoken['id']}")
        page.get_by_role("row").get_by_role("link", name=spoken["id"][:8]).click()
        for question in ("What happened?", "What if I do nothing?"):
            assert page.get_by_role("heading", name=question).count() == 1
        accessible(page)
        assert page.locator("audio").count() == 0
        assert "owned" not in page.content()

        # A step of the run is chosen by its name, and the address can be pasted.
        page.locator(".waterfall").get_by_role("link", name="transcribe").click()
        assert "step=transcribe" in page.url
        assert page.locator("#detail-title").inner_text().startswith("transcribe")
        assert "••••" in page.locator("#detail").inner_text() or page.locator("#detail pre").count() >= 1

        page.get_by_label("Reason").fill("ticket 7")
        page.get_by_role("button", name=re.compile("Reveal")).click()
        assert EVIL in page.locator("#words ~ h3").first.inner_text()  # as text
        assert "owned" not in page.title()
        accessible(page)
        word = page.locator(".transcript .text").last
        word.click()
        page.locator(".transcript .now .word").first.wait_for()  # it plays, and the word is marked
        assert page.evaluate("document.querySelector('audio').currentTime") > 0
        drawn = page.locator(".waveform img").get_attribute("src")
        assert page.request.get(f"{server.url}{drawn}").text().count("V") > 100
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]

        page.get_by_role("link", name="Retry…").click()
        with page.expect_navigation():
            page.get_by_label("What is done again").select_option("structure")
        assert page.get_by_role("row").filter(has_text="transcribe").get_by_text("reused").count() == 1
        assert page.get_by_role("heading", name="What could get worse").count() == 1
        accessible(page)
        page.get_by_label("Reason").fill("the summary is wrong")
        page.get_by_role("button", name="Retry").click()
        assert "again from structure on" in page.locator(".messagelist").inner_text()
        trail = page.locator(".audit").inner_text()
        for told in ("reveal", "play_audio", "retry", "the summary is wrong"):
            assert told in trail
    run = spoken["app"].wait(f"/v1/memories/{spoken['id']}/post-processing", lambda run: run["state"] == "finished")
    assert run["from_step"] == "structure"


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_reason_stays_while_other_steps_are_looked_at_and_enter_does_what_is_shown(
    browser: Any, server: Installation, memory: dict[str, Any], javascript: bool
) -> None:
    reason = f"The events are wrong ({'with' if javascript else 'without'} scripts)."
    with opened(browser, java_script_enabled=javascript) as page:
        log_in(page, server)
        page.goto(f"{server.url}/admin/memories/memoryrow/?q={memory['id']}")
        page.get_by_role("row").get_by_role("link", name=memory["id"][:8]).click()
        page.get_by_role("link", name=re.compile("^Retry")).first.click()
        page.get_by_label("Reason").fill(reason)
        with page.expect_navigation():
            page.get_by_label("What is done again").select_option("index")
            if not javascript:
                page.get_by_role("button", name="Show what this would do").click()
        assert page.get_by_label("Reason").input_value() == reason
        assert "reason" not in page.url
        assert page.get_by_label("What is done again").input_value() == "index"
        page.get_by_label("Reason").press("Enter")
        page.locator(".messagelist").get_by_text("again from index on").wait_for()
    run = memory["app"].wait(f"/v1/memories/{memory['id']}/post-processing", lambda run: run["state"] == "finished")
    assert run["reason"] == reason


SIDEWAYS = """[...document.querySelectorAll("main *")].filter(each => each.clientWidth
  && ["auto", "scroll"].includes(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth + 1)
  .map(each => `${each.className} ${each.getAttribute("aria-label")}`)"""
"""Parts of a page that have to be scrolled sideways."""


def test_at_twice_the_size_no_table_is_scrolled_sideways(
    browser: Any, server: Installation, memory: dict[str, Any]
) -> None:
    with opened(browser, viewport={"width": 640, "height": 900}) as page:
        log_in(page, server)
        page.goto(f"{server.url}/admin/memories/memoryrow/?q={memory['id']}")
        label = "td.field-uid"
        assert page.locator(label).evaluate("cell => getComputedStyle(cell, '::before').content") == '"Uid"'
        found = page.evaluate(SIDEWAYS)
        for address in ("/admin/", "/admin/console/vendors/", "/admin/console/audit/", "/admin/console/live/",
                        "/admin/pipeline/postprocessingrun/", f"/admin/console/people/{memory['uid']}/"):  # fmt: skip
            page.goto(server.url + address)
            found += [f"{address}: {each}" for each in page.evaluate(SIDEWAYS)]
        page.goto(f"{server.url}/admin/console/find/?q={memory['id']}")
        found += page.evaluate(SIDEWAYS)
        page.get_by_role("link", name=re.compile("^Retry")).first.click()
        assert page.get_by_text("Step by step").is_visible()
        found += page.evaluate(SIDEWAYS)
        assert found == []


def test_a_memory_is_found_and_processed_again_with_the_keyboard_alone(
    browser: Any, server: Installation, memory: dict[str, Any]
) -> None:
    with opened(browser) as page:
        log_in(page, server)

        def tab_to(found: str) -> None:
            for _ in range(60):
                page.keyboard.press("Tab")
                if page.evaluate("selector => document.activeElement.matches(selector)", found):
                    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                    assert ring != "none", found
                    return
            raise AssertionError(f"sixty times Tab do not lead to {found}")

        tab_to("#console-q")
        page.keyboard.type(memory["id"])
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert memory["id"] in page.get_by_role("heading", level=1).last.inner_text()
        tab_to("a[href*='/do/reprocess/']")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        tab_to("#id_reason")
        page.keyboard.type("by the keyboard")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert memory["id"] in page.locator(".messagelist").inner_text()
    run = memory["app"].wait(f"/v1/memories/{memory['id']}/post-processing", lambda run: run["state"] == "finished")
    assert (run["kind"], run["reason"]) == ("reprocess", "by the keyboard")
