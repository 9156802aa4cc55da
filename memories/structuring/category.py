"""Category of a talk by likeness to a description of each category, and the emoji that goes with it."""

from __future__ import annotations

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
"""Cosine similarity below which nothing fits and the talk is ``other``: set between the bundled talk (0.3) and
strings of unrelated words (0.1) with all-MiniLM-L6-v2. Sentence means are less alike than single sentences."""
