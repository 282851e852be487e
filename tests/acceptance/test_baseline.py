"""What is usual at an hour: learned by a real daemon, written by the command, judged by after a reload."""

import re
from pathlib import Path

import apsw
import pytest

from sentinel.domain.baseline import hour_of
from tests.support.daemon import Running, command, daemon, told, write
from tests.support.fixtures import StartGstRtsp
from tests.support.webhook import WebhookReceiver

VALUE, CHECK = "picture_luma_mean_ratio", "cam.picture"
HOUR = 3600
SLA = f"""\
rules:
  - id: unusual
    name: 画面亮度异常
    threshold: {{value: {VALUE}, deviates: 4, floor: 2%, failures: 2, of: 3}}
    severity: major
    retry_interval: 1s
"""
PROBES = "probes:\n  picture: {protocol: rtsp, description: 图像, options: {path: /h264}}\n"
ALERTING = "channels: {{duty: {{type: webhook, options: {{url: '{url}'}}}}}}\nroutes: [{{channels: [duty]}}]\n"


def history(database: Path, now: float, here: float, elsewhere: float) -> None:
    """Fourteen days by hand: ``here`` at this hour and the next, ``elsewhere`` at every other."""
    connection = apsw.Connection(str(database))
    first = int(now // HOUR) * HOUR - 13 * 24 * HOUR
    these = {hour_of(now), hour_of(now + HOUR)}
    with connection:
        connection.executemany(
            "INSERT OR REPLACE INTO hourly_values VALUES (?, ?, ?, 120, ?, 0.002)",
            [
                (at, CHECK, VALUE, here if hour_of(at) in these else elsewhere)
                for at in range(first, int(now // HOUR) * HOUR, HOUR)
            ],
        )
    connection.close()


async def luma(running: Running) -> float:
    """What the daemon measures."""
    found = await running.state(CHECK, "up", within=30.0)
    return float(found["result"]["values"][VALUE])


async def reloaded(running: Running) -> None:
    assert (await running.cli("reload"))[0] == 0


@pytest.mark.timeout(120)
async def test_a_picture_that_is_unusual_at_this_hour(
    tmp_path: Path, gst_rtsp: StartGstRtsp, webhook_receiver: WebhookReceiver
) -> None:
    server = gst_rtsp()
    camera = (
        f"  - {{id: cam, name: 摄像机, address: {server.host}, kind: camera, zone: here, checks: "
        f"{{picture: {{probe: picture, interval: 3s, timeout: 3s, options: {{port: {server.port}}}}}}}}}\n"
    )
    write(tmp_path, targets=camera, sla=SLA, alerting=ALERTING.format(url=webhook_receiver.url))
    (tmp_path / "probes/port.yaml").write_text(PROBES)
    config = tmp_path / "config"
    learn = ("baseline", "learn", "--config", str(config))
    async with daemon(tmp_path) as running:
        code, _, err = await running.cli(*learn)
        assert code == 1
        assert "nothing was measured yet" in err or "not enough yet" in err
        measured = await luma(running)
        code, out, err = await running.cli(*learn)
        assert (code, (config / "baselines.yaml").exists()) == (1, False)
        assert "an hour needs 30 results from 3 days" in err
        assert VALUE in out  # what it learned by itself
        now = (await running.get("/api/v1/status"))["now"]
    history(tmp_path / "sentinel.db", now, 0.5, measured)
    async with daemon(tmp_path) as running:
        await luma(running)
        assert (await running.get("/api/v1/incidents"))["items"] == []  # nothing is known, nothing is said
        said = (await command("check", "--config", str(config)))[1]
        assert "0 / 1" in said
        code, out, err = await running.cli(*learn)
        assert (code, err) == (0, "")
        assert "24/24" in out
        text = (config / "baselines.yaml").read_text()
        assert re.search(rf'"{hour_of(now):02}": {{centre: 0.5, spread: 0.0040[0-9]*, samples: ', text)
        assert (await running.cli(*learn))[0] == 2  # it is there already
        assert (await running.cli(*learn, "--force"))[0] == 0
        assert "1 / 1" in (await command("check", "--config", str(config)))[1]
        await reloaded(running)
        opened = (await told(webhook_receiver, 1, within=30.0))[0]
        assert "该时段通常 42 % 至 58 %" in opened["annotations"]["description"]
        # The same picture, the same baseline, twelve hours later: what is usual then.
        later = re.sub(r'"(\d\d)":', lambda hour: f'"{(int(hour[1]) + 12) % 24:02}":', text)
        (config / "baselines.yaml").write_text(later)
        await reloaded(running)
        ended = (await told(webhook_receiver, 2, within=30.0))[-1]
        assert ended["status"] == "resolved"
        assert "恢复" in ended["annotations"]["summary"]


async def test_what_is_left_of_a_file_and_what_is_refused(tmp_path: Path) -> None:
    write(tmp_path, targets="  []\n".replace("  []", "  - {id: a, name: a, address: 127.0.0.1, kind: x, zone: here}"))
    config = tmp_path / "config"
    async with daemon(tmp_path) as running:
        code, _, err = await running.cli("baseline", "learn", "--config", str(config))
        assert (code, "there is no such check" in err) == (1, True)
    code, _, err = await running.cli("baseline", "learn", "--config", str(config))
    assert code == 3
