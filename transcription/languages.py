"""Which languages each vendor hears: two letters, three where there are no two. Language decides who is asked.

The lists belong to the vendors' models and grow. A language that is missing here is not sent to that vendor; one that a
vendor has dropped is refused by it by name (HTTP 400 or ``invalid_language``), and another vendor goes on.
"""

from __future__ import annotations

DEEPGRAM = frozenset(
    """
        be bg bn bs ca cs da de el en es et fi fr hi hr hu id it ja kn ko lt lv mk mr ms nl no pl pt ro ru sk sl sr sv
        ta te th tl tr uk vi zh
    """.split()
)
"""Nova-3, live and pre-recorded alike (Deepgram, changelog up to 31 March 2026)."""

DEEPGRAM_REGIONS = frozenset(
    """
        da-DK de-CH en-AU en-GB en-IN en-NZ en-US es-419 fr-CA ko-KR nl-BE pt-BR pt-PT sv-SE th-TH zh-CN zh-HK zh-Hans
        zh-Hant zh-TW
    """.split()
)
"""The codes with a region or script that Nova-3 takes. It refuses any other one with HTTP 400 (same source)."""

SONIOX = frozenset(
    """
        af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr gl gu he hi hr hu id it ja kk kn ko lt lv mk ml mr
        ms nl no pa pl pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur vi zh
    """.split()
)
"""One model hears all of them; they are given as hints (Soniox, "Supported languages", November 2026)."""

SPEECHMATICS = frozenset(
    """
        ar ba be bg bn ca cs cy da de el en eo es et eu fa fi fr ga gl he hi hr hu ia id it ja ko lt lv mn mr ms mt nl
        no pl pt ro ru sk sl sv sw ta th tl tr ug uk ur vi yue zh
    """.split()
)
"""One language pack each (Speechmatics, documentation, "Languages", as of 13 August 2026; Mandarin is ``cmn`` there,
and ``tl`` hears English too). What an account may use depends on its contract."""

WHISPER = frozenset(
    """
        en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi
        ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd
        gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue
    """.split()
)
"""openai/whisper, ``tokenizer.py``; fal's WhisperX and the local Whisper models."""


def base(language: str | None) -> str | None:
    """Return a language without its region, ``en`` for ``en-US``; None where the vendor shall find out by itself."""
    return None if language in (None, "", "multi") else language.split("-")[0].lower()
