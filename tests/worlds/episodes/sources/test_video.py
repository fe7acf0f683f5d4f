import os
import subprocess
import sys
from itertools import islice

import numpy as np
import psutil
import pytest
import videos

from terrarium.worlds.episodes.sources import video as source
from terrarium.worlds.episodes.sources.video import fps_of, frame_times, read_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    videos.write_video(path, videos.numbered(50), fps=16)
    return path


def decoders():
    return [child for child in psutil.Process().children() if "decoder" in " ".join(child.cmdline())]


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
    frames = read_frames(path, np.arange(300), (32, 32))
    next(frames)
    both = [psutil.Process(), *decoders()]
    assert len(both) == 2
    before = sum(p.memory_info().rss for p in both)
    peak = max(sum(p.memory_info().rss for p in both if p.is_running()) for _ in islice(frames, 290))
    whole = 300 * 640 * 360 * 3 / 2  # as 4:2:0
    assert peak - before < whole / 2, f"{(peak - before) / 1e6:.0f} MB of {whole / 1e6:.0f} MB"


def test_a_decoder_that_misbehaves_costs_only_its_file(video, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "DECODER", "broken_decoder")
    monkeypatch.setattr(source, "CPU_S", 1)
    monkeypatch.setattr(source, "CPU_S_A_FRAME", 0)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "owned")

    def reason(deed):
        path = tmp_path / f"{deed}.mp4"
        path.symlink_to(video)
        frames = read_frames(path, np.arange(50), (32, 48))
        assert videos.number(next(frames)) == 0, "what came before is there"
        with pytest.raises(ValueError, match=r".") as e:
            list(frames)
        return str(e.value)

    assert reason("crash") == "crash.mp4 crashed the decoder (SIGSEGV): expected an intact mp4 file"
    assert reason("spin") == "spin.mp4 takes over 1 s of processor time: expected less to decode"
    assert reason("hog") == "hog.mp4 takes more memory to decode than there may be: expected at most 4 GiB"
    assert "AWS" not in reason("leak")
    assert reason("write") == "File too large" and not (tmp_path / "write.txt").read_bytes()
    monkeypatch.setattr(source, "SILENCE_S", 1.0)
    assert reason("hang") == "hang.mp4 hangs: expected a frame to decode within 1 s"
    assert not decoders()


def test_the_decoder_dies_with_its_parent(video, tmp_path):
    path = tmp_path / "hang.mp4"
    path.symlink_to(video)
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from terrarium.worlds.episodes.sources import video\n"
        "video.DECODER = 'broken_decoder'\n"
        "for _ in video.read_frames(Path(sys.argv[1]), np.arange(50), (32, 48)): print('.', flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": ":".join(sys.path)}
    ) as parent:
        parent.stdout.readline()
        (decoder,) = psutil.Process(parent.pid).children()
        parent.kill()
    psutil.wait_procs([decoder], timeout=30)
    assert not decoder.is_running()


def test_files_that_lie(video, tmp_path):
    """About their number of frames, their size, and what they are."""
    honest = video.read_bytes()
    counts = honest.index(b"stsz") + 12
    lies = {
        "long.mp4": honest[:counts] + (2**30).to_bytes(4, "big") + honest[counts + 4 :],
        "playlist.mp4": f"ffconcat version 1.0\nfile {video}\n".encode(),
    }
    for name, data in lies.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name} is not a video: .*: expected an mp4 file"):
            frame_times(tmp_path / name)
    videos.write_video(tmp_path / "wide.mp4", [np.zeros((1032, 16384, 3), np.uint8)], fps=10)
    with pytest.raises(ValueError, match=r"wide\.mp4 has frames of 16384x1032: expected at most 4096x4096 pixels"):
        frame_times(tmp_path / "wide.mp4")
