#!/usr/bin/env bash
# Make sure that there is a real RTSP server for tests: GStreamer's. Without it those tests are skipped.
set -euo pipefail
cd "$(dirname "$0")"

if /usr/bin/python3 -c "import gi; gi.require_version('GstRtspServer', '1.0')" 2>/dev/null; then
    exit 0
fi
./apt_install.sh "GStreamer's RTSP server" python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good \
    gstreamer1.0-plugins-ugly || echo "Going on without it: cameras are not tried over RTSP." >&2
