"""What a child process of the tests does."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from memories.shapes import Structured
from memories.structuring.base import StructureRequest, StructureResult


def hang() -> None:
    re.match("(a+)+$", "a" * 60 + "b")  # in C, under the interpreter's lock


def pid() -> int:
    return os.getpid()


def die() -> None:
    os._exit(3)


def fail() -> None:
    raise ValueError("wrong")


def chatter(text: str) -> str:
    print("what a library prints is no answer")
    return text


class Hanging:
    """A structurer whose rules never end, unless the talk is short."""

    name, model_name, remote = "hanging", "rules", False

    def structure(self, request: StructureRequest) -> StructureResult:
        if any("for ever" in item.text for item in request.segments):
            hang()
        return StructureResult(Structured(title="A title", overview="An overview."), method="rules")


class Short:
    name, model_name, dimension, remote, price = "short", "short", 8, False, 0.0

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]:
        return [[1.0, *[0.0] * 7] for _ in texts]


PROVIDERS: dict[str, Any] = {
    "structurer": {"BACKEND": "tests.pipeline.child_work.Hanging"},
    "embedder": {"BACKEND": "tests.pipeline.child_work.Short"},
}
