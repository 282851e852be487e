"""What a Poly endpoint of the Group series says in its shell."""

from __future__ import annotations

from collections.abc import Iterator

from sentinel.lab.codec.state import State

PROMPT = "-> "


def greeting(state: State) -> list[str]:
    """What comes before the first prompt."""
    return [f"Hi, my name is : {state.name}", "Here is what I know about myself:", *_self(state), ""]


def answer(command: str, state: State) -> list[str]:
    """What the shell says to a line."""
    known = {"status": _status, "callinfo all": _calls, "netstats": _net, "advnetstats": _advanced, "whoami": greeting}
    asked = " ".join(command.lower().split())
    if not asked:
        return []
    return list(known[asked](state)) if asked in known else ["error: command not found"]


def _self(state: State) -> list[str]:
    return ["Model: Lab Group", "Serial Number: LAB0001", "Software Version: Release - 6.0 lab", f"Up: {int(state.up)}"]


def _status(state: State) -> Iterator[str]:
    registered = "online" if state.registered else "offline"
    microphones = "online" if state.microphones_there >= state.microphones else "offline"
    yield "inacall online"
    yield "autoanswerp2p offline"
    yield "remotecontrol online"
    yield f"microphones {microphones}"
    yield "globaldirectory offline"
    yield "ipnetwork online"
    yield f"gatekeeper {registered}"
    yield f"sipserver {registered}"
    yield "status end"


def _calls(_: State) -> Iterator[str]:
    yield "callinfo begin"
    yield "callinfo:7:lab mcu:198.51.100.22:1024:connected:notmuted:outgoing:videocall"
    yield "callinfo end"


def _net(state: State) -> Iterator[str]:
    yield f"call:0 txrate:960 K rxrate:960 K pktloss:{state.lost} %pktloss:{state.loss_percent:.1f} %"
    yield "tvp:H.264 rvp:H.264 tvf:720p rvf:720p tap:G.722.1 rap:G.722.1 tcp:H.323 rcp:H.323"


def _advanced(state: State) -> Iterator[str]:
    yield "call:0 tar:48 K rar:48 K tvr:912 K rvr:912 K"
    yield "tvru:890 K rvru:893 K tvfr:30.0 rvfr:30.0 vfe:0"
    yield f"tapl:0 rapl:0 taj:2 mS raj:{state.jitter} mS tvpl:0 rvpl:{state.lost}"
    yield f"tvj:2 mS rvj:{state.jitter} mS dc:Disabled rsid:lab ccaps:---"
