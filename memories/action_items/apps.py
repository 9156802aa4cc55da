"""The Django app of the action items: a row for each, without its words."""

from __future__ import annotations

from django.apps import AppConfig


class ActionItemsConfig(AppConfig):
    name = "memories.action_items"
    label = "action_items"
    verbose_name = "Action items"
