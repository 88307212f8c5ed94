#!/usr/bin/env bash
# Make the wheels for Windows and dist/fer-worker.exe of them, in the Windows that
# scripts/make_wine.sh has made.
set -euo pipefail
cd "$(dirname "$0")/.."

windows=build/windows
pip=(.venv/bin/python -m pip -qq --disable-pip-version-check)

trap '$windows/bin/wineserver --kill || true' EXIT  # also where this is interrupted

echo "Compiling for Windows" >&2
rm -rf $windows/wheels
"${pip[@]}" wheel --no-deps --wheel-dir $windows/wheels ./client
# The platform that Python names to what builds for another one, and so to the wheel's tag.
_PYTHON_HOST_PLATFORM=win-amd64 "${pip[@]}" wheel --no-deps --wheel-dir $windows/wheels . \
    --config-settings=cmake.define.CMAKE_SYSTEM_NAME=Windows \
    --config-settings=cmake.define.CMAKE_CXX_COMPILER="$PWD/$windows/bin/x86_64-w64-mingw32-g++"
"${pip[@]}" install --no-deps --upgrade --target $windows/python/Lib/site-packages \
    --platform win_amd64 $windows/wheels/*.whl

echo "Making dist/fer-worker.exe" >&2
$windows/bin/wine $windows/python/python.exe -m PyInstaller --noconfirm --log-level WARN \
    --distpath dist --workpath $windows/pyinstaller packaging/fer-worker.spec </dev/null
