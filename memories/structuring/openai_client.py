"""The one way to OpenAI (or any server that speaks its API): no retries of its own, bounded, errors made ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from omi.core.bounded_http import bounded_client
from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from omi.core.vendor_errors import broken_answer, from_status, safe_code, unreachable

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

VENDOR = "openai"
_MONEY = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    }
)

PRICES: Final = {"gpt-4o": (2.5, 10.0), "gpt-6-luna": (0.1, 0.5)}
"""US dollars per million tokens read and written, list prices (docs/reference/limits-and-prices.md)."""
DEAREST: Final = max(PRICES.values())
"""For a model that is not listed: a budget that is reached too early is better than one that is reached too late."""
SOON: Final = timedelta(days=30)
"""A model that ends within this is something to mend today."""
ABOUT_SECONDS: Final = 5.0


@contextmanager
def client(timeout: float) -> Iterator[OpenAI]:
    """An SDK client for one call, closed afterwards; whatever is raised inside comes out as ProviderError.

    A server of one's own usually wants no key; OpenAI's own does, and is not asked without one.
    """
    import httpx2
    import openai
    from pydantic import ValidationError

    key = settings.OPENAI_API_KEY
    if not key and (urlsplit(settings.OPENAI_BASE_URL).hostname or "").endswith("openai.com"):
        raise MissingDependency(VENDOR, "the key OPENAI_API_KEY", "Set OPENAI_API_KEY (or OPENAI_API_KEY_FILE).")
    http = bounded_client(httpx2, timeout=timeout)
    try:
        yield openai.OpenAI(
            api_key=key or "none",
            base_url=settings.OPENAI_BASE_URL,
            max_retries=0,
            timeout=timeout,
            http_client=http,
            default_headers={"Accept-Encoding": "identity"},
        )
    except openai.APITimeoutError as error:
        raise unreachable(VENDOR, timed_out=True, cause=error.__cause__) from error
    except openai.APIStatusError as error:
        raise from_answer(error) from error
    except openai.APIConnectionError as error:
        late = isinstance(error.__cause__, httpx2.TimeoutException)
        raise unreachable(VENDOR, timed_out=late, cause=error.__cause__) from error
    except openai.LengthFinishReasonError as error:
        raise refused("length", "the answer was cut off: it is too long for the model") from error
    except openai.ContentFilterFinishReasonError as error:
        raise refused("content_filter", "the content filter stopped the answer") from error
    except httpx2.TimeoutException as error:
        raise unreachable(VENDOR, timed_out=True, cause=error) from error
    except httpx2.HTTPError as error:
        raise unreachable(VENDOR, timed_out=False, cause=error) from error
    except (ValidationError, openai.OpenAIError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        # The SDK builds its objects unchecked: a web page or a foreign shape shows as one of these where it is used.
        raise broken_answer(VENDOR, "answered in an unknown form") from error
    finally:
        http.close()


def answer(
    model: str, messages: Any, schema: dict[str, Any], timeout: float, billed: Callable[[int, int], None]
) -> Any:
    """What a model answers in the form of ``schema`` (a strict JSON schema with its name), read from JSON.

    ``billed`` is told how many tokens were read and written, whether the answer is of use or not. Raises ProviderError.
    """
    form: Any = {"type": "json_schema", "json_schema": schema}
    with client(timeout) as openai:
        completion = openai.chat.completions.create(model=model, messages=messages, response_format=form)
        if completion.usage is not None:
            billed(completion.usage.prompt_tokens, completion.usage.completion_tokens)
        choice = completion.choices[0]
        content, refusal, reason = choice.message.content, choice.message.refusal, choice.finish_reason
        if refusal or reason == "content_filter":
            raise refused("refusal", "the model refused to answer")
        if reason == "length":
            raise refused("length", "the answer was cut off: it is too long for the model")
        return json.loads(content or "")  # what is no JSON comes out as an unknown form


def cost(model: str, read: int, written: int, prices: tuple[float, float] | None = None) -> float:
    """Return US dollars for so many tokens read and written, at ``prices`` a million or the model's list price."""
    reading, writing = prices or PRICES.get(model, DEAREST)
    return round((read * reading + written * writing) / 1e6, 6)


def about(model: str, setting: str) -> str:
    """Return what the server says of a model, for ``doctor``: that it is there, and when it ends. Nothing is paid.

    Raises ProviderError where the key is refused, the model is gone, or it ends within SOON; the ``fix`` names
    ``setting``. A server of one's own that knows no list of models is believed.
    """
    fix = f"Set {setting} to a model that the vendor will keep."
    try:
        with client(ABOUT_SECONDS) as openai:
            told = openai.models.retrieve(model).shutdown_date
            ends = date.fromisoformat(told) if told else None
    except ProviderError as error:
        if error.code == "404":
            return f"{model}, of which the server says nothing"
        if error.code == "model_not_found":
            raise MissingDependency(VENDOR, f"the model {model}", fix) from error
        raise
    if ends is None:
        return model
    if ends <= timezone.now().date() + SOON:
        raise MissingDependency(VENDOR, f"a model that stays ({model} ends on {ends})", fix)
    return f"{model}, until {ends}"


def refused(code: str, sentence: str) -> ProviderError:
    """The model will not, or cannot: the same question gives the same answer."""
    return ProviderError(VENDOR, sentence, kind=ErrorKind.PERMANENT, code=code, outcome=Outcome.UPSTREAM_ERROR)


def from_answer(error: APIStatusError) -> ProviderError:
    """Tell the two meanings of 429 apart: one says wait, the other that the account has no money."""
    body: Any = error.body if isinstance(error.body, dict) else {}
    code, family = safe_code(body.get("code")), safe_code(body.get("type"))
    kind: ErrorKind | None = None
    outcome: Outcome | None = None
    if {code, family} & _MONEY:
        kind = ErrorKind.QUOTA
    elif error.status_code == 404:
        outcome = Outcome.CONFIG_ERROR  # the model was retired, or the address is wrong
    elif error.status_code == 409:
        kind = ErrorKind.TRANSIENT
    return from_status(
        VENDOR,
        error.status_code,
        headers=error.response.headers,
        code=code or family,
        kind=kind,
        outcome=outcome,
    )
