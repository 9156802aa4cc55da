"""Talking into the browser: words appear while they are said."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from memories.pages import session
from memories.pages.edge import page
from omi.accounts.principal import Principal
from omi.accounts.users import get_user


@page("GET")
def live(request: HttpRequest, who: Principal) -> HttpResponse:
    """The page; its script opens the socket."""
    return render(request, "pages/live.html", {"language": get_user(who.uid).language or "en", "here": "live"})


@page("POST")
def token(request: HttpRequest, who: Principal) -> HttpResponse:
    """A token for the socket, which takes no cookie: only for our own page (CSRF), never kept by the browser."""
    return JsonResponse({"token": session.socket_token(request, who)})
