"""Languages of the Whisper models (openai/whisper, tokenizer.py): two letters, three where there are no two."""

from __future__ import annotations

WHISPER = frozenset(
    """
        en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi
        ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd
        gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue
    """.split()
)


def base(language: str | None) -> str | None:
    """``en`` for ``en-US``; None where the vendor shall find out by itself."""
    return None if language in (None, "", "multi") else language.split("-")[0].lower()
