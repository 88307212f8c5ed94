"""A real RTSP server: GStreamer's, with cameras that film a test picture in H.264.

    /usr/bin/python3 tests/rtsp_server.py [PORT [LOCKED_PORT]]

It runs under the Python of the distribution, which has GStreamer's bindings, and prints its two
ports. `/live` has video and `/sound` none; at the second port both want the user `me` with the
password `secret`, by Digest.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - once the versions are chosen

CAMERAS = {
    "/live": "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 ! rtph264pay name=pay0",
    "/sound": "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0",
}
USER, PASSWORD = "me", "secret"


def serve(port: str, auth: "GstRtspServer.RTSPAuth | None") -> "GstRtspServer.RTSPServer":
    """Listen at a port; 0 takes a free one."""
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for path, pipeline in CAMERAS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {pipeline} )")
        factory.set_shared(True)
        if auth is not None:
            permissions = GstRtspServer.RTSPPermissions.new()
            for permission in ("access", "construct"):
                permissions.add_permission_for_role(USER, f"media.factory.{permission}", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    server.set_auth(auth)
    server.attach(None)
    return server


def lock() -> "GstRtspServer.RTSPAuth":
    """Let one user in."""
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", USER)
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(USER, PASSWORD, token)
    return auth


if __name__ == "__main__":
    Gst.init(None)
    ports = [*sys.argv[1:], "0", "0"]
    servers = [serve(ports[0], None), serve(ports[1], lock())]
    print(*(server.get_bound_port() for server in servers), flush=True)
    GLib.MainLoop().run()
