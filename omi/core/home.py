"""``GET /``: what is here, for somebody who was sent to the bare address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """A small page of links; it needs no login and tells nothing of the installation."""
    return render(request, "home.html")
