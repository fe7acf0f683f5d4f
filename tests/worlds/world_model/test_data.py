import numpy as np
import pytest

from worlds.world_model.actions import JUMP, A
from worlds.world_model.data import ClipStore, FrameStore
from worlds.world_model.episodes import Episode


def clips(lengths, jump_at=(), **options):
    """Episodes whose codes count frames, 1000 an episode; jumps start at (episode, frame)."""
    codes = [np.arange(n, dtype=np.uint16).reshape(-1, 1, 1) + 1000 * e for e, n in enumerate(lengths)]
    actions = [np.zeros((n - 1, A), np.float32) for n in lengths]
    for episode, frame in jump_at:
        actions[episode][frame : frame + 2, JUMP] = 1
    for a in actions:
        a[:, 0] = np.arange(len(a))
    return ClipStore(codes, actions, 5, **options)


def test_clips_stay_within_an_episode_and_keep_alignment():
    codes, actions = clips([7, 5, 9]).sample(np.random.default_rng(0), 300)
    flat = codes[:, :, 0, 0]
    assert (flat.diff(dim=1) == 1).all()
    assert (actions[:, :, 0] == flat[:, :-1] % 1000).all()
    starts = set(flat[:, 0].tolist())
    assert starts == {0, 1, 2, 1000, 2000, 2001, 2002, 2003, 2004}


def test_the_asked_share_of_clips_holds_a_jumps_start():
    store = clips([200], jump_at=[(0, 100)], jump_share=0.5)
    _, actions = store.sample(np.random.default_rng(0), 400)
    jump = actions[:, :, JUMP]
    starts = ((jump[:, 1:] > jump[:, :-1]).any(dim=1) | (actions[:, 0, 0] == 100)).float().mean()
    assert 0.4 < starts < 0.65


def test_no_jump_to_be_found_is_no_error():
    codes, _ = clips([9], jump_share=1.0).sample(np.random.default_rng(0), 8)
    assert codes.shape == (8, 5, 1, 1)


def test_short_episode_shows_both_lengths():
    with pytest.raises(ValueError, match="an episode has 4 frames, a training clip needs 5"):
        clips([4, 9])


def test_frames_are_drawn_from_every_episode():
    frames = [np.full((n, 2, 2, 3), n, np.uint8) for n in (3, 50)]
    store = FrameStore([Episode(str(i), i, "train", f, f[:-1], None) for i, f in enumerate(frames)])
    seen = store.sample(np.random.default_rng(0), 200)[:, 0, 0, 0]
    assert set(seen.tolist()) == {3, 50} and (seen == 50).mean() > 0.8
