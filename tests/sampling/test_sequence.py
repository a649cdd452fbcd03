from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from celpaint.sampling.blend import Blend
from celpaint.sampling.decode import ChunkedDecoder, Chunking, plan_chunks
from celpaint.sampling.segments import Segment, noise_rows, plan_segments
from celpaint.sampling.sequence import Carry, Window, sample_segments
from celpaint.sampling.sigmas import edm_sigmas
from celpaint.sampling.solvers import Denoise, dpmpp_2m, euler

SIGMAS = edm_sigmas(4, sigma_max=20.0)


def towards(segment: Segment) -> Denoise:
    """A denoiser that pulls every frame to its own number, and to its neighbors in the window a little."""
    target = torch.tensor([-1.0] * segment.first + [float(f) for f in segment.frames])[:, None, None, None]

    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        return target + (x - target) / (1 + sigma**2) + 0.05 * x.mean(0, keepdim=True) / (1 + sigma)

    return denoise


def run(length: int, overlap: int, carry: Carry | None = None, **more: object) -> list[tuple[Tensor, Carry]]:
    noise = torch.randn(noise_rows(overlap), 2, 3, 4, generator=torch.Generator().manual_seed(0))
    plan = plan_segments(length, overlap=overlap)
    return list(
        sample_segments(plan, noise, SIGMAS, lambda s, c: Window(towards(s)), overlap=overlap, carry=carry, **more)  # type: ignore[arg-type]
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(0, 12), st.sampled_from([euler, dpmpp_2m]))
def test_every_length_gives_every_frame(length: int, overlap: int, solver: object) -> None:
    noise = torch.randn(noise_rows(overlap), 1, 2, 2)

    def window(segment: Segment, carry: Carry | None) -> Window:
        answer = torch.tensor([-1.0] * segment.first + [float(f) for f in segment.frames])[:, None, None, None]
        return Window(lambda x, sigma: answer.expand_as(x))

    plan = plan_segments(length, overlap=overlap)
    made = sample_segments(plan, noise, SIGMAS, window, overlap=overlap, solver=solver)  # type: ignore[arg-type]
    frames = torch.cat([new for new, _ in made])
    torch.testing.assert_close(frames.mean((1, 2, 3)), torch.arange(length, dtype=torch.float32))


@pytest.mark.parametrize("overlap", [1, 4, 7, 8, 12])
@pytest.mark.parametrize("solver", [euler, dpmpp_2m])
def test_shared_frames_end_as_the_segment_before_made_them(overlap: int, solver: object) -> None:
    """Even where more than half a window is shared, so that frames pass through three windows."""
    noise = torch.randn(noise_rows(overlap), 2, 3, 4)
    plan = plan_segments(40, overlap=overlap)
    ends: list[Tensor] = []

    def window(segment: Segment, carry: Carry | None) -> Window:
        return Window(towards(segment))

    def keep(denoise: Denoise, x: Tensor, sigmas: object, told: object) -> Tensor:
        ends.append(solver(denoise, x, sigmas))  # type: ignore[operator]
        return ends[-1]

    for _ in sample_segments(plan, noise, SIGMAS, window, overlap=overlap, solver=keep):  # type: ignore[arg-type]
        pass
    for segment, before, after in zip(plan[1:], ends, ends[1:], strict=False):
        assert torch.equal(before[len(before) - overlap :], after[segment.first : segment.first + overlap])


def test_a_run_goes_on_from_its_carry() -> None:
    whole = run(50, 4)
    _, carry = whole[1]
    rest = run(50, 4, carry=carry)
    assert len(rest) == len(whole) - 2
    for (seen, _), (wanted, _) in zip(rest, whole[2:], strict=True):
        assert torch.equal(seen, wanted)


def test_carry_does_not_grow() -> None:
    sizes = {(carry.latents.shape, carry.denoised.shape) for _, carry in run(100, 4)}
    assert sizes == {((4, 2, 3, 4), (4, 4, 2, 3, 4))}


def test_steps_are_told_with_their_segment() -> None:
    told: list[tuple[int, int]] = []
    run(20, 4, told=lambda segment, step: told.append((segment, step)))
    assert told == [(segment, step) for segment in range(2) for step in (1, 2, 3, 4)]


def test_steps_can_be_left_unblended() -> None:
    blended, free = run(20, 4), run(20, 4, blended=0)
    assert torch.equal(blended[0][0], free[0][0])
    assert not torch.equal(blended[1][0], free[1][0])


def test_a_start_replaces_pure_noise() -> None:
    noise = torch.randn(noise_rows(4), 2, 3, 4)
    plan = plan_segments(3)
    start = torch.full((15, 2, 3, 4), 7.0)
    seen: list[Tensor] = []

    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        seen.append(x)
        return x

    list(sample_segments(plan, noise, (2.0, 0.0), lambda s, c: Window(denoise, start), overlap=4))
    torch.testing.assert_close(seen[0], start + 2.0 * noise[list(plan[0].noise)])


def test_what_is_known_stands_in_the_answer() -> None:
    known = torch.full((2, 3, 4), 5.0)
    noise = torch.randn(noise_rows(4), 2, 3, 4)

    def window(segment: Segment, carry: Carry | None) -> Window:
        return Window(towards(segment), known={segment.first + 2: known})

    ((frames, _),) = sample_segments(plan_segments(14), noise, SIGMAS, window, overlap=4)
    torch.testing.assert_close(frames[2], known)


def test_blend_leaves_the_answer_of_others_alone() -> None:
    answer = torch.randn(6, 1, 2, 2)
    blend = Blend(lambda x, sigma: answer, at=2, earlier=[torch.zeros(2, 1, 2, 2)], known={}, keep=1)
    first, second = blend(answer, 1.0), blend(answer, 0.5)
    assert torch.equal(first[[0, 1, 4, 5]], answer[[0, 1, 4, 5]])
    assert not first[2:4].any()
    assert torch.equal(second, answer)
    assert blend.recorded().shape == (2, 1, 1, 2, 2)


OFFICIAL = Chunking(10, 3, lead=True)


def test_official_chunks() -> None:
    plan = plan_chunks(25, OFFICIAL)
    assert [chunk.inputs for chunk in plan] == [
        tuple(range(10)),
        (0, *range(7, 16)),
        (0, *range(13, 22)),
        (0, *range(19, 25)),
    ]
    assert [chunk.skip for chunk in plan] == [0, 4, 4, 4]


def test_chunks_without_a_lead() -> None:
    plan = plan_chunks(12, Chunking(5, 2, lead=False))
    assert [chunk.inputs for chunk in plan] == [(0, 1, 2, 3, 4), (3, 4, 5, 6, 7), (6, 7, 8, 9, 10), (9, 10, 11)]
    assert [chunk.skip for chunk in plan] == [0, 2, 2, 2]


@st.composite
def chunkings(draw: st.DrawFn) -> Chunking:
    size = draw(st.integers(2, 16))
    return Chunking(size, draw(st.integers(0, size - 2)), lead=draw(st.booleans()))


@given(st.integers(1, 300), chunkings())
def test_every_place_is_decoded_once(length: int, chunking: Chunking) -> None:
    plan = plan_chunks(length, chunking)
    assert [i for c in plan for i in c.inputs[c.skip :]] == list(range(length))
    assert all(len(c.inputs) <= chunking.size for c in plan)
    for before, after in pairwise(plan):
        again = after.inputs[chunking.lead : after.skip]
        assert again == before.inputs[len(before.inputs) - chunking.overlap :]
        assert not chunking.lead or after.inputs[0] == 0


def test_impossible_chunks_are_refused() -> None:
    with pytest.raises(ValueError, match="0 places"):
        plan_chunks(0, OFFICIAL)
    with pytest.raises(ValueError, match="overlap 9"):
        Chunking(10, 9, lead=True)
    with pytest.raises(ValueError, match="not given"):
        ChunkedDecoder(lambda z, places: z, 3, OFFICIAL)


@given(st.integers(1, 60), st.lists(st.integers(1, 14), min_size=60, max_size=60), chunkings(), st.booleans())
def test_pictures_come_in_order_however_latents_arrive(
    length: int, portions: list[int], chunking: Chunking, known: bool
) -> None:
    latents = torch.arange(length, dtype=torch.float32)[:, None, None, None]
    known = known or chunking.lead
    decoder = ChunkedDecoder(lambda z, places: z, length, chunking, latents[0] if known else None)
    seen, at, longest = [], int(known), 0
    for portion in portions:
        seen += [(place, float(picture)) for place, picture in decoder.push(latents[at : at + portion])]
        longest = max(longest, len(decoder.tail))
        at = min(at + portion, length)
    assert seen == [(i, float(i)) for i in range(length)]
    assert longest < chunking.size + 14


@pytest.mark.parametrize("chunking", [OFFICIAL, Chunking(5, 2, lead=False)])
def test_decoding_goes_on_from_what_was_kept(chunking: Chunking) -> None:
    latents = torch.arange(30, dtype=torch.float32)[:, None, None, None]
    decoder = ChunkedDecoder(lambda z, places: z, 30, chunking, latents[0])
    before = [place for place, _ in decoder.push(latents[1:20])]
    again = ChunkedDecoder(
        lambda z, places: z,
        30,
        chunking,
        latents[0],
        tail=decoder.tail,
        taken=decoder.taken,
        chunks_done=decoder.chunks_done,
    )
    after = [(place, float(picture)) for place, picture in again.push(latents[20:])]
    assert [*before, *(place for place, _ in after)] == list(range(30))
    assert all(place == value for place, value in after)
