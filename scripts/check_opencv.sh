#!/usr/bin/env bash
# Make sure that `import cv2` works. The wheel that the fer library brings along has a GUI and
# needs two libraries of the system that a server may not have.
#   scripts/check_opencv.sh .venv-reference
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1/bin/python
if ! "$python" -c 'import cv2' 2>/dev/null; then
    scripts/apt_install.sh "libGL, which OpenCV's wheel with a GUI needs," libgl1 libglib2.0-0
    "$python" -c 'import cv2'
fi
