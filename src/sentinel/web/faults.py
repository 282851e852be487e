"""What a failure is called on the wall: a few words a code and a stage."""

from __future__ import annotations

from collections.abc import Mapping

from sentinel.domain.failure import CODES

CODES_ZH: Mapping[str, str] = {
    "timed_out": "无应答",
    "refused": "连接被拒绝",
    "reset": "连接被重置",
    "closed": "连接被关闭",
    "unreachable": "网络不可达",
    "name_not_found": "域名不存在",
    "resolver_failed": "域名解析失败",
    "lost": "应答全部丢失",
    "protocol_error": "协议错误",
    "too_large": "应答过大",
    "too_many_redirects": "重定向过多",
    "unauthorized": "认证失败",
    "forbidden": "拒绝访问",
    "not_found": "内容不存在",
    "bad_status": "状态异常",
    "mismatch": "内容不符",
    "unsupported": "对方不支持",
    "busy": "对方繁忙",
    "tls_expired": "证书已过期",
    "tls_not_yet_valid": "证书尚未生效",
    "tls_wrong_name": "证书名称不符",
    "tls_untrusted": "证书不受信任",
    "tls_failed": "TLS 握手失败",
    "no_packets": "没有媒体数据",
    "no_key_frame": "没有关键帧",
    "no_video": "没有视频",
    "undecodable": "画面无法解码",
    "no_vantage": "无监测点",
    "no_privilege": "监控主机权限不足",
    "no_route": "监控主机无路由",
    "no_resource": "监控主机资源不足",
    "overloaded": "监控主机过载",
    "overdue": "结果逾期",
    "bad_option": "配置有误",
    "worker_died": "解码进程退出",
    "internal_error": "探测程序缺陷",
}

STAGES_ZH: Mapping[str, str] = {
    "schedule": "排队",
    "vantage": "监测点",
    "prepare": "准备",
    "resolve": "域名解析",
    "echo": "回显",
    "connect": "建立连接",
    "tls": "TLS",
    "send": "发送请求",
    "banner": "等待问候",
    "login": "登录",
    "exchange": "问答",
    "first_byte": "等待首字节",
    "transfer": "传输",
    "expect": "内容核对",
    "options": "OPTIONS",
    "describe": "DESCRIBE",
    "setup": "SETUP",
    "play": "PLAY",
    "first_packet": "等待首包",
    "first_key_frame": "等待关键帧",
    "picture": "画面解码",
    "get": "SNMP 读取",
    "walk": "SNMP 遍历",
    "query": "查询",
    "probe": "探测",
}


def fault(stage: str, code: str, language: str) -> str:
    """``建立连接：无应答``, or in English ``connect: no answer before the deadline``."""
    if language == "en":
        return f"{stage}: {CODES.get(code, code)}" if code else ""
    return f"{STAGES_ZH.get(stage, stage)}：{CODES_ZH.get(code, code)}" if code else ""
