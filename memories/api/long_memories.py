"""Long memories are read in turn: a talk of 9 MB takes seconds of the interpreter, which everybody's requests share.

An ordinary memory is read at once. How long one is stands in its mirror row, so that nothing is read to find out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db.models import QuerySet
from django.template.response import SimpleTemplateResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from memories.models import MemoryRow
from memories.repository import large, listing
from omi.accounts.throttles import stranger
from omi.core.slots import Slots

READS = Slots("long memories", seconds=120.0)
LONG = 1_000_000
"""Bytes of an answer, as its rows tell, from which on it waits for its turn: some three hours of talk."""
PER_USER, PER_PROCESS = 1, 2
PATIENCE_SECONDS = 10.0
MAY_WAIT = 2


def weight(rows: QuerySet[MemoryRow], *, listed: bool = False) -> int:
    """Return about how many bytes these memories have as JSON. ``listed``: in a list, where the longest have no
    segments and none its photos."""
    told = rows.values_list("text_size", "segments", "photo_size")
    sizes = [(text + listing.SEGMENT * count, photos) for text, count, photos in told]
    if listed:
        return sum(words for words, _ in sizes if words <= large.INLINE_BYTES)
    return sum(words + photos for words, photos in sizes)


@contextmanager
def in_turn(uid: str, size: int) -> Iterator[None]:
    """A place among the readers of long memories for what has so many bytes. Raises omi.core.slots.Busy."""
    if size <= LONG:
        yield
        return
    with READS.held(uid, per_user=PER_USER, in_all=PER_PROCESS, patience=PATIENCE_SECONDS, may_wait=MAY_WAIT):
        yield


class InTurn(APIView):
    """A view that has a place among the readers of long memories until its answer is rendered."""

    def weight(self, request: Request) -> int:
        """Bytes of what this request reads: of the memory that its path names."""
        memory_id, uid = self.kwargs.get("memory_id"), getattr(request.user, "uid", None)
        return weight(MemoryRow.objects.filter(uid=uid, memory_id=memory_id)) if memory_id and uid else 0

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After the request is known to be allowed. Raises omi.core.slots.Busy."""
        super().initial(request, *args, **kwargs)
        self._turn = ExitStack()
        self.take_turn(request)

    def take_turn(self, request: Request) -> None:
        """Wait for a place. It is kept until the answer is rendered, or ``give_way``. Raises omi.core.slots.Busy."""
        who = getattr(request.user, "uid", None) or stranger(request)
        self._turn.enter_context(in_turn(who, self.weight(request)))

    def give_way(self) -> None:
        """Let others read while something else goes on; ``take_turn`` is next."""
        self._turn.close()

    def handle_exception(self, exc: Exception) -> Any:
        """What nobody expected ends the turn here: no answer is made of it."""
        try:
            return super().handle_exception(exc)
        except BaseException:
            self.__dict__.get("_turn", ExitStack()).close()
            raise

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """The turn ends with the rendering, which takes as long as the reading."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        turn = self.__dict__.get("_turn", ExitStack())
        if isinstance(answer, SimpleTemplateResponse) and not answer.is_rendered:
            answer.add_post_render_callback(lambda _: turn.close())
        else:
            turn.close()
        return answer
