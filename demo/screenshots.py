"""``make screenshots``: the pictures of docs/support-guide.md, taken from the prepared incidents by a real Chromium."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from demo import incidents
from demo.servers import ROOT, Installation

IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1100, "height": 760}
SHOWN = (1, 3, 4)
"""Incidents that pictures are taken of."""


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("No Chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with incidents.throw_away() as (running, vendors):
        for number in SHOWN:
            print(f"Preparing incident {number} ...", flush=True)
            incidents.prepare(number, running, vendors)
        with sync_playwright() as tools:
            browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_context(viewport=SIZE).new_page()
            take(page, running)
            browser.close()
    size = sum(file.stat().st_size for file in IMAGES.glob("console-*.png"))
    print(f"{len(list(IMAGES.glob('console-*.png')))} pictures, {size / 1e6:.2f} MB")
    return 0


def take(page: Any, running: Installation, folder: Path = IMAGES) -> None:
    """Log in, and take each picture; the bottom of a page is left away."""

    def shot(name: str) -> None:
        page.screenshot(path=str(folder / f"console-{name}.png"), clip={"x": 0, "y": 0, **SIZE}, full_page=True)

    name, password = (running.folder / "staff.txt").read_text().split()
    page.goto(f"{running.url}/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    shot("home")
    page.get_by_role("link", name="deepgram is not called").click()
    shot("vendor")
    page.goto(f"{running.url}/admin/")
    page.get_by_role("link", name="A service's limit is reached").click()
    shot("failures")
    page.get_by_role("link", name="Replay these runs").click()
    page.get_by_label("Name of the incident").fill("Quota of deepgram")
    page.get_by_label("Reason").fill("the vendor has raised our limit")
    page.get_by_role("button", name="Preview").click()
    shot("replay-preview")
    for uid, picture in (("carl", "frozen"), ("emma", "worse")):
        page.goto(f"{running.url}/admin/console/find/?q={uid}")
        page.locator("section[aria-labelledby=memories] tbody th a").first.click()
        shot(f"memory-{picture}")
    # What the last one is about stands further below.
    page.locator("section[aria-labelledby=versions]").screenshot(path=str(folder / "console-memory-worse.png"))
    page.get_by_role("link", name=re.compile("^Activate a version")).first.click()
    shot("action")


if __name__ == "__main__":
    sys.exit(main())
