"""What speech recognisers write where nobody speaks: phrases that their training texts had over silence and music.

A signal, never the judge: all of them are said by people, too. They count only where no speech lies under them
(``acceptance``), and make a smaller share of such words enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from memories.pipeline.rules.tokens import tokens_in

_PHRASES: Final = {
    "en": "thank you for watching|thanks for watching|thank you so much for watching|please subscribe|"
    "like and subscribe|subscribe to my channel|see you in the next video|thank you|thank you very much|"
    "subtitles by the amara org community|transcription by castingwords",
    "de": "untertitel im auftrag des zdf|untertitelung des zdf|untertitel der amara org community|"
    "vielen dank fürs zuschauen|danke fürs zuschauen|bis zum nächsten mal|vielen dank",
    "fr": "sous titres réalisés par la communauté d'amara org|sous titrage st 501|merci d'avoir regardé cette vidéo|"
    "merci d'avoir regardé|abonnez vous|merci",
    "es": "subtítulos realizados por la comunidad de amara org|subtítulos por la comunidad de amara org|"
    "gracias por ver el video|gracias por ver|suscríbete|suscríbete al canal|gracias",
    "it": "sottotitoli creati dalla comunità amara org|sottotitoli e revisione a cura di qtss|grazie per la visione|"
    "grazie per aver guardato il video|iscrivetevi al canale|grazie",
    "pt": "legendas pela comunidade amara org|obrigado por assistir|obrigada por assistir|inscreva se no canal|"
    "até o próximo vídeo|obrigado",
    "nl": "ondertitels ingediend door de amara org gemeenschap|ondertiteld door de amara org gemeenschap|"
    "bedankt voor het kijken|tot de volgende keer|dank u wel",
    "sv": "textning stina hedin www btistudios com|undertexter från amara org gemenskapen|tack för att ni tittade|"
    "tack för att du tittade|prenumerera|tack",
    "da": "danske tekster af nicolai winther|undertekster af amara org fællesskabet|tak fordi i så med|"
    "tak fordi du så med|tak",
    "no": "undertekster av ai media|teksting av nicolai winther|takk for at du så på|takk for at dere så på|takk",
    "fi": "tekstitys amara org yhteisö|kiitos kun katsoit|kiitos katsomisesta|tilaa kanava|kiitos",
    "pl": "napisy stworzone przez społeczność amara org|dziękuję za oglądanie|dzięki za oglądanie|"
    "zapraszam do subskrypcji|dziękuję",
    "cs": "titulky vytvořil johnyx|titulky vytvořila komunita amara org|děkuji za sledování|děkujeme za sledování|"
    "děkuji",
    "tr": "altyazı m k|izlediğiniz için teşekkürler|izlediğiniz için teşekkür ederim|abone olmayı unutmayın|"
    "teşekkürler",
    "ro": "vă mulțumesc pentru vizionare|mulțumesc pentru vizionare|nu uitați să vă abonați|mulțumesc",
    "hu": "köszönöm hogy megnézted|köszönöm a figyelmet|iratkozz fel|köszönöm",
    "id": "terima kasih telah menonton|terima kasih sudah menonton|jangan lupa subscribe|terima kasih",
    "ru": "субтитры сделал dimatorzok|субтитры создавал dimatorzok|редактор субтитров а семкин корректор а егорова|"
    "продолжение следует|спасибо за просмотр|подписывайтесь на канал|спасибо",
    "ja": "ご視聴ありがとうございました|ご覧いただきありがとうございます|チャンネル登録お願いします",
    "zh": "请不吝点赞订阅转发打赏支持明镜与点点栏目|字幕由amara org社区提供|谢谢观看|感谢观看|谢谢大家",
}
"""By language, as ``tokens`` reads them; several of one language are divided by ``|``."""

LANGUAGES: Final = frozenset(_PHRASES)


_KNOWN: Final = sorted(
    {tuple(tokens_in(phrase)) for listed in _PHRASES.values() for phrase in listed.split("|")}, key=len, reverse=True
)


def known(words: Sequence[str]) -> int:
    """How many of ``words`` stand in one of the phrases, whole; the longest phrase at a place counts."""
    found, at = 0, 0
    while at < len(words):
        size = next((len(item) for item in _KNOWN if tuple(words[at : at + len(item)]) == item), 0)
        found += size
        at += size or 1
    return found
