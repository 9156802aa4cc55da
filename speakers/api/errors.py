"""Answers that are no success: ``{"detail": sentence, "code": stable name}``.

``memories`` owns the project's exception handler and this room may not import it, so views turn what they know into
responses themselves and leave the rest (ProviderError, identity) to that handler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from rest_framework.response import Response

from speakers.clips import BadRecording
from speakers.gallery import SampleGone
from speakers.people import InvalidName, PersonNotFound, TooManyPeople
from speakers.quality import RejectedAudio


class Refused(Exception):
    """The request cannot be done. ``code`` is stable, ``detail`` a sentence for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


def answered(view: Callable[..., Response]) -> Callable[..., Response]:
    """Decorate a view method: the known refusals of this room become their responses."""

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Response:
        try:
            return view(*args, **kwargs)
        except Refused as error:
            return _response(error.status, error.code, error.detail)
        except PersonNotFound:
            return _response(404, "person_not_found", "Person not found")
        except SampleGone:
            return _response(404, "sample_not_found", "Sample not found")
        except InvalidName as error:
            return _response(422, "invalid_name", str(error))
        except TooManyPeople as error:
            return _response(422, "too_many_people", str(error))
        except RejectedAudio as error:
            return _response(400, error.code, error.sentence)
        except BadRecording as error:
            return _response(400, "broken", str(error))

    return wrapped


def _response(status: int, code: str, detail: str) -> Response:
    return Response({"detail": detail, "code": code}, status=status)
