"""How the user and the people they named speak."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe

from memories.api.insights import InsightsQuery, insights_of
from memories.insights import plots
from memories.pages.edge import clock, given, page
from omi.accounts.principal import Principal


@page("GET", cost="searches")
def shown(request: HttpRequest, who: Principal) -> HttpResponse:
    """Plots, each with its table, and what repeats itself."""
    told = insights_of(who.uid, given(InsightsQuery, request.GET))
    figures = []
    for name, plot in plots.PLOTS.items():
        made = plots.figure(plot(told)).replace("plot-title", f"{name}-title").replace("plot-desc", f"{name}-desc")
        figures.append(mark_safe(made))  # noqa: S308  # the plots escape every text that they are given
    voices = [{**voice.model_dump(), "clock": clock(voice.seconds)} for voice in told.people]
    context = {"told": told, "figures": figures, "voices": voices, "here": "insights"}
    return render(request, "pages/insights.html", context)
