"""Music made on the spot: the layout of MagnaTagATune, rhythms that repeat, and sounds that differ."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules import Audio, MagnaTagATuneDataModule
from datamodules.synthetic_music import Piece, flute, organ, pluck, render, synthesize_music
from lightning_wavenet.cli.data import main
from lightning_wavenet.errors import RequestError

RATE = 8_000


def test_the_same_options_give_the_same_bytes_and_every_tag_is_there(tmp_path, capsys):
    made = synthesize_music(tmp_path / "a", clips=64, seconds=1.0, seed=3)
    main(["synthesize", "music", "--out", str(tmp_path / "b"), "--clips", "64", "--seconds", "1", "--seed", "3"])
    assert capsys.readouterr().out == f"64 clips of music in {tmp_path / 'b' / 'MagnaTagATune'}\n"
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert len(files) == 64 + 3
    for name in files:
        assert (made / name).read_bytes() == (tmp_path / "b" / "MagnaTagATune" / name).read_bytes()
    data = MagnaTagATuneDataModule(tmp_path / "a", min_clips=5, audio=Audio(RATE))
    data.setup()
    assert not data.problems
    assert data.vocabulary.tags == ("drum", "fast", "flute", "guitar", "high", "low", "organ", "slow")
    about = data.describe()
    assert {name: of.clips for name, of in about.splits.items()} == {"train": 48, "validation": 4, "test": 12}
    assert set(data.clips.lengths.tolist()) == {RATE}


def test_other_seeds_make_other_music_and_sizes_out_of_range_are_refused(tmp_path):
    one, other = (synthesize_music(tmp_path / str(seed), 16, seed, 1.0) for seed in (1, 2))
    paths = [sorted(path.read_bytes() for path in made.rglob("*.wav")) for made in (one, other)]
    assert paths[0] != paths[1]
    for options in ({"clips": 15}, {"clips": 10_000}, {"seconds": 0.5}, {"seed": -1}, {"sample_rate": 100}):
        with pytest.raises(RequestError):
            synthesize_music(tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()
    with pytest.raises(RequestError, match="choose another --out"):
        synthesize_music(tmp_path / "1", 16, 1, 1.0)


@pytest.mark.parametrize(("tempo", "bar"), [("fast", 1.0), ("slow", 2.0)])
def test_the_rhythm_repeats_with_the_bar_and_with_nothing_shorter(tempo, bar):
    """Energy of drums by step of a bar, eight bars: alike from bar to bar, and unlike where bars are put off a step."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        wave = render(Piece("", True, tempo, "low"), round(8 * bar * RATE), RATE, rng)
        levels = np.sqrt((wave.reshape(8, 8, -1) ** 2).mean(-1))
        alike = np.corrcoef(levels)
        assert alike.min() > 0.95
        assert max(np.corrcoef(levels[0], np.roll(levels[1], shift))[0, 1] for shift in range(1, 8)) < 0.95


def test_no_two_notes_are_the_same_samples():
    wave = render(Piece("guitar", False, "fast", "low"), 4 * RATE, RATE, np.random.default_rng(0))
    first, second = wave[:RATE], wave[RATE : 2 * RATE]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.9


@pytest.mark.parametrize("play", [pluck, organ, flute])
@pytest.mark.parametrize("hz", [110.0, 440.0])
def test_instruments_play_the_note(play, hz):
    sound = play(hz, RATE, RATE, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    strongest = int(spectrum.argmax())  # In Hz: the sound lasts a second.
    assert strongest / hz == pytest.approx(round(strongest / hz), rel=0.03)
    assert 1 <= round(strongest / hz) <= 3
    assert len(sound) == RATE
    assert np.isfinite(sound).all()


def test_instruments_differ_in_how_they_last_and_in_their_overtones():
    sounds = {play: play(220.0, RATE, RATE, np.random.default_rng(0)) for play in (pluck, organ, flute)}
    last = {play: np.std(sound[RATE // 2 : -400]) / np.std(sound[400 : RATE // 2]) for play, sound in sounds.items()}
    assert last[pluck] < 0.5
    assert last[organ] == pytest.approx(1, abs=0.02)
    assert last[flute] == pytest.approx(1, abs=0.05)
    above = {}
    for play, sound in sounds.items():
        power = np.abs(np.fft.rfft(sound)) ** 2
        above[play] = power[330:].sum() / power.sum()
    assert above[flute] < 0.05
    assert above[organ] > 0.3
