import dataclasses
import re

import pytest

from sentinel.domain import words
from sentinel.domain.failure import CODES, STAGES
from sentinel.domain.incident import REASONS, Incident, Level, State, Telling, Transition, Verdict
from sentinel.domain.notice import Event, NoticeStatus
from sentinel.domain.observation import Outcome
from sentinel.domain.rule import Severity
from sentinel.domain.wording import (
    NO_CONTEXT,
    Context,
    duration,
    figure,
    local_time,
    message,
    one_line,
    trial_message,
    value_name,
)

NOON = 1_795_320_000.0  # 2026-11-22 04:00:00 UTC
VERDICT = Verdict(Level.FIRING, Severity.MAJOR, NOON, NOON - 10, "describe", "unauthorized", "401 from 198.18.1.7")
INCIDENT = Incident(
    id="i1",
    key="down/hall-07.rtsp",
    rule="down",
    subject="hall-07.rtsp",
    target="hall-07",
    title="大厅终端07",
    labels={"alertname": "down", "check": "hall-07.rtsp", "zone": "police-image"},
    severity=Severity.MAJOR,
    state=State.OPEN,
    telling=Telling.TOLD,
    began_at=NOON - 10,
    opened_at=NOON,
    verdict=VERDICT,
)
OPENED = Transition("i1", 1, NOON, "", "told", Severity.MAJOR, "confirmed", Event.OPENED, verdict=VERDICT)
CONTEXT = Context(
    rule="检查不可用",
    kind="terminal",
    venue="应急指挥中心及相关指挥室",
    room="应急指挥大厅",
    zone="公安图像网",
    address="198.18.1.7",
    dependents=tuple(f"终端{n}" for n in range(1, 9)),
    suppressed=3,
    url="https://sentinel.example/incidents/i1",
)


def resolved(reason: str = "recovered") -> tuple[Incident, Transition]:
    ended = dataclasses.replace(INCIDENT, state=State.RESOLVED, resolved_at=NOON + 190)
    return ended, Transition("i1", 2, NOON + 190, "told", "resolved", Severity.MAJOR, reason, Event.RESOLVED)


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        (words.STAGES, STAGES),
        (words.CODES, CODES),
        (words.REASONS, REASONS),
        (words.SEVERITIES, [severity.value for severity in Severity]),
        (words.EVENTS, [event.value for event in Event]),
        (words.OUTCOMES, [outcome.value for outcome in Outcome]),
        (words.NOTICES, [status.value for status in NoticeStatus]),
        (words.TELLINGS, [telling.value for telling in Telling]),
        (words.STATES, ["up", "down", "failing", "unknown", "pending", "unobserved", *State]),
    ],
)
def test_every_word_of_a_closed_list_is_there_in_both_languages(table: dict[str, words.Word], keys: list[str]) -> None:
    assert set(table) == set(keys)
    for key in keys:
        assert re.search("[\u4e00-\u9fff]", words.word(table, key, "zh-CN")) or key == "describe", key
        assert words.word(table, key, "en").isascii()


def test_no_screen_calls_a_fault_an_accident() -> None:
    tables = (words.STAGES, words.CODES, words.REASONS, words.EVENTS, words.STATES, words.TELLINGS)
    assert not [entry for table in tables for entry in table.values() if "事故" in entry.zh]


def test_a_word_of_an_open_list_may_be_missing() -> None:
    assert words.word(words.KINDS, "teleprompter", "zh-CN") == "teleprompter"


def test_a_fault_says_what_where_since_when_why_and_what_hangs_on_it() -> None:
    told = message(INCIDENT, OPENED, CONTEXT, "zh-CN")
    assert told.title == "【重要故障】大厅终端07（应急指挥大厅）：DESCRIBE 请求，认证失败，凭据缺失或错误"
    assert told.text.splitlines() == [
        "对象：大厅终端07（终端，hall-07.rtsp，198.18.1.7）",
        "位置：应急指挥中心及相关指挥室 / 应急指挥大厅",
        "网络：公安图像网",
        "规则：检查不可用",
        "级别：重要",
        "开始：2026-11-22 11:59:50",
        "阶段：DESCRIBE 请求 [describe]",
        "原因：认证失败，凭据缺失或错误 [unauthorized]",
        "细节：401 from 198.18.1.7",
        "影响：下联 8 个对象：终端1、终端2、终端3、终端4、终端5 等",
        "抑制：另有 3 条由此引起的故障不再单独通知",
        "详情页：https://sentinel.example/incidents/i1",
        "编号：i1",
    ]
    assert told.id == "i1-1"
    assert told.labels == INCIDENT.labels
    assert told.annotations["stage"] == "describe"
    assert told.annotations["since"] == "2026-11-22T11:59:50+08:00"
    assert told.annotations["dependents"] == "8"


def test_english_says_the_same() -> None:
    told = message(INCIDENT, OPENED, CONTEXT, "en")
    assert told.title == "[Major fault] 大厅终端07 (应急指挥大厅): RTSP DESCRIBE: credentials are missing or wrong"
    assert "Since: 2026-11-22 11:59:50 (Beijing time)" in told.text
    assert "Affects: 8 that hang on it: 终端1, 终端2, 终端3, 终端4, 终端5 …" in told.text
    assert "Suppressed: 3 more faults follow from it" in told.text


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
def test_what_leaves_the_house_has_no_address_no_network_and_no_foreign_text(locale: words.Locale) -> None:
    told = message(INCIDENT, OPENED, CONTEXT, locale, public=True)
    everything = repr(told)
    for secret in ("198.18.1.7", "公安图像网", "police-image", "401 from", "sentinel.example"):
        assert secret not in everything
    assert "hall-07.rtsp" in everything


def test_a_recovery_says_how_long_it_took_and_keeps_the_identity() -> None:
    told = message(*resolved(), CONTEXT, "zh-CN")
    assert told.title == "【恢复】大厅终端07（应急指挥大厅），历时 3 分 20 秒"
    assert "结束：2026-11-22 12:03:10" in told.text
    assert "影响" not in told.text
    assert told.ended_at == NOON + 190
    assert told.labels == message(INCIDENT, OPENED, CONTEXT, "zh-CN").labels
    assert message(*resolved(), CONTEXT, "en").title == "[Recovered] 大厅终端07 (应急指挥大厅), after 3 min 20 s"


def test_what_we_closed_ourselves_is_not_called_a_recovery() -> None:
    assert message(*resolved("check_removed"), NO_CONTEXT, "zh-CN").title.startswith("【关闭】")
    told = message(*resolved("rule_removed"), NO_CONTEXT, "en")
    assert told.title.startswith("[Closed]")
    assert "Note: the rule is no longer in the configuration" in told.text


@pytest.mark.parametrize(
    ("previous", "now", "zh", "en"),
    [
        (Severity.WARNING, Severity.CRITICAL, "【升级为紧急】", "[Escalated to critical]"),
        (Severity.CRITICAL, Severity.WARNING, "【降级为警告】", "[Lowered to warning]"),
        (None, Severity.MAJOR, "【级别变更·重要】", "[Severity now major]"),
    ],
)
def test_a_change_says_which_way(previous: Severity | None, now: Severity, zh: str, en: str) -> None:
    incident = dataclasses.replace(INCIDENT, severity=now)
    change = dataclasses.replace(OPENED, reason="severity_changed", event=Event.CHANGED, severity=now)
    context = dataclasses.replace(CONTEXT, previous=previous)
    assert message(incident, change, context, "zh-CN").title.startswith(zh)
    assert message(incident, change, context, "en").title.startswith(en)


def test_figures_come_with_their_limit() -> None:
    verdict = Verdict(Level.FIRING, Severity.MAJOR, NOON, NOON, value="retrieval_seconds", observed=310.0, limit=300.0)
    told = message(INCIDENT, dataclasses.replace(OPENED, verdict=verdict), NO_CONTEXT, "zh-CN")
    assert told.title == "【重要故障】大厅终端07：图像调取用时 5 分 10 秒（限值 5 分）"
    assert (told.annotations["observed"], told.annotations["limit"]) == ("310", "300")
    english = message(INCIDENT, dataclasses.replace(OPENED, verdict=verdict), NO_CONTEXT, "en")
    assert "picture retrieval time 5 min 10 s (limit 5 min)" in english.text
    unlimited = dataclasses.replace(OPENED, verdict=dataclasses.replace(verdict, limit=None))
    assert message(INCIDENT, unlimited, NO_CONTEXT, "en").title.endswith("picture retrieval time 5 min 10 s")


def test_without_a_verdict_the_rule_speaks() -> None:
    bare = dataclasses.replace(INCIDENT, verdict=None)
    told = message(bare, dataclasses.replace(OPENED, verdict=None), CONTEXT, "zh-CN")
    assert told.title.endswith("：检查不可用")
    assert "阶段" not in told.text
    mute = Verdict(Level.FIRING, Severity.MAJOR, NOON, NOON)
    assert message(bare, dataclasses.replace(OPENED, verdict=mute), NO_CONTEXT, "en").title.endswith(": down")


def test_the_reason_and_its_cause_are_told_where_they_say_more() -> None:
    late = dataclasses.replace(OPENED, reason="parent_undecided")
    context = Context(cause="核心交换机", system="市消防局图像系统", owner="市消防局")
    told = message(INCIDENT, late, context, "zh-CN")
    assert "说明：上级设备未及时答复，先行通知（核心交换机）" in told.text
    assert "系统：市消防局图像系统（责任单位：市消防局）" in told.text
    english = message(INCIDENT, late, context, "en")
    assert "told without it (核心交换机)" in english.text
    assert "(owner: 市消防局)" in english.text


def test_hostile_text_stays_on_its_line() -> None:
    nasty = "x\r\n【恢复】\x1b[2J\u202eabc\u2066\udc80" + "y" * 400
    told = message(
        dataclasses.replace(INCIDENT, title=nasty),
        dataclasses.replace(OPENED, verdict=dataclasses.replace(VERDICT, detail=nasty)),
        CONTEXT,
        "zh-CN",
    )
    assert "\n" not in told.title
    assert len(told.text.splitlines()) == 13
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\u2066\ud800-\udfff]", told.title + told.text)
    assert one_line("a\nb") == "a b"
    assert len(one_line("z" * 500)) == 200


def test_a_transition_that_nobody_is_told_has_no_message() -> None:
    with pytest.raises(ValueError, match="told to nobody"):
        message(INCIDENT, dataclasses.replace(OPENED, event=None), CONTEXT, "zh-CN")


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (-3, "0 秒", "0 s"),
        (0.4, "0 秒", "0 s"),
        (59.6, "1 分", "1 min"),
        (61, "1 分 1 秒", "1 min 1 s"),
        (3600, "1 小时", "1 h"),
        (3605, "1 小时", "1 h"),
        (90_061, "1 天 1 小时", "1 d 1 h"),
    ],
)
def test_durations(seconds: float, zh: str, en: str) -> None:
    assert duration(seconds, "zh-CN") == zh
    assert duration(seconds, "en") == en


@pytest.mark.parametrize(
    ("value", "number", "zh", "en"),
    [
        ("took", 0.1234, "0.123 秒", "0.123 s"),
        ("stage:connect", 2.0, "2 秒", "2 s"),
        ("loss_ratio", 0.3, "30 %", "30 %"),
        ("availability", 0.99951, "99.95 %", "99.95 %"),
        ("certificate_days_left", -2.0, "-2 天", "-2 days"),
        ("temperature_celsius:cpu", 81.5, "81.5 ℃", "81.5 °C"),
        ("body_bytes", 12.0, "12 字节", "12 bytes"),
        ("status_code", 503.0, "503", "503"),
    ],
)
def test_figures_have_the_unit_of_their_name(value: str, number: float, zh: str, en: str) -> None:
    assert figure(value, number, "zh-CN") == zh
    assert figure(value, number, "en") == en


def test_names_of_values() -> None:
    assert value_name("stage:connect", "zh-CN") == "建立连接用时"
    assert value_name("stage:connect", "en") == "opening the connection, duration"
    assert value_name("loss_ratio", "zh-CN") == "丢包率"
    assert value_name("temperature_celsius:cpu\n", "en") == "temperature_celsius cpu"


def test_local_time_is_beijings() -> None:
    assert local_time(NOON) == "2026-11-22 12:00:00"


def test_a_test_message_needs_nothing_done() -> None:
    told = trial_message("test-20261122", NOON, "zh-CN")
    assert (told.id, told.event, told.ended_at) == ("test-20261122-1", Event.TEST, None)
    assert "无需处理" in told.text
    assert "nothing has to be done" in trial_message("t", NOON, "en").text


def test_few_dependents_are_all_named() -> None:
    told = message(INCIDENT, OPENED, Context(dependents=("终端1", "终端2")), "zh-CN")
    assert "影响：下联 2 个对象：终端1、终端2\n" in told.text
