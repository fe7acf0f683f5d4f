import numpy as np

from terrarium.worlds.pictures.structure import straight_edges


def test_tiles_have_straight_edges_and_strokes_have_not():
    rng = np.random.default_rng(0)
    i, j = np.mgrid[:64, :64]
    tiles = np.where((i // 16 + j // 16) % 2, 200, 60)
    tilted = np.where((i + j // 2) // 16 % 2, 200, 60)
    discs = np.where(np.hypot(i % 16 - 8, j % 16 - 8) < 5, 200, 60)
    noise = rng.integers(0, 256, (64, 64))
    flat = np.full((64, 64), 90)
    frames = np.stack([tiles, tilted, discs, noise, flat])[..., None].repeat(3, axis=-1).astype(np.uint8)
    tiles, tilted, discs, noise, flat = straight_edges(frames)
    assert min(tiles, tilted) > 0.15 > 3 * max(discs, noise) and flat == 0
    assert straight_edges(frames.reshape(5, 1, 64, 64, 3), batch=2).shape == (5, 1)
