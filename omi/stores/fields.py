"""Column types whose order is that of the bytes, whatever the database's locale."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ByteOrderedCharField(models.CharField):  # type: ignore[type-arg]
    """SQLite compares bytes by itself; PostgreSQL does so with the collation "C"."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters
