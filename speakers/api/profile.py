"""The user's speech profile: the routes of the 2024 app and today's status route (docs/reference/app-protocol.md)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from omi.accounts.requests import fence_of, uid_of
from omi.core.json_parser import StrictJSONParser
from omi.core.sent_files import sent
from omi.serving import admission
from omi.stores import audio
from omi.stores.audio import AudioNotFound
from speakers import enrolment, gallery, people
from speakers.api.errors import Refused
from speakers.api.links import read_token, sample_url
from speakers.api.shapes import UPLOAD, Detail, HasProfile, PacketsBody, ProfileStatus, Status, Uploaded, Url
from speakers.api.uploads import packets_wav, uploaded_wav
from speakers.enrolment import Enrolment
from speakers.forget import forget_person
from speakers.models import USER, ProfileVersion, VoiceConsent, VoiceSample

SHORTEST_PACKETS, LONGEST_PACKETS = 10, 120
"""Seconds that ``upload-bytes`` takes: the original's own limits."""


class SpeechProfileViewSet(ViewSet):
    """Everything about the signed-in user's own voice."""

    parser_classes = [MultiPartParser, StrictJSONParser]

    @extend_schema(responses={200: HasProfile})
    def has_profile(self, request: Request) -> Response:
        return Response({"has_profile": gallery.has_profile(uid_of(request))})

    @extend_schema(responses={200: Url})
    def url(self, request: Request) -> Response:
        sample = _profile_sample(uid_of(request))
        return Response({"url": sample_url(request, sample) if sample else None})

    @extend_schema(responses={200: ProfileStatus})
    def status(self, request: Request) -> Response:
        return Response(_status(request).model_dump(mode="json"))

    @extend_schema(
        request=UPLOAD,
        responses={200: Uploaded, 400: Detail, 413: Detail, 422: Detail, 503: Detail},
    )
    def upload(self, request: Request) -> Response:
        """Learn the user's voice from a recording of 5 to 180 s. 400 names why a recording is not fit."""
        with uploaded_wav(request) as wav:
            done = enrolment.enrol_user(uid_of(request), wav, consent=consent_of(request), fence=fence_of(request))
        return Response(uploaded(request, done))

    @extend_schema(request=PacketsBody, responses={200: Status, 400: Detail, 422: Detail, 503: Detail})
    def upload_packets(self, request: Request) -> Response:
        """The oldest app's form: Opus packets of 10 ms as lists of numbers."""
        admission.admit_upload()
        try:
            body = PacketsBody.model_validate(request.data)
        except ValidationError as error:
            raise Refused(422, "invalid", "The body needs 'bytes' (lists of numbers) and 'duration'.") from error
        if not SHORTEST_PACKETS <= body.duration <= LONGEST_PACKETS:
            raise Refused(400, "duration", f"Audio must be {SHORTEST_PACKETS} to {LONGEST_PACKETS} seconds long.")
        if len(body.bytes) > LONGEST_PACKETS * 100:
            raise Refused(400, "too_long", f"Audio must be at most {LONGEST_PACKETS} seconds long.")
        with packets_wav(body.bytes) as wav:
            enrolment.enrol_user(uid_of(request), wav, consent=consent_of(request), fence=fence_of(request))
        return Response({"status": "ok"})

    @extend_schema(responses={200: Status})
    def destroy(self, request: Request) -> Response:
        """Forget the user's voice: recording, samples, embeddings. A new recording starts afresh."""
        forget_person(uid_of(request), USER)
        return Response({"status": "ok"})

    @extend_schema(
        parameters=[OpenApiParameter("person_id", str)], responses={200: {"type": "array", "items": {"type": "string"}}}
    )
    def samples(self, request: Request) -> Response:
        """Links to the samples that were learned from memories, of the user or of a person."""
        person_id = _person_id(request)
        learned = VoiceSample.objects.filter(
            uid=uid_of(request), person_id=person_id, source=VoiceSample.Source.SEGMENT
        ).exclude(status=VoiceSample.Status.REMOVED)
        return Response([url for sample in learned if (url := sample_url(request, sample))])

    @extend_schema(
        parameters=[
            OpenApiParameter("memory_id", str, required=True),
            OpenApiParameter("segment_idx", int, required=True),
            OpenApiParameter("person_id", str),
        ],
        responses={200: Status, 404: Detail, 422: Detail},
    )
    def remove_sample(self, request: Request) -> Response:
        """Take out what was learned from one segment. 200 also where nothing was."""
        person_id = _person_id(request)
        memory_id, index = request.query_params.get("memory_id", ""), request.query_params.get("segment_idx", "")
        if not memory_id or not index.isdecimal() or len(index) > 9:
            raise Refused(422, "invalid", "memory_id and segment_idx are needed.")
        for sample in VoiceSample.objects.filter(
            uid=uid_of(request), person_id=person_id, memory_id=memory_id, segment_index=int(index)
        ).exclude(status=VoiceSample.Status.REMOVED):
            gallery.remove_sample(sample, reason="removed by the user")
        return Response({"status": "ok"})


def uploaded(request: Request, done: Enrolment) -> dict[str, object]:
    """Return the answer after an enrolment: the sample and its address, the profile's version, the quality."""
    return Uploaded(
        url=sample_url(request, done.sample),
        sample_id=str(done.sample.id),
        profile_version=done.profile.number,
        quality=done.quality.as_json(),
    ).model_dump(mode="json")


def consent_of(request: Request) -> str:
    """The version of the consent text that the client showed; the current one where it does not say."""
    given = request.data.get("consent_version") if hasattr(request.data, "get") else None
    return str(given)[:32] if given else enrolment.CONSENT_VERSION


def sample_audio(request: HttpRequest, token: str) -> HttpResponseBase:
    """The audio behind a signed link; the token is the permission, as in a bucket's signed address."""
    name = read_token(token)
    try:
        if name is None:
            raise AudioNotFound(token)
        file = audio.open(name)
    except AudioNotFound:
        return JsonResponse({"detail": "Not Found"}, status=404)
    response = sent(file, content_type="audio/wav")
    response["Cache-Control"] = "private, no-store"
    return response


def _profile_sample(uid: str) -> VoiceSample | None:
    accepted = VoiceSample.objects.filter(uid=uid, person_id=USER, status=VoiceSample.Status.ACCEPTED).exclude(audio="")
    return accepted.filter(source=VoiceSample.Source.PROFILE).last() or accepted.last()


def _status(request: Request) -> ProfileStatus:
    uid = uid_of(request)
    samples = list(VoiceSample.objects.filter(uid=uid, person_id=USER).exclude(status=VoiceSample.Status.REMOVED))
    accepted = [sample for sample in samples if sample.status == VoiceSample.Status.ACCEPTED]
    profile = ProfileVersion.objects.filter(uid=uid, person_id=USER, active=True).order_by("-created_at").first()
    consent = VoiceConsent.objects.filter(uid=uid, person_id=USER, withdrawn_at=None).order_by("-given_at").first()
    main = _profile_sample(uid)
    return ProfileStatus(
        has_profile=bool(accepted),
        duration_seconds=float(sum(sample.seconds for sample in accepted)),
        sample_count=len(accepted),
        url=sample_url(request, main) if main else None,
        learned_count=sum(sample.source == VoiceSample.Source.SEGMENT for sample in accepted),
        candidates=len(samples) - len(accepted),
        profile_version=profile.number if profile else None,
        engine=profile.engine if profile else None,
        engine_version=profile.engine_version if profile else None,
        updated_at=profile.created_at if profile else None,
        consent_version=consent.version if consent else None,
        consent_given_at=consent.given_at if consent else None,
    )


def _person_id(request: Request) -> str:
    """The query's person; the string ``null`` means the user, as the app sends it. Raises PersonNotFound."""
    given = request.query_params.get("person_id") or ""
    if given in ("", "null"):
        return USER
    return people.get_person(uid_of(request), given).id
