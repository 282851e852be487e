"""The words of screens and messages in Chinese and English; one table for each closed list.

    word(CODES, "timed_out", "zh-CN") -> "超时无应答"

English for stages, codes and reasons is what the closed lists themselves say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from sentinel.domain import failure, incident

Locale = Literal["zh-CN", "en"]


class Word(NamedTuple):
    """One thing in both languages."""

    zh: str
    en: str


def word(table: Mapping[str, Word], key: str, locale: str) -> str:
    """The word for ``key``; the key itself where the list is open and does not hold it."""
    found = table.get(key)
    if found is None:
        return key
    return found.en if locale == "en" else found.zh


def _beside(chinese: Mapping[str, str], english: Mapping[str, str]) -> Mapping[str, Word]:
    return {key: Word(text, english[key]) for key, text in chinese.items()}


SEVERITIES: Final[Mapping[str, Word]] = {
    "info": Word("提示", "info"),
    "warning": Word("警告", "warning"),
    "major": Word("重要", "major"),
    "critical": Word("紧急", "critical"),
}

STATES: Final[Mapping[str, Word]] = {
    "up": Word("正常", "up"),
    "down": Word("故障", "down"),
    "failing": Word("异常待确认", "failing, being confirmed"),
    "unknown": Word("无法判断", "unknown"),
    "pending": Word("等待首次结果", "no result yet"),
    "unobserved": Word("未监测", "unobserved"),
    "open": Word("未恢复", "open"),
    "resolved": Word("已恢复", "resolved"),
}

TELLINGS: Final[Mapping[str, Word]] = {
    "held": Word("待上级核实", "held until its parent has answered"),
    "told": Word("已通知", "told"),
    "suppressed": Word("已抑制", "suppressed"),
}

EVENTS: Final[Mapping[str, Word]] = {
    "opened": Word("故障", "Fault"),
    "changed": Word("级别变更", "Severity changed"),
    "resolved": Word("恢复", "Recovered"),
    "test": Word("测试", "Test"),
}

EVIDENCE: Final[Mapping[str, Word]] = {
    "picture": Word("判定画面", "the frame that was judged"),
    "path": Word("途经路由", "the path to the target"),
}

OUTCOMES: Final[Mapping[str, Word]] = {
    "ok": Word("成功", "ok"),
    "failed": Word("失败", "failed"),
    "unknown": Word("无法判断", "unknown"),
}

NOTICES: Final[Mapping[str, Word]] = {
    "queued": Word("待送达", "queued"),
    "sent": Word("已送达", "sent"),
    "undelivered": Word("未送达", "undelivered"),
}

KINDS: Final[Mapping[str, Word]] = {
    "venue": Word("会场", "venue"),
    "room": Word("房间", "room"),
    "platform": Word("平台", "platform"),
    "image": Word("图像系统", "image system"),
    "image-system": Word("图像系统", "image system"),
    "business": Word("业务系统", "business system"),
    "business-system": Word("业务系统", "business system"),
    "terminal": Word("终端", "terminal"),
    "conference-terminal": Word("会议终端", "conference terminal"),
    "conference-set": Word("会议设备", "conference set"),
    "camera": Word("摄像机", "camera"),
    "switch": Word("交换机", "switch"),
    "router": Word("路由器", "router"),
    "firewall": Word("防火墙", "firewall"),
    "server": Word("服务器", "server"),
    "service": Word("服务", "service"),
    "recorder": Word("录像设备", "recorder"),
    "mcu": Word("会议多点控制单元", "conference bridge (MCU)"),
    "gatekeeper": Word("网守", "gatekeeper"),
    "sip-server": Word("SIP服务器", "SIP server"),
    "control": Word("中控主机", "control host"),
    "control-host": Word("中控主机", "control host"),
    "matrix": Word("矩阵", "matrix"),
    "mixer": Word("调音台", "mixer"),
    "display": Word("显示屏", "display"),
    "amplifier": Word("功放", "amplifier"),
    "estate": Word("全部系统", "the whole estate"),
}
"""Kinds are free words of the inventory: one that is not here is shown as it is."""

INTERNAL_RULES: Final[Mapping[str, Word]] = {
    "blind": Word("监测自身受阻", "the monitor itself cannot measure"),
    "config": Word("新配置有误，仍按原配置运行", "the new configuration is refused, the old one runs on"),
    "store": Word("数据库损坏，已重建", "the database was broken and has been rebuilt"),
    "store-failing": Word("数据无法写入磁盘", "the disk takes no data"),
}
"""Rules that no file states: they are about the daemon itself."""

STAGES: Final = _beside(
    {
        "schedule": "排队等待",
        "vantage": "选择探测点",
        "prepare": "探测准备",
        "resolve": "域名解析",
        "echo": "ICMP 回显",
        "tunnel": "经 SSH 跳板机连接",
        "connect": "建立连接",
        "tls": "TLS 握手与证书验证",
        "send": "发送请求",
        "banner": "等待欢迎信息",
        "key_exchange": "SSH 密钥交换与主机密钥验证",
        "login": "登录认证",
        "channel": "打开 SSH 会话",
        "exchange": "请求与应答",
        "first_byte": "等待首字节",
        "transfer": "接收应答内容",
        "expect": "比对应答内容",
        "options": "OPTIONS 请求",
        "describe": "DESCRIBE 请求",
        "setup": "SETUP 请求",
        "play": "PLAY 请求",
        "register": "SIP 注册",
        "invite": "INVITE 点播请求",
        "first_packet": "等待首个媒体包",
        "first_key_frame": "等待首个关键帧",
        "picture": "图像解码",
        "watch": "持续观看码流",
        "get": "SNMP 读取",
        "walk": "SNMP 遍历",
        "query": "数据查询",
        "heartbeat": "等待心跳",
        "trap": "设备主动告警",
        "probe": "整个探测过程",
    },
    failure.STAGES,
)

CODES: Final = _beside(
    {
        "timed_out": "超时无应答",
        "refused": "连接被拒绝，端口无服务",
        "reset": "连接被对端重置",
        "closed": "应答未完，对端已关闭连接",
        "unreachable": "主机或网络不可达",
        "name_not_found": "域名不存在",
        "resolver_failed": "域名服务器未给出有效应答",
        "lost": "回显请求全部丢失",
        "protocol_error": "应答不符合协议",
        "too_large": "应答超出大小限制",
        "too_many_redirects": "重定向次数过多",
        "unauthorized": "认证失败，凭据缺失或错误",
        "forbidden": "对端拒绝访问",
        "not_found": "请求的资源不存在",
        "bad_status": "状态码不符合预期",
        "mismatch": "内容不符合预期",
        "unsupported": "对端不支持所需功能",
        "busy": "对端资源占满",
        "not_registered": "设备未向本机注册",
        "host_key_changed": "SSH 主机密钥与登记的不一致",
        "tls_expired": "证书已过期",
        "tls_not_yet_valid": "证书尚未生效",
        "tls_wrong_name": "证书名称不匹配",
        "tls_untrusted": "证书不受信任",
        "tls_failed": "TLS 握手失败",
        "no_packets": "未收到媒体包",
        "no_key_frame": "有媒体包，但无完整关键帧",
        "no_video": "码流中没有可识别的视频",
        "late": "未按约定时间上报",
        "reported": "对方上报失败",
        "undecodable": "关键帧无法解码",
        "no_vantage": "没有可到达该网络的探测点",
        "no_tunnel": "SSH 跳板机不可用，无法到达该网络",
        "no_privilege": "本机未授予所需权限",
        "no_route": "本机没有通往该网络的路由",
        "no_resource": "本机描述符、内存或端口耗尽",
        "overloaded": "排队过久，本机过载",
        "overdue": "应有结果而未返回",
        "too_early": "本机监听时间尚短，还不能判断",
        "bad_option": "检查参数无效",
        "worker_died": "解码进程异常退出",
        "internal_error": "探测程序缺陷，详见日志",
    },
    failure.CODES,
)

REASONS: Final = _beside(
    {
        "confirmed": "已确认",
        "waiting_for_parent": "已确认，正在核实上级设备，暂不通知",
        "parent_down": "上级设备故障，不单独通知",
        "parent_answered": "上级设备正常，故障在其自身",
        "parent_undecided": "上级设备未及时答复，先行通知",
        "still_failing": "上级设备已恢复，复测仍然失败",
        "severity_changed": "严重级别发生变化",
        "recovered": "已恢复正常",
        "check_removed": "该检查已从配置中移除",
        "rule_removed": "该规则已从配置中移除",
    },
    incident.REASONS,
)

VALUES: Final[Mapping[str, Word]] = {
    "took": Word("探测总用时", "duration of the probe"),
    "checks": Word("无法判断的检查数", "checks that cannot be measured"),
    "availability": Word("可用率", "availability"),
    "retrieval": Word("最长图像调取用时", "slowest picture retrieval"),
    "retrieval_seconds": Word("图像调取用时", "picture retrieval time"),
    "conference_rate": Word("会议事故率", "conference incident rate"),
    "certificate_days_left": Word("证书剩余天数", "certificate days left"),
    "loss_ratio": Word("丢包率", "packet loss"),
    "rtt_min_seconds": Word("最小往返时延", "shortest round trip"),
    "rtt_avg_seconds": Word("平均往返时延", "mean round trip"),
    "rtt_max_seconds": Word("最大往返时延", "longest round trip"),
    "jitter_seconds": Word("时延抖动", "jitter"),
    "status_code": Word("状态码", "status code"),
    "missing_numbers": Word("缺失的编号数", "numbers that are missing"),
    "newest_age_seconds": Word("最新文件距今时间", "age of the newest file"),
    "largest_gap_seconds": Word("文件之间最长空档", "longest gap between files"),
    "empty_files": Word("空文件数", "empty files"),
    "free_ratio": Word("剩余空间比例", "free share of the file system"),
    "root_used_ratio": Word("根分区使用率", "used share of the root file system"),
    "picture_size_ratio": Word("画面像素与要求之比", "pixels of the picture to those expected"),
    "unexpected_codec": Word("编码与要求不符（1 为不符）", "another codec than expected (1)"),
    "picture_luma_mean_ratio": Word("画面平均亮度", "mean brightness of the picture"),
    "picture_luma_peak_ratio": Word("画面最亮处亮度", "peak brightness of the picture"),
    "picture_bright_ratio": Word("画面过曝面积", "share of the picture next to white"),
    "picture_uniform_ratio": Word("画面单色面积", "share of the picture in one colour"),
    "picture_sharpness_ratio": Word("画面清晰度", "sharpness of the picture"),
    "picture_noise_ratio": Word("画面噪声", "noise of the picture"),
    "picture_cast_ratio": Word("画面偏色程度", "colour cast of the picture"),
    "picture_covered_ratio": Word("画面无内容面积", "featureless share of the picture"),
    "picture_test_card_ratio": Word("测试卡彩条占比", "test card's share of the picture"),
    "picture_stripes_ratio": Word("画面条纹程度", "stripes over the picture"),
    "picture_still_seconds": Word("画面静止时间", "time for which the picture stands still"),
    "frame_rate_hertz": Word("帧率", "pictures a second"),
    "key_frame_interval_seconds": Word("关键帧间隔", "time between key frames"),
    "longest_gap_seconds": Word("最长画面中断时间", "longest time without a picture"),
    "video_missing_seconds": Word("有声音无图像的时间", "time with audio and no video"),
    "offset_seconds": Word("时差", "clock offset"),
    "clock_drift_seconds": Word("设备时钟偏差", "clock drift of the device"),
    "authorized": Word("登录是否通过", "whether the login was taken"),
    "snapshot_bytes": Word("抓图大小", "size of the picture"),
    "stratum": Word("时钟层级", "stratum"),
    "power": Word("电源状态", "power"),
    "error": Word("设备自报故障", "reported error"),
    "lamp_hours": Word("灯泡时间", "lamp hours"),
    "registered_sip": Word("SIP 注册（1 为已注册）", "registered with a SIP server (1)"),
    "registered_gatekeeper": Word("网守注册（1 为已注册）", "registered with a gatekeeper (1)"),
    "packet_loss_ratio": Word("通话丢包率", "packet loss of a call"),
    "cameras_missing": Word("未连接的摄像头数", "cameras that are not connected"),
    "microphones_missing": Word("未连接的话筒数", "microphones that are not connected"),
    "diagnostics_errors": Word("自报故障数", "faults that it reports of itself"),
    "participants_missing": Word("未到会场数", "participants that are missing"),
    "participants_partly_connected": Word("部分接通的会场数", "participants that are partly connected"),
    "step_seconds": Word("步骤用时", "duration of the step"),
}
"""Measured values are an open list: one that is not here is shown by its own name."""
