"""What `lightning_wavenet.load` gives: a model that needs no Lightning, and clips that say what they are."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from nets import build

import lightning_wavenet as lw
from lightning_wavenet.cli.main import main
from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models import SpeakerModel, UnconditionalModel

VOICES = Vocabulary(8_000, speakers=("ann", "bob"))


def model() -> SpeakerModel:
    return SpeakerModel(build("global", global_channels=2), VOICES).eval()


def test_neither_models_nor_a_generated_clip_import_lightning(fit, tmp_path):
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    code = (
        "import sys, lightning_wavenet as lw\n"
        "import lightning_wavenet.models, lightning_wavenet.features, lightning_wavenet.sampling\n"
        "clips = lw.load('run/checkpoints/last.ckpt').generate(seconds=0.01, speaker='tone002')\n"
        "print(clips[0].save('clip.wav'))\n"
        "print([name for name in sys.modules if 'lightning' in name and not name.startswith('lightning_wavenet')])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert told.stdout.splitlines() == ["clip.wav", "[]"]
    about = json.loads(Path("clip.json").read_text())
    assert (about["conditions"], about["checkpoint"]) == ({"speaker": "tone002"}, "run/checkpoints/last.ckpt")


def test_a_voice_by_name_is_its_column():
    net = model()
    one, other = net.generate(0.01, speaker="bob,ann")
    assert [clip.description.conditions for clip in (one, other)] == [{"speaker": "bob"}, {"speaker": "ann"}]
    assert [clip.description.seed for clip in (one, other)] == [0, 1]
    by_hand = lw.Sampler(net.backbone).generate(
        [
            lw.Stream(80, seed, global_condition=global_condition)
            for seed, global_condition in enumerate(torch.eye(2).flip(0))
        ]
    )
    assert torch.equal(one.waveform, by_hand[0])
    assert torch.equal(other.waveform, by_hand[1])
    assert [clip.description.id for clip in net.generate(0.01, num=2)] == ["ann_000", "ann_001", "bob_000", "bob_001"]


def test_what_a_model_does_not_know_is_refused():
    with pytest.raises(RequestError, match=r"unknown speaker 'eve'; this model knows 2: ann, bob"):
        model().generate(speaker="eve")
    plain = UnconditionalModel(build(), VOICES)
    with pytest.raises(RequestError, match="not conditioned on a speaker"):
        plain.generate(speaker="ann")
    with pytest.raises(RequestError, match="not conditioned on a tag"):
        model().generate(tag="loud")
    with pytest.raises(RequestError, match="must be positive"):
        plain.generate(0)
    # One clip, though its corpus knows two speakers.
    assert len(plain.generate(0.01)) == 1


def test_a_description_is_enough_to_know_a_clip(tmp_path):
    net = model()
    prime = torch.rand(100, generator=torch.Generator().manual_seed(0)) - 0.5
    clip = net.generate(0.02, speaker="ann", seed=7, prime=prime, temperature=0.8, top_p=0.9, engine="eager")[0]
    path = clip.save(tmp_path / "some" / "clip.wav")
    assert path == tmp_path / "some" / "clip.wav"
    about = json.loads((tmp_path / "some" / "clip.json").read_text())
    digest = hashlib.sha256()
    for name, weight in sorted(net.state_dict().items()):
        digest.update(name.encode() + weight.numpy().tobytes())
    assert about == {
        "id": "ann_000",
        "sample_rate_hz": 8_000,
        "seconds": 0.02,
        "text": None,
        "conditions": {"speaker": "ann"},
        "recorded": False,
        "seed": 7,
        "sampling": {"temperature": 0.8, "top_p": 0.9},
        "prime_seconds": 0.0125,
        "prime": "ann_000",
        "codec": "mu-law 256",
        "engine": "eager",
        "precision": "float32",
        "model": "SpeakerModel",
        "weights_sha256": digest.hexdigest(),
        "checkpoint": None,
        "step": None,
        "rtf": None,
        "version": lw.__version__,
    }
    samples, rate = sf.read(path)
    assert (len(samples), rate) == (160, 8_000)
    assert samples == pytest.approx(clip.waveform.numpy(), abs=1e-4)


def test_other_weights_have_another_digest():
    net = model()
    before = net.digest()
    assert before == model().digest()
    with torch.no_grad():
        net.backbone.head[1].bias[3] += 1e-6
    assert net.digest() != before


@pytest.mark.parametrize("kind", ["plain", "local, transposed", "local, repeated"])
def test_a_model_asks_for_whole_frames_of_history_that_hold_its_receptive_field(kind):
    net = build(kind)
    request = type("Local", (UnconditionalModel,), {"__init__": _plain_init})(net, VOICES).request
    hop = 1 if net.upsampling is None else net.upsampling.hop
    assert request.hop == hop
    assert net.receptive_field <= request.history < net.receptive_field + hop
    assert request.history % hop == 0
    assert request.left_frames == (0 if net.upsampling is None else net.upsampling.context_frames)
    assert ("frames" in request.fields) == (net.upsampling is not None)


def _plain_init(self, backbone, vocabulary):
    super(UnconditionalModel, self).__init__(backbone, vocabulary)


def test_requests_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="multiple"):
        Request(history=7, hop=2)
    with pytest.raises(ValueError, match="negative"):
        Request(left_frames=-1)


def test_vocabularies_differ_only_in_what_is_used():
    one = Vocabulary(8_000, speakers=("a", "b"), phones=("x",), others={"mood": ("glad",)})
    other = Vocabulary(8_000, speakers=("a", "c"), phones=("x", "y"), others={"mood": ("sad",)})
    assert one.difference(other, []) is None
    assert one.difference(other, ["text"]) is None
    assert one.difference(other, ["speaker"]) == "speakers"
    assert one.difference(other, ["phones"]) == one.difference(other, ["transcript"]) == "phones"
    assert one.difference(other, ["mood"]) == "mood"
    assert one.difference(Vocabulary(16_000), []) == "sample_rate"
    assert Vocabulary.from_plain(json.loads(json.dumps(one.to_plain()))) == one


def test_streams_have_a_length_and_a_seed_each():
    batch = Batch(torch.zeros(2, 30), torch.ones(2, 30, dtype=torch.bool), ["a", "b"], torch.tensor([1, 0]))
    streams = model().streams(batch, [5, 9], [3, 8], prime_samples=4)
    assert [(one.samples, one.seed, one.prime_samples) for one in streams] == [(5, 3, 4), (9, 8, 4)]
    assert np.array_equal(streams[0].global_condition, [0, 1])
