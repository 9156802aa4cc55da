"""Template filters of the support pages."""

from __future__ import annotations

from django import template

from memories.admin import cells, moments
from memories.admin.badges import badge, tone
from memories.console import numbers

register = template.Library()
register.filter("badge", badge)
register.filter("tone", tone)
register.filter("moment", moments.shown)
register.filter("stamp", moments.stamp)
register.filter("seconds", moments.length)
register.filter("clock", moments.clock)
register.filter("bytes", moments.size)
register.filter("percent", numbers.percent)
register.filter("words", numbers.words)
register.filter("labelled", cells.labelled)
