"""Markup in every text of a memory is shown as text by every page of the console that shows any of it, in a real
browser under the pages' Content-Security-Policy."""

from __future__ import annotations

import re
from typing import Any

import pytest

from demo.servers import Installation
from tests.acceptance.test_admin_browser import log_in
from tests.support.browsers import browser, opened
from tests.support.interpreter import Interpreter
from tests.support.spoiled import EVIL

__all__ = ["browser"]
pytestmark = [pytest.mark.process, pytest.mark.browser]

MAKE = """
from bench import memory_page
from tests.support.spoiled import spoil
row = memory_page.build(runs=2, attempts=2, segments=3, seconds=2.0)
spoil(row)
print(row.pk)
"""
ELEMENTS = "document.querySelectorAll('img[src=x]').length + document.querySelectorAll('main script').length"


def test_markup_in_every_text_is_text_in_the_browser(browser: Any, server: Installation, python: Interpreter) -> None:
    pk = int(python.printed(MAKE).split()[-1])
    with opened(browser) as page:
        log_in(page, server)
        shown = f"{server.url}/admin/memories/memoryrow/{pk}/change/"
        page.goto(shown)
        page.locator("#id_reason").fill(EVIL)
        page.get_by_role("button", name=re.compile("^Reveal")).click()
        said = page.locator("main").inner_text()
        assert said.count(EVIL) >= 15  # title, overview, tasks, events, words, edits, versions, runs, the reason, ...
        (other,) = page.locator("a[href*='compare=evil']").evaluate_all("all => all.map(each => each.href)")
        run = page.locator(".runs a").first.get_attribute("href")
        for address in (
            shown, other, f"{shown}{run}", f"{shown}?step=transcribe", f"{shown}?step=structure",
            f"{server.url}/admin/memories/memoryrow/{pk}/do/retry/", f"{server.url}/admin/memories/memoryrow/",
            f"{server.url}/admin/console/audit/", f"{server.url}/admin/console/people/bench-user/",
            f"{server.url}/admin/pipeline/vendorcall/", f"{server.url}/admin/feedback/report/causes/",
            f"{server.url}/admin/feedback/report/evil/look/", f"{server.url}/admin/console/find/?q={EVIL}",
            f"{server.url}/admin/speakers/voicesample/gallery/?uid=bench-user",
        ):  # fmt: skip
            page.goto(address)
            assert page.locator("h1").count() >= 1, address
            assert page.title() != "owned", address
            assert page.evaluate(ELEMENTS) == 0, address
        page.goto(f"{server.url}/admin/feedback/report/evil/look/")
        page.get_by_label("Why do you read it?").fill(EVIL)
        page.get_by_role("button", name="Show the text").click()
        assert EVIL in page.locator("main").inner_text()
        assert page.evaluate(ELEMENTS) == 0
