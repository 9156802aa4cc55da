"""Structured logs: structlog everywhere, JSON where nobody watches, colours on a terminal. Never transcript text."""

from __future__ import annotations

import logging
import logging.config
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure(config: dict[str, Any]) -> None:
    """``settings.LOGGING_CONFIG``: ``config`` holds ``level`` and ``format`` (auto, json, console)."""
    chosen = config.get("format", "auto")
    console = chosen == "console" or (chosen == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        renderer,
                    ],
                    "foreign_pre_chain": _SHARED,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": config.get("level", "INFO")},
            # Addresses and query strings of vendors stay out of the logs.
            "loggers": {
                name: {"level": "WARNING"} for name in ("httpx", "httpcore", "httpx2", "websockets", "urllib3")
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


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
