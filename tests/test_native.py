"""The native engine against the eager one, and by itself."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from nets import KINDS, build, needs_native, same_codes, stream_for, teacher_forced

from lightning_wavenet.backbone import MuLawSoftmax, WaveNet
from lightning_wavenet.errors import RequestError
from lightning_wavenet.sampling import Sampler, Stream, native, sampler
from lightning_wavenet.sampling.session import Start

# Widths that fill several panels and leave the last ones part empty, and more codes than channels.
WIDE = {
    "residual_channels": 40,
    "gate_channels": 2 * 75,
    "skip_channels": 150,
    "head_channels": 100,
    "dilations": "1..8 x2",
}
NETS = {
    **{kind: (kind, {}) for kind in KINDS},
    "wide": ("plain", WIDE),
    "wide, kernel 3, local": ("global and local", WIDE),
    "wide, shared": ("shared projection", {**WIDE, "skip_channels": 40}),
    "few codes": ("plain", {"distribution": MuLawSoftmax(20)}),
    "scalar, many codes": ("plain", {"distribution": MuLawSoftmax(1000), "input": "scalar"}),
}


@pytest.fixture(autouse=True)
def _threads_back():
    yield
    torch.set_num_threads(1)


def bfloat16_or_skip():
    if not native.load().bfloat16:
        pytest.skip("this CPU does not multiply bfloat16")


@needs_native
@pytest.mark.parametrize("name", NETS)
def test_codes_are_those_of_the_eager_engine(name):
    kind, changes = NETS[name]
    net = build(kind, **changes)
    streams = [stream_for(net, 4_000, seed=seed, prime=prime) for seed, prime in enumerate((None, 60, 9))]
    expected = Sampler(net, "eager").generate(streams)
    assert len(expected[0].unique()) > 10
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        for count in (1, 3):
            clips = Sampler(net, "native", "float32").generate(streams[:count], chunk=1_000 * threads)
            for stream, clip, right in zip(streams, clips, expected, strict=False):
                assert same_codes(net, stream, clip, right), f"{threads} threads, {count} streams"


@needs_native
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["plain", "wide, kernel 3, local", "wide, shared", "contexts"])
def test_threads_and_neighbors_do_not_change_a_bit(name, precision):
    if precision == "bfloat16":
        bfloat16_or_skip()
    kind, changes = NETS[name]
    net = build(kind, **changes)
    streams = [stream_for(net, 300 + 10 * seed, seed=seed, prime=7 * seed) for seed in range(13)]
    torch.set_num_threads(1)
    alone = [Sampler(net, "native", precision).generate([stream])[0] for stream in streams]
    for threads in (1, 2, 4, 5):
        torch.set_num_threads(threads)
        if precision == "bfloat16":
            # PyTorch computes what lies before the first sample, and its sums depend on its threads: bfloat16 shows it.
            alone = [Sampler(net, "native", precision).generate([stream])[0] for stream in streams]
        for count in (1, 2, 5, 13):
            clips = Sampler(net, "native", precision).generate(streams[:count])
            assert all(torch.equal(clip, right) for clip, right in zip(clips, alone, strict=False))


@needs_native
@pytest.mark.parametrize("options", [{"temperature": 0.7}, {"top_p": 0.8}, {"temperature": 1.3, "top_p": 0.5}])
def test_temperature_and_top_p_draw_as_the_eager_engine_does(options):
    net = build()
    streams = [Stream(1_000, seed) for seed in range(3)]
    eager = torch.stack(Sampler(net, "eager", **options).generate(streams))
    clips = torch.stack(Sampler(net, "native", "float32", **options).generate(streams))
    assert torch.equal(clips, eager)


def session_for(net: WaveNet, stream: Stream, precision: str, library=None) -> native.NativeSession:
    """A session of one stream without a prime."""
    history = torch.full((1, net.history), net.distribution.silence)
    local = net.begin_local_condition(history, [stream.frames], [0])
    global_condition = None if stream.global_condition is None else stream.global_condition.unsqueeze(0)
    start = Start(net, history, net.distribution.sampling(), global_condition, local)
    return native.NativeSession(start, library or native.load(), precision, threads=1)


def scores(session: native.NativeSession, codes: torch.Tensor) -> torch.Tensor:
    """Parameters `[samples, P]` of given codes, in parts of 1, 40 and more samples, none beyond what is known."""
    local = None if session.window is None else session.window.local
    found, done = [], 0
    while done < len(codes):
        part = {0: 1, 1: 40}.get(len(found), 159)
        stop = min(len(codes), done + part, *([] if local is None else [local.known]))
        found.append(session.score(codes[None, done:stop])[0])
        if local is not None:
            local.take(codes[None, done:stop])
        done = stop
    return torch.cat(found)


@needs_native
@pytest.mark.parametrize("name", NETS)
def test_scores_are_those_of_the_whole_forward_pass(name):
    kind, changes = NETS[name]
    net = build(kind, **changes)
    stream = stream_for(net, 200, seed=1)
    codes = torch.randint(0, net.distribution.levels, (200,))
    with torch.inference_mode():
        logits = scores(session_for(net, stream, "float32"), codes)
        torch.testing.assert_close(logits, teacher_forced(net, stream, codes), atol=3e-5, rtol=0)


@needs_native
def test_bfloat16_diverges_little_on_a_trained_net():
    bfloat16_or_skip()
    net = build("plain", **WIDE)
    time_axis = torch.arange(24_000) / 8_000
    waveform = 0.4 * torch.sin(2 * torch.pi * 220 * time_axis) * torch.sin(2 * torch.pi * 3 * time_axis) ** 2
    waveform = (waveform + 0.01 * torch.randn(24_000, generator=torch.Generator().manual_seed(0))).unsqueeze(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for step in range(150):
        at = (step * 997) % 18_000
        loss = net.nll(waveform[:, at : at + 2_000]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 4.0  # A net that has learned nothing has 5.55.
    stream, codes = Stream(4_000), net.distribution.encode(waveform[0, -4_000:])
    with torch.inference_mode():
        exact = teacher_forced(net, stream, codes).double().log_softmax(-1)
        rounded = session_for(net, stream, "bfloat16").score(codes.unsqueeze(0))[0].double().log_softmax(-1)
    divergence = (exact.exp() * (exact - rounded)).sum(-1).mean().item()
    nll, nll_rounded = (-p.gather(1, codes.unsqueeze(1)).mean().item() for p in (exact, rounded))
    assert 0 < divergence < 1e-3
    assert abs(nll_rounded / nll - 1) < 0.005


@needs_native
def test_two_samplers_in_two_threads_do_not_disturb_each_other():
    nets = [build("kernel 3"), build("global and local", seed=5)]
    streams = [[stream_for(net, 3_000, seed=seed) for seed in range(2)] for net in nets]
    right = [Sampler(net, "native").generate(part) for net, part in zip(nets, streams, strict=True)]
    found: list = [None, None]

    def generate(index: int) -> None:
        found[index] = [Sampler(nets[index], "native").generate(streams[index], chunk=100) for _ in range(3)]

    workers = [threading.Thread(target=generate, args=(index,)) for index in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for index in range(2):
        for clips in found[index]:
            assert all(map(torch.equal, clips, right[index]))


def started(script: str) -> subprocess.Popen[str]:
    """Another process, with as many threads as this one."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def thread_ids() -> set[str]:
    return set(os.listdir("/proc/self/task"))


@needs_native
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted in Linux's /proc")
def test_threads_are_kept_from_call_to_call_and_end_with_the_session():
    net = build("plain", **WIDE)
    torch.set_num_threads(3)
    before = thread_ids()
    chunks = Sampler(net, "native", "float32").stream([Stream(900, seed) for seed in range(2)], chunk=100)
    next(chunks)
    kept = thread_ids() - before
    assert len(kept) == 2
    for _ in range(5):
        next(chunks)
    assert thread_ids() - before == kept
    chunks.close()
    assert not thread_ids() - before


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_generates_on_threads_of_its_own():
    """As a loader's worker is forked while a round of samples is half done."""
    net = build("plain", **WIDE)
    streams = [Stream(400, seed) for seed in range(2)]
    torch.set_num_threads(1)
    expected = torch.cat([chunk[1] for chunk in Sampler(net, "native").stream(streams, 100)])
    torch.set_num_threads(3)
    chunks = Sampler(net, "native").stream(streams, 100)
    found = [next(chunks)[1]]
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # PyTorch's own threads are gone too.
        rest = [*found, *(chunk[1] for chunk in chunks)]
        del chunks
        os._exit(0 if torch.equal(torch.cat(rest), expected) else 1)
    deadline = time.time() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.time() < deadline:
        time.sleep(0.05)
    assert ended == (child, 0)
    found += [chunk[1] for chunk in chunks]
    assert torch.equal(torch.cat(found), expected)


@needs_native
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from Linux's /proc")
def test_memory_stays_flat():
    net = build("local, transposed")
    frames = torch.randn(3, 20_000)
    chunks = Sampler(net, "native").stream([Stream(400_000, frames=frames), Stream(399_000, 1, frames=frames)], 1_600)
    for _ in range(50):
        next(chunks)
    before = resident_mb()
    assert sum(len(chunk[0]) for chunk in chunks) == 400_000 - 50 * 1_600
    after = resident_mb()
    for _ in range(200):
        Sampler(net, "native").generate([replace(Stream(10), frames=frames)])
    assert after - before < 10
    assert resident_mb() - after < 10


@needs_native
def test_ctrl_c_stops_within_a_second():
    # What is started in the background of a script inherits that Ctrl-C is ignored.
    script = """
import signal, time, torch
signal.signal(signal.SIGINT, signal.default_int_handler)
from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.sampling import Sampler, Stream
chunks = Sampler(WaveNet().eval(), "native").stream([Stream(10**6, seed) for seed in range(4)], 200_000)
try:
    print("begins", flush=True)
    next(chunks)
except KeyboardInterrupt:
    print(time.time(), flush=True)
"""
    process = started(script)
    assert process.stdout.readline() == "begins\n"
    time.sleep(5)
    assert process.poll() is None
    pressed = time.time()
    process.send_signal(signal.SIGINT)
    assert float(process.communicate(timeout=60)[0]) - pressed < 1


@needs_native
def test_autocast_and_default_types_do_not_reach_the_engine():
    net = build("scalar input", bias=False)
    right = Sampler(net, "native", "float32").generate([Stream(300)])[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Sampler(net, "native", "float32").generate([Stream(300)])[0], right)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(Sampler(net, "native", "float32").generate([Stream(300)])[0], right)
    finally:
        torch.set_default_dtype(torch.float32)


@needs_native
def test_a_net_that_diverged_draws_some_code():
    net = build()
    with torch.no_grad():
        net.head[-1].bias.fill_(float("nan"))
    for top_p in (1.0, 0.9):
        clip = Sampler(net, "native", top_p=top_p).generate([Stream(50)])[0]
        assert clip.abs().max() <= 1


@needs_native
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names kinds of x86-64 CPUs")
@pytest.mark.parametrize("tuning", ["x86-64", "x86-64-v3"])
def test_other_cpus_compute_the_same(tuning):
    library = native.build_for([[f"-march={tuning}"]])
    assert library.lanes == {"x86-64": 4, "x86-64-v3": 8}[tuning]
    for name in ("plain", "wide", "wide, kernel 3, local", "wide, shared", "scalar, many codes"):
        kind, changes = NETS[name]
        net = build(kind, **changes)
        stream = stream_for(net, 300, seed=2)
        with torch.inference_mode():
            codes = torch.randint(0, net.distribution.levels, (300,))
            logits = session_for(net, stream, "float32", library).score(codes.unsqueeze(0))[0]
            torch.testing.assert_close(logits, teacher_forced(net, stream, codes), atol=3e-5, rtol=0)
            uniforms = torch.from_numpy(np.random.default_rng(2).random((1, 300)))
            drawn = session_for(net, stream, "float32", library).run(uniforms)[0]
        right = Sampler(net, "eager").generate([stream])[0]
        assert same_codes(net, stream, net.distribution.decode(drawn), right)


@pytest.fixture
def fresh_build(monkeypatch, tmp_path):
    """A machine on which nothing was built yet."""
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "built"))
    native.load.cache_clear()
    yield tmp_path
    native.load.cache_clear()


def test_without_a_compiler_the_eager_engine_generates_and_says_so_once(fresh_build, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    sampler._notify.cache_clear()
    net = build()
    clips = [Sampler(net).generate([Stream(20)])[0] for _ in range(2)]
    assert torch.equal(clips[0], Sampler(net, "eager").generate([Stream(20)])[0])
    assert [record.message for record in caplog.records] == [
        "generating with the eager engine, many times slower than the native one: there is no C++ compiler "
        "(no-such-compiler was not found)"
    ]
    with pytest.raises(RequestError, match="native engine cannot generate here: there is no C"):
        Sampler(net, "native").generate([Stream(1)])


def test_a_build_that_fails_is_named_and_leaves_nothing(fresh_build, monkeypatch):
    broken = fresh_build / "broken-compiler"
    broken.write_text('#!/bin/sh\ncase "$*" in *-dM*) exit 0;; esac\necho "engine.cpp: error: no luck" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert native.load() == f"{broken} cannot build it: engine.cpp: error: no luck"
    assert not list((fresh_build / "built" / "lightning_wavenet").iterdir())


@needs_native
def test_processes_that_build_at_once_all_get_the_engine_and_the_next_finds_it(fresh_build):
    script = "from lightning_wavenet.sampling import native; print(native.load().lanes)"
    together = [started(script) for _ in range(2)]
    lanes = [int(process.communicate(timeout=120)[0]) for process in together]
    assert lanes[0] == lanes[1] >= 4
    built = list((fresh_build / "built" / "lightning_wavenet").iterdir())
    assert len(built) == 1
    modified = built[0].stat().st_mtime_ns
    assert native.load().lanes == lanes[0]
    assert built[0].stat().st_mtime_ns == modified
