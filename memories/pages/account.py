"""Taking everything along, and the end of the account."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from memories.api.downloads import export_of, vault_of
from memories.api.errors import ApiError
from memories.pages import session
from memories.pages.edge import page
from memories.privacy import account
from omi.accounts.principal import Principal

WORD = "DELETE"
"""What has to be typed before everything is erased."""


@page("GET")
def export(request: HttpRequest, who: Principal) -> HttpResponseBase:
    """Answer with all of the user's data as a ZIP file."""
    return export_of(who.uid)


@page("GET")
def vault(request: HttpRequest, who: Principal) -> HttpResponseBase:
    """Answer with all memories as a folder of linked Markdown notes."""
    return vault_of(who.uid)


@page("GET", "POST")
def delete(request: HttpRequest, who: Principal) -> HttpResponse:
    """Erase everything, after a typed word. The receipt says what was erased; the browser forgets the token."""
    if request.method != "POST":
        return render(request, "pages/delete_account.html", {"word": WORD, "here": "settings"})
    if request.POST.get("word", "").strip() != WORD:
        raise ApiError(422, _("Please type %(word)s to confirm. Nothing was deleted.") % {"word": WORD})
    receipt = account.delete_account(who.uid)
    answer = render(request, "pages/receipt.html", {"receipt": receipt, "signed_in": False})
    session.end(answer)
    return answer
