import numpy as np
import psutil
import pytest
import videos

from terrarium.worlds.episodes.sources.video import fps_of, frame_times, read_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    videos.write_video(path, videos.numbered(50), fps=16)
    return path


def test_times_come_without_decoding(video):
    times = frame_times(video)
    assert np.allclose(np.diff(times), 1 / 16, atol=1e-4) and len(times) == 50
    assert fps_of(times) == pytest.approx(16, rel=1e-3)


def test_wanted_frames_in_the_wanted_size(video):
    wanted = np.array([0, 3, 3, 17, 49])
    frames = list(read_frames(video, wanted, (32, 48)))
    assert [videos.number(f) for f in frames] == wanted.tolist()
    assert all(f.shape == (32, 48, 3) and f.dtype == np.uint8 for f in frames)


def test_shrinking_averages(tmp_path):
    """A grid of single pixels becomes an even grey, where picking pixels would leave black or white."""
    grid = np.zeros((64, 64, 3), np.uint8)
    grid[::2, ::2] = grid[1::2, 1::2] = 255
    videos.write_video(tmp_path / "grid.mp4", [grid] * 2, fps=10)
    (frame,) = read_frames(tmp_path / "grid.mp4", np.array([1]), (16, 16))
    assert frame.min() > 100 and frame.max() < 155


def test_more_frames_than_there_are(video):
    with pytest.raises(ValueError, match=r"v\.mp4 ends before frame 50"):
        list(read_frames(video, np.arange(51), (32, 48)))


def test_missing_foreign_and_damaged_files_are_named(video, tmp_path):
    with pytest.raises(ValueError, match=r"none\.mp4 is missing"):
        frame_times(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video" * 100)
    with pytest.raises(ValueError, match=r"text\.mp4 is not a video"):
        frame_times(tmp_path / "text.mp4")
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"cut\.mp4"):
        frame_times(tmp_path / "cut.mp4")
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(video.read_bytes())
    videos.damage(hurt)
    with pytest.raises(ValueError, match=r"hurt\.mp4"):
        list(read_frames(hurt, np.arange(50), (32, 48)))


def test_full_size_frames_are_not_kept(tmp_path):
    path = tmp_path / "large.mp4"
    videos.write_video(path, [np.full((360, 640, 3), i % 256, np.uint8) for i in range(300)], fps=16)
    process = psutil.Process()
    before = process.memory_info().rss
    peak = max(process.memory_info().rss for _ in read_frames(path, np.arange(300), (32, 32)))
    whole = 300 * 640 * 360 * 3 / 2  # as 4:2:0
    assert peak - before < whole / 2, f"{(peak - before) / 1e6:.0f} MB of {whole / 1e6:.0f} MB"
