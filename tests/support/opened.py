"""A page of a real browser that notes what goes wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def opened(browser: Any, *, strict: bool = False, timeout: float = 15.0, **options: Any) -> Iterator[Any]:
    """A page in a context of its own (``options`` are its), which waits ``timeout`` seconds for what is looked for.

    At the end nothing may have gone wrong: no error of a script, nothing that the Content-Security-Policy refused, no
    dialog, no answer of 500 and more; ``strict``: none of 400 and more, and no error in the console.
    """
    context = browser.new_context(**options)
    wrong: list[str] = []
    worst = 400 if strict else 500
    try:
        page = context.new_page()
        page.set_default_timeout(1000 * timeout)
        page.on(
            "response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= worst else None
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _bad(said, strict=strict) else None)
        page.on("dialog", lambda asked: (wrong.append(asked.message), asked.dismiss()))
        yield page
        assert wrong == []
    finally:
        context.close()


def _bad(said: Any, *, strict: bool) -> bool:
    return "Content Security Policy" in said.text or (strict and said.type == "error")
