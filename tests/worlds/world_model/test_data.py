import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.actions import JUMP, A
from terrarium.worlds.episodes.format import Episode
from terrarium.worlds.world_model.data import ClipStore, FrameStore, tokenise


def clips(lengths, jump_at=(), **options):
    """Episodes whose codes (1000 an episode) and pixels count the frames; jumps at (episode, frame)."""
    codes = [np.arange(n, dtype=np.uint16).reshape(-1, 1, 1) + 1000 * e for e, n in enumerate(lengths)]
    actions = [np.zeros((n - 1, A), np.float32) for n in lengths]
    for episode, frame in jump_at:
        actions[episode][frame : frame + 2, JUMP] = 1
    for a in actions:
        a[:, 0] = np.arange(len(a))
    frames = [np.broadcast_to(np.arange(n, dtype=np.uint8).reshape(-1, 1, 1, 1), (n, 4, 4, 3)) for n in lengths]
    episodes = [Episode(str(i), i, "train", f, a, None) for i, (f, a) in enumerate(zip(frames, actions, strict=True))]
    return ClipStore(episodes, codes, 5, **options)


def test_clips_stay_within_an_episode_and_keep_alignment():
    codes, actions, frames = clips([7, 5, 9]).sample(np.random.default_rng(0), 300)
    flat = codes[:, :, 0, 0]
    assert (flat.diff(dim=1) == 1).all()
    assert (actions[:, :, 0] == flat[:, :-1] % 1000).all()
    assert frames.shape == (300, 5, 4, 4, 3) and (frames[:, :, 0, 0, 0] == flat % 1000).all()
    starts = set(flat[:, 0].tolist())
    assert starts == {0, 1, 2, 1000, 2000, 2001, 2002, 2003, 2004}


def test_the_asked_share_of_clips_holds_a_rare_keys_change():
    store = clips([200], jump_at=[(0, 100)], rare_share=0.5)
    _, actions, _ = store.sample(np.random.default_rng(0), 400)
    jump = actions[:, :, JUMP]
    changes = (
        ((jump[:, 1:] != jump[:, :-1]).any(dim=1) | torch.isin(actions[:, 0, 0], torch.tensor([100, 102])))
        .float()
        .mean()
    )
    assert 0.4 < changes < 0.65


def test_no_rare_key_to_be_found_is_no_error():
    codes, _, _ = clips([9], rare_share=1.0).sample(np.random.default_rng(0), 8)
    assert codes.shape == (8, 5, 1, 1)


def test_short_episode_shows_both_lengths():
    with pytest.raises(ValueError, match="an episode has 4 frames, a training clip needs 5"):
        clips([4, 9])


def test_frames_are_drawn_from_every_episode():
    frames = [np.full((n, 2, 2, 3), n, np.uint8) for n in (3, 50)]
    store = FrameStore([Episode(str(i), i, "train", f, f[:-1], None) for i, f in enumerate(frames)])
    seen = store.sample(np.random.default_rng(0), 200)[:, 0, 0, 0]
    assert set(seen.tolist()) == {3, 50} and (seen == 50).mean() > 0.8


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_of_a_batch_are_the_batch(parts):
    store = clips([60, 40], jump_at=[(0, 30)], rare_share=0.3)
    frames = FrameStore(store.episodes)
    rngs = [np.random.default_rng(3) for _ in range(parts)]
    whole, drawn = store.sample(np.random.default_rng(3), 8), frames.sample(np.random.default_rng(3), 8)
    for i, rng in enumerate(rngs):
        for part, of in zip(store.sample(rng, 8, (i, parts)), whole, strict=True):
            assert part.equal(of[i::parts])
        assert np.array_equal(frames.sample(np.random.default_rng(3), 8, (i, parts)), drawn[i::parts])
    assert len({rng.random() for rng in rngs}) == 1, "every part's loss goes on from the same random state"


def test_unequal_parts_show_batch_and_parts():
    with pytest.raises(ValueError, match=r"batch 8 in 3 parts .*: expected a multiple of 3"):
        clips([9]).sample(np.random.default_rng(0), 8, (0, 3))


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", None])
def test_damaged_codes_of_an_interrupted_run_are_made_anew(tmp_path, damage):
    class Brightness:
        """A tokenizer whose codes are the pixels."""

        def encode(self, frames):
            return torch.tensor(frames[:, :1, :1, 0])

    frames = np.arange(9, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=-1)
    episodes = [Episode("0", 0, "train", frames[:4], None, None), Episode("1", 1, "train", frames[4:], None, None)]
    cache = tmp_path / "codes.npy"
    if damage is None:
        np.save(cache, np.zeros((4, 1, 1), np.uint16))  # of fewer episodes
    else:
        cache.write_bytes(damage)
    at_work = []
    one, two = tokenise(episodes, Brightness(), cache, lambda: at_work.append(1))
    assert len(at_work) == 2, "once an episode"
    assert one.ravel().tolist() == [0, 1, 2, 3] and two.ravel().tolist() == [4, 5, 6, 7, 8]
    assert np.load(cache).shape == (9, 1, 1)
