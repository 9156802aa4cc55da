"""What all pages of the console share: the permission, the context, numbers in addresses, sparklines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from memories.console import roles

View = Callable[..., HttpResponse]

PAGE = 50
"""Rows on one page of a list."""
REASON = 300


def needs(permission: str = roles.VIEW_MASKED, *, to_post: str = "") -> Callable[[View], View]:
    """The view is for staff with ``permission``, and its POST for those who have ``to_post``: 403 for others."""

    def wrapped(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not roles.may(request.user, permission):
                raise PermissionDenied
            if request.method == "POST" and not roles.may(request.user, to_post or permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return checked

    return wrapped


def answer(request: HttpRequest, template: str, title: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """A page from ``templates/admin/console``."""
    full = {**admin.site.each_context(request), "title": title, "here": request.get_full_path(), **context}
    return TemplateResponse(request, f"admin/console/{template}.html", full, status=status)


def number(request: HttpRequest, name: str, *, least: int = 1, most: int = 1_000_000, default: int = 1) -> int:
    """A number of the address, brought within its bounds; ``default`` for what is none."""
    text = str(request.GET.get(name, "") or request.POST.get(name, ""))
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        return default
    return min(max(int(text), least), most)


def reason_of(request: HttpRequest) -> str:
    """The reason of a form; "" where none was given."""
    return " ".join(str(request.POST.get("reason", "")).split())[:REASON]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list by number, without a count of the whole."""

    rows: list[Any]
    number: int
    more: bool

    @property
    def before(self) -> int:
        return self.number - 1


def paged(request: HttpRequest, rows: Any, *, size: int = PAGE) -> Page:
    """Return one page of ``rows``, an ordered query: one query of ``size`` rows and one more."""
    at = number(request, "page", most=2000)
    found = list(rows[(at - 1) * size : at * size + 1])
    return Page(found[:size], at, len(found) > size)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a sparkline, in units of its picture."""

    x: int
    y: float
    height: float


BAR_WIDTH = 4
PICTURE_HEIGHT = 24


def sparkline(values: Sequence[int]) -> list[Bar]:
    """Bars for an SVG of ``len(values) * BAR_WIDTH`` by ``PICTURE_HEIGHT``; the highest fills it."""
    top = max(values, default=0)
    bars = []
    for at, value in enumerate(values):
        height = max(1.5, value / top * PICTURE_HEIGHT) if value else 0.0
        bars.append(Bar(at * BAR_WIDTH, round(PICTURE_HEIGHT - height, 2), round(height, 2)))
    return bars
