"""Rows that only the program writes: staff look at them, and act through pages of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin


NEWEST = 5000


class ReadOnlyAdmin(Base):
    """The base of admin lists in which nothing can be added, changed or deleted."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NewestValues(admin.AllValuesFieldListFilter):
    """Django's filter by the values that there are, of the ``NEWEST`` rows: it asks for those of all, which takes a
    second of a million. The empty value is a link with a name, too."""

    def __init__(
        self,
        field: Any,
        request: HttpRequest,
        params: Any,
        model: type[models.Model],
        model_admin: Any,
        field_path: str,
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        newest = model._default_manager.order_by("-pk").values_list(field_path, flat=True)[:NEWEST]
        self.lookup_choices: Any = sorted({*newest, *(self.lookup_val or [])}, key=str)

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "none"}


admin.FieldListFilter.register(
    lambda field: isinstance(field, models.CharField) and not field.choices, NewestValues, take_priority=True
)
