"""What a person may say of a voice, whichever door it comes in by: the socket, a request, or a posted transcript."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

SegmentId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
"""An id of a segment: ours have 36 characters. It travels in every answer that shows the segment."""

PersonId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-.0-~]+$")]
"""An id of a person as a document may have it: printable ASCII without a slash. Whether there is such a person is asked
of ``speakers.people``."""

LONGEST_LABEL = 64

SpeakerLabel = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_LABEL)]
"""A voice's label in a transcript, such as ``SPEAKER_00``; a vendor's own may have any letters."""
