"""How people ask to be reminded of something, in the languages that speech is transcribed in: such a talk is kept.

Rather one phrase too few than one that stands in every talk: what is not found here is judged by the usual rules, and
never discarded for its length alone. Apostrophes are straight and letters small when these are looked for.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from memories.structuring.words import MAX_CHARACTERS
from memories.wording import composed

PIECE: Final = 4000
"""Characters that are looked through at a time: what a phrase that does not end costs has an end."""
OVERLAP: Final = 200
"""Characters that two pieces share: no phrase is longer."""

_APOSTROPHES: Final = re.compile("[\u2018\u2019\u201b\u02bc\u02b9\u00b4\u0060\uff07]")

_PHRASES: Final = {
    "en": r"remind|remember|note\s+to\s+self"
    r"|(?:don't|dont|do\s+not|mustn't|must\s+not|never)\s+(?:let\s+me\s+)?forget"
    r"|set\s+(?:me\s+)?(?:an?\s+|the\s+|my\s+)?(?:alarm|timer)|wake\s+me"
    r"|(?:put|add)\s+(?:it|that|this)\s+(?:on|to)\s+my|(?:on|to)\s+my\s+(?:shopping\s+|to-?do\s+)?list",
    "de": r"erinner\w*|(?:nicht|nie)\s+(?:zu\s+)?vergessen|vergiss\s+(?:\w+\s+){0,4}nicht"
    r"|(?:den\s+|einen\s+)?wecker\s+(?:\w+\s+){0,3}stell|stell\w*\s+(?:\w+\s+){0,3}wecker|weck\s+mich"
    r"|denk\w*\s+(?:bitte\s+)?(?:daran|dran)",
    "fr": r"rappel\w*|n'oubli\w*|(?:pas|ne\s+pas)\s+oublier|souviens"
    r"|(?:mets|mettre|règle|régler)\s+(?:\w+\s+){0,3}(?:réveil|alarme|minuteur)|réveille-?\s*moi",
    "es": r"recu[eé]rda\w*|recordar\w*|recordatorio|no\s+(?:me\s+|te\s+|se\s+|nos\s+)?olvid\w*"
    r"|no\s+se\s+(?:me|te|nos)\s+olvid\w*|pon\w*\s+(?:\w+\s+){0,2}(?:alarma|despertador|temporizador)"
    r"|despiértame",
    "pt": r"lembr\w*|não\s+(?:me\s+|te\s+|se\s+)?esque\w*"
    r"|(?:põe|coloca|colocar|pôr|ponha)\s+(?:\w+\s+){0,2}(?:alarme|despertador)|acorda-?\s*me",
    "it": r"ricord\w*|promemoria|non\s+(?:ti\s+|mi\s+)?(?:dimentic|scord)\w*"
    r"|(?:metti|imposta|mettere|impostare)\s+(?:\w+\s+){0,2}(?:sveglia|allarme|timer)|svegliami",
    "ca": r"recorda'?m|recorda\w*|no\s+(?:t'|em\s+|et\s+)?oblid\w*",
    "gl": r"lémbra\w*|non\s+(?:te\s+)?esquez\w*",
    "nl": r"herinner\w*|(?:niet|nooit)\s+(?:te\s+)?vergeten|vergeet\s+(?:\w+\s+){0,4}niet"
    r"|(?:zet|stel)\s+(?:\w+\s+){0,3}(?:wekker|alarm|timer)|wek\s+me|maak\s+me\s+wakker",
    "sv": r"påminn\w*|glöm\s+(?:\w+\s+){0,2}(?:inte|ej)|kom\s+ihåg"
    r"|(?:ställ|sätt)\s+(?:\w+\s+){0,2}(?:klocka|alarm|larm|väckarklocka)\w*|väck\s+mig",
    "da": r"(?:påmind|mind)\s+mig|påmind\w*|glem\s+(?:\w+\s+){0,2}ikke|husk\s+(?:at|mig|lige|nu|også)"
    r"|(?:stil|sæt)\s+(?:\w+\s+){0,2}(?:alarm|vækkeur)\w*|væk\s+mig",
    "no": r"minn\s+meg|påminn\w*|glem\s+(?:\w+\s+){0,2}ikke|husk\s+(?:å|på|meg|også)"
    r"|(?:still|sett)\s+(?:\w+\s+){0,2}(?:alarm|vekkerklokk)\w*|vekk\s+meg",
    "fi": r"muistut\w*|muista\w*|älä\s+unohda|(?:aseta|laita)\s+(?:\w+\s+){0,2}(?:herätys|hälytys|ajastin)\w*"
    r"|herätä\s+minut",
    "pl": r"przypomn\w*|przypominaj\w*|pamiętaj\w*|nie\s+zapomn\w*|nie\s+zapomin\w*"
    r"|(?:ustaw|nastaw)\w*\s+(?:\w+\s+){0,2}(?:budzik|alarm|minutnik)\w*|obudź\s+mnie",
    "cs": r"připome\w*|připomín\w*|nezapome\w*|pamatuj\w*|nastav\w*\s+(?:\w+\s+){0,2}(?:budík|alarm|minutk)\w*"
    r"|vzbuď\s+mě",
    "sk": r"pripome\w*|pripomín\w*|nezabud\w*|pamätaj\w*|nastav\w*\s+(?:\w+\s+){0,2}(?:budík|alarm)\w*|zobuď\s+ma",
    "sl": r"opomni\w*|spomni\w*|ne\s+pozabi\w*|nastavi\w*\s+(?:\w+\s+){0,2}budilk\w*",
    "hr": r"podsjeti\w*|podsjetnik\w*|nemoj\s+(?:da\s+)?zaborav\w*|ne\s+zaborav\w*|zapamti\w*|podseti\w*"
    r"|podsetnik\w*|(?:navij|postavi)\s+(?:\w+\s+){0,2}(?:alarm|budilic)\w*",
    "ro": r"aminte\w*|reaminte\w*|nu\s+uita\w*|să\s+nu\s+(?:uit|uiți|uităm)\w*"
    r"|(?:pune|setează)\s+(?:\w+\s+){0,2}(?:alarm|deșteptăto)\w*",
    "hu": r"emlékeztess\w*|emlékeztető\w*|ne\s+felejts\w*|el\s+ne\s+felejts\w*"
    r"|állíts\w*\s+(?:be\s+)?(?:\w+\s+){0,2}(?:ébresztő|riasztás)\w*",
    "tr": r"hatırlat\w*|unutma\w*|alarm\w*\s+(?:kur|ayarla)\w*|beni\s+uyandır",
    "id": r"ingatkan\w*|pengingat|jangan\s+(?:sampai\s+)?lupa|peringatkan|(?:pasang|setel)\s+(?:\w+\s+){0,2}alarm"
    r"|bangunkan\s+saya",
    "vi": r"nhắc\s+(?:tôi|mình|em|anh|chị|nhở)|đừng\s+quên|đặt\s+báo\s+thức|nhớ\s+(?:mua|gọi|làm|mang|đi)",
    "et": r"tuleta\s+(?:mulle\s+)?meelde|meeldetuletus\w*|ära\s+unusta",
    "lv": r"atgādin\w*|neaizmirst\w*",
    "lt": r"primin\w*|nepamiršk\w*|neužmiršk\w*",
    "el": r"θύμισ[εέ]\w*|υπενθύμι\w*|υπενθυμ\w*|μην?\s+ξεχάσ\w*|μην?\s+ξεχν\w*|βάλε\s+(?:\w+\s+){0,2}ξυπνητήρι",
    "ru": r"напомн\w*|напомин\w*|не\s+забудь\w*|не\s+забыть|не\s+забывай\w*"
    r"|(?:поставь|поставить|заведи|установи)\w*\s+(?:\w+\s+){0,2}(?:будильник|таймер)\w*|разбуди\s+меня",
    "uk": r"нагада\w*|нагаду\w*|не\s+забудь\w*|не\s+забути"
    r"|(?:постав|встанови|заведи)\w*\s+(?:\w+\s+){0,2}(?:будильник|таймер)\w*|розбуди\s+мене",
    "bg": r"напомни\w*|не\s+забравяй\w*|да\s+не\s+забрав\w*"
    r"|(?:сложи|настрой|навий)\s+(?:\w+\s+){0,2}(?:аларма|будилник)\w*",
    "sr": r"подсети\w*|подсетник\w*|не\s+заборав\w*|немој\s+(?:да\s+)?заборав\w*",
    "be": r"нагада\w*|напомні\w*|не\s+забудзь\w*",
}  # fmt: skip
"""Languages that put blanks between words: a phrase begins with a word."""

_UNSPACED: Final = {
    "ja": r"思い出させ|リマインド|リマインダー|忘れないで|忘れずに|忘れないよう"
    r"|(?:アラーム|目覚まし|タイマー)を?(?:セット|設定|かけ)|起こして",
    "zh": r"提醒|记得|記得|别忘|別忘|不要忘|别忘了|設(?:定)?(?:個)?鬧鐘|(?:定|设|订)(?:一?个)?闹钟|叫醒我|叫我起床",
    "ko": r"알려\s*줘|상기시켜|리마인드|잊지\s*마|잊지\s*말|까먹지\s*마|까먹지\s*말|알람.{0,4}(?:맞춰|설정)|깨워\s*줘",
    "th": r"เตือน|อย่าลืม|ตั้งปลุก|ตั้งนาฬิกาปลุก|ปลุกฉัน",
    "hi": r"याद\s*दिला|मत\s*भूल|भूलना\s*मत|न\s*भूल|अलार्म\s*(?:लगा|सेट)",
    "ar": r"ذك[ّ]?رني|ذكرني|لا\s*تنس|تذكير|اضبط\s*(?:ال)?منبه|أيقظني",
    "he": r"(?:^|\s)תזכיר|תזכורת|(?:^|\s)אל\s*תשכח|לא\s*לשכוח",
    "fa": r"یادم\s*بنداز|یادآوری|یادم\s*بیار|فراموش\s*نکن|یادت\s*نره",
    "ta": r"நினைவூட்ட|ஞாபகப்படுத்து|மறக்காதே|மறந்துவிடாதே",
}
"""Scripts without blanks, and those whose words take prefixes or marks that break a word for ``\\b``."""


@cache
def _reminder() -> re.Pattern[str]:
    """Forty languages: compiled at the first text, and not by every process that starts."""
    return re.compile(r"\b(?:" + "|".join(_PHRASES.values()) + r")|(?:" + "|".join(_UNSPACED.values()) + ")")


def asks_to_be_reminded(text: str) -> bool:
    """Whether somebody asks, in any of these languages, to be reminded of something or not to let it be forgotten."""
    plain = _APOSTROPHES.sub("'", composed(" ".join(text[:MAX_CHARACTERS].split()))).casefold()
    return any(_reminder().search(plain, max(0, at - OVERLAP), at + PIECE) for at in range(0, len(plain), PIECE))
