"""OpenTelemetry spans of runs, steps, calls of vendors and stores, sent by OTLP over HTTP to ``OMI_TRACES_URL``.

Optional: without that setting a span is nothing, and the package (requirements-tracing.txt) need not be there. What a
span may say is the argument list of ``span``: no user, no memory, no text, no error's words. ``run_id`` is that of the
log lines, and all that ever happens to a run, on any worker, is one trace.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from typing import Any

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

SERVICE = "omi"
EXPORT_MILLISECONDS = 1000
"""Between two exports of one process."""

Tell = Callable[[str], None]
"""Says with which outcome the span ended."""

_NOTHING: AbstractContextManager[Tell] = nullcontext(lambda outcome: None)


def enabled() -> bool:
    """Return whether spans are sent anywhere (``OMI_TRACES_URL``)."""
    return bool(settings.OMI_TRACES_URL)


def span(
    name: str, *, run_id: int = 0, kind: str = "", step: str = "", vendor: str = "", operation: str = "",
    store: str = "", began: str = "", parent: Any = None,
) -> AbstractContextManager[Tell]:  # fmt: skip
    """A span around a ``with`` block. ``began``: when the run was made, which begins its trace; ``parent``: of
    ``handover``, in another thread."""
    if not settings.OMI_TRACES_URL:
        return _NOTHING
    said = {"run_id": run_id, "kind": kind, "step": step, "vendor": vendor, "operation": operation, "store": store}
    return _span(name, {f"omi.{key}": value for key, value in said.items() if value}, run_id, began, parent)


def handover() -> Any:
    """What a thread needs to go on with this one's trace; None where nothing is traced."""
    if not settings.OMI_TRACES_URL or _tracer() is None:
        return None
    from opentelemetry import context

    return context.get_current()


def of_store(backend: Any, store: str) -> Any:
    """Return ``backend`` itself, or a wrapper that makes a span of each of its calls."""
    return _TracedStore(backend, store) if enabled() else backend


class _TracedStore:
    def __init__(self, backend: Any, store: str) -> None:
        self._backend, self._store = backend, store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name.startswith("_") or not callable(found):
            return found

        @wraps(found)
        def call(*given: Any, **named: Any) -> Any:
            with span("store", store=self._store, operation=name):
                return found(*given, **named)

        return call


@contextmanager
def _span(name: str, said: dict[str, Any], run_id: int, began: str, parent: Any) -> Iterator[Tell]:
    tracer = _tracer()
    if tracer is None:
        yield lambda outcome: None
        return
    from opentelemetry.trace import Status, StatusCode

    context = _of_run(run_id, began) if began else parent
    # What an error says may be what somebody said: its kind is told, its words are not.
    with tracer.start_as_current_span(
        name, context=context, attributes=said, record_exception=False, set_status_on_exception=False
    ) as made:
        try:
            yield lambda outcome: made.set_attribute("omi.outcome", outcome)
        except BaseException as error:
            made.set_attribute("error.type", type(error).__name__)
            made.set_status(Status(StatusCode.ERROR))
            raise


def _of_run(run_id: int, began: str) -> Any:
    """The same trace for all workers that ever have the run, without a word between them."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    digest = hashlib.sha256(f"run:{run_id}:{began}".encode()).digest()
    root = SpanContext(
        int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1, True, TraceFlags(TraceFlags.SAMPLED)
    )
    return set_span_in_context(NonRecordingSpan(root))


@cache
def _tracer() -> Any:
    """One per process; None where the package is missing, which is said once."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.error("traces_unavailable", fix="pip install -r requirements-tracing.txt -c constraints.txt")
        return None
    provider = TracerProvider(resource=Resource({"service.name": SERVICE, "process.pid": os.getpid()}))
    exporter = OTLPSpanExporter(endpoint=settings.OMI_TRACES_URL.rstrip("/") + "/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_MILLISECONDS))
    return provider.get_tracer(SERVICE)


os.register_at_fork(after_in_child=_tracer.cache_clear)
