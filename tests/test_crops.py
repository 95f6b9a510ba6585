import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import opened, ramps, values, write_clips

from datamodules import Audio, AudioFolderDataModule, Crops, Split
from datamodules.crops import EvaluationWindows, Prompts, Slicer, TrainingCrops
from datamodules.loaders import CropSampler, WindowSampler
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import CorpusError, RequestError

LENGTHS = (950, 60, 2000, 7, 333, 1200)
SAMPLES = 100


@pytest.fixture
def data(tmp_path: Path) -> AudioFolderDataModule:
    write_clips(tmp_path / "corpus", ramps(LENGTHS))
    return opened(tmp_path / "corpus", Crops(SAMPLES), batch_size=4)


def slicer(data: AudioFolderDataModule, history: int = 0) -> Slicer:
    return Slicer(data.clips, np.arange(len(data.clips)), data.vocabulary, Request(history=history))


def training(data: AudioFolderDataModule, history: int = 0, samples: int = SAMPLES, seed: int = 0) -> TrainingCrops:
    return TrainingCrops(slicer(data, history), samples, seed)


class TestTrainingCrops:
    def test_an_epoch_is_as_many_crops_as_the_split_holds(self, data: AudioFolderDataModule) -> None:
        assert sum(LENGTHS) == 4550
        assert len(training(data)) == 46
        assert len(training(data, samples=455)) == 10
        assert len(training(data, samples=456)) == 10
        assert len(training(data, samples=100_000)) == 1

    @pytest.mark.parametrize("history", [0, 30, 3000])
    def test_history_is_the_clip_and_silence_before_it(self, data: AudioFolderDataModule, history: int) -> None:
        clips = dict(zip(data.clips.ids, ramps(LENGTHS), strict=True))
        crops = training(data, history)
        at_start = 0
        for index in range(len(crops)):
            excerpt = crops[1, index]
            clip = clips[excerpt.id].astype(np.int64)
            targets = values(excerpt.waveform)[excerpt.target_mask]
            start = int(targets[0] - clip[0])
            at_start += start == 0
            assert len(targets) == min(SAMPLES, len(clip))
            # The same, made from the whole clip with ample silence around it.
            around = np.concatenate([np.zeros(history, int), clip, np.zeros(SAMPLES, int)])
            np.testing.assert_array_equal(values(excerpt.waveform), around[start : start + history + SAMPLES])
            mask = np.zeros(history + SAMPLES, bool)
            mask[history : history + len(targets)] = True
            np.testing.assert_array_equal(excerpt.target_mask, mask)
        assert at_start >= 3
        assert excerpt.waveform.dtype == np.float32

    def test_every_stretch_is_visited_each_epoch_and_clips_by_length(self, data: AudioFolderDataModule) -> None:
        crops = training(data)
        for epoch in range(5):
            drawn = Counter(crops[epoch, index].id for index in range(len(crops)))
            for name, length in zip(data.clips.ids, LENGTHS, strict=True):
                assert abs(drawn[name] - length * len(crops) / sum(LENGTHS)) < 2
        visited = np.zeros(sum(LENGTHS) + 1, int)
        for epoch in range(12):
            starts = []
            for index in range(len(crops)):
                excerpt = crops[epoch, index]
                targets = values(excerpt.waveform)[excerpt.target_mask]
                visited[targets] += 1
                starts.append(targets[0])
            assert np.diff(starts).max() <= 2 * SAMPLES
        assert visited[1:].min() >= 1
        assert visited[1:].mean() == pytest.approx(12, abs=0.5)

    def test_clips_are_drawn_in_proportion_to_their_length_over_many_epochs(self, data: AudioFolderDataModule) -> None:
        crops = training(data)
        epochs = 60
        drawn = Counter(crops[epoch, index].id for epoch in range(epochs) for index in range(len(crops)))
        for name, length in zip(data.clips.ids, LENGTHS, strict=True):
            expected = epochs * len(crops) * length / sum(LENGTHS)
            assert abs(drawn[name] - expected) < 4 * np.sqrt(epochs)

    def test_a_crop_depends_on_seed_epoch_and_index_alone(self, data: AudioFolderDataModule) -> None:
        crops = training(data)
        first = [crops[2, index].waveform for index in range(10)]
        torch.manual_seed(99)
        np.random.seed(99)  # noqa: NPY002
        again = pickle.loads(pickle.dumps(training(data)))
        for index in reversed(range(10)):
            np.testing.assert_array_equal(again[2, index].waveform, first[index])
        for other in (training(data, seed=1)[2, 5], crops[3, 5]):
            assert not np.array_equal(other.waveform, first[5])

    def test_full_scale(self, tmp_path: Path) -> None:
        write_clips(tmp_path / "corpus", [np.array([-(2**15), 2**15 - 1, 1], np.int16)])
        data = opened(tmp_path / "corpus", Crops(3), batch_size=1)
        assert training(data, samples=3)[0, 0].waveform.tolist() == [-1.0, 1 - 2**-15, 2**-15]


class TestEvaluationWindows:
    @pytest.mark.parametrize("history", [0, 40, 500])
    @pytest.mark.parametrize("samples", [1, 100, 333, 5000])
    def test_cover_every_sample_once_in_order(self, data: AudioFolderDataModule, history: int, samples: int) -> None:
        windows = EvaluationWindows(slicer(data, history), samples)
        assert len(windows) == sum(-(-length // samples) for length in LENGTHS)
        targets = []
        for window in windows if samples > 1 else ():
            mask = window.target_mask
            waveform = values(window.waveform)
            assert len(waveform) == len(mask) == history + samples
            assert not mask[:history].any()
            targets.append(waveform[mask])
            begin = ramps(LENGTHS)[data.clips.ids.index(window.id)][0]
            before = np.arange(targets[-1][0] - history, targets[-1][0])
            np.testing.assert_array_equal(waveform[:history], np.where(before < begin, 0, before))
            assert not waveform[history + len(targets[-1]) :].any()
        if targets:
            np.testing.assert_array_equal(np.concatenate(targets), np.arange(1, sum(LENGTHS) + 1))

    def test_a_limit_takes_some_from_everywhere(self, data: AudioFolderDataModule) -> None:
        every = [window.waveform for window in EvaluationWindows(slicer(data), 50)]
        assert len(every) == 93
        for limit in (1, 10, 92, 93, 500):
            some = EvaluationWindows(slicer(data), 50, limit)
            taken = [next(i for i, w in enumerate(every) if np.array_equal(w, window.waveform)) for window in some]
            assert len(taken) == min(limit, 93)
            assert len(set(taken)) == len(taken)
            gaps = np.diff([-1, *taken, 93])
            assert gaps.max() <= 93 / len(taken) + 1

    def test_of_nothing(self, data: AudioFolderDataModule) -> None:
        nothing = Slicer(data.clips, np.arange(0), data.vocabulary, Request())
        assert len(EvaluationWindows(nothing, 10)) == 0
        assert len(EvaluationWindows(nothing, 10, limit=3)) == 0


class TestSamplers:
    @pytest.mark.parametrize("ranks", [1, 2, 3, 7])
    def test_ranks_share_one_order_of_crops(self, data: AudioFolderDataModule, ranks: int) -> None:
        crops = training(data)
        alone = CropSampler(crops, 0, 1)
        samplers = [CropSampler(crops, rank, ranks) for rank in range(ranks)]
        for epoch in (0, 3):
            for sampler in (alone, *samplers):
                sampler.set_epoch(epoch)
            order = list(alone)
            assert sorted(order) == [(epoch, index) for index in range(46)]
            shares = [list(sampler) for sampler in samplers]
            assert {len(share) for share in shares} == {len(sampler) for sampler in samplers} == {46 // ranks}
            # Step by step, all ranks together take what a single one would.
            assert [key for keys in zip(*shares, strict=True) for key in keys] == order[: 46 // ranks * ranks]

    def test_epochs_and_seeds_have_orders_of_their_own(self, data: AudioFolderDataModule) -> None:
        def order(seed: int, epoch: int) -> list[int]:
            sampler = CropSampler(training(data, seed=seed), 0, 1)
            sampler.set_epoch(epoch)
            return [index for _, index in sampler]

        orders = [order(0, 0), order(0, 1), order(1, 0), list(range(46))]
        assert len({tuple(order) for order in orders}) == 4
        assert order(0, 1) == orders[1]

    def test_fewer_crops_than_ranks_still_give_each_rank_one(self, data: AudioFolderDataModule) -> None:
        crops = training(data, samples=2500)
        assert len(crops) == 2
        shares = [list(CropSampler(crops, rank, 5)) for rank in range(5)]
        assert [len(share) for share in shares] == [1] * 5
        assert {share[0] for share in shares} == {(0, 0), (0, 1)}

    @pytest.mark.parametrize("ranks", [1, 2, 3, 7])
    def test_ranks_share_windows_without_padding(self, data: AudioFolderDataModule, ranks: int) -> None:
        windows = EvaluationWindows(slicer(data), 100)
        samplers = [WindowSampler(windows, rank, ranks) for rank in range(ranks)]
        shares = [list(sampler) for sampler in samplers]
        assert [len(share) for share in shares] == [len(sampler) for sampler in samplers]
        assert sorted(index for share in shares for index in share) == list(range(len(windows)))


class TestBatches:
    def test_are_the_same_with_workers(self, data: AudioFolderDataModule) -> None:
        def epoch(workers: int) -> list[tuple[list[str], torch.Tensor, torch.Tensor]]:
            data.num_workers = workers
            data.connect(Request(history=25))
            loader = data.train_dataloader()
            loader.sampler.set_epoch(1)
            return [(batch.ids, batch.waveform, batch.target_mask) for batch in loader]

        alone, with_workers = epoch(0), epoch(2)
        assert len(alone) == len(with_workers) == 11
        for one, other in zip(alone, with_workers, strict=True):
            assert one[0] == other[0]
            torch.testing.assert_close(one[1], other[1], rtol=0, atol=0)
            assert torch.equal(one[2], other[2])
            assert one[1].shape == (4, 125)
            assert one[1].dtype == torch.float32
            assert one[2].dtype == torch.bool

    def test_are_full_unless_there_is_not_one_full_batch(self, data: AudioFolderDataModule) -> None:
        def sizes(batch_size: int) -> list[int]:
            data.batch_size = batch_size
            loader = data.train_dataloader()
            counted = [len(batch.ids) for batch in loader]
            assert len(loader) == len(counted)
            return counted

        assert sizes(10) == [10] * 4
        assert sizes(46) == [46]
        assert sizes(47) == [46]

    def test_do_not_draw_from_the_global_generator(self, data: AudioFolderDataModule) -> None:
        before = torch.get_rng_state()
        list(data.train_dataloader())
        assert torch.equal(torch.get_rng_state(), before)

    def test_have_only_what_was_asked_for(self, data: AudioFolderDataModule) -> None:
        batch = next(iter(data.train_dataloader()))
        assert (batch.speaker, batch.tags, batch.frames, batch.phones, batch.text) == (None,) * 5
        assert (batch.label, batch.transcript, batch.optional, batch.others) == (None,) * 4
        data.connect(Request(frozenset({"label", "text"})))
        batch = next(iter(data.train_dataloader()))
        assert (batch.label.tolist(), batch.text) == ([-1] * 4, [""] * 4)
        assert (batch.speaker, batch.tags, batch.frames, batch.phones) == (None,) * 4


SPEAKER = frozenset({"speaker"})
PATTERN = r"(?P<speaker>[a-z]+)_(?:(?P<validation>v)|(?P<test>t))?\d+\.wav$"


@pytest.fixture
def speakers(tmp_path: Path) -> AudioFolderDataModule:
    """Three speakers, of whom bo alone trains."""
    names = ["ann_v1", "ann_v2", "ann_v3", "bo_1", "bo_2", "bo_t1", "cy_v1", "cy_t1", "cy_t2"]
    for name, clip in zip(names, ramps([50, 900, 30, 400, 400, 70, 300, 20, 25]), strict=True):
        write_clips(tmp_path / "corpus", [clip], name + ".wav")
    return opened(
        tmp_path / "corpus",
        Crops(64, prompts=2),
        pattern=PATTERN,
        request=Request(SPEAKER),
        batch_size=2,
    )


class TestSplitsAndPrompts:
    def test_speaker_indices_do_not_depend_on_the_split(self, speakers: AudioFolderDataModule) -> None:
        assert speakers.vocabulary.speakers == ("ann", "bo", "cy")
        for loader in (speakers.train_dataloader(), speakers.val_dataloader(), speakers.test_dataloader()):
            for batch in loader:
                assert batch.speaker.dtype == torch.int64
                assert [("ann", "bo", "cy")[index] for index in batch.speaker] == [id.split("_")[0] for id in batch.ids]

    def test_loaders_take_their_own_split(self, speakers: AudioFolderDataModule) -> None:
        def ids(loader: object) -> set[str]:
            return {id.removesuffix(".wav") for batch in loader for id in batch.ids}

        assert ids(speakers.train_dataloader()) == {"bo_1", "bo_2"}
        assert ids(speakers.val_dataloader()) == {"ann_v1", "ann_v2", "ann_v3", "cy_v1"}
        assert ids(speakers.test_dataloader()) == {"bo_t1", "cy_t1", "cy_t2"}

    def test_evaluation_can_have_windows_of_its_own(self, speakers: AudioFolderDataModule) -> None:
        speakers.crops = Crops(64, evaluation_samples=300, validation_windows=3)
        speakers.connect(Request(SPEAKER, history=10))
        batches = list(speakers.val_dataloader())
        assert [batch.waveform.shape for batch in batches] == [(2, 310), (1, 310)]
        assert next(iter(speakers.train_dataloader())).waveform.shape == (2, 74)
        # A test is always on every sample.
        speakers.crops = Crops(64, validation_windows=1)
        assert [len(batch.ids) for batch in speakers.val_dataloader()] == [1]
        assert [len(batch.ids) for batch in speakers.test_dataloader()] == [2, 2]

    def test_prompts_go_round_speakers_and_have_no_history(self, speakers: AudioFolderDataModule) -> None:
        speakers.connect(Request(SPEAKER, history=500))
        batch = speakers.prompts(4, 100)
        assert batch.ids == ["ann_v1.wav", "cy_v1.wav", "ann_v2.wav", "ann_v3.wav"]
        assert batch.waveform.shape == (4, 100)
        assert batch.target_mask.sum(dim=1).tolist() == [50, 100, 100, 30]
        assert values(batch.waveform[3]).tolist() == [*range(951, 981), *[0] * 70]
        assert batch.speaker.tolist() == [0, 2, 0, 0]
        assert speakers.prompts(3, 100).ids == batch.ids[:3]
        assert speakers.prompts(99, 100, "test").ids == ["bo_t1.wav", "cy_t1.wav", "cy_t2.wav"]
        assert speakers.prompts(1, 9999).waveform.shape == (1, 50)

    def test_predict_yields_whole_test_clips(self, speakers: AudioFolderDataModule) -> None:
        speakers.connect(Request(SPEAKER, history=500))
        (batch,) = speakers.predict_dataloader()
        assert batch.ids == ["bo_t1.wav", "cy_t1.wav"]
        assert batch.waveform.shape == (2, 70)
        assert batch.target_mask.tolist() == [[True] * 70, [True] * 20 + [False] * 50]
        assert batch.speaker.tolist() == [1, 2]
        speakers.batch_size = 1
        batches = list(speakers.predict_dataloader())
        assert [batch.ids for batch in batches] == [["bo_t1.wav"], ["cy_t1.wav"]]
        assert [batch.waveform.shape for batch in batches] == [(1, 70), (1, 20)]
        assert all(batch.target_mask.all() for batch in batches)

    def test_prompts_of_an_empty_split(self, data: AudioFolderDataModule) -> None:
        with pytest.raises(CorpusError, match=r"no validation clips .* raise split\.validation"):
            data.prompts(1, 10)

    def test_whole_prompts(self, data: AudioFolderDataModule) -> None:
        assert [len(excerpt.waveform) for excerpt in Prompts(slicer(data))] == list(LENGTHS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"evaluation_samples": 0}, "evaluation_samples is 0"),
        ({"validation_windows": 0}, "validation_windows is 0"),
        ({"prompts": 0}, "prompts is 0"),
    ],
)
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Crops(**({"samples": 1} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"data\.batch_size must be at least 1 .* got 0 and 0$"),
        ({"num_workers": -1}, r"data\.num_workers not negative, got 8 and -1$"),
    ],
)
def test_loading_out_of_range(tmp_path: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        AudioFolderDataModule(tmp_path, audio=Audio(8000), **options)


def test_fractions_out_of_range() -> None:
    with pytest.raises(RequestError, match=r"split\.validation \(0\.5\) and split\.test \(0\.5\)"):
        Split(0.5, 0.5)
