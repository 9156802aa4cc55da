"""A user's way through the pages in a real browser: sign in, open a memory, correct it, search, recap, export, out."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.servers import Installation
from tests.acceptance.test_admin_browser import accessible
from tests.acceptance.wire import App, Json
from tests.support import sound
from tests.support.browsers import browser, opened

__all__ = ["browser"]
pytestmark = [pytest.mark.process, pytest.mark.browser]


def seen(page: Any) -> None:
    """Every page on the way is accessible and no wider than the phone, also with everything unfolded."""
    page.wait_for_load_state("load")
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = false })")


def merged_and_undone(page: Any, server: Installation, app: App) -> None:
    """Two memories are chosen on the timeline, become one by a worker, and are two again."""
    other = app.create_memory()
    app.wait(f"/v1/memories/{other['id']}/post-processing", lambda run: run["state"] == "finished")
    before = {memory["id"] for memory in app.get("/v1/memories").json()}
    page.goto(f"{server.url}/app?choose=true")
    seen(page)
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Merge the chosen ones").click()
    page.get_by_role("heading", name="One memory now").wait_for(timeout=60_000)
    page.get_by_role("button", name="Undo").wait_for(timeout=60_000)
    seen(page)
    (merged,) = app.get("/v1/memories").json()
    assert len(merged["transcript_segments"]) == 2 * len(other["transcript_segments"])
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="Everything is as it was").wait_for(timeout=60_000)
    assert {memory["id"] for memory in app.get("/v1/memories").json()} == before


def test_a_user_reads_corrects_searches_and_takes_everything_along(
    browser: Any, server: Installation, make_app: Callable[[], App]
) -> None:
    app = make_app()
    memory: Json = app.create_memory()
    app.wait(f"/v1/memories/{memory['id']}/post-processing", lambda run: run["state"] == "finished")
    day = memory["created_at"][:10]
    with opened(browser, viewport={"width": 360, "height": 740}, color_scheme="dark", strict=True) as page:
        page.goto(f"{server.url}/")
        page.get_by_role("link", name="Your memories").click()
        seen(page)
        page.get_by_label("Token").fill(app.token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Memories", level=1).wait_for()
        cookie = next(item for item in page.context.cookies() if item["name"] == "omi_app")
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/app")

        page.locator(f"a[href='/app/memories/{memory['id']}']").click()
        seen(page)
        page.get_by_text("Correct title or overview").click()
        page.get_by_label("Title").fill("Meeting <b>at</b> the station")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Your words win").wait_for()
        assert page.get_by_role("heading", level=1).inner_text() == "Meeting <b>at</b> the station"
        assert app.get(f"/v1/memories/{memory['id']}").json()["edits"]["title"] == "Meeting <b>at</b> the station"

        assert app.post(f"/v1/recaps/day/{day}/regenerate").status_code == 200

        page.get_by_role("link", name="Search", exact=True).click()
        page.get_by_label("What are you looking for?").fill("station Monday")
        page.get_by_role("button", name="Search").click()
        page.locator("mark").first.wait_for()
        assert page.locator("mark").all_inner_texts()[:1] == ["Monday"]
        seen(page)
        page.get_by_role("link", name="Meeting").click()
        assert "Monday" in page.locator("#meant .text").inner_text()

        app.wait(f"/v1/recaps/day/{day}", lambda told: not told["making"])
        page.goto(f"{server.url}/app/recaps")
        page.locator(f"a[href='/app/recaps/day/{day}']").click()
        seen(page)
        assert "Meeting <b>at</b> the station" in page.locator("main").inner_text()

        rooms = f"ask insights people live offline labels trash templates memories/{memory['id']}/links settings"
        for path in ("/app", *(f"/app/{room}" for room in rooms.split())):
            page.goto(server.url + path)
            seen(page)
        merged_and_undone(page, server, app)
        page.goto(f"{server.url}/app/settings")
        with page.expect_download() as download:
            page.get_by_role("link", name="Export everything").click()
        assert zipfile.is_zipfile(download.value.path())

        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in", level=1).wait_for()
        page.goto(f"{server.url}/app/memories/{memory['id']}")
        assert page.get_by_role("heading", level=1).inner_text() == "Sign in"


def choose(page: Any, server: Installation, app: App, recording: Path) -> None:
    """Sign in, and choose a recording on the page of what was captured offline."""
    page.goto(f"{server.url}/app/sign-in?next=/app/offline")
    page.get_by_label("Token").fill(app.token)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{server.url}/app/offline")
    page.locator("#files").set_input_files(recording)
    page.get_by_label(recording.name).fill("2026-11-20T12:00:00")


def test_a_recording_whose_batch_was_finished_elsewhere_is_told_and_not_tried_for_ever(
    browser: Any, server: Installation, make_app: Callable[[], App], tmp_path: Path
) -> None:
    walk = tmp_path / "walk.wav"
    walk.write_bytes(sound.tone(15))
    told = "This file takes no more bytes"

    def no_more(route: Any) -> None:
        if route.request.method == "PATCH":
            route.fulfill(status=409, json={"detail": told})
        else:
            route.continue_()

    with opened(browser) as page:
        choose(page, server, make_app(), walk)
        page.route("**/v1/sync/*/files/0", no_more)
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_text(told).wait_for()


def test_a_recording_that_was_kept_offline_is_sent_in_pieces_and_a_word_is_put_right(
    browser: Any, server: Installation, make_app: Callable[[], App], tmp_path: Path
) -> None:
    app = make_app()
    memory: Json = app.create_memory()
    app.wait(f"/v1/memories/{memory['id']}/post-processing", lambda run: run["state"] == "finished")
    walk = tmp_path / "walk.wav"
    walk.write_bytes(sound.tone(15))
    with opened(browser, viewport={"width": 360, "height": 740}, strict=True) as page:
        choose(page, server, app, walk)
        seen(page)
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("listitem").filter(has_text="walk.wav").wait_for()
        [batch] = app.get("/v1/sync").json()
        [file] = batch["files"]
        assert (file["offset"], file["size"]) == (walk.stat().st_size, walk.stat().st_size)

        page.goto(f"{server.url}/app/healing")
        page.get_by_label("What stands there").fill("station")
        page.get_by_label("What was said").fill("Stazione")
        page.get_by_role("button", name="Show the places").click()
        seen(page)
        page.get_by_role("button", name="Put it right everywhere").click()
        page.get_by_text("Put right in 1 memory.").wait_for()
        assert "Stazione" in str(app.get(f"/v1/memories/{memory['id']}").json()["transcript_segments"])
        seen(page)
        page.get_by_role("button", name="Take it back").click()
        page.get_by_text("Taken back.").wait_for()
        assert "Stazione" not in str(app.get(f"/v1/memories/{memory['id']}").json()["transcript_segments"])
