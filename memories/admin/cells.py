"""Cells of the admin's own lists that name their column: on a narrow page each row is a block of named lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst


def labelled(cells: Iterable[SafeString], headers: Iterable[Mapping[str, Any]]) -> list[SafeString]:
    """The ``cells`` of a row as Django made them, each with the text of its header as ``data-label``; the cell that
    chooses the row, whose header is a box to choose all, is named so."""
    named = []
    # Django gives whole cells: each begins with "<td" or "<th", and the attribute goes behind that.
    for cell, header in zip(cells, headers, strict=False):
        text = "Choose" if "action-checkbox" in str(header.get("class_attrib", "")) else capfirst(header["text"])
        named.append(SafeString(cell[:3] + format_html(' data-label="{}"', text) + cell[3:]))
    return named
