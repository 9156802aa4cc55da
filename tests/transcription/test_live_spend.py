"""What live vendors cost stands in the figures that budgets are held against, and how late their words are is told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from memories.console import figures
from omi.shared_metrics import counters
from tests.pipeline.test_metrics import scraped
from tests.transcription.fakes import NoBreaker, Script
from transcription.metrics import LIVE_DOLLARS
from transcription.segments import Word
from transcription.session.timeline import Timeline
from transcription.session.vendor_session import RATE, VendorSession
from transcription.vendors.live.base import LiveCapabilities, LiveRequest, LiveResult
from transcription.vendors.live.deepgram import DeepgramLive
from transcription.vendors.live.soniox import SonioxLive
from transcription.vendors.live.speechmatics import SpeechmaticsLive

pytestmark = pytest.mark.django_db
COST = 'memory_vendor_cost_dollars_total{vendor="alpha"}'


def session(cost_per_minute: float = 0.0, *, heard: float = 60.0, closed: bool = False) -> VendorSession:
    """A vendor's part of a session of which ``heard`` seconds have come."""
    vendor: Any = Script()
    vendor.capabilities = LiveCapabilities(None, cost_per_minute=cost_per_minute)
    window: Any = SimpleNamespace(start=0, end=round(heard * RATE), closed=closed)
    breaker: Any = NoBreaker()
    return VendorSession(vendor, LiveRequest(), window, None, breaker, lambda _: None)


def test_audio_that_is_sent_live_is_spend_also_where_it_is_sent_again() -> None:
    live = session(0.006)
    live._sent(0, 60 * RATE)
    live._sent(30 * RATE, 30 * RATE)  # after a drop
    assert LIVE_DOLLARS.pending("alpha") == pytest.approx(0.009)
    assert COST not in scraped()
    counters.flush()
    assert scraped()[COST] == pytest.approx(0.009)
    assert LIVE_DOLLARS.totals() == {("alpha",): pytest.approx(0.009)}


def test_less_than_a_second_is_counted_when_the_connection_ends() -> None:
    live = session(0.006)
    live._sent(0, RATE // 2)
    assert LIVE_DOLLARS.pending("alpha") == 0.0

    async def ends(*_: Any) -> Any:
        raise asyncio.CancelledError

    live._open = ends  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(live._run())
    assert LIVE_DOLLARS.pending("alpha") == pytest.approx(0.00005)
    counters.flush()


def test_a_vendor_without_a_price_costs_nothing() -> None:
    session()._sent(0, 60 * RATE)
    assert LIVE_DOLLARS.pending("alpha") == 0.0


def test_the_console_counts_live_spend_of_today_against_the_budget(settings: Any) -> None:
    settings.OMI_VENDOR_BUDGET = {"alpha": 30.0}
    session(0.006)._sent(0, 60 * RATE)
    counters.flush()
    figures.snapshot()
    assert figures.today().spent == 0.0
    session(0.006)._sent(0, 3600 * RATE)
    counters.flush()
    today = figures.today()
    assert today.spent == pytest.approx(0.36)
    assert [(vendor.name, vendor.calls) for vendor in today.vendors] == [("alpha", 0)]
    assert today.budget_share == pytest.approx(0.36)


@pytest.mark.parametrize("adapter", [DeepgramLive, SonioxLive, SpeechmaticsLive])
def test_every_paid_live_vendor_has_a_price_that_options_overrule(adapter: Any) -> None:
    assert adapter().capabilities.cost_per_minute > 0
    assert adapter(cost_per_minute=0.5).capabilities.cost_per_minute == 0.5
    assert adapter().capabilities.languages == adapter.capabilities.languages


def test_how_late_words_are_is_told_while_audio_comes() -> None:
    def told(what: str) -> float:
        return REGISTRY.get_sample_value(f"omi_live_vendor_words_seconds_{what}", {"vendor": "alpha"}) or 0.0

    count, total = told("count"), told("sum")
    timeline = Timeline()
    timeline.add(0, 60 * RATE)
    words = (Word(text="one", start=50.0, end=50.5), Word(text="two", start=57.0, end=57.5))
    live = session()
    live._take(LiveResult(words, final=False), timeline)
    live._take(LiveResult(words, final=True), timeline)
    live._take(LiveResult(words, final=True), timeline)  # said twice: nothing new is shown
    session(closed=True)._take(LiveResult(words, final=True), timeline)
    assert told("count") - count == 1
    assert told("sum") - total == pytest.approx(2.5, abs=0.01)
