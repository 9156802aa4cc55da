"""What every page has in common: who looks, how often, in which zone, and what is said where something goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from pydantic import BaseModel, ValidationError

from memories import editing
from memories.api.errors import ApiError, exception_handler, fastapi_errors
from memories.pages import session
from memories.recaps import reading
from omi.accounts.erased import AccountErased
from omi.accounts.identity import IdentityUnavailable, InvalidToken
from omi.accounts.throttles import allowed
from omi.accounts.users import zone_of

M = TypeVar("M", bound=BaseModel)
View = Callable[..., HttpResponseBase]
PRIVATE = "private, no-store"

WORDS: Final[Mapping[type[Exception], Any]] = {
    editing.UnresolvedTargets: gettext_lazy("This passage is not there any more."),
    reading.RecapNotFound: gettext_lazy(
        "There is no recap of this time. It is made of the memories in it, when the time is over."
    ),
}
"""What a page says where the API's sentence would not help somebody who reads it in a browser."""


def page(*methods: str, cost: str = "requests") -> Callable[[View], View]:
    """A view of somebody who is signed in: ``view(request, who, ...)``, in the user's zone. Others get to the sign-in.

    ``cost``: the rate that it counts to besides ``requests``, such as ``searches``.
    """

    def decorate(view: View) -> View:
        @require_http_methods([*methods, *(["HEAD"] if "GET" in methods else [])])
        @wraps(view)
        def answered(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            try:
                answer = _answer(view, request, {"requests", cost}, kwargs)
            except (InvalidToken, AccountErased):
                answer = _to_sign_in(request)
            except Exception as error:
                answer = refusal(request, error)
            answer.headers.setdefault("Cache-Control", PRIVATE)
            return answer

        return answered

    return decorate


def _answer(view: View, request: HttpRequest, rates: set[str], kwargs: dict[str, Any]) -> HttpResponseBase:
    who = session.principal_of(request)
    if not all(allowed(rate, who.uid) for rate in rates):
        raise ApiError(429, _("That was a lot within a minute. Please wait a moment and try again."))
    with timezone.override(zone_of(who.uid)):
        return view(request, who, **kwargs)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    back = request.get_full_path() if request.method == "GET" else session.PATH
    answer = redirect(f"{session.PATH}/sign-in?{urlencode({'next': back[:1000]})}")
    session.end(answer)
    return answer


def refusal(request: HttpRequest, error: Exception) -> HttpResponse:
    """The page that says why not, with the API's status (``REFUSALS``). What nobody expected is raised on."""
    told = exception_handler(error, {})
    if told is None:
        raise error
    detail = WORDS.get(type(error)) or (told.data or {}).get("detail", "")
    if isinstance(detail, list):
        detail = "; ".join(f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg']}" for item in detail)
    headline = _("This is not here") if told.status_code == 404 else _("That did not work")
    shown = {"headline": headline, "detail": detail, "signed_in": not isinstance(error, IdentityUnavailable)}
    answer = render(request, "pages/error.html", shown, status=told.status_code)
    for name in ("Retry-After",):
        if name in told.headers:
            answer.headers[name] = told.headers[name]
    return answer


def given(model: type[M], data: QueryDict | dict[str, Any], place: str = "query") -> M:
    """A form or a query as ``model``. Raises ApiError (422)."""
    try:
        return model.model_validate({name: value for name, value in data.items() if name != "csrfmiddlewaretoken"})
    except ValidationError as error:
        raise ApiError(422, fastapi_errors(error, place)) from error


def clock(seconds: float | None) -> str:
    """Return seconds as a time of a recording: ``1:02:03``, ``2:03``; none as ``0:00``."""
    whole = max(0, int(seconds or 0))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
