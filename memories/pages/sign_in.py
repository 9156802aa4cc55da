"""Signing in with a token, and out."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from memories.pages import session
from omi.accounts.identity import IdentityUnavailable, InvalidToken
from omi.accounts.throttles import stranger, within


@never_cache
@csrf_protect
@sensitive_post_parameters("token")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and what it posts: a development token, or an ID token where Firebase says who somebody is."""
    back = _local(request.POST.get("next") or request.GET.get("next") or "")
    if request.method != "POST":
        return _form(request, back)
    most = int(settings.OMI_STRANGERS_PER_MINUTE)
    if most > 0 and not within("strangers", most, stranger(request)):
        return _form(request, back, _("That was a lot within a minute. Please wait a moment and try again."), 429)
    token = "".join(request.POST.get("token", "").split())
    try:
        who = session.sign_in(token)
    except InvalidToken:
        return _form(request, back, _("This token is not valid, or it has expired."), 401)
    except IdentityUnavailable:
        return _form(request, back, _("Sign-in cannot be checked at the moment. Please try again."), 503)
    answer = redirect(back)
    session.start(answer, token, who)
    return answer


@never_cache
@csrf_protect
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Forget the token in this browser."""
    answer = redirect("/app/sign-in")
    session.end(answer)
    return answer


def _form(request: HttpRequest, back: str, error: str = "", status: int = 200) -> HttpResponse:
    shown = {"next": back, "error": error, "firebase": settings.OMI_AUTH == "firebase", "signed_in": False}
    return render(request, "pages/sign_in.html", shown, status=status)


def _local(back: str) -> str:
    """Where to go after the sign-in: one of these pages, wherever the link came from."""
    fits = back == session.PATH or back.startswith((f"{session.PATH}/", f"{session.PATH}?"))
    return back if fits and url_has_allowed_host_and_scheme(back, allowed_hosts=None) else session.PATH
