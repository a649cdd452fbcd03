from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from celpaint.errors import DiskFull, OutputError
from celpaint.sampling.fusion import (
    READINGS,
    DiskStore,
    EveryStep,
    FinalLatents,
    FusionState,
    FusionWindow,
    MemoryStore,
    Store,
    frame_noise,
    fuse,
    fused,
    plan_windows,
    sample_fused,
    shares,
)
from celpaint.sampling.guidance import guided
from celpaint.sampling.sigmas import edm_sigmas, v_scaling
from celpaint.sampling.solvers import Denoise, dpmpp_2m, euler

SHAPE = (2, 3, 4)
SIGMAS = edm_sigmas(5, sigma_max=20.0)


def network(window: FusionWindow) -> Denoise:
    """Pulls every frame to its own number; what it answers depends on the window and on all frames in it."""
    target = torch.tensor([float(f) for f in window.frames])[:, None, None, None]

    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        return target + (x - target) / (1 + sigma**2) + 0.1 * x.mean(0, keepdim=True) / (1 + sigma)

    return denoise


def start(frames: Sequence[int]) -> Tensor:
    return SIGMAS[0] * frame_noise(frames, SHAPE, seed=7)


def sampled(reading: str, windows: tuple[FusionWindow, ...], denoise: Callable[..., Denoise] = network) -> Tensor:
    fusion = READINGS[reading](windows)
    *_, state = sample_fused(fusion, denoise, SIGMAS, start)
    return torch.cat(list(fusion.result(state.latents)))


# ---------------------------------------------------------------------------------------------------------------- plan


def test_windows_of_a_long_video() -> None:
    windows = plan_windows(40)
    assert [w.frames for w in windows] == [tuple(range(i, i + 16)) for i in (0, 10, 20, 24)]
    assert windows[0].weights == (1, 3, 5, 7, 9, 11, 13, 15, 15, 13, 11, 9, 7, 5, 3, 1)


def test_windows_that_fit_need_no_shifted_one() -> None:
    assert [w.frames[0] for w in plan_windows(36)] == [0, 10, 20]


def test_short_videos_repeat_their_last_frame_without_weight() -> None:
    (window,) = plan_windows(3, window=5, overlap=2)
    assert window.frames == (0, 1, 2, 2, 2)
    assert window.weights == (1, 3, 5, 0, 0)


def test_no_window_goes_over_a_cut() -> None:
    windows = plan_windows(12, window=4, overlap=2, cuts=(5, 6))
    assert [(w.frames, w.scene) for w in windows] == [
        ((0, 1, 2, 3), 0),
        ((1, 2, 3, 4), 0),
        ((5, 5, 5, 5), 1),
        ((6, 7, 8, 9), 2),
        ((8, 9, 10, 11), 2),
    ]


@pytest.mark.parametrize(
    ("size", "overlap", "first", "wanted"),
    [
        (16, 4, 1, (0.375, 0.625, 0.875)),  # MimicMotion's settings, whose first shared frame is the reference
        (72, 6, 1, (0.25, 0.417, 0.583, 0.75, 0.917)),
        (16, 6, 0, (1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12)),
    ],
)
def test_share_of_the_later_window(size: int, overlap: int, first: int, wanted: tuple[float, ...]) -> None:
    later = shares(plan_windows(3 * size, window=size, overlap=overlap))[1]
    frames = range(size - overlap + first, size)
    assert [float(later[frame]) for frame in frames] == pytest.approx(wanted, abs=5e-4)
    assert [later[f] for f in frames] == [Fraction(2 * p + 1, 2 * overlap) for p in range(first, overlap)]


PLANS = st.integers(1, 12).flatmap(
    lambda window: st.builds(
        lambda length, overlap, cuts: plan_windows(
            length, window=window, overlap=overlap, cuts=sorted({c for c in cuts if c < length})
        ),
        st.integers(1, 60),
        st.integers(0, window - 1),
        st.lists(st.integers(1, 59), max_size=3),
    )
)


@given(PLANS)
def test_every_frame_is_in_a_window_and_its_shares_sum_to_one(windows: tuple[FusionWindow, ...]) -> None:
    length = windows[-1].frames[-1] + 1
    total = [Fraction(0)] * length
    for window in shares(windows):
        for frame, share in window.items():
            assert 0 < share <= 1
            total[frame] += share
    assert total == [1] * length


@given(PLANS)
def test_windows_are_in_order_and_of_one_length(windows: tuple[FusionWindow, ...]) -> None:
    assert len({len(w.frames) for w in windows}) == 1
    firsts = [w.frames[0] for w in windows]
    assert firsts == sorted(set(firsts))
    for window in windows:
        real = [f for f, weight in zip(window.frames, window.weights, strict=True) if weight]
        assert real == list(range(real[0], real[0] + len(real)))
        assert set(window.frames) == set(real)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "0 frames"),
        ({"length": 9, "window": 0}, "windows of 0"),
        ({"length": 9, "window": 4, "overlap": 4}, "overlap 4, wanted 0 to 3"),
        ({"length": 9, "overlap": -1}, "overlap -1"),
        ({"length": 9, "cuts": (4, 4)}, "wanted rising numbers from 1 to 8"),
        ({"length": 9, "cuts": (9,)}, "cuts"),
        ({"length": 9, "cuts": (0,)}, "cuts"),
    ],
)
def test_impossible_plans_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_windows(**arguments)


# -------------------------------------------------------------------------------------------------------------- fusing


@given(PLANS, st.integers(0, 100))
def test_fusing_is_the_mean_by_shares(windows: tuple[FusionWindow, ...], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    answers = [torch.randn(len(w.frames), 1, 2, 2, generator=random) for w in windows]
    length = windows[-1].frames[-1] + 1
    wanted = torch.zeros(length, 1, 2, 2, dtype=torch.float64)
    for window, answer, share in zip(windows, answers, shares(windows), strict=True):
        for frame, latents, weight in zip(window.frames, answer, window.weights, strict=True):
            wanted[frame] += float(share.get(frame, 0)) * latents.double() if weight else 0
    torch.testing.assert_close(torch.cat(list(fuse(windows, answers))), wanted.float(), atol=1e-5, rtol=1e-5)


@given(PLANS, st.floats(-100, 100, width=32))
def test_a_constant_field_is_unchanged_bit_for_bit(windows: tuple[FusionWindow, ...], value: float) -> None:
    answers = (torch.full((len(w.frames), 1, 2, 2), value) for w in windows)
    result = torch.cat(list(fuse(windows, answers)))
    assert torch.equal(result, torch.full((windows[-1].frames[-1] + 1, 1, 2, 2), value))


@given(PLANS)
def test_frames_are_given_as_soon_as_no_later_window_has_them(windows: tuple[FusionWindow, ...]) -> None:
    asked = 0

    def answers() -> object:
        nonlocal asked
        for window in windows:
            asked += 1
            yield torch.zeros(len(window.frames), 1, 1, 1)

    given_so_far = 0
    for frames in fuse(windows, answers()):  # type: ignore[arg-type]
        assert len(frames) <= 2 * len(windows[0].frames)
        given_so_far += len(frames)
        waiting = [w.frames[0] for w in windows[asked:]]
        assert given_so_far == (waiting[0] if waiting else windows[-1].frames[-1] + 1)


@pytest.mark.parametrize("solver", [euler, dpmpp_2m])
def test_one_window_is_no_fusion_bit_for_bit(solver: Callable[..., Tensor]) -> None:
    windows = plan_windows(16)
    noise = start(range(16))
    assert torch.equal(solver(fused(network, windows), noise, SIGMAS), solver(network(windows[0]), noise, SIGMAS))


@pytest.mark.parametrize("reading", READINGS)
def test_one_window_is_no_fusion_bit_for_bit_in_either_reading(reading: str) -> None:
    (window,) = plan_windows(16)
    assert torch.equal(sampled(reading, (window,)), euler(network(window), start(range(16)), SIGMAS))


@pytest.mark.parametrize("reading", READINGS)
def test_a_short_video_is_one_window_cut(reading: str) -> None:
    windows = plan_windows(3, window=5, overlap=2)
    whole = euler(network(windows[0]), start(windows[0].frames), SIGMAS)
    assert torch.equal(sampled(reading, windows), whole[:3])


def test_sampling_step_by_step_is_the_fused_denoiser_under_euler() -> None:
    windows = plan_windows(40)
    wanted = euler(fused(network, windows), start(range(40)), SIGMAS)
    assert torch.equal(sampled("step", windows), wanted)


def test_other_reading_averages_windows_that_were_denoised_apart() -> None:
    windows = plan_windows(40)
    finals = [euler(network(w), start(w.frames), SIGMAS) for w in windows]
    assert torch.equal(sampled("final", windows), torch.cat(list(fuse(windows, finals))))
    assert not torch.equal(sampled("final", windows), sampled("step", windows))


def test_fusing_predictions_answers_or_next_latents_is_the_same() -> None:
    windows, x = plan_windows(25, window=8, overlap=5), 3.0 * torch.randn(25, *SHAPE)
    sigma, lower = 3.0, 2.0
    scaling = v_scaling(sigma)
    denoised = [network(w)(x[list(w.frames)], sigma) for w in windows]
    predicted = [(d - scaling.skip * x[list(w.frames)]) / scaling.out for d, w in zip(denoised, windows, strict=True)]
    stepped = [
        euler(lambda *_, d=d: d, x[list(w.frames)], (sigma, lower)) for d, w in zip(denoised, windows, strict=True)
    ]
    by_answer = euler(fused(network, windows), x, (sigma, lower))
    v = torch.cat(list(fuse(windows, predicted)))
    by_v = euler(lambda *_: scaling.skip * x + scaling.out * v, x, (sigma, lower))
    by_latents = torch.cat(list(fuse(windows, stepped)))
    torch.testing.assert_close(by_answer, by_v, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(by_answer, by_latents, atol=1e-4, rtol=1e-5)


def test_guidance_before_and_after_fusing_is_the_same() -> None:
    windows, x = plan_windows(25, window=8, overlap=5), 3.0 * torch.randn(25, *SHAPE)

    def blind(window: FusionWindow) -> Denoise:
        return lambda x, sigma: x / (1 + sigma) + window.frames[0]

    inside = fused(lambda w: guided(network(w), blind(w), 2.5), windows)(x, 3.0)
    outside = guided(fused(network, windows), fused(blind, windows), 2.5)(x, 3.0)
    torch.testing.assert_close(inside, outside, atol=1e-4, rtol=1e-5)


def test_scenes_do_not_mix() -> None:
    cut = sampled("step", plan_windows(30, window=8, overlap=4, cuts=(13,)))
    alone = sampled("step", plan_windows(13, window=8, overlap=4))
    assert torch.equal(cut[:13], alone)


def test_fused_windows_drift_less_than_windows_apart() -> None:
    """A network that paints each window in a tint of its own: neighbors fade into each other."""

    def tinted(window: FusionWindow) -> Denoise:
        return lambda x, sigma: torch.full_like(x, float(window.frames[0]))

    jump = sampled("step", plan_windows(40), tinted).mean((1, 2, 3)).diff().abs().max()
    hard = sampled("step", plan_windows(40, overlap=0), tinted).mean((1, 2, 3)).diff().abs().max()
    assert jump < 0.25 * hard


# --------------------------------------------------------------------------------------------------------------- noise


def test_noise_is_a_matter_of_frame_and_seed_alone() -> None:
    noise = frame_noise(range(200), (4, 8, 8), seed=1)
    assert torch.equal(noise[[5, 3]], frame_noise([5, 3], (4, 8, 8), seed=1))
    assert not torch.equal(noise[0], frame_noise([0], (4, 8, 8), seed=2)[0])
    assert noise.mean().abs() < 0.02
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    flat = noise.flatten(1)
    correlation = flat @ flat.T / flat.shape[1] - torch.eye(200)
    assert correlation.abs().max() < 0.4  # 256 values: six standard deviations


def test_noise_can_repeat_over_a_period() -> None:
    noise = frame_noise(range(20), (1, 2, 2), period=8)
    assert torch.equal(noise[:8], frame_noise(range(8), (1, 2, 2)))
    assert torch.equal(noise[8:16], noise[:8])


# -------------------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("disk", [False, True])
def test_a_run_resumed_after_any_step_gives_the_same_bytes(reading: str, disk: bool, tmp_path: Path) -> None:
    fusion = READINGS[reading](plan_windows(23, window=8, overlap=3))

    def store(n: int) -> Store:
        return DiskStore(tmp_path / str(n)) if disk else MemoryStore()

    whole = [s.latents.tobytes() for s in sample_fused(fusion, network, SIGMAS, start)]
    assert len(whole) == len(SIGMAS) - 1
    for n in range(1, len(whole)):
        steps = sample_fused(fusion, network, SIGMAS, start, store=store(n))
        saved = [next(steps) for _ in range(n)][-1].arrays()
        np.savez(tmp_path / f"{n}.npz", **saved)
        with np.load(tmp_path / f"{n}.npz") as arrays:
            state = FusionState.from_arrays(arrays)
        assert state.step == n
        rest = [s.latents.tobytes() for s in sample_fused(fusion, network, SIGMAS, state, store=store(n))]
        assert rest == whole[n:]


def test_nothing_is_left_to_do_after_the_last_step() -> None:
    fusion = EveryStep(plan_windows(10, window=8, overlap=3))
    *_, last = sample_fused(fusion, network, SIGMAS, start)
    assert list(sample_fused(fusion, network, SIGMAS, last)) == []


def test_states_of_another_plan_are_refused() -> None:
    fusion = FinalLatents(plan_windows(10, window=8, overlap=3))
    for state in (FusionState(0, np.zeros((10, *SHAPE), np.float32)), FusionState(9, np.zeros((16, *SHAPE)))):
        with pytest.raises(ValueError, match="wanted 16 rows and at most 5 steps"):
            next(sample_fused(fusion, network, SIGMAS, state))


def test_steps_are_reported() -> None:
    told: list[int] = []
    list(sample_fused(EveryStep(plan_windows(20)), network, SIGMAS, start, callback=told.append))
    assert told == [1, 2, 3, 4, 5]


def test_disk_keeps_the_last_whole_step_only(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "run")
    assert store.last() is None
    fusion = EveryStep(plan_windows(20))
    for state in sample_fused(fusion, network, SIGMAS, start, store=store):
        assert [p.name for p in store.folder.iterdir()] == [f"step_{state.step:05d}.npy"]
        found = store.last()
        assert found is not None
        assert (found.step, found.latents.tobytes()) == (state.step, state.latents.tobytes())
    assert state.latents.dtype == np.float32


def test_an_unfinished_step_on_disk_is_not_used(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)

    def broken(window: FusionWindow) -> Denoise:
        def denoise(x: Tensor, sigma: float, /) -> Tensor:
            if sigma < SIGMAS[1] and window.frames[0] > 0:
                raise KeyboardInterrupt
            return network(window)(x, sigma)

        return denoise

    fusion = EveryStep(plan_windows(23, window=8, overlap=3))
    with pytest.raises(KeyboardInterrupt):
        list(sample_fused(fusion, broken, SIGMAS, start, store=store))
    state = store.last()
    assert state is not None
    assert state.step == 2
    *_, resumed = sample_fused(fusion, network, SIGMAS, state, store=store)
    *_, whole = sample_fused(fusion, network, SIGMAS, start)
    assert resumed.latents.tobytes() == whole.latents.tobytes()


def test_a_disk_that_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    rows = [np.zeros((1, *SHAPE), np.float32)]
    with pytest.raises(OutputError, match="can't be written"):
        DiskStore(tmp_path / "file").keep(1, (1, *SHAPE), rows)

    def full(path: Path, name: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFull, match="no room"):
        DiskStore(tmp_path / "folder").keep(1, (1, *SHAPE), rows)


WATCHED = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from test_fusion import SIGMAS, network, start
from celpaint.sampling.fusion import DiskStore, EveryStep, plan_windows, sample_fused


def watched(window):
    def denoise(x, sigma):
        print("denoising", flush=True)
        sys.stdin.readline()
        return network(window)(x, sigma)

    return denoise


list(sample_fused(EveryStep(plan_windows(40)), watched, SIGMAS, start, store=DiskStore(Path(sys.argv[2]))))
"""


@pytest.mark.parametrize("calls", [1, 6, 11])
def test_a_run_resumed_after_sigkill_gives_the_same_bytes(calls: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WATCHED, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        guard = Timer(120, process.kill)
        guard.start()
        for call in range(calls):
            assert process.stdout.readline() == "denoising\n"
            if call < calls - 1:
                process.stdin.write("\n")
                process.stdin.flush()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        guard.cancel()
    fusion, store = EveryStep(plan_windows(40)), DiskStore(tmp_path)
    state = store.last()
    assert state is not None
    assert state.step == (calls - 1) // 4  # four windows a step
    *_, resumed = sample_fused(fusion, network, SIGMAS, state, store=store)
    *_, whole = sample_fused(fusion, network, SIGMAS, start)
    assert resumed.latents.tobytes() == whole.latents.tobytes()


def anonymous_memory() -> int:
    """Bytes of this process that are not pages of files."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """1,500 frames are 98 MB of latents; a window is 1 MB."""
    shape = (4, 64, 64)

    def plain(window: FusionWindow) -> Denoise:
        return lambda x, sigma: x / (1 + sigma)

    fusion = EveryStep(plan_windows(1500))
    steps = sample_fused(fusion, plain, (2.0, 1.0, 0.0), lambda f: frame_noise(f, shape), store=DiskStore(tmp_path))
    before, most = anonymous_memory(), 0
    inner = fusion.step

    def watched(*arguments: object) -> object:
        nonlocal most
        for row in inner(*arguments):  # type: ignore[arg-type]
            most = max(most, anonymous_memory())
            yield row

    fusion.step = watched  # type: ignore[method-assign, assignment]
    assert [state.step for state in steps] == [1, 2]
    assert most > 0
    assert most - before < 30e6


@settings(max_examples=20)
@given(st.integers(1, 30), st.integers(1, 8), st.sampled_from(["step", "final"]), st.data())
def test_all_frames_are_made_once_and_in_order(length: int, window: int, reading: str, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))

    def numbered(w: FusionWindow) -> Denoise:
        answer = torch.tensor([float(f) for f in w.frames])[:, None, None, None]
        return lambda x, sigma: answer.expand_as(x)

    result = sampled(reading, plan_windows(length, window=window, overlap=overlap), numbered)
    torch.testing.assert_close(result.mean((1, 2, 3)), torch.arange(length, dtype=torch.float32))
