"""Django's admin with the console in front: its home says what needs a human, its pages stand beside the models'."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from memories.console import roles
from memories.console.pages import audit, failures, find, home, live, offline, people, replays, vendors

ZONE = "console_zone"
"""The name in the session of the zone in which a staff member also wants to read times."""


class ConsoleSite(AdminSite):
    """The admin site of the support console, ``admin.site`` of this project (``memories.console.admin_apps``)."""

    index_template = "admin/console/home.html"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        wrap = self.admin_view
        own = [
            path("console/failures/", wrap(failures.listed), name="console_failures"),
            path("console/failures/<int:pk>/", wrap(failures.one), name="console_failure"),
            path("console/replays/", wrap(replays.listed), name="console_replays"),
            path("console/replays/new/", wrap(replays.new), name="console_replay_new"),
            path("console/replays/<int:pk>/", wrap(replays.one), name="console_replay"),
            path("console/people/", wrap(people.listed), name="console_people"),
            path("console/people/<path:uid>/", wrap(people.one), name="console_person"),
            path("console/vendors/", wrap(vendors.listed), name="console_vendors"),
            path("console/vendors/<str:name>/", wrap(vendors.one), name="console_vendor"),
            path("console/live/", wrap(live.now), name="console_live"),
            path("console/offline/", wrap(offline.listed), name="console_offline"),
            path("console/audit/", wrap(audit.listed), name="console_audit"),
            path("console/find/", wrap(find.find), name="console_find"),
            path("console/zone/", wrap(require_POST(zone)), name="console_zone"),
        ]
        # No row has a page outside of the admin, and a link to one of a kind without a table was an error of ours.
        return own + [item for item in super().get_urls() if getattr(item, "name", "") != "view_on_site"]

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """Every page of the admin runs in the zone that its reader chose, UTC without."""

        def in_zone(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            with timezone.override(zone_of(request)):
                answer = view(request, *args, **kwargs)
                if hasattr(answer, "render") and not answer.is_rendered:
                    answer.render()
                return answer

        return super().admin_view(in_zone, cacheable)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The home. Who may not see the console gets Django's list of models."""
        if not roles.may(request.user, roles.VIEW_MASKED):
            return super().index(request, extra_context)
        return super().index(request, {**home.context(), **(extra_context or {})})

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        may = {codename: roles.may(request.user, codename) for codename, _ in roles.PERMISSIONS}
        return {**super().each_context(request), "console_may": may, "console_zone": zone_of(request).key}


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """The zone that the reader chose, UTC without."""
    try:
        return zoneinfo.ZoneInfo(str(request.session.get(ZONE) or "UTC"))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")


def zone(request: HttpRequest) -> HttpResponse:
    """Choose the zone in which times are shown beside UTC; back to the page that asked."""
    asked = str(request.POST.get("zone", ""))[:64]
    if asked in zoneinfo.available_timezones():
        request.session[ZONE] = asked
    back = str(request.POST.get("back", ""))
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}) or not back.startswith("/admin/"):
        return redirect("admin:index")
    return HttpResponseRedirect(back)
