"""Statements on one table whose text is built once: for the few rows that every step of every run reads and writes.

Django's ORM makes the SQL of a statement anew each time, which costs 0.3 to 0.9 ms of Python: ten times what the
database needs for it, and most of what a run of the pipeline cost (docs/pipeline.md, "What a run costs"). Here a
statement is text that is remembered by model and names; values still go through the model's fields, so that both
databases get and give what they do with the ORM. Only what a hot path needs: one table, conditions joined by AND.
No signals are sent, and no model's ``save`` is called. Everything else belongs to the ORM.

``where`` and ``values`` name fields; a condition may end in ``__lt``, ``__lte``, ``__gt`` or ``__in``; None is NULL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models

M = TypeVar("M", bound=models.Model)

_OPERATORS = {"lt": "<", "lte": "<=", "gt": ">"}
Names = tuple[str, ...]


def update(
    model: type[models.Model], values: Mapping[str, Any], where: Mapping[str, Any], *, using: str = DEFAULT_DB_ALIAS
) -> int:
    """Number of rows that fulfil ``where`` and now hold ``values``."""
    connection = connections[using]
    shape, conditions = _conditions(model, where, connection)
    text = _update_text(model, tuple(values), shape)
    with connection.cursor() as cursor:
        cursor.execute(text, [*_prepared(model, values, connection), *conditions])
        return int(cursor.rowcount)


def select(
    model: type[models.Model], names: Names, where: Mapping[str, Any], *, order: str = "", limit: int | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> list[list[Any]]:  # fmt: skip
    """The named columns of the rows that fulfil ``where``. ``order``: one field, ``-`` before it for descending."""
    connection = connections[using]
    shape, conditions = _conditions(model, where, connection)
    text = _select_text(model, names, shape, order, limit)
    with connection.cursor() as cursor:
        cursor.execute(text, conditions)
        rows = [list(row) for row in cursor.fetchall()]
    for index, expression, functions in _converters(model, names, using):
        for row in rows:
            for function in functions:
                row[index] = function(row[index], expression, connection)
    return rows


def instances(
    model: type[M], where: Mapping[str, Any], *, order: str = "", limit: int | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> list[M]:  # fmt: skip
    """Whole rows as instances of ``model``."""
    names = _columns(model)
    return [
        model.from_db(using, names, row) for row in select(model, names, where, order=order, limit=limit, using=using)
    ]


def exists(model: type[models.Model], where: Mapping[str, Any], *, using: str = DEFAULT_DB_ALIAS) -> bool:
    return bool(select(model, (model._meta.pk.attname,), where, limit=1, using=using))


def delete(model: type[models.Model], where: Mapping[str, Any], *, using: str = DEFAULT_DB_ALIAS) -> int:
    """Number of rows deleted. Nothing may hang on them: no cascade is followed."""
    connection = connections[using]
    shape, conditions = _conditions(model, where, connection)
    with connection.cursor() as cursor:
        cursor.execute(_delete_text(model, shape), conditions)
        return int(cursor.rowcount)


def insert(rows: Sequence[models.Model], *, unique: Names = (), once: Names = (), using: str = DEFAULT_DB_ALIAS) -> int:
    """Write new rows (of one model) in one statement; a single one is given its primary key. How many were written.

    With ``unique`` (the fields of a unique constraint) a row that is there already takes the new one's values; with
    ``once`` it stays as it is, and nothing is written for the new one.
    """
    if not rows:
        return 0
    model = type(rows[0])
    connection = connections[using]
    fields = _insertable(model, rows[0].pk is not None)
    text = _insert_text(model, tuple(field.attname for field, _ in fields), len(rows), unique, once)
    vendor = connection.vendor
    values = [
        _saved(field, getattr(row, name) if name else field.pre_save(row, True), connection, vendor)
        for row in rows
        for field, name in fields
    ]
    fresh = len(rows) == 1 and not unique and not once and rows[0].pk is None
    if fresh:
        text += f" RETURNING {_quoted(model._meta.pk.column)}"
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        if fresh:
            rows[0].pk = cursor.fetchone()[0]
        written = len(rows) if fresh else int(cursor.rowcount)
    for row in rows:
        row._state.adding, row._state.db = False, using
    return written


def _conditions(model: type[models.Model], where: Mapping[str, Any], connection: Any) -> tuple[Names, list[Any]]:
    """The conditions' names, with what of the values decides about the text, and the values for the database."""
    shape, values = [], []
    for key, value in where.items():
        name, _, operator = key.partition("__")
        field = _field(model, name)
        if operator == "in":
            shape.append(f"{key}__{len(value)}")
            values += [field.get_db_prep_value(item, connection) for item in value]
        elif value is None:
            shape.append(f"{name}__null")
        else:
            shape.append(key)
            values.append(
                value
                if type(value) in _as_it_is(field, connection.vendor)
                else field.get_db_prep_value(value, connection)
            )
    return tuple(shape), values


def _prepared(model: type[models.Model], values: Mapping[str, Any], connection: Any) -> list[Any]:
    vendor = connection.vendor
    return [_saved(_field(model, name), value, connection, vendor) for name, value in values.items()]


def _saved(field: models.Field[Any, Any], value: Any, connection: Any, vendor: str) -> Any:
    """``value`` as the database takes it: a plain value of the column's own type needs no field to say how."""
    if type(value) in _as_it_is(field, vendor):
        return value
    if vendor == "sqlite" and type(value) is datetime and value.tzinfo is connection.timezone:
        return str(value.replace(tzinfo=None))  # as DatabaseOperations.adapt_datetimefield_value
    return field.get_db_prep_save(value, connection=connection)


@cache
def _as_it_is(field: models.Field[Any, Any], vendor: str) -> frozenset[type]:
    """The types whose values ``field`` passes on unchanged to this database. By exact class: a subclass may differ."""
    kind = _KINDS.get(type(field))
    if kind is None:
        return frozenset()
    if kind is int and vendor != "sqlite":  # psycopg is told how wide the column is
        return frozenset({type(None)})
    return frozenset({kind, type(None)})


_KINDS: dict[Any, type] = {
    models.CharField: str, models.TextField: str, models.BooleanField: bool, models.FloatField: float,
    models.IntegerField: int, models.PositiveIntegerField: int, models.PositiveBigIntegerField: int,
    models.PositiveSmallIntegerField: int, models.BigAutoField: int,
}  # fmt: skip


@cache
def _columns(model: type[models.Model]) -> Names:
    return tuple(field.attname for field in model._meta.concrete_fields)


@cache
def _insertable(model: type[models.Model], with_key: bool) -> list[tuple[models.Field[Any, Any], str]]:
    """Each field with the attribute that holds its value, or "" where the field itself decides when it is written."""
    return [
        (field, field.attname if type(field).pre_save is models.Field.pre_save else "")
        for field in model._meta.concrete_fields
        if with_key or not field.primary_key
    ]


@cache
def _update_text(model: type[models.Model], names: Names, shape: Names) -> str:
    changes = ", ".join(f"{_column(model, name)} = %s" for name in names)
    return f"UPDATE {_quoted(model._meta.db_table)} SET {changes} WHERE {_where(model, shape)}"  # noqa: S608  (columns of a model)


@cache
def _select_text(model: type[models.Model], names: Names, shape: Names, order: str, limit: int | None) -> str:
    columns = ", ".join(_column(model, name) for name in names)
    text = f"SELECT {columns} FROM {_quoted(model._meta.db_table)} WHERE {_where(model, shape)}"  # noqa: S608  (columns of a model)
    if order:
        text += f" ORDER BY {_column(model, order.lstrip('-'))}{' DESC' if order.startswith('-') else ''}"
    return text if limit is None else f"{text} LIMIT {limit:d}"


@cache
def _delete_text(model: type[models.Model], shape: Names) -> str:
    return f"DELETE FROM {_quoted(model._meta.db_table)} WHERE {_where(model, shape)}"  # noqa: S608  (columns of a model)


@cache
def _insert_text(model: type[models.Model], names: Names, count: int, unique: Names, once: Names) -> str:
    columns = ", ".join(_column(model, name) for name in names)
    places = f"({', '.join(['%s'] * len(names))})"
    text = f"INSERT INTO {_quoted(model._meta.db_table)} ({columns}) VALUES {', '.join([places] * count)}"  # noqa: S608
    if once:
        return f"{text} ON CONFLICT ({', '.join(_column(model, name) for name in once)}) DO NOTHING"
    if not unique:
        return text
    keys = [_column(model, name) for name in unique]
    others = [column for name in names if (column := _column(model, name)) not in keys]
    changes = ", ".join(f"{column} = excluded.{column}" for column in others)
    return f"{text} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"


def _where(model: type[models.Model], shape: Names) -> str:
    parts = []
    for key in shape:
        name, _, operator = key.partition("__")
        column = _column(model, name)
        if operator == "null":
            parts.append(f"{column} IS NULL")
        elif operator.startswith("in__"):
            count = int(operator[4:])
            parts.append(f"{column} IN ({', '.join(['%s'] * count)})" if count else "1 = 0")
        else:
            parts.append(f"{column} {_OPERATORS[operator] if operator else '='} %s")
    return " AND ".join(parts)


def _column(model: type[models.Model], name: str) -> str:
    return _quoted(_field(model, name).column)


@cache
def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _quoted(name: str | None) -> str:
    """As SQLite and PostgreSQL both write it."""
    return f'"{name}"'


@cache
def _converters(model: type[models.Model], names: Names, using: str) -> list[tuple[int, Any, list[Any]]]:
    """What turns a column's value into the model's, as the ORM's compiler does it."""
    connection = connections[using]
    found = []
    for index, name in enumerate(names):
        expression = _field(model, name).get_col(model._meta.db_table)
        functions = [*connection.ops.get_db_converters(expression), *expression.get_db_converters(connection)]
        if functions:
            found.append((index, expression, functions))
    return found
