"""German."""

from __future__ import annotations

import re
from datetime import time

from memories.structuring.tongues.base import Tongue, compiled, either

_UNITS = """
null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn
neunzehn zwanzig einundzwanzig zweiundzwanzig dreiundzwanzig vierundzwanzig fünfundzwanzig sechsundzwanzig
siebenundzwanzig achtundzwanzig neunundzwanzig dreißig einunddreißig
""".split()
_ORDINALS = {
    "erst": 1, "dritt": 3, "siebt": 7, "acht": 8,
    **{f"{word}t": value for value, word in enumerate(_UNITS) if value in (2, 4, 5, 6, *range(9, 20))},
    **{f"{word}st": value for value, word in enumerate(_UNITS) if value >= 20},
}  # fmt: skip
_ORDINAL_WORDS = {f"{word}{end}": value for word, value in _ORDINALS.items() for end in ("e", "en", "er")}
NUMBERS = {
    **{word: value for value, word in enumerate(_UNITS)},
    **_ORDINAL_WORDS,
    "ein": 1, "eine": 1, "einen": 1, "einem": 1, "einer": 1, "zwo": 2, "vierzig": 40, "fünfzig": 50, "dreissig": 30,
    "fünfundvierzig": 45,
}  # fmt: skip
_CARDINAL = rf"(?:\d{{1,4}}|{either({word: 0 for word in NUMBERS if word not in _ORDINAL_WORDS})})"
_ORDINAL = rf"(?:\d{{1,2}}\.|{either(_ORDINAL_WORDS)})"
WEEKDAYS = {
    "montag": 0, "dienstag": 1, "mittwoch": 2, "donnerstag": 3, "freitag": 4, "samstag": 5, "sonnabend": 5, "sonntag": 6,
}  # fmt: skip
MONTHS = {
    "januar": 1, "jänner": 1, "februar": 2, "märz": 3, "april": 4, "mai": 5, "juni": 6, "juli": 7, "august": 8,
    "september": 9, "oktober": 10, "november": 11, "dezember": 12,
}  # fmt: skip
WORDS = {"übermorgen": 2, "morgen": 1, "heute": 0}
_PARTS = {
    "früh": (time(8), "am"), "vormittag": (time(10), "am"), "morgens": (time(8), "am"), "mittag": (time(12), "pm"),
    "nachmittag": (time(15), "pm"), "abend": (time(19), "pm"), "nacht": (time(22), "pm"),
}  # fmt: skip
_BY_DAY = {f"{name}s": value for name, value in _PARTS.items() if name not in ("früh", "morgens")}

_VERBS = {
    "schicke": "schicken", "schick": "schicken", "sende": "senden", "rufe": "rufen", "ruf": "rufen", "kaufe": "kaufen",
    "kauf": "kaufen", "bringe": "bringen", "bring": "bringen", "schreibe": "schreiben", "schreib": "schreiben",
    "besorge": "besorgen", "hole": "holen", "hol": "holen", "kümmere": "kümmern", "buche": "buchen", "buch": "buchen",
    "bestelle": "bestellen", "bestell": "bestellen", "prüfe": "prüfen", "kläre": "klären", "melde": "melden",
    "frage": "fragen", "frag": "fragen", "bezahle": "bezahlen", "überweise": "überweisen", "reserviere": "reservieren",
    "bereite": "bereiten", "reiche": "reichen", "fülle": "füllen", "lade": "laden", "gebe": "geben", "gib": "geben",
    "repariere": "reparieren", "organisiere": "organisieren", "backe": "backen", "koche": "kochen", "leite": "leiten",
    "mache": "machen", "mach": "machen", "nimm": "nehmen", "nehme": "nehmen", "stelle": "stellen",
}  # fmt: skip
_PREFIXES = "an ab auf aus ein mit nach vor zu zurück weiter um fertig vorbei weg".split()
_INFINITIVE = r"(?!(?:einen|keinen|meinen|deinen|seinen|ihren|unseren|den|wegen|morgen|gegen|wen|denen|neuen|guten|ganzen|nächsten|kommenden|alten|kleinen|großen|ersten|zweiten|letzten)\b)\w{2,}(?:en|ern|eln|un)"

GERMAN = Tongue(
    code="de",
    numbers=NUMBERS,
    date=compiled(
        r"\b(?P<lead>(?:(?:am|an dem|bis zum|bis|vor dem|vor|vom|ab|seit|nach|zum|für) )?)(?:den |dem )?"
        rf"(?:(?P<which>nächsten|nächste|nächster|kommenden|diesen|dieser|letzten|vergangenen|jeden) )?"
        rf"(?:(?P<weekday>{either(WEEKDAYS)})(?=\b|vormittag|nachmittag|abend|nacht|mittag)"
        rf"|(?P<day>{_ORDINAL}) ?(?P<month>{either(MONTHS)}|\d{{1,2}}\.)(?: (?P<year>20\d\d))?"
        r"|(?P<iso>20\d\d-\d\d-\d\d)"
        rf"|(?P<word>übermorgen|(?<!guten )(?<!am )(?<!jeden )(?<!heute )morgen|heute|gestern|vorgestern)\b"
        rf"|(?P<span>in|innerhalb von) (?P<count>(?:einer halben|anderthalb|eineinhalb|{_CARDINAL})(?: einhalb)?)"
        r" (?P<unit>minute|stunde|tag|woche|monat|jahr)(?:n|en|e)?\b)"
    ),
    deadlines=frozenset({"bis", "bis zum", "vor", "vor dem"}),
    since=frozenset({"ab", "seit", "nach", "vom"}),
    following=frozenset({"nächsten", "nächste", "nächster"}),
    skipped=frozenset({"letzten", "vergangenen", "jeden"}),
    weekdays=WEEKDAYS,
    months=MONTHS,
    words=WORDS,
    units={"minute": "minute", "stunde": "hour", "tag": "day", "woche": "week", "monat": "month", "jahr": "year"},
    clocks=(
        compiled(
            rf"\b(?:(?:um|gegen|ab|bis) )?(?P<relation>halb|viertel nach|viertel vor|dreiviertel|zehn nach|zehn vor"
            rf"|fünf nach|fünf vor) (?P<hour>{_CARDINAL})\b(?: uhr)?"
        ),
        compiled(r"\b(?:(?:um|gegen|ab|bis) )?(?P<hour>\d{1,2})[:.](?P<minute>\d\d)\b(?: uhr)?"),
        compiled(rf"\b(?:(?:um|gegen|ab|bis) )?(?P<hour>{_CARDINAL}) uhr(?: (?P<minute>{_CARDINAL}))?\b"),
        compiled(
            rf"\b(?:um|gegen) (?P<hour>{_CARDINAL})\b(?! ?(?:%|prozent|euro|leute|grad|jahre|tage|wochen|stunden|minuten))"
        ),
        compiled(r"\b(?:um |gegen )(?P<named>mitternacht)\b"),
    ),
    relations={
        "halb": -30,
        "viertel nach": 15,
        "viertel vor": -15,
        "dreiviertel": -15,
        "zehn nach": 10,
        "zehn vor": -10,
        "fünf nach": 5,
        "fünf vor": -5,
    },
    halves={},
    named={"mitternacht": time(0)},
    part=compiled(rf"(?:\b(?:am )?|(?<=tag)|(?<=woch))(?P<part>{either({**_PARTS, **_BY_DAY})})\b"),
    parts={**_PARTS, **_BY_DAY},  # type: ignore[dict-item]
    period=compiled(
        r"\b(?:bis |vor |am )?(?:zum )?ende (?:der |des |dieser |dieses )?(?P<end>woche|monats|tages|jahres)\b"
        r"|\b(?P<whole>diese|diesen|nächste|nächsten|kommende) (?P<what>woche|monat)\b"
    ),
    periods={"woche": "week", "monats": "month", "monat": "month", "tages": "day", "jahres": "year"},
    lasts=compiled(
        rf"\b(?:für |etwa )?(?P<count>eine halbe|anderthalb|{_CARDINAL}) (?P<unit>stunde|minute)n?\b (?:lang|dauer)"
    ),
    evening=compiled(r"\b(?:abendessen|heute abend|kino|konzert|feier|party|nachmittag|abend)\b"),
    commitment=compiled(
        r"\b(?P<who>ich|wir) (?:werden?|muss|müssen|soll|sollen|sollte|sollten|kann|können)"
        r"(?: (?:dann|noch|auch|mal|gleich|unbedingt|sofort|einfach|ja|aber|dir|ihnen|euch))* (?P<what>.+)"
        rf"|\b(?P<who2>ich) (?P<verb>{either(_VERBS)})(?: (?:dann|noch|auch|mal|gleich|mich|dir|ihnen|euch))* (?P<what2>.+)"
        rf"|\b(?P<verb3>{either(_VERBS)}) (?P<who3>ich)(?: (?:dann|noch|auch|mal|gleich|mich|dir|ihnen|euch))* (?P<what3>.+)"
    ),
    request=compiled(
        r"(?:\b(?:kannst|könntest|würdest) du(?: bitte| mal| noch| auch)*|\b(?:können|könnten|würden) sie(?: bitte| mal| noch| auch)*"
        r"|\b(?:du musst|du solltest|sie müssen|sie sollten|sie sollen|du sollst)(?: bitte| noch| auch| unbedingt)*"
        r"|\bvergiss (?:bitte )?nicht,?|\bdenk (?:bitte )?(?:daran|dran),?|\bdenken sie (?:bitte )?(?:daran|dran),?"
        r"|\berinner(?:e)? mich (?:bitte )?(?:daran|dran),?) (?P<what>.+)"
        rf"|\b(?:bitte )?(?P<verb>{either({word: 0 for word in _VERBS if not word.endswith('e')})}) (?:bitte )(?:noch |mal |auch )*(?P<what2>.+)"
        rf"|\bbitte (?P<verb3>{either({word: 0 for word in _VERBS if not word.endswith('e')})}) (?:noch |mal |auch )*(?P<what3>.+)"
    ),
    remind_me=compiled(r"\berinner(?:e)? mich "),
    task=compiled(rf"{_INFINITIVE}$"),
    idle=compiled(
        r".*\b(?:sein|haben|werden|sehen|sagen|wissen|denken|glauben|hoffen|gehen|verstehen|können|müssen|vorstellen|warten|reden|sprechen|freuen)$"
    ),
    unreal=compiled(
        r"\b(?:wenn|falls|ob|nicht mehr|vielleicht|eventuell|nie|kein|keine|keinen|könnte man|hätte|hätten|wäre|(?<!vergiss )(?<!bitte )nicht"
        r"|(?:wie|warum|wieso|weshalb|was|wen|wem|wo|woher|wohin)"
        r" (?:(?:kannst|könntest|würdest) du|(?:können|könnten|würden) sie))\b"
    ),
    reasons=compiled(r",? (?:weil|damit|denn|sonst|aber)\b.*"),
    pronouns=frozenset("es sie ihn ihm das die den".split()),
    accepts=compiled(
        r"(?:(?:äh|ähm|oh|gut|und) )?(?:ja|okay|ok|klar|natürlich|gerne?|mach ich|mache ich|in ordnung|alles klar|sicher|ich werde)\b"
    ),
    verb_last=True,
    alone=compiled(r"ich\b"),
    past=compiled(
        r"\b(?:war|waren|hatte|hatten|gestern|letzte[nrs]?|vorige[nrs]?|vergangene[nrs]?|wurde|wurden|ging|gingen|kam|kamen)\b"
    ),
    cancelled=compiled(r"\b(?:abgesagt|fällt aus|ausgefallen|nicht|kein|keine|keinen|vielleicht|wenn|falls)\b"),
    happening=compiled(
        r"\b(?:\w*termin|\w*treffen|\w*besprechung|meeting|\w*prüfung|klausur|\w*konzert|\w*abend(?:essen)|mittagessen|hochzeit|\w*feier"
        r"|geburtstag|\w*party|zug|flug|vorlesung|seminar|unterricht|\w*kurs|vorstellungsgespräch|untersuchung|operation|\w*spiel|reise|ausflug"
        r"|fliegen|fliege|trifft|treffe|elternabend|beerdigung|taufe|konferenz|führung|training)\b"
    ),
    happening_at_a_clock=compiled(r"\b(?:bus|film|kino|besuch|beginnt|fängt|kommt|handwerker|lieferung|abholen)\b"),
    hour_long=compiled(
        r"\b(?:\w*termin|treffen|besprechung|meeting|abendessen|mittagessen|vorlesung|unterricht|\w*kurs)\b"
    ),
    links=frozenset("mit bei beim in im nach zu zum zur für über von vom an der des in der wegen".split()),
    breaks=frozenset(
        "und aber oder weil dass der die das ist sind war um wird geht beginnt fängt fährt wo wenn kommt hat haben".split()
    ),
    edges=frozenset(
        "ein eine einen einem der die das den dem mein meine meinen unser unsere unseren dein deine ihr ihre am an um im in bei ich wir habe haben "
        "ist sind und also ja nein okay dann es gibt zum zur beim mit für nächsten nächste wieder noch auch hab".split()
    ),
    determiners=frozenset(
        "der die das den dem des ein eine einen einem einer mein meine meinen meiner unser unsere unseren dein deine ihr ihre"
        " im am zum zur vom beim neue neuen neuer neues".split()
    ),
    verbs=frozenset(),
    introduces=compiled(r"\b(?:ich heiße|mein name ist|hier ist|hier spricht) (?P<name>(?-i:[A-ZÄÖÜ])[\w'-]+)"),
    clause=compiled(
        r"(?:[,;:]|(?<=[a-zäöüß0-9])(?= (?:und|aber|also|dann) )) ?(?=(?:(?:und|aber|also|dann|ja|okay|gut|nein) )*"
        r"(?:ich|wir|du|er|sie|es|das|der|die|bitte|kannst|könntest|können|könnten|vergiss|denk|erinner|wie|was|mein|meine|unser)\b)"
    ),
    fillers=compiled(
        r", (?:ähm+|äh+|öh+|hm+|mhm|na ja),(?= )|(?:(?<=^)|(?<= ))(?:ähm+|äh+|öh+|hm+|mhm|sozusagen|quasi|na ja)(?:,|\b)(?: |$)"
    ),
    corrections=compiled(
        r"(?<![ ,.;—–-])[ ,.;—–-]++(?:nein,? warte?|äh,? nein|nein,? quatsch|besser gesagt|nein,? entschuldigung|ach nein)[ ,.;—–-]+"
        r"|[,.;—–-] ?(?:quatsch|ich meine|vielmehr|entschuldigung|nein) ?[,;—–-] ?"
    ),
    hedges=frozenset("halt so also eben irgendwie eigentlich quasi sozusagen ähm äh ja nein naja vielleicht".split()),
    asks=compiled(
        r"(?:(?:und|aber|also|ja|gut|okay),? )*(?:(?:wer|wem|wen|wessen|was|wo|wohin|woher|wann|warum|wieso|weshalb|welche[rsnm]?) (?:ist|sind|war"
        r"|hat|haben|habt|hast|kann|können|kannst|könnt|soll|sollen|sollte|muss|müssen|will|wollen|willst|wird|werden|macht|machen|kommt|kommen|geht)\b"
        r"|wie (?:viele?|lange|oft|geht|ist|sind|war|hat|kann|können|wird|soll)\b"
        r"|(?:hast|bist|kannst|könntest|willst|möchtest|musst|wirst|habt|seid|könnt|wollt) (?:du|ihr)\b)"
    ),
    personal=compiled(r"\b(?:ich|mich|mir|mein\w*|wir|uns|unser\w*|du|dich|dir|dein\w*|ihr|euch|euer\w*|sie)\b"),
)

_ZU = re.compile(rf"\b(?:zu (\w+en|\w+ern|\w+eln)|({'|'.join(_PREFIXES)})zu(\w+en))$")


def infinitive(verb: str, what: str) -> str:
    """Return a task with its verb in the infinitive: ``rufe``, ``morgen den Arzt an`` as ``morgen den Arzt anrufen``;
    ``Blumen zu kaufen`` as ``Blumen kaufen``."""
    if not verb:
        return _ZU.sub(lambda found: found[1] or f"{found[2]}{found[3]}", what)
    head, _, last = what.rpartition(" ")
    base = _VERBS[verb.casefold()]
    return f"{head} {last}{base}" if head and last in _PREFIXES else f"{what} {base}"
