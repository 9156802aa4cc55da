"""Category of a talk by likeness to a description of each category and by words that belong to one, and its emoji."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from memories.shapes import Category

DESCRIPTIONS: dict[Category, str] = {
    Category.PERSONAL: "personal life, family news, home, feelings, private errands, birthday of a relative",
    Category.EDUCATION: "school, teachers, lessons, studying, exams, university, learning, pupils and classes",
    Category.HEALTH: "health, doctor, dentist, medicine, illness, fitness, sleep, diet",
    Category.FINANCE: "money, budget, bank, investment, savings, taxes, stocks, prices",
    Category.LEGAL: "law, lawyer, contract, court, legal rights, lawsuit",
    Category.PHILOSOPHY: "philosophy, meaning of life, ethics, existence, consciousness",
    Category.SPIRITUAL: "religion, faith, prayer, meditation, church, spiritual practice",
    Category.SCIENCE: "science, physics, chemistry, biology, research, experiment, astronomy",
    Category.ENTREPRENEURSHIP: "startup, founder, raising money from investors, launching a product, pitch",
    Category.PARENTING: "raising children, baby, parents, kindergarten, bringing up a child",
    Category.ROMANTIC: "love, dating, partner, romantic relationship, anniversary",
    Category.TRAVEL: "travel, flight, hotel, holiday, trip, tourism, train journey, luggage",
    Category.INSPIRATION: "inspiration, motivation, goals, dreams, self improvement, encouragement",
    Category.TECHNOLOGY: "technology, software, computers, programming, artificial intelligence, gadgets",
    Category.BUSINESS: "business, company, customers, sales, market, strategy, suppliers, repair contract",
    Category.SOCIAL: "friends, party, small talk, meeting people, going out, gossip",
    Category.WORK: "work, office, project, colleagues, deadline, meeting at work, tasks",
    Category.SPORTS: "sports, football, match, training, team, running, tournament",
    Category.POLITICS: "politics, election, government, president, policy, parliament",
    Category.LITERATURE: "books, novel, poetry, author, reading, literature",
    Category.HISTORY: "history, ancient times, war, historical events, empire, centuries ago",
    Category.ARCHITECTURE: "architecture, building design, construction, architect, houses, facade",
}

EMOJI: dict[Category, str] = {
    Category.PERSONAL: "🏠", Category.EDUCATION: "🎓", Category.HEALTH: "🩺", Category.FINANCE: "💰",
    Category.LEGAL: "⚖️",
    Category.PHILOSOPHY: "🤔", Category.SPIRITUAL: "🕯️", Category.SCIENCE: "🔬", Category.ENTREPRENEURSHIP: "🚀",
    Category.PARENTING: "🧸", Category.ROMANTIC: "💞", Category.TRAVEL: "✈️", Category.INSPIRATION: "🌟",
    Category.TECHNOLOGY: "💻", Category.BUSINESS: "📈", Category.SOCIAL: "👋", Category.WORK: "💼",
    Category.SPORTS: "⚽",
    Category.POLITICS: "🏛️", Category.LITERATURE: "📚", Category.HISTORY: "🏺", Category.ARCHITECTURE: "🏗️",
    Category.OTHER: "🧠",
}  # fmt: skip

THRESHOLD = 0.16
"""Likeness below which nothing fits and the talk is ``other``: set between the bundled talk (0.3) and strings of
unrelated words (0.1) with all-MiniLM-L6-v2. Sentence means are less alike than single sentences."""
PER_WORD, MOST = 0.05, 0.25
"""What a word of a category adds, and all of them at the most. The embedder knows English; words speak for others."""

_STEMS = """
health: doctor dentist dental nurse hospital medicine tablet headache blood illness physio symptom surgery therap
health: arzt ärzt zahn krank knie schmerz tablett entzünd médic medic doctora dentista dolor enferm
health: médecin toux bronch sirop docteur ordonnance pharma
finance: bank budget loan mortgage tax invest saving kredit steuer zinsen sparen banco presupuesto impuesto préstamo
finance: banque impôt prêt
travel: flight airport hotel luggage passport vacation flug flughafen reise urlaub koffer vuelo boleto aeropuerto viaje
travel: maleta vol aéroport voyage valise vacances
education: school teacher exam homework lecture university pupil schule lehrer prüfung hausaufgab vorlesung klausur
education: escuela profesor examen deberes matemátic excursión école professeur devoirs lycée
work: release sprint colleague deadline standup kollege projekt büro oficina proyecto équipe bureau collègue
business: client customer invoice quote contract proposal supplier kunde rechnung angebot lieferant cliente factura
business: proveedor ventas facture devis fournisseur
technology: internet router software server laptop login database bug computer rechner programm ordenador ordinateur
technology: logiciel
science: photosynth molecule atom cell physics chemistry biology experiment physik chemie biologie física química
science: biología physique chimie
history: century empire medieval gutenberg jahrhundert kaiser mittelalter siglo imperio siècle
sports: football match training goal coach tournament bike helmet fußball spiel trainer turnier fútbol partido entren
sports: foot entraîn
parenting: kindergarten daycare baby toddler kita bebé guardería crèche bébé
social: party friends barbecue neighbour feier fest nachbar verein freund fiesta amigos vecin fête voisin amis
legal: lawyer court lawsuit anwalt gericht klage abogad juicio demanda avocat tribunal
personal: birthday grandma granny mum christmas apartment rent geburtstag oma weihnachten wohnung miete cumpleaños
personal: abuela navidad piso anniversaire mamie noël appartement loyer
"""
"""Beginnings of words that speak for a category: English, German, Spanish and French."""
_OF = {
    stem: Category(name)
    for name, _, stems in (line.partition(":") for line in _STEMS.split("\n") if line)
    for stem in stems.split()
}
_STEM_LENGTHS = sorted({len(stem) for stem in _OF})


def hints(words: Iterable[str]) -> dict[Category, float]:
    """What the words of a talk add to the likeness of each category; each different beginning counts once."""
    held = {word[:length] for word in set(words) for length in _STEM_LENGTHS if len(word) >= length}
    counts = Counter(_OF[stem] for stem in held if stem in _OF)
    return {category: min(MOST, PER_WORD * count) for category, count in counts.items()}
