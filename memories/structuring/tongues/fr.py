"""French."""

from __future__ import annotations

from datetime import time

from memories.structuring.tongues.base import Tongue, compiled, either

_UNITS = """
zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf
vingt vingt-et-un vingt-deux vingt-trois vingt-quatre vingt-cinq vingt-six vingt-sept vingt-huit vingt-neuf trente
""".split()
NUMBERS = {
    **{word.replace("-", " "): value for value, word in enumerate(_UNITS)},
    "une": 1, "premier": 1, "1er": 1, "quarante": 40, "cinquante": 50, "trente et un": 31, "quarante cinq": 45,
}  # fmt: skip
_CARDINAL = r"(?:\d{1,4}(?:er)?|" + either(NUMBERS).replace("\\ ", "[ -]") + ")"
WEEKDAYS = {"lundi": 0, "mardi": 1, "mercredi": 2, "jeudi": 3, "vendredi": 4, "samedi": 5, "dimanche": 6}
MONTHS = {
    "janvier": 1, "février": 2, "mars": 3, "avril": 4, "mai": 5, "juin": 6, "juillet": 7, "août": 8, "septembre": 9,
    "octobre": 10, "novembre": 11, "décembre": 12,
}  # fmt: skip
WORDS = {"après-demain": 2, "demain": 1, "aujourd'hui": 0, "ce soir": 0, "cet après-midi": 0}
_INFINITIVE = r"(?:(?:l'|m'|t'|s'|le |la |les |lui |leur |vous |nous |te |me |y |en )*)\w{2,}(?:er|ir|re|oir)\b"
_IMPERATIVES = """
appelle appelez envoie envoyez achète achetez prends prenez demande demandez apporte apportez prépare préparez réserve
réservez écris écrivez vérifie vérifiez paie payez rappelle rappelez apportez note notez confirme confirmez
""".split()

FRENCH = Tongue(
    code="fr",
    numbers=NUMBERS,
    date=compiled(
        r"\b(?P<lead>(?:(?:avant le|d'ici le|d'ici|avant|jusqu'à|jusqu'au|depuis|à partir de|pour le|pour|dès|le|ce|tous les|chaque) )?)"
        rf"(?:(?P<weekday>{either(WEEKDAYS)})\b"
        rf"|(?P<day>{_CARDINAL}) (?P<month>{either(MONTHS)})\b(?: (?P<year>20\d\d))?"
        r"|(?P<iso>20\d\d-\d\d-\d\d)"
        r"|(?P<word>après-demain|demain|aujourd'hui|ce soir|cet après-midi|hier|avant-hier)\b"
        rf"|(?P<span>dans) (?P<count>(?:une demi-|une demi |{_CARDINAL}) ?)"
        r"(?P<unit>minute|heure|jour|semaine|mois|an)s?\b)(?: (?P<after>prochain|dernier|passé))?"
    ),
    deadlines=frozenset({"avant le", "d'ici le", "d'ici", "avant", "jusqu'à", "jusqu'au", "pour", "pour le"}),
    since=frozenset({"depuis", "à partir de", "dès"}),
    following=frozenset({"prochain"}),
    skipped=frozenset({"dernier", "passé", "chaque", "tous les"}),
    weekdays=WEEKDAYS,
    months=MONTHS,
    words=WORDS,
    units={"minute": "minute", "heure": "hour", "jour": "day", "semaine": "week", "mois": "month", "an": "year"},
    clocks=(
        compiled(
            rf"\b(?:(?:à|vers) )?(?P<hour>{_CARDINAL}) ?(?:heures?|h) (?P<relation>et demie|et quart|moins le quart|moins dix)\b"
        ),
        compiled(r"\b(?:(?:à|vers) )?(?P<hour>\d{1,2}) ?[h:](?P<minute>\d\d)\b"),
        compiled(
            rf"\b(?:(?:à|vers) )?(?P<hour>{_CARDINAL}) ?(?:heures?|h)(?: (?P<minute>quinze|trente|quarante-cinq|\d\d))?\b"
        ),
        compiled(r"\b(?:à )(?P<named>midi|minuit)\b"),
    ),
    relations={"et demie": 30, "et quart": 15, "moins le quart": -15, "moins dix": -10},
    halves={},
    named={"midi": time(12), "minuit": time(0)},
    part=compiled(
        r"\b(?:du |de l'|cet |le |ce |dans l'|dans la |demain )?(?P<part>matin|matinée|après-midi|soir|soirée)\b"
    ),
    parts={
        "matin": (time(9), "am"),
        "matinée": (time(10), "am"),
        "après-midi": (time(15), "pm"),
        "soir": (time(19), "pm"),
        "soirée": (time(19), "pm"),
    },
    period=compiled(
        r"\b(?:avant |d'ici |à )?(?:la )?fin (?:de |du |de l')(?:la |cette |ce )?(?P<end>semaine|mois|journée|année)\b"
        r"|\b(?P<whole>cette|ce|la) (?P<what>semaine|mois)(?: prochaine?)?\b"
    ),
    periods={"semaine": "week", "mois": "month", "journée": "day", "année": "year"},
    lasts=compiled(rf"\bpendant (?P<count>une demi-|{_CARDINAL}) ?(?P<unit>heure|minute)s?\b"),
    evening=compiled(r"\b(?:dîner|soir|soirée|concert|cinéma|après-midi|fête)\b"),
    commitment=compiled(
        r"\b(?P<who>je vais|je dois|nous devons|nous allons|on va|on doit|il faut|je peux|j'ai besoin d[e'] ?"
        r"|il faudrait|je promets de)(?: (?:aussi|juste|encore))?,? (?P<what>(?:(?:l'|m'|t'|s'|le |la |les |lui |leur |vous |nous |te |me |y |en )*)\w+(?:er|ir|re|oir)\b.*)"
    ),
    request=compiled(
        r"(?:\b(?:peux-tu|pouvez-vous|pourriez-vous|pourrais-tu|tu peux|vous pouvez|tu dois|vous devez|tu devrais|vous devriez|il faut que tu penses à)(?: aussi| s'il te plaît| s'il vous plaît)*"
        r"|\bn'oublie(?:z)? pas (?:de |d')|\bpense(?:z)? à|\brappelle(?:z)?-moi (?:de |d'))(?: aussi)? ?(?P<what>(?:(?:l'|m'|t'|s'|le |la |les |lui |leur |vous |nous |te |me |y |en )*)\w+(?:er|ir|re|oir)\b.*)"
        rf"|\bs'il (?:te|vous) plaît,? (?P<what2>(?:{'|'.join(_IMPERATIVES)})\b.*)"
        rf"|^(?P<what3>(?:{'|'.join(_IMPERATIVES)})\b.*)(?=,? s'il (?:te|vous) plaît)"
    ),
    remind_me=compiled(r"\brappelle(?:z)?-moi "),
    task=compiled(rf"(?:{'|'.join(_IMPERATIVES)})\b|{_INFINITIVE}"),
    idle=compiled(
        r"(?:être|avoir|dire|te dire|vous dire|voir|savoir|aller|penser|croire|espérer|attendre|parler|partir|comprendre|commencer|faire attention|vous expliquer)\b"
    ),
    unreal=compiled(
        r"\b(?:si|peut-être|ne (?:vais|dois|peux|veux) pas|n'ai pas|jamais|aurais dû|aurait"
        r"|(?:comment|pourquoi|que|qu'est-ce que|qui|où) (?:peux-tu|pouvez-vous|pourrais-tu|pourriez-vous|tu peux|vous pouvez))\b"
    ),
    reasons=compiled(r",? (?:parce que|pour que|car|mais|sinon)\b.*"),
    pronouns=frozenset("le la les l ça cela lui leur en y".split()),
    accepts=compiled(
        r"(?:oui|d'accord|bien sûr|ok|okay|entendu|pas de problème|volontiers|je m'en occupe|très bien|parfait)\b"
    ),
    verb_last=False,
    alone=compiled(r"j"),
    past=compiled(r"\b(?:était|étaient|hier|derni(?:er|ère)s?|avait|avions|suis allée?|a eu|ont eu)\b"),
    cancelled=compiled(r"\b(?:annulée?|pas de|pas|peut-être|si)\b"),
    happening=compiled(
        r"\b(?:réunion|rendez-vous|dîner|déjeuner|anniversaire|mariage|fête|examen|entretien|concert|cours|vol|train|match|voyage|conférence"
        r"|consultation|opération|enterrement|excursion|atelier|contrôle|visite)\b"
    ),
    happening_at_a_clock=compiled(r"\b(?:bus|film|part|arrive|commence|technicien|livraison|passe)\b"),
    hour_long=compiled(r"\b(?:réunion|rendez-vous|dîner|déjeuner|entretien|cours|fête)\b"),
    links=frozenset("avec de du des chez pour à au aux sur en la le les l' mon ma".split()),
    breaks=frozenset("et mais parce que qui est sont part arrive commence sera quand où si donc a".split()),
    edges=frozenset(
        "un une le la les mon ma mes notre nos j'ai nous avons on a est c'est il y à de du et alors donc bon ben avec pour ai en".split()
    ),
    determiners=frozenset(
        "le la les l' un une des du mon ma mes ton ta tes son sa notre nos votre vos ce cette ces au aux".split()
    ),
    verbs=frozenset("est sont a ont va fait demande part arrive coûte était plus".split()),
    introduces=compiled(r"\b(?:je m'appelle|mon nom est) (?P<name>(?-i:[A-ZÉÈ])[\w'-]+)"),
    clause=compiled(
        r"(?:[,;:]|(?<=[a-zéèêàùçîôû0-9])(?= (?:et|mais|donc|alors) )) ?(?=(?:(?:et|mais|donc|alors|oui|bon|d'accord) )*"
        r"(?:je|j'|tu|il|elle|on|nous|vous|ils|n'oublie|n'oubliez|pense|pensez|peux-tu|pouvez-vous|pourriez|s'il|le|la|mon|ma|c'est|ça|rappelle)\b)"
    ),
    fillers=compiled(
        r", (?:euh+|heu|hum|ben|bah|du coup),(?= )|(?:(?<=^)|(?<= ))(?:euh+|heu|hum|ben|bah)(?:,|\b)(?: |$)"
    ),
    corrections=compiled(
        r"(?<![ ,.;—–-])[ ,.;—–-]++(?:non,? attends|non,? pardon|ou plutôt)[ ,.;—–-]+|[,.;—–-] ?(?:pardon|enfin|je veux dire|plutôt|non) ?[,;—–-] ?"
    ),
    hedges=frozenset("genre euh bah ben enfin voilà quoi comme juste un peu du coup".split()),
    asks=compiled(
        r"(?:(?:et|mais|donc|alors|bon),? )*(?:est-ce qu|qu'est-ce|pourquoi|combien|comment (?:est|va|ça|on|tu|vous)|qui (?:est|a|va|peut|veut|fait|sont)"
        r"|où (?:est|sont|va|on|tu|vous)|quand (?:est-ce|est|vas|va-t)|quel(?:le)?s? (?:est|sont|heure|jour)|(?:peux|veux|as|es|vas|dois)-tu|(?:pouvez|voulez|avez|êtes|allez)-vous)"
    ),
    personal=compiled(
        r"\b(?:je|j'\w+|me|moi|m'\w+|mon|ma|mes|nous|notre|nos|on|tu|te|toi|ton|ta|tes|vous|votre|vos)\b"
    ),
)
