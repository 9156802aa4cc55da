"""Routes of the pages, below ``/app``: no trailing slashes, as everywhere."""

from __future__ import annotations

from django.urls import path

from memories.pages import (
    account,
    changes,
    feedback,
    finding,
    healing,
    insights,
    live,
    memory,
    offline,
    people,
    preferences,
    recaps,
    sign_in,
    timeline,
    webhooks,
)

_MEMORY = "/memories/<str:memory_id>"

urlpatterns = [
    path("", timeline.timeline),
    path("/sign-in", sign_in.sign_in),
    path("/sign-out", sign_in.sign_out),
    path(_MEMORY, memory.memory),
    path(f"{_MEMORY}/transcripts", memory.transcripts_of),
    path(f"{_MEMORY}/audio", memory.audio),
    path(f"{_MEMORY}/waveform.svg", memory.waveform),
    path(f"{_MEMORY}/download/<str:file_format>", memory.download),
    path(f"{_MEMORY}/texts", changes.texts),
    path(f"{_MEMORY}/voice", changes.voice),
    path(f"{_MEMORY}/visibility", changes.visibility),
    path(f"{_MEMORY}/activate", changes.activate),
    path(f"{_MEMORY}/delete", changes.delete),
    path("/feedback", feedback.give),
    path("/search", finding.search),
    path("/ask", finding.ask),
    path("/recaps", recaps.listed),
    path("/recaps/<str:kind>/<str:day>", recaps.recap),
    path("/insights", insights.shown),
    path("/people", people.listed),
    path("/people/<str:person_id>/name", people.rename),
    path("/people/<str:person_id>/delete", people.delete),
    path("/live", live.live),
    path("/offline", offline.offline),
    path("/healing", healing.heal),
    path("/healing/<str:healing_id>/<str:way>", healing.step),
    path("/live/token", live.token),
    path("/settings", preferences.settings),
    path("/settings/consents", preferences.consents),
    path("/settings/vocabulary", preferences.vocabulary),
    path("/settings/webhooks", webhooks.add),
    path("/settings/webhooks/<str:webhook_id>/delete", webhooks.remove),
    path("/settings/export", account.export),
    path("/settings/vault", account.vault),
    path("/settings/delete-account", account.delete),
]
