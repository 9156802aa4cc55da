"""The log of what staff did."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse

from memories.console import roles
from memories.console.models import AuditEntry
from memories.console.pages.base import answer, needs, paged


@needs(roles.VIEW_AUDIT)
def listed(request: HttpRequest) -> HttpResponse:
    """Newest first; by who did it, what was done, and whose it was."""
    rows = AuditEntry.objects.order_by("-id")
    given = {name: str(request.GET.get(name, "")).strip()[:150] for name in ("actor", "action", "uid", "memory_id")}
    filters = {name: value for name, value in given.items() if value}
    page = paged(request, rows.filter(**filters))
    keep = f"{urlencode(filters)}&" if filters else ""
    return answer(request, "audit", "Audit log", page=page, given=given, keep=keep)
