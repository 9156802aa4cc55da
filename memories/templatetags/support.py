"""Template filters of the support pages."""

from __future__ import annotations

from django import template

from memories.admin.badges import badge

register = template.Library()
register.filter("badge", badge)
