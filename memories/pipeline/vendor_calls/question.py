"""What is asked of a vendor: the description of one call, apart from how it is made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from memories.pipeline.engine.results import LeaseLost, RunCanceled
from memories.pipeline.models import VendorCall
from omi.core import traces
from omi.core.errors import ProviderError
from omi.core.partial_results import PartialResults

T = TypeVar("T")

Made = Callable[[VendorCall, PartialResults], T]
"""The call itself: without database work, for it may run in a thread. It tells the record what it cost."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked, and of whom.

    ``request`` is what makes two calls the same. ``form`` is the answer's shape. ``limit``: seconds that the vendor is
    given, for each part of the answer. ``accept`` is done with an answer before its end is recorded; it may raise
    LeaseLost or RunCanceled. ``unwanted`` is done, in a thread, with an answer that came when nobody wanted it.
    """

    vendor: str
    operation: str
    request: object
    form: TypeAdapter[T]
    remote: bool
    limit: float
    accept: Callable[[T], None] | None = None
    unwanted: Callable[[T], None] | None = None

    @staticmethod
    def expected(error: BaseException) -> bool:
        """Whether the call may end with this error; any other one is a fault of ours."""
        return isinstance(error, ProviderError | LeaseLost | RunCanceled)

    def span(self, run_id: int, parent: Any = None) -> AbstractContextManager[traces.Tell]:
        """Around the call itself, for the traces."""
        return traces.span("vendor", run_id=run_id, vendor=self.vendor, operation=self.operation, parent=parent)
