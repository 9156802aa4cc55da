"""Spans of a run at an endpoint that speaks OTLP over HTTP: one trace of steps, calls and stores, and no words."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from memories.pipeline import runner, service
from memories.shapes import Memory
from omi.core import providers, traces
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db
SAID = {"omi.run_id", "omi.kind", "omi.step", "omi.vendor", "omi.operation", "omi.store", "omi.outcome", "error.type"}


class Collector:
    """Takes ``POST /v1/traces`` and keeps what came."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spans(self) -> list[Span]:
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return found

    def until(self, outcome: str, seconds: float = 20.0) -> list[Span]:
        """All spans, once there is a pass over a run that ended so: what is within it was sent before or with it."""
        end = time.monotonic() + seconds
        while ("run", outcome) not in [(span.name, attributes(span).get("omi.outcome")) for span in self.spans()]:
            assert time.monotonic() < end, f"no run ended {outcome!r}; there are {[span.name for span in self.spans()]}"
            time.sleep(0.05)
        return self.spans()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector(settings: Any) -> Iterator[Collector]:
    running = Collector()
    settings.OMI_TRACES_URL = running.url
    traces._tracer.cache_clear()
    providers.forget()
    yield running
    traces._tracer.cache_clear()
    providers.forget()
    running.stop()


def attributes(span: Span) -> dict[str, Any]:
    return {item.key: item.value.int_value or item.value.string_value for item in span.attributes}


def test_a_run_is_one_trace_of_steps_calls_and_stores(
    collector: Collector, memory: Memory, upload: Any, heard: Any, drive: Any
) -> None:
    fakes.SCRIPT["first"] = ["pending", fakes.words(fakes.TEXT + " now")]
    run = service.start("postprocess", UID, MEMORY, audio=upload(), actor=f"user:{UID}")
    drive(run)
    spans = collector.until("finished")
    by_id = {span.span_id: span for span in spans}
    of_run = [span for span in spans if attributes(span).get("omi.run_id") == run.pk]
    assert len({span.trace_id for span in of_run}) == 1, "all passes over a run are one trace"
    steps = [span for span in of_run if span.name == "step"]
    assert {attributes(span)["omi.step"] for span in steps} >= {"prepare_audio", "transcribe", "structure", "publish"}
    assert all(by_id[span.parent_span_id].name == "run" for span in steps)
    calls = [span for span in of_run if span.name == "vendor"]
    assert {(attributes(span)["omi.vendor"]) for span in calls} >= {"first"}
    assert all(by_id[span.parent_span_id].name == "step" for span in calls)
    stores = {attributes(span)["omi.store"] for span in spans if span.name == "store"}
    assert stores == {"documents", "vectors"}
    assert {key for span in spans for key in attributes(span)} <= SAID
    sent = b"".join(collector.bodies).decode("utf-8", "replace").lower()
    assert UID not in sent
    assert MEMORY not in sent
    quoted = [word for word in re.findall(r"[a-z']{4,}", fakes.TEXT.lower()) if re.search(rf"\b{word}\b", sent)]
    assert quoted == []


def test_a_failure_is_told_by_its_kind_and_not_in_its_words(
    collector: Collector, memory: Memory, upload: Any, heard: Any
) -> None:
    fakes.SCRIPT["first"] = [ValueError("she said Rumpelstiltskin")]
    run = service.start("postprocess", UID, MEMORY, audio=upload(), actor=f"user:{UID}")
    runner.work(run.pk)
    spans = collector.until("waiting")
    failed = [span for span in spans if span.name == "vendor" and attributes(span).get("error.type")]
    assert [attributes(span)["error.type"] for span in failed] == ["ValueError"]
    assert failed[0].status.code == Status.STATUS_CODE_ERROR
    assert b"Rumpelstiltskin" not in b"".join(collector.bodies)


def test_without_the_setting_a_span_is_nothing(settings: Any) -> None:
    assert settings.OMI_TRACES_URL == ""
    assert traces.span("step", step="gather") is traces.span("run", run_id=1)
    backend = object()
    assert traces.of_store(backend, "documents") is backend


def test_without_the_package_everything_works_and_it_is_said(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OMI_TRACES_URL = "http://127.0.0.1:9"
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    traces._tracer.cache_clear()
    try:
        with traces.span("run", run_id=1, began="now") as tell, traces.span("store", parent=traces.handover()):
            tell("finished")
    finally:
        traces._tracer.cache_clear()
    assert "requirements-tracing.txt" in caplog.text
