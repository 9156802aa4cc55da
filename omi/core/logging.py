"""Structured logs: structlog everywhere, JSON where nobody watches, colours on a terminal.

Never transcript text, and no tokens (``omi.core.masking``)."""

from __future__ import annotations

import logging
import logging.config
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from omi.core import masking

OWN = ("omi", "memories", "transcription", "speakers", "emotions")
"""Our own packages: only they are logged below INFO."""

TELLING = (OSError, ImportError, AttributeError, NameError, MemoryError, OperationalError, InterfaceError)
"""Errors of Python and Django whose words name things (files, modules, attributes, servers) and never values."""

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]

_PROCESSORS: list[Any] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]
"""One list for the life of the process: a logger that structlog has cached keeps the list it was made with."""


def configure(config: dict[str, Any]) -> None:
    """Set up the logs of a process by ``settings.LOGGING_CONFIG``: ``config`` holds ``level`` and ``format`` (auto,
    json, console)."""
    chosen, level = config.get("format", "auto"), config.get("level", "INFO")
    console = chosen == "console" or (chosen == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.ExceptionRenderer(safe_traceback),
                        masking.scrub,
                        *([_clock] if console else []),
                        renderer,
                    ],
                    "foreign_pre_chain": _SHARED,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            # DEBUG is of our own code only: below INFO Django logs whole statements, and an SDK may log whole requests;
            # both hold what people said.
            "root": {"handlers": ["stderr"], "level": level if _number(level) >= logging.INFO else "INFO"},
            "loggers": {
                **{name: {"level": level} for name in OWN},
                # Its beats, every few seconds, would hide everything else.
                "django-q": {"level": "WARNING"},
                # Addresses and query strings of vendors stay out of the logs.
                **{name: {"level": "WARNING"} for name in ("httpx", "httpcore", "httpx2", "websockets", "urllib3")},
            },
        }
    )
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _clock(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """The time of day for people; lines for machines keep the whole instant."""
    if (written := event.get("timestamp")) is not None:
        event["timestamp"] = datetime.fromisoformat(str(written)).astimezone().strftime("%H:%M:%S")
    return event


def _number(level: str | int) -> int:
    """A level's number; a word that is none is refused by ``dictConfig``, with its name."""
    return level if isinstance(level, int) else logging.getLevelNamesMapping().get(level, logging.INFO)


def safe_traceback(exc_info: Any) -> str:
    """Return where it happened and what kind of error it was, for the whole chain. Not every error's own words: a
    ValueError or a validation error quotes the value, which may be what somebody said (``TELLING`` says whose words are
    kept)."""
    written: list[str] = []
    error, seen = exc_info[1], set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = "".join(traceback.format_tb(error.__traceback__))
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        words = f": {error}" if _tells(error) else " (its words may hold what was said, and are left out)"
        written.append(f"Traceback (most recent call last):\n{frames}{kind}{words}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nwhich came after:\n\n".join(written)


def _tells(error: BaseException) -> bool:
    return isinstance(error, TELLING) or type(error).__module__.partition(".")[0] in OWN


Next = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]


class RequestContextMiddleware:
    """Binds a request id to every log line of a request and returns it as ``X-Request-Id``."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self.get_response):
            return self._answer_async(request)
        request_id = _start(request)
        response = self.get_response(request)
        assert isinstance(response, HttpResponse) or hasattr(response, "headers")
        response["X-Request-Id"] = request_id  # type: ignore[index]
        return response

    async def _answer_async(self, request: HttpRequest) -> Any:
        request_id = _start(request)
        response = await self.get_response(request)  # type: ignore[misc]
        response["X-Request-Id"] = request_id
        return response


def _start(request: HttpRequest) -> str:
    request_id = uuid.uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id
