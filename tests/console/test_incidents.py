"""The five prepared incidents, found, understood, repaired and verified by clicks alone; a replay over 300 runs that
is paused, killed and undone; no serious fault of accessibility on any page. Real Chromium, daphne and qcluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from demo import incidents
from demo.servers import ROOT, Installation
from demo.vendors.server import VendorServer
from tests.acceptance.test_admin_browser import CHROMIUM, SIDEWAYS, accessible, log_in
from tests.support import axe
from tests.support.migrated import migrated
from tests.support.opened import opened

pytestmark = [pytest.mark.process, pytest.mark.browser]

RUNS = 300
PATIENCE = 120.0
LEASE_SECONDS = 20.0
"""Of the installation whose worker is killed: so long the run that it had in its hands waits to be taken up."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all: a second one of Playwright's cannot be driven beside it."""
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
def place(chromium: Any) -> Iterator[tuple[Installation, VendorServer]]:
    with incidents.throw_away(database=migrated()) as made:
        yield made


@pytest.fixture(scope="module")
def page(chromium: Any, place: tuple[Installation, VendorServer]) -> Iterator[Any]:
    with signed_in(chromium, place[0]) as shown:
        yield shown


@contextmanager
def signed_in(chromium: Any, running: Installation) -> Iterator[Any]:
    """A page of a browser in which staff has logged in; nothing may break in it."""
    with opened(chromium, timeout=20, viewport={"width": 1280, "height": 900}) as shown:
        log_in(shown, running)
        yield shown


def home(page: Any) -> None:
    page.get_by_role("link", name="Home", exact=True).first.click()


def until(page: Any, text: str, *, within: str = "main", seconds: float = PATIENCE) -> None:
    """Look again as a person does, until a part of the page is there and says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        part = page.locator(within)
        if part.count() and re.search(text, part.first.inner_text()):
            return
        time.sleep(0.5)
        page.reload()
    raise AssertionError(f"{within} does not say {text!r}: {page.locator('main').inner_text()[:1500]}")


def search(page: Any, asked: str) -> None:
    page.get_by_label("Any id").fill(asked)
    page.get_by_role("button", name="Go", exact=True).click()


def act(page: Any, verb: str, reason: str) -> None:
    """Open an action of a memory's page, read what it would do, and do it."""
    page.get_by_role("link", name=re.compile(f"^{verb}")).first.click()
    page.get_by_label(re.compile("^Reason")).first.fill(reason)
    page.locator("form[method=post] input[type=submit].default").first.click()


def memory_of(page: Any, uid: str) -> None:
    """From the search box to the newest memory of a user."""
    search(page, uid)
    page.locator("section[aria-labelledby=memories] tbody th a").first.click()


def resolve(page: Any, name: str, reason: str) -> None:
    home(page)
    page.get_by_role("link", name=name).first.click()
    page.locator("#reason-resolve").fill(reason)
    page.get_by_role("button", name="Resolve").click()
    assert "resolved" in page.locator(".badge").first.inner_text()


def test_1_a_vendors_quota(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(1, *place)
    home(page)
    page.get_by_role("link", name="deepgram is not called").click()
    page.get_by_label("Reason").first.fill("the vendor has raised our limit")
    page.get_by_role("button", name="Close: call it now").click()
    home(page)
    page.get_by_role("link", name="A service's limit is reached").click()
    assert "6 failures of 3 users" in page.locator("main").inner_text()
    page.get_by_role("link", name="Replay these runs").click()
    page.get_by_label("Name of the incident").fill("Quota of deepgram")
    page.get_by_label("Reason").fill("the vendor has raised our limit")
    page.get_by_label("Runs a minute").fill("600")
    page.get_by_role("button", name="Preview").click()
    assert "6 runs of 3 users" in page.locator("main").inner_text()
    page.get_by_role("button", name="Begin: 6 runs").click()
    until(page, "done: 6")
    resolve(page, "A service's limit is reached", "limit raised, all replayed")
    home(page)
    assert "is not called" not in page.locator("main").inner_text()


def test_2_damaged_audio(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(2, *place)
    memory_of(page, "dora")
    page.get_by_role("link", name=re.compile("^Set status")).first.click()
    page.get_by_label("Status").select_option("canceled")
    page.get_by_label(re.compile("^Reason")).first.fill("the upload is damaged; asked the user to send it again")
    page.locator("form[method=post] input[type=submit].default").first.click()
    assert "canceled" in page.locator("main").inner_text().lower()
    home(page)
    row = page.get_by_role("row").filter(has_text="prepare_audio")
    row.get_by_role("link").first.click()
    assert "brings the same result" in page.locator("main").inner_text()
    page.locator("#reason-resolve").fill("the user uploads it again")
    page.get_by_role("button", name="Resolve").click()


def test_3_a_stuck_lease(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(3, *place)
    home(page)
    row = page.get_by_role("row").filter(has_text="another-machine:4711:1").filter(has_text="frozen")
    row.get_by_role("link", name=re.compile("^run ")).click()
    act(page, "Cancel", "its worker is frozen")
    act(page, "Retry", "the worker was frozen")
    until(page, r"(?s)success")
    home(page)
    assert "Nothing is stuck." in page.locator("main").inner_text()


def test_4_a_worse_transcript(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(4, *place)
    memory_of(page, "emma")
    runs = page.locator(".runs li").count()
    assert "deepgram_nova" in page.locator("table.versions tr.chosen").inner_text()
    act(page, "Activate", "the new transcript is nonsense")
    assert "deepgram_streaming" in page.locator("table.versions tr.chosen").inner_text()
    until(page, "(?s)success", within=f".runs:has(li:nth-child({runs + 1})) li:first-child")
    reveal(page)
    said = page.locator("main").inner_text()
    assert "two hundred grams" in said
    assert "wreck of people" not in said


@pytest.mark.long
def test_5_the_wrong_speaker(place: tuple[Installation, VendorServer], page: Any) -> None:
    incidents.prepare(5, *place)
    memory_of(page, "finn")
    judged = "section[aria-labelledby=voices]"
    assert "is person " in page.locator(judged).inner_text()
    assert "is the user:" not in page.locator(judged).inner_text()
    act(page, "Identify", "an old version mixed the voices up")
    until(page, "is the user:", within=judged)
    assert "is person " not in page.locator(judged).inner_text()
    reveal(page)
    until(page, "the user", within=".transcript")  # the run decides first, and publishes last
    named = page.locator(".transcript .who").all_inner_texts()
    assert "the user" in named
    assert "Sister" not in named


def reveal(page: Any) -> None:
    page.locator("#id_reason").fill("ticket 12")
    page.get_by_role("button", name=re.compile("^Reveal")).click()
    page.get_by_text("Revealed to you until").wait_for()


@pytest.mark.long
@pytest.mark.timeout(900)  # its own waits add up to more than a test's usual limit, on a machine that has other work
def test_a_replay_over_300_runs_is_paused_killed_resumed_and_undone(chromium: Any) -> None:
    with (
        incidents.throw_away(lease_seconds=LEASE_SECONDS, database=migrated()) as (running, _),
        signed_in(chromium, running) as page,
    ):
        running.manage("simulate", "seed", "many", "gina", str(RUNS))
        begin_a_replay(page, RUNS)
        # The page looks again by itself, and a reason that is being typed stays.
        page.get_by_label("Reason").first.fill("a rehearsal")
        page.locator("[data-part=progress]").get_by_text(re.compile(r"^done: [1-9]")).wait_for(timeout=PATIENCE * 1000)
        page.get_by_role("button", name="Pause", exact=True).click()
        assert "paused" in page.locator(".badge").first.inner_text().lower()
        until(page, r"(?s)^(?!.*started: )")
        left = counted(page, "waiting")
        assert 0 < left < RUNS
        assert counted(page, "done") == RUNS - left
        steer(page, "Resume")
        until(page, "started: [1-9]")
        os.killpg(running.worker_pid, signal.SIGKILL)
        with worker(running):
            until(page, f"done: {RUNS}", seconds=400)
            running.manage("simulate", "seed", "changed", "gina", "5")
            steer(page, "Undo")
            until(page, f"undone: {RUNS}", seconds=90)
        assert page.get_by_text(f"5 of {RUNS} memories show their earlier transcript again").count() >= 1
        assert page.get_by_text("shows deepgram_streaming again").count() == 5
        log = page.locator("section[aria-labelledby=log]").inner_text()
        for told in (
            "Made with 300 runs",
            "Paused. Reason: a rehearsal",
            "Resumed.",
            "Done: 300 done.",
            "Undone: 5 of",
        ):
            assert told in log


@contextmanager
def worker(running: Installation) -> Iterator[None]:
    """Another worker of the installation, as a supervisor would start it."""
    with (running.folder / "worker2.log").open("wb") as log:
        again = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=running.environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            os.killpg(again.pid, signal.SIGKILL)
            again.wait(10)


def begin_a_replay(page: Any, runs: int) -> None:
    """From the home, of the failures of ``simulate seed many``, through the preview."""
    home(page)
    page.get_by_role("row").filter(has_text="structure").get_by_role("link").first.click()
    page.get_by_role("link", name="Replay these runs").click()
    page.get_by_label("Name of the incident").fill("A rehearsal")
    page.get_by_label("Reason").fill("a rehearsal")
    page.get_by_label("Runs a minute").fill("600")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name=f"Begin: {runs} runs").click()


def counted(page: Any, state: str) -> int:
    found = re.search(rf"\b{state}: (\d+)", page.locator("[data-part=progress]").inner_text())
    return int(found[1]) if found else 0


def steer(page: Any, verb: str) -> None:
    page.get_by_label("Reason").first.fill("a rehearsal")
    page.get_by_role("button", name=verb, exact=True).click()


PAGES = ("/admin/", "/admin/console/failures/?status=all", "/admin/console/replays/", "/admin/console/people/",
         "/admin/console/people/hugo/", "/admin/console/live/", "/admin/console/vendors/", "/admin/console/audit/",
         "/admin/console/find/?q=nothing", "/admin/memories/memoryrow/",
         "/admin/speakers/voicesample/gallery/?uid=hugo", "/admin/pipeline/postprocessingrun/",
         "/admin/pipeline/vendorcall/", "/admin/feedback/report/", "/admin/feedback/report/causes/",
         "/admin/experiments/experiment/")  # fmt: skip


@pytest.mark.long
def test_no_page_has_a_serious_fault_of_accessibility(place: tuple[Installation, VendorServer], page: Any) -> None:
    """Each page as it is reached, with something on it: in light, and in dark at 200 % zoom; none is wider than 360."""
    found: list[str] = []
    place[0].manage("simulate", "seed", "many", "hugo", "3")
    home(page)
    page.get_by_role("row").filter(has_text="structure").get_by_role("link").first.click()
    found += faults(page)
    page.get_by_role("link", name="openai").click()
    page.get_by_label("Reason").fill("it invents words")
    page.get_by_role("button", name="Open: do not call it").click()
    found += faults(page)  # the page of a vendor whose breaker is open; so is the home below
    home(page)
    page.get_by_role("row").filter(has_text="structure").get_by_role("link").first.click()
    page.get_by_role("link", name="Replay these runs").click()
    page.get_by_role("button", name="Preview").evaluate("button => { button.form.noValidate = true }")
    page.get_by_role("button", name="Preview").click()
    found += faults(page)  # the form, with what it refused
    assert "Give it a name" in page.locator("main").inner_text()
    page.get_by_label("Name of the incident").fill("A rehearsal")
    page.get_by_label("Reason").fill("a rehearsal")
    page.get_by_role("button", name="Preview").click()
    found += faults(page)
    page.get_by_role("button", name=re.compile("^Begin: ")).click()
    found += faults(page)
    for address in PAGES:
        assert page.goto(place[0].url + address).status == 200, address
        found += faults(page)
    memory_of(page, "hugo")
    found += faults(page)
    reveal(page)
    found += faults(page)
    page.get_by_role("link", name=re.compile("^Retry")).first.click()
    found += faults(page)
    assert found == [], "\n".join(found)


def faults(page: Any) -> list[str]:
    """Serious faults of the page in light and, at 200 % zoom, in dark; what of it has to be scrolled sideways
    then; and whether 360 pixels are too few for it."""
    accessible(page)
    found = []
    for theme, width, rules in (("light", 1280, ()), ("dark", 640, axe.COLOURS)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme)
        found += [f"{page.url} ({theme}) {fault}" for fault in axe.serious(page, *rules)]
    found += [f"{page.url} is scrolled sideways at 200 % zoom: {part}" for part in page.evaluate(SIDEWAYS)]
    page.set_viewport_size({"width": 360, "height": 900})
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    return [*found, f"{page.url} is {wide} pixels too wide"] if wide > 1 else found
