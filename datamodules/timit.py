"""TIMIT: 6,300 English sentences with the times of every phone, by 630 speakers (LDC93S1)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.base import AudioDataModule
from datamodules.fields import Phones
from datamodules.phone_times import read_phones
from datamodules.records import Listing, Problem, Record, SplitName
from datamodules.texts import read_words
from lightning_wavenet.errors import CorpusError
from lightning_wavenet.text.phones import TIMIT_61, Phone, PhoneSet, fold, fold_all

_DEVELOPMENT = frozenset(
    """
    fadg0 faks0 fcal1 fcmh0 fdac1 fdms0 fdrw0 fedw0 fgjd0 fjem0 fjmg0 fjsj0 fkms0 fmah0 fmml0 fnmr0 frew0 fsem0
    majc0 mbdg0 mbns0 mbwm0 mcsh0 mdlf0 mdls0 mdvc0 mers0 mgjf0 mglb0 mgwt0 mjar0 mjfc0 mjsw0 mmdb1 mmdm2 mmjr0
    mmwh0 mpdf0 mrcs0 mreb0 mrjm4 mrjr0 mroa0 mrtk0 mrws1 mtaa0 mtdt0 mteb0 mthc0 mwjg0
    """.split()
)
"""The 50 speakers of the complete test set that are commonly validated on (those of Kaldi)."""

_CORE_TEST = frozenset(
    """
    mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0
    mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0
    """.split()
)
"""The 24 speakers of the core test set: two men and a woman of each dialect region."""

_SPEAKERS: dict[SplitName, int] = {"train": 462, "validation": 50, "test": 24}
_SENTENCES = 8
"""By each speaker, without the two (SA) that all read."""


class TIMITDataModule(AudioDataModule):
    """TIMIT in the layout of the LDC, or in that of NLTK's sample.

    The two sentences that every speaker reads (SA1, SA2) are left out: they would be in all splits. Of the LDC's corpus
    the usual 3,696 utterances train (462 speakers), 400 validate (50) and 192 test (24, the core test set); the other
    speakers of the test set are not used. Speakers that `split` names go where it says. A sample that has no such
    division is divided by `split`, between speakers.

    Args:
        root: The corpus folder, the one with TRAIN and TEST or with folders such as dr1-fvmh0 in it, or one above.
        phone_set: 61 phones as transcribed, or folded to 48 or 39; the glottal stop is no phone in the smaller sets.
        options: As `AudioDataModule`; `split` divides speakers, where the corpus does not say.
    """

    name = "timit"

    def __init__(self, root: Path, phone_set: PhoneSet = 61, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(root).expanduser()
        self.phone_set = phone_set
        # All phones of the set, whether or not they occur in this copy.
        phones = Phones(sorted(set(fold_all(TIMIT_61, phone_set))), partial(fold, size=phone_set))
        self.fields = tuple(phones if field.name == phones.name else field for field in self.fields)

    def listing(self) -> Listing:
        """All utterances that are used; what the standard division lacks is a problem of its own.

        Raises:
            CorpusError: There is no TIMIT at `root`.
        """
        folders = _speakers(self.root)
        records: list[Record] = []
        problems: list[Problem] = []
        for speaker, (part, folder) in folders.items():
            split = self.split.named(speaker) or _standard_split(speaker, part)
            if part == "test" and split is None:
                continue
            for entry in self._utterances(speaker, split, folder):
                if isinstance(entry, Record):
                    records.append(entry)
                else:
                    problems.append(entry)
        if not records:
            raise CorpusError(f"{self.root} has the folders of TIMIT, but no recordings in them: {problems[0].reason}")
        as_usual = self.split.validation_speakers is None and self.split.test_speakers is None
        if as_usual and any(part for part, _ in folders.values()):
            problems += _missing(records)
        return Listing(self.root, tuple(records), tuple(problems))

    def _utterances(self, speaker: str, split: SplitName | None, folder: Path) -> Iterator[Record | Problem]:
        files = {path.name.lower(): path for path in folder.iterdir()}
        stems = sorted({match[1] for name in files if (match := re.fullmatch(r"(s[ix]\d+)\.(wav|phn)", name))})
        if not stems:
            yield Problem(speaker, "no utterances in the speaker's folder")
        for stem in stems:
            id = f"{speaker}_{stem}"
            if f"{stem}.wav" not in files:
                yield Problem(id, "phones without a recording")
            elif f"{stem}.phn" not in files:
                yield Problem(id, "recording without phones")
            else:
                try:
                    phones = read_phones(files[f"{stem}.phn"])
                except ValueError as error:
                    yield Problem(id, f"phones cannot be read: {error}")
                    continue
                try:
                    text = _text(files.get(f"{stem}.txt"))
                except ValueError as error:
                    yield Problem(id, f"text cannot be read: {error}")
                    continue
                yield Record(
                    id,
                    files[f"{stem}.wav"],
                    split,
                    speaker,
                    text=text,
                    split_key=speaker,
                    phones=self._folded(phones),
                )

    def _folded(self, phones: tuple[Phone, ...]) -> tuple[Phone, ...]:
        folded = [(fold(phone.label, self.phone_set), phone) for phone in phones]
        return tuple(phone._replace(label=label) for label, phone in folded if label is not None)


def _standard_split(speaker: str, part: str) -> SplitName | None:
    if part == "test":
        usual: dict[bool, SplitName] = {speaker in _DEVELOPMENT: "validation", speaker in _CORE_TEST: "test"}
        return usual.get(True)
    return "train" if part == "train" else None


def _speakers(root: Path) -> dict[str, tuple[str, Path]]:
    """Every speaker's part of the corpus ("train", "test", or "" in a sample) and folder."""
    if not root.is_dir():
        raise CorpusError(f"{root} is not a folder; set root to that of TIMIT")
    for base in (root, *_folders(root), *(below for folder in _folders(root) for below in _folders(folder))):
        parts = {folder.name.lower(): folder for folder in _folders(base)}
        if {"train", "test"} & parts.keys():
            found: dict[str, tuple[str, Path]] = {
                speaker.name.lower(): (part, speaker)
                for part in ("train", "test")
                if part in parts
                for region in _folders(parts[part])
                for speaker in _folders(region)
            }
        else:
            sample = ((re.fullmatch(r"dr\d-(\w{4}\d)", name), folder) for name, folder in parts.items())
            found = {match[1]: ("", folder) for match, folder in sample if match}
        if found:
            return found
    raise CorpusError(
        f"no TIMIT: neither {root} nor a folder in it has TRAIN/DR1/FCJF0 and the like in it, or dr1-fvmh0 and the "
        "like as in NLTK's sample"
    )


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def _text(path: Path | None) -> str:
    """What is said; the file begins with the first sample and one past the last."""
    return "" if path is None else " ".join(read_words(path).split()[2:])


def _missing(records: list[Record]) -> Iterator[Problem]:
    """What the standard division has and this copy of the corpus has not."""
    for split, speakers in _SPEAKERS.items():
        utterances = Counter(record.speaker for record in records if record.split == split)
        expected = speakers * _SENTENCES
        if utterances.total() < expected:
            few = ", ".join(name for name, count in utterances.items() if count < _SENTENCES)
            names = f"; fewer than {_SENTENCES} by {few}" if few else ""
            yield Problem(
                split,
                f"the standard division has {expected:,} utterances of {speakers} speakers, this copy "
                f"{utterances.total():,} of {len(utterances)}{names}",
            )
