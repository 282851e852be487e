"""Which channels have their turn, and what is said of a platform by a few of them."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sentinel.domain.observation import Measurement
from sentinel.picture import DecoderPool, decoder_pool
from sentinel.protocols.rtsp import PROTOCOL
from sentinel.protocols.rtsp.channels import Channel, Rotation
from sentinel.protocols.rtsp.options import RtspOptions
from tests.support.probing import measure, target
from tests.unit.protocols.rtsp.camera import Camera, Request, media, stream


def options(path: str = "/ch/{channel}", **channels: Any) -> RtspOptions:
    return RtspOptions.model_validate({"path": path, "channels": channels})


@pytest.mark.parametrize(
    ("path", "channels", "expected"),
    [
        ("/{channel}01", {"numbers": "1-3"}, ["1 /101", "2 /201", "3 /301"]),
        ("/{channel:02}", {"numbers": "9-10, 2"}, ["9 /09", "10 /10", "2 /02"]),
        ("/{channel}", {"numbers": 7}, ["7 /7"]),
        ("/", {"named": {"大门": "/live/gate"}}, ["大门 /live/gate"]),
        (
            "/{channel}",
            {"numbers": "1-3", "named": {"大门": "/gate"}, "favourites": {"重点": ["大门", 3], "夜间": [3]}},
            ["大门 /gate", "3 /3", "1 /1", "2 /2"],
        ),
    ],
)
def test_channels_and_their_paths(path: str, channels: dict[str, Any], expected: list[str]) -> None:
    found = options(path, **channels).looked_at
    assert [f"{channel.name} {channel.path}" for channel in found] == expected


@pytest.mark.parametrize(
    ("path", "channels"),
    [
        ("/{channel}", {}),
        ("/x", {"numbers": "1-3"}),
        ("/{channel}", {"named": {"a": "/a"}}),
        ("/{channel}", {"numbers": "3-1"}),
        ("/{channel}", {"numbers": "one"}),
        ("/{channel}", {"numbers": "1-999999"}),
        ("/{channel}", {"numbers": "1-3", "favourites": {"重点": [4]}}),
        ("/{channel}", {"numbers": "1-3", "favourites": {"重点": []}}),
        ("/{channel}", {"numbers": "1-3", "favourites": {"重点": [1]}, "sample": 1}),
        ("/{channel}", {"numbers": "1-3", "require_ratio": 0}),
        ("/", {"named": {"a\nb": "/a"}}),
        ("/", {"named": {"a": "/a b"}}),
    ],
)
def test_what_is_refused(path: str, channels: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(path, **channels)


def test_a_check_says_how_many_rounds_it_takes() -> None:
    assert options(numbers="1-200", sample=5).rounds() == 40
    assert options(numbers="1-60", favourites={"重点": [1, 12]}, sample=5).rounds() == 20
    assert RtspOptions().rounds() == 1


def names(channels: list[Channel]) -> list[str]:
    return [channel.name for channel in channels]


def test_two_hundred_channels_take_forty_rounds_of_five() -> None:
    rotation = Rotation([Channel(str(n), "") for n in range(200)], 0, 5)
    assert rotation.rounds == 40
    assert [name for _ in range(40) for name in names(rotation.next())] == [str(n) for n in range(200)]
    assert names(rotation.next()) == ["0", "1", "2", "3", "4"]


def test_favourites_come_first_and_in_every_round() -> None:
    rotation = Rotation([Channel(str(n), "") for n in range(10)], 2, 5, start=6)
    assert (rotation.rounds, rotation.favourite_rounds) == (3, 1)
    assert names(rotation.next()) == ["0", "1", "8", "9", "2"]
    assert names(rotation.next()) == ["0", "1", "3", "4", "5"]


@given(st.integers(1, 40), st.integers(0, 40), st.integers(2, 12), st.integers(0, 10**9))
def test_every_channel_has_its_turn_in_the_rounds_that_are_stated(
    count: int, favourites: int, sample: int, start: int
) -> None:
    favourites = min(favourites, count)
    rotation = Rotation([Channel(str(n), "") for n in range(count)], favourites, sample, start)
    rounds = [names(rotation.next()) for _ in range(rotation.rounds)]
    assert all(len(one) <= sample and len(set(one)) == len(one) for one in rounds)
    assert {name for one in rounds for name in one} == {str(n) for n in range(count)}
    if favourites:
        first = {name for one in rounds[: rotation.favourite_rounds] for name in one}
        assert first >= {str(n) for n in range(favourites)}
        assert rotation.favourite_rounds <= rotation.rounds


class Platform(Camera):
    """Shows a picture at every path but these."""

    def __init__(self, *missing: str, status: str = "404 Not Found") -> None:
        super().__init__(after_play=media(stream()))
        self.asked: list[str] = []
        self.most = 0

        def describe(camera: Camera, asked: Request) -> bytes:
            path = asked.uri.rpartition("/")[2]
            self.asked.append(path)
            self.most = max(self.most, camera.open)
            if path in missing or "*" in missing:
                return camera.status(asked, status)
            return camera.ok(asked, body=camera.description)

        self.answers = {"DESCRIBE": describe}


@pytest.fixture
async def pool() -> Any:
    async with decoder_pool() as pool:
        await pool.prepare()
        yield pool


async def rounds(
    platform: Camera, pool: DecoderPool, count: int, timeout: float = 10.0, login: Any = None, **channels: Any
) -> list[Measurement]:
    memory: dict[str, Any] = {}
    chosen = {"path": "/{channel}", "channels": channels, **(login or {})}
    async with platform.listening():
        return [
            await measure(PROTOCOL, target(), chosen | {"port": platform.port}, timeout, service=pool, memory=memory)
            for _ in range(count)
        ]


async def test_all_are_looked_at_in_turn(pool: DecoderPool) -> None:
    platform = Platform()
    seen = await rounds(platform, pool, 3, numbers="1-6", sample=2)
    assert [one.failure for one in seen] == [None] * 3
    assert sorted(platform.asked) == ["1", "2", "3", "4", "5", "6"]
    assert platform.most == 1
    values = seen[-1].values
    assert (values["channels_total"], values["channels_sampled"], values["channels_ok"]) == (6, 2, 2)
    assert (values["channels_failed"], values["coverage_ratio"]) == (0, 1.0)
    assert [one.values["coverage_ratio"] for one in seen] == pytest.approx([1 / 3, 2 / 3, 1])
    assert "coverage_seconds" not in seen[0].values
    assert values["coverage_seconds"] == pytest.approx(3 * seen[1].took, rel=0.5)
    ages = {name: value for name, value in values.items() if name.startswith("last_seen_seconds:")}
    assert len(ages) == 6
    assert max(ages.values()) <= values["oldest_look_seconds"] <= sum(one.took for one in seen)
    assert sorted(name.strip() for one in seen for name in one.facts["sampled"].split(",")) == list("123456")


async def test_a_camera_that_shows_nothing_says_since_when(pool: DecoderPool) -> None:
    seen = await rounds(Platform("2"), pool, 3, numbers="1-2", sample=2)
    assert [one.failure for one in seen] == [None] * 3  # one of two is enough for the platform
    first, *_, last = (one.values for one in seen)
    assert last["last_seen_seconds:2"] > first["last_seen_seconds:2"]
    assert last["last_seen_seconds:1"] < last["last_seen_seconds:2"]
    assert last["channels_failed"] == 1
    assert seen[-1].facts["failed"] == "2 (describe not_found)"


@pytest.mark.parametrize(("ratio", "fails"), [(0.5, False), (0.67, True), (1.0, True)])
async def test_how_many_are_enough(pool: DecoderPool, ratio: float, fails: bool) -> None:  # noqa: FBT001 - a parameter
    (seen,) = await rounds(Platform("1", "2"), pool, 1, numbers="1-4", sample=4, require_ratio=ratio)
    assert (seen.failure is not None) == fails
    if seen.failure is not None:
        assert (seen.failure.stage, seen.failure.code) == ("describe", "not_found")
        assert (
            seen.failure.detail == ("2 of 4 channels show no picture: 1 (describe not_found), 2 (describe not_found)")
            or "2 of 4 channels" in seen.failure.detail
        )


async def test_one_must_show_a_picture_in_any_case(pool: DecoderPool) -> None:
    (seen,) = await rounds(Platform("*"), pool, 1, numbers="1-30", sample=15, require_ratio=0.01)
    assert seen.failure is not None
    assert "15 of 15" in seen.failure.detail
    assert seen.failure.detail.endswith("5 more")


async def test_a_wrong_password_is_tried_once_a_round(pool: DecoderPool) -> None:
    platform = Platform()
    platform.answers["DESCRIBE"] = lambda camera, asked: camera.status(
        asked, "401 Unauthorized", 'WWW-Authenticate: Digest realm="x", nonce="n"'
    )
    login = {"username": "admin", "password": "hush-hush"}
    (seen,) = await rounds(platform, pool, 1, login=login, numbers="1-5", sample=5)
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("describe", "unauthorized")
    assert platform.methods.count("DESCRIBE") == 2  # without, and with: the other four channels are spared
    assert seen.values["channels_failed"] == 1


async def test_a_platform_that_is_down_is_told_at_once(pool: DecoderPool) -> None:
    platform = Platform()
    async with platform.listening():
        pass
    chosen = {"port": platform.port, "path": "/{channel}", "channels": {"numbers": "1-5"}}
    seen = await measure(PROTOCOL, target(), chosen, service=pool)
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("connect", "refused")
    assert seen.values["channels_sampled"] == 1


async def test_a_channel_that_hangs_takes_its_own_share_only(pool: DecoderPool) -> None:
    platform = Platform()
    usual = platform.answers["DESCRIBE"]
    platform.answers["DESCRIBE"] = lambda camera, asked: b"" if asked.uri.endswith("/2") else usual(camera, asked)
    (seen,) = await rounds(platform, pool, 1, timeout=3.0, numbers="1-3", sample=3)
    assert seen.failure is None
    assert seen.values["channels_ok"] == 2
    assert seen.facts["failed"] == "2 (describe timed_out)"
    assert seen.took < 2.9


async def test_a_few_at_once(pool: DecoderPool) -> None:
    platform = Platform()
    (seen,) = await rounds(platform, pool, 1, numbers="1-6", sample=6, at_once=3)
    assert seen.failure is None
    assert 2 <= platform.most <= 3


async def test_what_is_ours_is_not_the_channels(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")
    platform = Platform()
    async with platform.listening(), decoder_pool() as own:
        await own.close()
        chosen = {"port": platform.port, "path": "/{channel}", "channels": {"numbers": "1-3", "sample": 3}}
        seen = await measure(PROTOCOL, target(), chosen, service=own)
    assert seen.failure is not None
    assert seen.failure.local
    assert seen.values["channels_sampled"] == 0
    assert seen.values["coverage_ratio"] == 0


async def test_a_round_that_is_cancelled_leaves_nothing(pool: DecoderPool) -> None:
    platform = Platform()
    platform.answers["DESCRIBE"] = lambda _camera, _asked: b""
    async with platform.listening():
        before = asyncio.all_tasks()
        chosen = {"port": platform.port, "path": "/{channel}", "channels": {"numbers": "1-8", "at_once": 4}}
        task = asyncio.get_running_loop().create_task(measure(PROTOCOL, target(), chosen, 30, service=pool))
        while platform.methods.count("DESCRIBE") < 4:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await platform.gone()
        assert {one for one in asyncio.all_tasks() if one not in before and "serve" not in repr(one)} == set()
