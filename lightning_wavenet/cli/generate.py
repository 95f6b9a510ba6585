"""`wavenet generate`: audio from a checkpoint alone."""

# No postponed annotations here: a parser is made of them.
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lightning_wavenet.cli.parsing import verb


def generate(
    ckpt: Path,
    /,
    out: Path | None = None,
    num: int = 1,
    seconds: float | None = None,
    speaker: str | None = None,
    tags: str | None = None,
    guidance: float | None = None,
    frames_from: Sequence[Path] = (),
    prime: Path | None = None,
    seed: int = 0,
    temperature: float | None = None,
    top_p: float | None = None,
    engine: Literal["auto", "eager", "native", "cuda"] = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    live_check: bool = False,
    overwrite: bool = False,
) -> None:
    """Generates audio from a checkpoint: a 16-bit wav, a spectrogram and a description of each clip.

    Args:
        ckpt: A checkpoint that wavenet fit wrote.
        out: Folder for the clips; needed for all but a live check.
        num: Clips, of each speaker where the model knows speakers.
        seconds: Length of each clip (s); by default 3, or as long as the frames.
        speaker: Whose voice, or several joined by commas; by default every speaker that the model knows.
        tags: What the music is to be, several tags joined by commas, such as "piano,slow"; by default nothing is said.
        guidance: Strength of classifier-free guidance, which leads music further towards its tags: more than 1, of a
            model that was trained with tag_dropout.
        frames_from: Recordings whose frames a model of frames speaks from, such as a vocoder; or mel frames that a
            text-to-speech front end made for one, .npy or .pt.
        prime: Recording to continue; without one a clip begins out of silence.
        seed: Seed of the first clip; the others count on from it.
        temperature: Less than 1 is more conservative; by default 1, which samples from the model.
        top_p: Keep only the most probable values that together reach this probability; by default 1, which keeps all.
        engine: "eager" is PyTorch step by step, "native" a C++ loop for CPUs, "cuda" replays CUDA graphs; "auto" takes
            the fastest that fits.
        precision: "bfloat16" is faster where the device multiplies it, and moves the distributions a little; "auto"
            takes it there.
        device: Where to compute: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
        live_check: Write nothing, but tell whether this machine generates as fast as the clips play.
        overwrite: Replace clips that exist.

    Raises:
        RequestError: The request does not fit the checkpoint, or would overwrite something.
    """
    from lightning_wavenet.cli.clips import make_clips
    from lightning_wavenet.errors import RequestError
    from lightning_wavenet.files.atomic import need_distinct, need_folder, refuse_existing
    from lightning_wavenet.files.audio import CLIP_SUFFIXES
    from lightning_wavenet.models import GenerativeModel
    from lightning_wavenet.models.checkpoint import load
    from lightning_wavenet.sampling import Sampler

    if (out is None) != live_check:
        raise RequestError("give a folder as --out" if out is None else "--live_check writes nothing: leave out --out")
    if out is not None:
        need_folder(out)
    model = load(ckpt, "cpu" if device == "auto" and engine == "native" else device)
    if not isinstance(model, GenerativeModel):
        raise RequestError(f"{ckpt} holds a {type(model).__name__}, which does not generate")
    sampler = Sampler(model.backbone, engine, precision, temperature=temperature, top_p=top_p)
    used, rate = sampler.engine, model.vocabulary.sample_rate
    given = {name: value for name, value in (("speaker", speaker), ("tags", tags)) if value is not None}
    batch, streams = model.plan(seconds, num, seed, prime, frames_from, guidance, **given)
    if out is not None:
        need_distinct((id, out / f"{id}.wav") for id in batch.ids)
        refuse_existing([out / f"{id}{suffix}" for id in batch.ids for suffix in CLIP_SUFFIXES], overwrite)

    chunk_samples = max(1, rate // 10)
    about = model.descriptions(batch, streams, sampler, prime)
    stems = [] if out is None else [out / id for id in batch.ids]
    made = make_clips(sampler, streams, about, stems, chunk_samples)

    count = "1 clip" if len(streams) == 1 else f"{len(streams)} clips"
    lengths = sorted({stream.samples / rate for stream in streams})
    long = f"{lengths[0]:g} s" if len(lengths) == 1 else f"{lengths[0]:.2f} to {lengths[-1]:.2f} s"
    told = f"{count} of {long} at {rate} Hz by the {used.name} engine in {used.precision}"
    if out is None:
        print(f"{told}: {live_verdict(made.arrivals, chunk_samples / rate)}")
    else:
        print(f"{told} in {out}, RTF {made.rtf:.2f} (seconds of compute a second of audio)")


def live_verdict(arrivals: list[float], chunk_seconds: float) -> str:
    """Whether chunks that arrived at the given times (s) could have been played one after another without a stop."""
    late = max(arrival - number * chunk_seconds for number, arrival in enumerate(arrivals)) - arrivals[0]
    if late <= 0:
        return f"keeps up, playback can begin after {arrivals[0]:.2f} s and never stops"
    return (
        f"does not keep up, playback would stop for {late:.2f} s in all, or has to begin after "
        f"{arrivals[0] + late:.2f} s to go through"
    )


main = verb(generate, "generate")
