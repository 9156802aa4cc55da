"""The catalogue of endings: what a person is told, who can do something, and whether trying again makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from omi.core.errors import ErrorKind, Outcome, OwnFault, ProviderError, StoreError
from omi.core.vendor_errors import BROKEN, key_refused

Fault = Literal["nobody", "user", "vendor", "configuration", "ours"]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the catalogue. ``header`` and ``sentence`` are for the user of the app, ``what_to_do`` for whoever
    ``fault`` names."""

    id: str
    header: str
    sentence: str
    what_to_do: str
    fault: Fault
    outcome: Outcome
    retryable: bool = False


_ALL = (
    Message("success", "Done", "The memory was processed.", "Nothing.", "nobody", Outcome.SUCCESS),
    Message(
        "kept_live_transcript",
        "Done",
        "The new transcript was not better, so the one you had is still shown.",
        "Nothing. Both transcripts are kept; another one can be activated.",
        "nobody",
        Outcome.SUCCESS,
    ),
    Message(
        "summary_by_rules",
        "Done, with a simple summary",
        "The memory was kept. Its summary was made by simple rules, because the language model could not be used.",
        "See why in the structure step; retry when the language model can be used again.",
        "vendor",
        Outcome.SUCCESS,
        True,
    ),
    Message(
        "summary_kept",
        "Done, with the summary you had",
        "The new transcript is shown. The summary is still the one you had: the language model did not write another.",
        "See why in the structure step; another model may write one.",
        "vendor",
        Outcome.SUCCESS,
        True,
    ),
    Message(
        "emotions_missing",
        "Done, without emotions",
        "The memory was processed. How it was said could not be measured.",
        "See why in the emotions step; retry when the service can be used again.",
        "vendor",
        Outcome.SUCCESS,
        True,
    ),
    Message(
        "expected_silence",
        "Nobody speaks",
        "No speech was found in the recording.",
        "Nothing. If somebody does speak in it, move the device closer and record again.",
        "nobody",
        Outcome.EXPECTED_SILENCE,
    ),
    Message(
        "silence_kept_transcript",
        "Nobody speaks",
        "No speech was found in the recording, so the transcript you had is still shown.",
        "Nothing. If somebody does speak in it, it may be another recording: upload the right one.",
        "nobody",
        Outcome.EXPECTED_SILENCE,
    ),
    Message(
        "empty_unexpected",
        "No words were found",
        "There is speech in the recording, but no words came back.",
        "Try again; if it stays so, try another provider.",
        "vendor",
        Outcome.EMPTY_UNEXPECTED,
        True,
    ),
    Message(
        "audio_missing",
        "The recording is gone",
        "The recording is no longer stored, so it cannot be processed again.",
        "Upload the recording again.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "audio_not_audio",
        "Not a recording",
        "The file is not audio that can be read.",
        "Upload a WAV, Ogg, MP3, M4A, FLAC or WebM file.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "audio_unknown_codec",
        "A codec that is not known",
        "The recording is coded in a way that this server cannot read.",
        "Convert it to WAV, Ogg Opus, MP3, M4A (AAC) or FLAC and upload it again.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "audio_empty",
        "The recording is empty",
        "The file holds no audio.",
        "Upload the recording again.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "audio_too_short",
        "The recording is too short",
        "The recording is too short to be processed.",
        "Upload a longer recording.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "audio_too_long",
        "The recording is too long",
        "The recording is longer than this server takes.",
        "Cut it into parts, or raise OMI_MAX_RECORDING_SECONDS.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "audio_broken",
        "The recording is damaged",
        "The recording could not be read to its end.",
        "Upload the recording again.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "nothing_to_process",
        "Nothing to process",
        "The memory holds no transcript and no recording.",
        "Nothing.",
        "user",
        Outcome.INVALID_INPUT,
    ),
    Message(
        "vendor_unavailable",
        "A service cannot be used now",
        "A service that is needed could not be reached, or was too busy.",
        "Try again later; the vendor's status page may tell more.",
        "vendor",
        Outcome.UPSTREAM_ERROR,
        True,
    ),
    Message(
        "store_unavailable",
        "It failed on our side",
        "Our storage could not be reached for hours.",
        "See which store the attempt names and bring it back, then retry.",
        "ours",
        Outcome.UPSTREAM_ERROR,
        True,
    ),
    Message(
        "vendor_rejected",
        "A service refused the request",
        "A service refused to do the work.",
        "See the attempt's detail: the input or the account must change.",
        "vendor",
        Outcome.UPSTREAM_ERROR,
        True,
    ),
    Message(
        "vendor_broken_answer",
        "A service answered nonsense",
        "A service that is needed answered, but with nothing that can be used.",
        "Try again later, or use another provider; the attempt's code says what was wrong with the answer.",
        "vendor",
        Outcome.UPSTREAM_ERROR,
        True,
    ),
    Message(
        "vendor_key_refused",
        "A service refuses our key",
        "A service that is needed does not accept the key that it was given.",
        "See with the vendor whether the key is valid and what it may be used for, set the right one, then retry.",
        "configuration",
        Outcome.CONFIG_ERROR,
        True,
    ),
    Message(
        "vendor_quota",
        "A service's limit is reached",
        "A service that is needed has reached its limit.",
        "Raise the limit or top up the account with the vendor, then retry.",
        "configuration",
        Outcome.QUOTA,
        True,
    ),
    Message(
        "vendor_timeout",
        "It took too long",
        "A service took longer than it may.",
        "Try again later.",
        "vendor",
        Outcome.TIMEOUT,
        True,
    ),
    Message(
        "not_configured",
        "Not set up",
        "A service that is needed is not set up, or not as it should be.",
        "See what the attempt names: a missing key, package or model (manage.py providers shows which), or a wrong"
        " address or name of a model. Then retry.",
        "configuration",
        Outcome.CONFIG_ERROR,
        True,
    ),
    Message(
        "language_not_supported",
        "Language not supported",
        "No configured service hears the language of this memory.",
        "Add a provider for this language to OMI_PRERECORDED, or correct the memory's language.",
        "configuration",
        Outcome.CONFIG_ERROR,
        True,
    ),
    Message(
        "worker_died",
        "It failed on our side",
        "The work was stopped several times before it could end.",
        "See the attempts: a file that crashes a decoder, or too little memory. Retry after the cause is gone.",
        "ours",
        Outcome.TIMEOUT,
        True,
    ),
    Message(
        "internal_error",
        "It failed on our side",
        "Something went wrong on our side.",
        "Look for the run's id in the logs, then retry.",
        "ours",
        Outcome.UPSTREAM_ERROR,
        True,
    ),
    Message(
        "unknown_step",
        "It failed on our side",
        "The work was planned by another version of this server.",
        "Retry: a new run is planned by this version.",
        "ours",
        Outcome.CONFIG_ERROR,
        True,
    ),
    Message(
        "canceled",
        "Canceled",
        "The work was canceled.",
        "Retry if it was not meant.",
        "user",
        Outcome.CANCELED,
        True,
    ),
    Message(
        "memory_gone",
        "The memory was deleted",
        "The memory was deleted, so nothing was written.",
        "Nothing.",
        "user",
        Outcome.CANCELED,
    ),
    Message(
        "superseded",
        "Replaced",
        "A newer recording took the place of this one while it stood in line.",
        "Nothing.",
        "user",
        Outcome.CANCELED,
        True,
    ),
    Message(
        "account_gone",
        "The account was deleted",
        "The account was deleted, so nothing was written.",
        "Nothing.",
        "user",
        Outcome.CANCELED,
    ),
)
CATALOGUE = {message.id: message for message in _ALL}

HEARING = frozenset({"prepare_audio", "transcribe", "emotions"})
"""Steps that hand the recording on: what they call bad input is the recording."""


def get(message_id: str) -> Message:
    """The message, or ``internal_error`` for an id that this version does not know (rows outlive versions)."""
    return CATALOGUE.get(message_id) or CATALOGUE["internal_error"]


def for_provider_error(error: ProviderError, step: str = "") -> Message:
    """The message a vendor's final failure in ``step`` ends with."""
    if isinstance(error, OwnFault):
        return CATALOGUE["internal_error"]
    if error.kind is ErrorKind.QUOTA:
        return CATALOGUE["vendor_quota"]
    if key_refused(error):
        return CATALOGUE["vendor_key_refused"]
    if error.outcome is Outcome.CONFIG_ERROR:
        return CATALOGUE["not_configured"]
    if error.outcome is Outcome.TIMEOUT:
        return CATALOGUE["vendor_timeout"]
    if error.outcome is Outcome.EMPTY_UNEXPECTED:
        return CATALOGUE["empty_unexpected"]
    if error.outcome is Outcome.INVALID_INPUT and step in HEARING:
        return CATALOGUE["audio_broken"]
    if isinstance(error, StoreError):
        return CATALOGUE["store_unavailable"]
    if error.code in BROKEN:
        return CATALOGUE["vendor_broken_answer"]
    return CATALOGUE["vendor_unavailable" if error.kind is ErrorKind.TRANSIENT else "vendor_rejected"]
