"""English sentences to be read aloud: made from a small grammar, with every English phone in its words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _listed(words: str) -> list[str]:
    return words.split("|")


_SECONDS_A_LETTER = 0.057
"""Of a sentence at espeak's usual rate, its pauses included."""

_PEOPLE = _listed(
    "my brother|my sister|our neighbour|the old teacher|a young doctor|the shopkeeper|Joyce|George|Ruth|Matthew|Ivy|"
    "Thomas|the judge|her cousin|a quiet stranger|the farmer|your father|the baker|the engineer|Shirley|Hugh|Zoe|"
    "the choir|a tall guide|the mayor|Vincent|their mother|the youngest boy|the captain|a cheerful nurse"
)
_ANIMALS = _listed(
    "cat|dog|horse|goose|mouse|sheep|fox|bear|owl|bird|donkey|thrush|puppy|fish|pigeon|otter|badger|goat|calf|"
    "squirrel|zebra|vulture|turtle|spider|tiger"
)
_ADJECTIVES = _listed(
    "old|small|yellow|heavy|quiet|broken|curious|bright|smooth|purple|enormous|thick|warm|usual|foreign|wooden|"
    "charming|tiny|rough|young|fresh|dusty|loyal|gentle|favourite|grey|famous|empty|narrow|very good|round|azure|"
    "shabby|cold|awful"
)
_THINGS = _listed(
    "map|book|letter|basket|violin|candle|jacket|coin|onion|watch|apple pie|chair|bottle|picture|sword|treasure|"
    "hammer|bicycle|garage key|cushion|box|engine|toy|mirror|blanket|measuring cup|ladder|vase|lamp|shoe|orange|"
    "television|thread|feather|bell|joint of meat|cake|pudding|wheel|spoon|ring|poem"
)
_PLACES = _listed(
    "village|river|kitchen|market|church|garden|bridge|school|station|north wall|mountain|harbour|library|"
    "theatre|beach|farm|castle|office|ship|forest|youth club|road to the town|bath house|valley|orchard|zoo"
)
_WHERE = _listed("near|behind|in|outside|beyond|beside|not far from|close to|on the way to|above")
_WHEN = _listed(
    "yesterday|on Thursday|this morning|last winter|in July|at noon|before breakfast|after the storm|every evening|"
    "at three o'clock|two years ago|in the beginning|late in the afternoon|just in time|for a change|on her birthday"
)
_HANDLED = _listed(
    "found:find|carried:carry|sold:sell|painted:paint|borrowed:borrow|noticed:notice|dropped:drop|kept:keep|"
    "brought:bring|washed:wash|chose:choose|hid:hide|pushed:push|fixed:fix|showed us:show us|lost:lose|"
    "enjoyed:enjoy|threw away:throw away|reached for:reach for|asked about:ask about|measured:measure|shook:shake|"
    "put down:put down|looked at:look at"
)
_MOVED = _listed(
    "ran|walked slowly|jumped|wandered|hurried|slept|sang loudly|waited|laughed|stood still|danced|vanished|"
    "shivered|turned round|stayed all night|yawned|breathed deeply|sat down|played|coughed"
)
_THOUGHT = _listed(
    "we think that|everyone knew that|nobody believed that|they told me that|it was clear that|she was sure that|"
    "I heard that|he never guessed that|the paper said that|perhaps you saw that"
)
_LINKS = _listed(", and| because|, but| while| before|, so| although| as soon as|, yet| until| whenever")
_WEATHER = _listed(
    "raining|snowing|cold and foggy|far too hot|getting dark|a beautiful day|quite windy|very quiet|a good year"
)


def sentences(count: int, seconds: float = 3.0, seed: int = 0) -> list[str]:
    """Distinct texts of one sentence or more.

    Args:
        count: How many; some hundred thousand can be told apart.
        seconds: About how long it takes to read one (s).
        seed: The same seed gives the same texts, and the first of a greater count.
    """
    rng = np.random.default_rng(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[_text(rng, round(seconds / _SECONDS_A_LETTER))] = None
    return list(texts)


def _text(rng: np.random.Generator, letters: int) -> str:
    """As many sentences as come near to a number of letters, of which the last is the best fit of a few."""
    text = ""
    while True:
        rest = letters - len(text)
        candidates = [_sentence(rng) for _ in range(8)]
        fit = min(candidates, key=lambda candidate: abs(rest - len(candidate)))
        if rest > 1.5 * len(fit):
            fit = candidates[0]
        elif text and abs(rest - len(fit)) > rest:
            return text
        text = f"{text} {fit}".lstrip()
        if letters - len(text) < 15:
            return text


def _sentence(rng: np.random.Generator) -> str:
    def pick(words: list[str]) -> str:
        return words[rng.integers(len(words))]

    def thing() -> str:
        noun = f"{pick(_ADJECTIVES)} {pick(_THINGS)}" if rng.random() < 0.6 else pick(_THINGS)
        return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}" if rng.random() < 0.4 else f"the {noun}"

    def place() -> str:
        return f"{pick(_WHERE)} the {pick(_PLACES)}"

    def clause() -> str:
        patterns: list[Callable[[], str]] = [
            lambda: f"{pick(_PEOPLE)} {pick(_HANDLED).split(':')[0]} {thing()}",
            lambda: f"{pick(_PEOPLE)} {pick(_MOVED)} {place()}",
            lambda: f"the {pick(_ADJECTIVES)} {pick(_ANIMALS)} {pick(_MOVED)}",
            lambda: f"the {pick(_ANIMALS)} {pick(_MOVED)} {place()}",
            lambda: f"there was {thing().replace('the ', 'one ', 1)} {place()}",
            lambda: f"it was {pick(_WEATHER)}",
        ]
        return patterns[rng.integers(len(patterns))]()

    def question() -> str:
        return f"did {pick(_PEOPLE)} {pick(_HANDLED).split(':')[1]} {thing()}"

    patterns: list[Callable[[], str]] = [
        lambda: f"{clause()}.",
        lambda: f"{pick(_WHEN)}, {clause()}.",
        lambda: f"{clause()} {pick(_WHEN)}.",
        lambda: f"{clause()}{pick(_LINKS)} {clause()}.",
        lambda: f"{pick(_THOUGHT)} {clause()}.",
        lambda: f"{question()}?",
        lambda: f"{question()} {pick(_WHEN)}?",
        lambda: f"{pick(_WHEN)}, {clause()}{pick(_LINKS)} {clause()}.",
    ]
    sentence = patterns[rng.integers(len(patterns))]()
    return sentence[0].upper() + sentence[1:]
