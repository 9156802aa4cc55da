"""The people a user knows, and samples of their voices. Everybody else's people are not found."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import ValidationError
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from omi.accounts.requests import fence_of, uid_of
from omi.core.json_parser import StrictJSONParser
from speakers import enrolment, gallery, people
from speakers.api.errors import Refused
from speakers.api.links import sample_url
from speakers.api.profile import consent_of, uploaded
from speakers.api.shapes import UPLOAD, Detail, PersonBody, SampleInfo, Status, Uploaded
from speakers.api.uploads import uploaded_wav
from speakers.models import VoiceSample
from speakers.shapes import Person


class PeopleViewSet(ViewSet):
    """The people whom the user knows, and samples of their voices."""

    parser_classes = [StrictJSONParser, MultiPartParser]

    @extend_schema(parameters=[OpenApiParameter("include_speech_samples", bool)], responses={200: Person})
    def list(self, request: Request) -> Response:
        known = people.list_people(uid_of(request))
        samples = _samples(request) if _flag(request, default=True) else {}
        return Response([_shown(person, samples) for person in known])

    @extend_schema(request=PersonBody, responses={200: Person, 422: Detail})
    def create(self, request: Request) -> Response:
        try:
            body = PersonBody.model_validate(request.data)
        except ValidationError as error:
            raise Refused(422, "invalid", "The body needs a 'name'.") from error
        return Response(_shown(people.create_person(uid_of(request), body.name, fence=fence_of(request)), {}))

    @extend_schema(parameters=[OpenApiParameter("include_speech_samples", bool)], responses={200: Person, 404: Detail})
    def retrieve(self, request: Request, person_id: str) -> Response:
        person = people.get_person(uid_of(request), person_id)
        return Response(_shown(person, _samples(request, person_id) if _flag(request, default=False) else {}))

    @extend_schema(
        request=None,
        parameters=[OpenApiParameter("value", str, required=True)],
        responses={200: Status, 404: Detail, 422: Detail},
    )
    def rename(self, request: Request, person_id: str) -> Response:
        people.rename_person(uid_of(request), person_id, request.query_params.get("value", ""))
        return Response({"status": "ok"})

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request, person_id: str) -> Response:
        people.delete_person(uid_of(request), person_id)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=UPLOAD,
        responses={200: Uploaded, 400: Detail, 404: Detail, 413: Detail, 422: Detail, 503: Detail},
    )
    def add_sample(self, request: Request, person_id: str) -> Response:
        """One more recording (2 to 180 s) of this person's voice."""
        person = people.get_person(uid_of(request), person_id)
        with uploaded_wav(request) as wav:
            done = enrolment.add_sample(
                uid_of(request), person.id, wav, consent=consent_of(request), fence=fence_of(request)
            )
        return Response(uploaded(request, done))

    @extend_schema(responses={200: SampleInfo, 404: Detail})
    def list_samples(self, request: Request, person_id: str) -> Response:
        person = people.get_person(uid_of(request), person_id)
        rows = VoiceSample.objects.filter(uid=uid_of(request), person_id=person.id).exclude(
            status=VoiceSample.Status.REMOVED
        )
        return Response([_info(request, sample) for sample in rows])

    @extend_schema(request=None, responses={200: SampleInfo, 404: Detail})
    def confirm_sample(self, request: Request, person_id: str, sample_id: str) -> Response:
        """Accept a candidate: the person says that it is this voice."""
        sample = _sample(request, person_id, sample_id)
        gallery.accept_sample(sample)
        return Response(_info(request, sample))

    @extend_schema(responses={204: None, 404: Detail})
    def remove_sample(self, request: Request, person_id: str, sample_id: str) -> Response:
        gallery.remove_sample(_sample(request, person_id, sample_id), reason="removed by the user")
        return Response(status=status.HTTP_204_NO_CONTENT)


def _sample(request: Request, person_id: str, sample_id: str) -> VoiceSample:
    person = people.get_person(uid_of(request), person_id)
    sample = (
        VoiceSample.objects.filter(uid=uid_of(request), person_id=person.id, id=sample_id)
        .exclude(status=VoiceSample.Status.REMOVED)
        .first()
    )
    if sample is None:
        raise Refused(404, "sample_not_found", "Sample not found")
    return sample


def _samples(request: Request, person_id: str | None = None) -> dict[str, list[str]]:
    """Links of accepted samples by person, in one query."""
    rows = VoiceSample.objects.filter(uid=uid_of(request), status=VoiceSample.Status.ACCEPTED).exclude(person_id="")
    found: dict[str, list[str]] = {}
    for sample in rows if person_id is None else rows.filter(person_id=person_id):
        url = sample_url(request, sample)
        if url:
            found.setdefault(sample.person_id, []).append(url)
    return found


def _shown(person: Person, samples: dict[str, list[str]]) -> dict[str, Any]:
    return person.model_copy(update={"speech_samples": samples.get(person.id, [])}).model_dump(mode="json")


def _flag(request: Request, *, default: bool) -> bool:
    given = request.query_params.get("include_speech_samples")
    return default if given is None else given.lower() in ("true", "1")


def _info(request: Request, sample: VoiceSample) -> dict[str, Any]:
    return SampleInfo(
        id=str(sample.id),
        status=sample.status,
        source=sample.source,
        seconds=sample.seconds,
        voiced_seconds=sample.voiced_seconds,
        created_at=sample.created_at,
        url=sample_url(request, sample),
        quality=sample.quality,
    ).model_dump(mode="json")
