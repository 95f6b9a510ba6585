"""Linguistic features: the frame grid, the same frames in training and for speaking, and what is listed instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import RATE
from speech import Speech, Utterance

from datamodules import Crops, Phone
from lightning_wavenet.backbone import Conditions, RepeatUpsampling, WaveNet
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Linguistic, LogF0
from lightning_wavenet.features.linguistic import Timed
from lightning_wavenet.files.textgrid import write_textgrid
from lightning_wavenet.text.full_context import FIELDS, contexts, write_label
from lightning_wavenet.text.matching import matched
from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.structure import structure

HOP = 8
# The cat sat, with a silence that the text does not have, and a k that is shorter than half a frame; in samples.
SAID = "sil DH AH0 sil K AE1 T S AE1 T sil".split()
STOPS = [203, 243, 300, 421, 424, 487, 500, 555, 600, 620, 640]
PHONES = [Phone(label, start, end) for label, start, end in zip(SAID, [0, *STOPS[:-1]], STOPS, strict=True)]
TEXT = "The cat sat."
FRAMES = Request(frozenset({"frames"}), hop=HOP)


def lab(path: Path, phones: list[Phone], labels: list[str] | None = None) -> None:
    """An HTS label file: times in 100 ns, of which a sample at 8 kHz has 1,250."""
    names = labels or [phone.label.lower() for phone in phones]
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(f"{one.start * 1250} {one.end * 1250} {name}\n" for one, name in zip(phones, names, strict=True))
    )


def corpus(root: Path, request: Request = FRAMES, text: str = TEXT, samples: int = 640, **options) -> Speech:
    features = options.pop("features", [Linguistic(HOP)])
    crops = options.pop("crops", Crops(None))
    return Speech(root, [Utterance(samples, text=text)], crops, request=request, features=features, **options)


def frames(data: Speech) -> np.ndarray:
    (batch,) = data.train_dataloader()
    return batch.frames[0].numpy()


def test_a_boundary_at_sample_s_changes_the_gate_of_the_first_layer_at_that_frames_audio(tmp_path):
    """From the label file to the gate: a net that is all zero but for one channel of its condition.

    AE of cat is on from sample 424 to 487: from frame floor(424 / 8 + 1/2) = 53 to floor(487 / 8 + 1/2) = 61, which are
    samples 424 to 487; that of sat from 555 (69.375: frame 69, sample 552) to 600 (frame 75, sample 600).
    """
    lab(tmp_path / "lab" / "u00.lab", PHONES)
    feature = Linguistic(HOP)
    net = WaveNet(
        "1..4",
        residual_channels=4,
        gate_channels=2,
        skip_channels=4,
        head_channels=4,
        upsampling=RepeatUpsampling(feature.channels, HOP),
    )
    net.stack.path = "reference"
    layer = net.stack.residual_layers()[0]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.local.weight[0, feature.channel_names.index("phone: AE")] = 1
    gate, seen = layer.gate, []

    def listening(taps, global_term, local):
        seen.append(gate(taps, global_term, local))
        return seen[-1]

    layer.gate = listening
    history = -(-net.history // HOP) * HOP
    data = Speech(
        tmp_path,
        [Utterance(640, text=TEXT, split="test"), Utterance(80, split="train")],
        Crops(100),
        request=Request(frozenset({"frames"}), history=history, hop=HOP),
        features=[feature],
        alignments=tmp_path / "lab",
        batch_size=1,
    )
    found: dict[bool, list[int]] = {True: [], False: []}
    for batch in data.test_dataloader():
        seen.clear()
        net.nll(batch.waveform, Conditions(frames=batch.frames))
        (z,) = seen
        on = torch.isclose(z[:, 0, 0], torch.tanh(torch.tensor(1.0)) / 2).tolist()
        assert all(on | (z[:, 0, 0] == 0).numpy())
        # The gate's last step is that of the last sample; a sample of the stand-in is its number, from 1.
        steps = slice(-len(on), None)
        counts, samples = batch.target_mask[0, steps].tolist(), batch.waveform[0, steps] * 2**15
        for is_on, counted, sample in zip(on, counts, samples.round().int().tolist(), strict=True):
            if counted:
                found[is_on].append(sample - 1)
    assert found[True] == [*range(424, 488), *range(552, 600)]
    assert sorted(found[True] + found[False]) == list(range(640))


def test_frames_change_at_the_nearest_frame_and_a_phone_may_have_none():
    """By hand, at a hop of 80: sample 40 is half a frame, which is the later one's."""
    feature = Linguistic(80)
    names = "sil K AE T S Z".split()
    ends = np.array([39, 40, 119, 120, 200, 260])  # Boundaries are at frames 0, 1, 1, 2, 3 of four.
    told = [dict.fromkeys((field.name for field in FIELDS), None) | {"p3": name} for name in names]
    made = feature.frames(Timed(told, ends), 260)
    rows = [feature.channel_names.index(f"phone: {name}") for name in names]
    assert [[name for name, row in zip(names, rows, strict=True) if made[row, at]] for at in range(made.shape[1])] == [
        ["K"],
        ["T"],
        ["S"],
        ["Z"],
    ]


def test_position_and_duration_within_the_phone_are_exact(tmp_path):
    lab(tmp_path / "lab" / "u00.lab", PHONES)
    made = frames(corpus(tmp_path, alignments=tmp_path / "lab"))
    feature = Linguistic(HOP)
    # DH is frames floor(203 / 8 + 1/2) = 25 to floor(243 / 8 + 1/2) - 1 = 29.
    told = [feature.told(made[:, frame]) for frame in range(24, 31)]
    assert [one["phone"] for one in told] == ["sil", *["DH"] * 5, "AH"]
    assert [one["part of phone"] for one in told[1:6]] == ["0.100", "0.300", "0.500", "0.700", "0.900"]
    assert [one["frames since the phone's start"] for one in told[1:6]] == list("01234")
    assert [one["frames to the phone's end"] for one in told[1:6]] == list("43210")
    assert {one["frames of phone"] for one in told[1:6]} == {"5"}
    # K ends 3 samples after it began, both in frame 53, so that it has none, and its neighbors tell of it.
    assert feature.told(made[:, 52])["next phone"] == feature.told(made[:, 53])["last phone"] == "K"
    assert made.shape == (feature.channels, 80)


def test_frames_of_training_are_those_for_speaking_to_the_bit(tmp_path):
    """From a TextGrid beside the recording on one side, from text, durations and F0 on the other."""
    seconds = [(phone.start / RATE, phone.end / RATE, phone.label) for phone in PHONES]
    (tmp_path / "grid").mkdir()
    write_textgrid(tmp_path / "grid" / "u00.TextGrid", 640 / RATE, {"words": [], "phones": seconds})
    rng = np.random.default_rng(0)
    hertz = np.where(rng.random(80) < 0.3, 0, rng.uniform(80, 300, 80))

    class Told(LogF0):
        def track(self, waveform, rate):
            return hertz

    data = corpus(tmp_path, features=[Linguistic(HOP), Told(HOP)], alignments=tmp_path / "grid")
    made = frames(data)

    linguistic, f0 = (table.extractor for table in data.clips.features)
    spoken = structure(TEXT)
    # Silences of the text: before, between its three words, after. The alignment has none between cat and sat.
    durations = np.diff([0, *STOPS]).tolist()
    durations.insert(7, 0)
    assert [segment.label for segment in spoken.segments] == "sil DH AH sil K AE T sil S AE T sil".split()
    ours = linguistic.frames(linguistic.spoken(spoken, durations), sum(durations))
    melody = f0.expand(f0.keep(hertz), 0, 80)
    assert made.tobytes() == np.concatenate([ours, melody]).tobytes()
    assert made.shape[0] == data.vocabulary.frame_channels == linguistic.channels + 2


def test_words_are_said_as_a_users_lexicon_has_them(tmp_path):
    """Without it the phones are not of the text; another lexicon makes other frames, and not those that are kept."""
    lab(tmp_path / "lab" / "u00.lab", PHONES)
    own, options = tmp_path / "own.txt", {"alignments": tmp_path / "lab", "text": "The xyqz sat."}
    right = frames(corpus(tmp_path, alignments=tmp_path / "lab"))
    own.write_text("XYQZ  K AE1 T\n")
    made = frames(corpus(tmp_path, lexicon=own, **options))
    assert made.tobytes() == right.tobytes()
    own.write_text("XYQZ  K AE1 T S\nSAT  AE1 T\n")
    Lexicon.english.cache_clear()
    data = corpus(tmp_path, lexicon=own, **options)
    assert frames(data).tobytes() != right.tobytes()


def test_full_context_labels_give_the_frames_of_text_and_alignment(tmp_path):
    """Written from the structure, in a folder whose recordings have no text; per state too."""
    aligned = matched(TEXT, PHONES, 640, RATE)
    labels = [write_label(context) for context in contexts(aligned.structure)]
    ours = Linguistic(HOP).frames(Linguistic(HOP).aligned(aligned), 640)
    lab(tmp_path / "lab" / "u00.lab", PHONES, labels)
    assert frames(corpus(tmp_path, text="", alignments=tmp_path / "lab")).tobytes() == ours.tobytes()
    halves, names = [], []
    for phone, label in zip(PHONES, labels, strict=True):
        middle = (phone.start + phone.end) // 2
        halves += [phone._replace(end=middle), phone._replace(start=middle)]
        names += [f"{label}[2]", f"{label}[3]"]
    lab(tmp_path / "states" / "u00.lab", halves, names)
    assert frames(corpus(tmp_path, text="", alignments=tmp_path / "states")).tobytes() == ours.tobytes()


def test_a_task_asks_for_linguistic_features_alone_or_with_f0(tmp_path):
    lab(tmp_path / "lab" / "u00.lab", PHONES)

    class Flat(LogF0):
        def track(self, waveform, rate):
            return np.full(80, 100.0)

    data = corpus(tmp_path, features=[Flat(HOP), Linguistic(HOP)], alignments=tmp_path / "lab")
    vocabulary = data.vocabulary
    both, alone = vocabulary.with_features(["linguistic", "f0"]), vocabulary.with_features(["linguistic"])
    assert (both.frame_channels, alone.frame_channels) == (Linguistic().channels + 2, Linguistic().channels)
    seen = []
    for chosen in (both, alone):
        chosen.must_match(vocabulary, {"frames"}, "the corpus")
        data.connect(Request(frozenset({"frames"}), hop=HOP, features=chosen.features))
        seen.append(frames(data))
    assert [made.shape[0] for made in seen] == [both.frame_channels, alone.frame_channels]
    assert (seen[0][:-2] == seen[1]).all()
    assert seen[0][-1].all()
    with pytest.raises(
        RequestError, match=r"asks for the feature mel: add it to data\.features, which has f0, linguistic"
    ):
        vocabulary.with_features(["mel"])
    with pytest.raises(RequestError, match="conditioned on the feature f0, and the corpus has linguistic: add it"):
        both.must_match(alone, {"frames"}, "the corpus")
    mine = corpus(tmp_path, features=[Linguistic(HOP)], alignments=tmp_path / "lab")
    with pytest.raises(RequestError, match=r"conditioned on linguistic and f0: add what makes f0 to data\.features"):
        mine.connect(Request(frozenset({"frames"}), hop=HOP, features=both.features))


def test_phones_of_another_set_are_what_the_corpus_has(tmp_path):
    names = ["tS", "_", "oU"]
    lab(tmp_path / "lab" / "u00.lab", [Phone("", 0, 200), Phone("", 200, 300), Phone("", 300, 640)], names)
    feature = Linguistic(HOP, "other")
    data = corpus(tmp_path, features=[feature], alignments=tmp_path / "lab")
    (table,) = data.clips.features
    assert table.extractor.phones == ["oU", "sil", "tS"]
    made = frames(data)
    rows = list(table.extractor.channel_names)
    assert made[rows.index("phone: oU")].tolist() == [0] * 38 + [1] * 42
    assert made[rows.index("last phone: tS")].tolist() == [0] * 25 + [1] * 13 + [0] * 42
    assert made[rows.index("silence")].sum() == 13
    assert not made[rows.index("vowel")].any()
    known = data.vocabulary.features[0]["fitted"] | {"phones": ["oU", "sil"]}
    with pytest.raises(RequestError, match=r"phones that the model does not know \(tS\)"):
        table.extractor.adopt(known)


@pytest.mark.parametrize(
    ("text", "labels", "samples", "reason"),
    [
        ("...", None, 640, "no linguistic frames: text that cannot be pronounced (no word to say in the text '...': "),
        ("The cat sat.", "pau tS ae", 640, "no linguistic frames: a phone of the alignment is no ARPAbet"),
        ("The cat sat.", None, 8_000, "no linguistic frames: the alignment ends before its recording"),
        ("Seven clear vowels were heard", None, 640, "no linguistic frames: the alignment is not of the text"),
        ("The cat sat.", None, 200, "alignment that ends after its recording: it is of another"),
    ],
)
def test_clips_without_frames_are_listed_with_the_reason_and_the_place(tmp_path, text, labels, samples, reason):
    phones = PHONES
    if labels:
        phones = [Phone(label, at * 200, (at + 1) * 200) for at, label in enumerate(labels.split())]
    lab(tmp_path / "lab" / "u00.lab", phones, [phone.label for phone in phones])
    lab(tmp_path / "lab" / "u01.lab", PHONES)
    one = Utterance(samples, text=text)
    data = Speech(
        tmp_path,
        [one, Utterance(640, text=TEXT)],
        Crops(None),
        request=FRAMES,
        features=[Linguistic(HOP)],
        alignments=tmp_path / "lab",
    )
    assert [data.clips.ids[clip] for clip in data.clips_of("train")] == ["u01"]
    (told,) = [f"{why} ({ids[0]})" for why, ids in data.describe().skipped.items() if reason.split(" (")[0] in why]
    assert "u00" in told
    assert "\n" not in told
    (tmp_path / "lab" / "u01.lab").unlink()
    with pytest.raises(RequestError, match="none of 1 clips has frames: "):
        corpus(tmp_path, text=text, samples=samples, alignments=tmp_path / "lab")


def test_wrong_options_and_durations_are_refused():
    with pytest.raises(RequestError, match="hop must be a positive"):
        Linguistic(0)
    with pytest.raises(RequestError, match="arpabet or other"):
        Linguistic(8, "ipa")  # type: ignore[arg-type]
    spoken = structure("Hi")
    with pytest.raises(ValueError, match="4 segments need as many durations"):
        Linguistic().spoken(spoken, [1, 2])
    with pytest.raises(ValueError, match="segment 1 is the phone HH"):
        Linguistic().spoken(spoken, [1, 0, 2, 1])


def test_every_channel_has_a_name_of_its_own():
    names = Linguistic().channel_names
    assert len(set(names)) == len(names) == Linguistic().channels
