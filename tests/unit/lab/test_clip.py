import io
from pathlib import Path

import av
import numpy as np
import pytest

from sentinel.lab.camera import clip, scene
from sentinel.wire.rtp import Packet
from sentinel.wire.rtp_h264 import H264Depacketiser


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, clip.Clip]:
    folder = tmp_path_factory.mktemp("clip")
    return folder, clip.load(folder)


def test_the_scene_moves_in_every_picture() -> None:
    pictures = list(scene.pictures())
    assert len(pictures) == scene.RATE * scene.SECONDS
    assert pictures[0].shape == (scene.HEIGHT, scene.WIDTH, 3)
    for one, following in zip(pictures, [*pictures[1:], pictures[0]], strict=True):
        assert np.count_nonzero(np.any(one != following, axis=2)) > 100


def test_every_payload_fits_and_depacketises_to_what_was_encoded(kept: tuple[Path, clip.Clip]) -> None:
    found = kept[1]
    depacketiser = H264Depacketiser()
    units = []
    sequence = 0
    for number, payloads in enumerate(found.units):
        for index, payload in enumerate(payloads):
            assert len(payload) <= clip.PAYLOAD
            marker = index == len(payloads) - 1
            units += depacketiser.push(Packet(96, marker, sequence, number * clip.TICKS, 1, payload))
            sequence += 1
    assert len(units) == scene.RATE * scene.SECONDS
    assert all(unit.complete for unit in units)
    assert [number for number, unit in enumerate(units) if unit.key] == list(range(0, len(units), scene.RATE))
    stream = b"".join(unit.data for unit in units)
    with av.open(io.BytesIO(stream), "r", format="h264") as media:
        assert len(list(media.decode(video=0))) == len(units)


def test_it_is_kept_and_used_again(kept: tuple[Path, clip.Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, found = kept
    monkeypatch.setattr(clip, "encode", lambda: pytest.fail("it was encoded again"))
    assert clip.load(folder) == found


@pytest.mark.parametrize("spoilt", [b"", b"\0\0\0\1\x41nonsense", None])
def test_a_spoilt_file_is_made_anew(kept: tuple[Path, clip.Clip], tmp_path: Path, spoilt: bytes | None) -> None:
    (file,) = kept[0].iterdir()
    whole = file.read_bytes()
    (tmp_path / file.name).write_bytes(whole[: len(whole) // 2] if spoilt is None else spoilt)
    assert len(clip.load(tmp_path).units) == scene.RATE * scene.SECONDS
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_the_description_names_profile_and_parameter_sets(kept: tuple[Path, clip.Clip]) -> None:
    assert kept[1].format_parameters.startswith("packetization-mode=1;profile-level-id=42C0")
