"""A camera: GStreamer's RTSP server with live pictures, run by Debian's interpreter (see gst_rtsp.py).

It prints "ready PORT" once it listens, and plays every client a stream of its own from the first frame.
"""

import argparse
import signal

import gi

for library, version in (("Gio", "2.0"), ("Gst", "1.0"), ("GstRtsp", "1.0"), ("GstRtspServer", "1.0")):
    gi.require_version(library, version)

from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402  # versions must be asked for first

H264 = (
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! rtph264pay name=pay0 pt=96 config-interval=1"
)
H265 = (
    "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! rtph265pay name=pay0 pt=96 config-interval=1"
)
MJPEG = "jpegenc ! rtpjpegpay name=pay0 pt=26"
SOUND = (
    " audiotestsrc is-live=true volume=0.1 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8 )"
)

STALL_AFTER_MS = 1000


def camera(encoder: str, pattern: str = "ball", width: int = 640, height: int = 360, rate: int = 10) -> str:
    """A pipeline: a moving (or not) test picture, encoded with a key frame every second."""
    return (
        f"( videotestsrc is-live=true pattern={pattern} "
        f"! video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 "
        f"! valve name=valve ! {encoder.format(gop=rate)} )"
    )


MOUNTS = {
    "/h264": camera(H264),
    "/h265": camera(H265),
    "/mjpeg": camera(MJPEG),
    "/hd": camera(H264, width=1920, height=1080, rate=25),
    "/black": camera(H264, "black"),
    "/white": camera(H264, "white"),
    "/blue": camera(H264, "blue"),
    "/snow": camera(H264, "snow"),
    "/frozen": camera(H264, "smpte75"),
    "/stall": camera(H264),
    "/sound": camera(H264).removesuffix(")") + SOUND,
    "/sound-only": camera(H264).removesuffix(")") + SOUND,
}

STALLING = {"/stall", "/sound-only"}


def stall(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    """Let a second of pictures through, then none: the connection stays."""
    valve = media.get_element().get_by_name("valve")

    def close() -> bool:
        valve.set_property("drop", True)
        return False

    GLib.timeout_add(STALL_AFTER_MS, close)


def end_sessions_after(server: GstRtspServer.RTSPServer, seconds: int) -> None:
    """Sessions that nobody keeps alive end after that many seconds, and are swept away every half second."""

    def opened(_client: GstRtspServer.RTSPClient, session: GstRtspServer.RTSPSession) -> None:
        session.set_timeout(seconds)
        session.set_property("extra-timeout", 0)  # five seconds of grace otherwise

    def connected(_server: GstRtspServer.RTSPServer, client: GstRtspServer.RTSPClient) -> None:
        client.connect("new-session", opened)

    def sweep() -> bool:
        server.get_session_pool().cleanup()
        return True

    server.connect("client-connected", connected)
    GLib.timeout_add(500, sweep)


def guard(server: GstRtspServer.RTSPServer, arguments: argparse.Namespace) -> None:
    """Ask for a password, encrypt, or both."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if arguments.auth == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password), token)
    elif arguments.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(arguments.user, arguments.password, token)
    else:
        auth.set_default_token(token)
    if arguments.certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(arguments.certificate, arguments.key))
    server.set_auth(auth)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--auth", choices=("none", "basic", "digest"), default="none")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default="secret-1")
    parser.add_argument("--certificate", help="PEM; with it the server speaks RTSPS only")
    parser.add_argument("--key", help="PEM")
    parser.add_argument("--udp-only", action="store_true")
    parser.add_argument("--session-timeout", type=int, default=0, help="seconds; GStreamer's own are 60")
    arguments = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(arguments.host)
    server.set_service(str(arguments.port))
    guarded = arguments.auth != "none" or arguments.certificate
    for path, pipeline in MOUNTS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline)
        if arguments.udp_only:
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
        if path in STALLING:
            factory.connect("media-configure", stall)
        if guarded:
            may = "user,media.factory.access=(boolean)true,media.factory.construct=(boolean)true"
            factory.add_role_from_structure(Gst.Structure.new_from_string(may))
        server.get_mount_points().add_factory(path, factory)
    if guarded:
        guard(server, arguments)
    if arguments.session_timeout:
        end_sessions_after(server, arguments.session_timeout)
    if not server.attach(None):
        raise SystemExit(f"cannot listen on {arguments.host}:{arguments.port}")
    print("ready", server.get_bound_port(), flush=True)  # noqa: T201  # who started it reads this

    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, loop.quit)
    loop.run()


if __name__ == "__main__":
    main()
