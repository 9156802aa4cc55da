"""These are the texts of the shipped evaluation set, written for this project: what is spoken, talked and searched."""

from __future__ import annotations

from typing import Any

SPOKEN: dict[str, tuple[str, dict[str, str], list[tuple[str, str]]]] = {
    "spoken_es": ("es", {"Elena": "es+f2", "Pablo": "es"}, [
        ("Elena", "Buenos días, mañana tenemos una reunión a las diez de la mañana."),
        ("Pablo", "Muy bien, voy a traer los documentos y las fotografías de la casa."),
    ]),
    "spoken_it": ("it", {"Carla": "it+f2", "Dario": "it"}, [
        ("Carla", "Buongiorno, domani mattina abbiamo una riunione alle dieci in ufficio."),
        ("Dario", "Va bene, porto i documenti e le fotografie della casa."),
    ]),
}  # fmt: skip
"""Talks that espeak-ng speaks: language, its voice of each speaker, and the lines."""

WEARER = "en+f2"
"""The voice of espeak-ng that is enrolled as the user's where it does not speak."""
ENROLLED = (
    "The library is open on Saturday, and my brother wants to bring back all of his books. We walked along the river "
    "for an hour and saw two grey herons. Later the kitchen smelled of fresh bread and coffee, and nobody wanted to "
    "leave."
)
IMPOSTORS = {"stranger_near": "en+m2"}
"""Voices that the product must tell from the wearer's: they fall a little short of the probability asked for."""
IMPOSTORS_WORDS = (
    "I will send the new address to everybody this evening, and then we can look at the garden together before the "
    "rain comes."
)

TALKS: dict[str, dict[str, Any]] = {
    "talk_roof": {
        "language": "en",
        "lines": [
            ("Laura", "The roof of the garden shed leaks again, right above the lawn mower."),
            ("Mark", "I will order new roofing felt tomorrow. It costs sixty dollars at the hardware store."),
            ("Laura", "Good. And please call Mister Brown, he still has our ladder."),
            ("Mark", "I'll call him tonight."),
        ],
        "expected": {"action_items": ["roofing felt", "brown"], "events": [], "discarded": False},
    },
    "talk_exam": {
        "language": "en",
        "lines": [
            ("Nina", "The chemistry exam is next Friday at ten in the morning."),
            ("Omar", "Then I will send you my notes about acids and bases tonight."),
            ("Nina", "Thank you. I still do not understand how a buffer solution works."),
        ],
        "expected": {"action_items": ["notes"], "events": ["exam"], "discarded": False},
    },
    "talk_weather": {
        "language": "en",
        "lines": [
            ("Ida", "What a rainy day it was. The river is higher than last spring."),
            ("Sam", "Yes, and the old stone bridge was closed for an hour."),
            ("Ida", "My grandfather told me that it was flooded when he was a child."),
        ],
        "expected": {"action_items": [], "events": [], "discarded": False},
    },
    "talk_nothing": {
        "language": "en",
        "lines": [("Kim", "Okay."), ("Lee", "Yeah. Okay.")],
        "expected": {"action_items": [], "events": [], "discarded": True},
    },
    "talk_arzt": {
        "language": "de",
        "lines": [
            ("Ärztin", "Guten Morgen, Herr Vogel. Auf dem Bild sieht man, dass der Knöchel nur verstaucht ist."),
            ("Vogel", "Da bin ich froh. Ich rufe morgen die Krankenkasse an."),
            ("Ärztin", "Ihr nächster Termin ist am Donnerstag um halb neun."),
        ],
        "expected": {"action_items": ["krankenkasse"], "events": ["termin"], "discarded": False},
    },
    "talk_voyage": {
        "language": "fr",
        "lines": [
            ("Luc", "Le train pour Lyon part samedi à huit heures du matin."),
            ("Zoé", "Je vais acheter les billets ce soir et réserver une chambre près de la gare."),
        ],
        "expected": {"action_items": ["billets"], "events": ["train"], "discarded": False},
    },
    "talk_fiesta": {
        "language": "es",
        "lines": [
            ("Inés", "La fiesta de cumpleaños de la abuela es el domingo a las cinco de la tarde."),
            ("Raúl", "Yo voy a comprar la tarta de chocolate mañana."),
        ],
        "expected": {"action_items": ["tarta"], "events": ["fiesta"], "discarded": False},
    },
    "talk_server": {
        "language": "en",
        "lines": [
            ("Dana", "The payment service crashed twice last night because the disk of the database was full."),
            ("Igor", "I will add an alert for the disk space today and roll back the release."),
            ("Dana", "Please tell the support team before noon."),
        ],
        "expected": {"action_items": ["alert", "support team"], "events": [], "discarded": False},
    },
}
"""Conversations that are known by their text alone, with what a person notes of them."""

QUESTIONS: list[tuple[str, list[str]]] = [
    ("rain comes through into the hut", ["talk_roof"]),
    ("who borrowed the ladder", ["talk_roof"]),
    ("when is the test about acids?", ["talk_exam"]),
    ("high water in the village", ["talk_weather"]),
    ("outage of the system at night", ["talk_server"]),
    ("studying for school", ["talk_exam"]),
    ("a family celebration", ["talk_fiesta"]),
    ("a visit to the physician", ["talk_arzt"]),
    ("Knöchel", ["talk_arzt"]),
    ("billets de train", ["talk_voyage"]),
    ("tarta de cumpleaños", ["talk_fiesta"]),
]
"""What is searched for, and the items that answer it: some by their words, some by their meaning only."""
