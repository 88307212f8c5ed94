#!/usr/bin/env bash
# Make dist/fer-worker: the command with its own Python in one file, for Linux with a glibc as new as this
# system's. It is made of the wheels in dist/.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/program
python=.venv/bin/python
library=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("INSTSONAME"))')
if [[ $library != *.so* ]]; then
    echo "PyInstaller needs a Python that was built with --enable-shared, and $python is none." >&2
    exit 1
fi
# Debian keeps it in a package of its own.
"$python" -c "import ctypes; ctypes.CDLL('$library')" 2>/dev/null ||
    scripts/apt_install.sh "Python as a library" "${library%.so*}"

rm -rf $folder dist/fer-worker
"$python" -m venv $folder/venv
wheels=(dist/fer_worker_client-*.whl dist/fer_worker-*.whl)
$folder/venv/bin/python -m pip install -qq --disable-pip-version-check --no-input \
    --constraint constraints.txt "${wheels[0]}" "${wheels[1]}[program]"
$folder/venv/bin/pyinstaller --log-level WARN --distpath $folder --workpath $folder/work \
    packaging/fer-worker.spec -- --folder
# So that the same files are the same bytes.
tar --create --sort=name --owner=0 --group=0 --mtime=@0 --directory $folder/fer-worker . |
    gzip --no-name >$folder/files.tar.gz

build=$(sha256sum $folder/files.tar.gz | cut -c 1-16)
size=$(du --summarize --block-size=1M $folder/fer-worker | cut -f 1)
header=$(sed "s/@BUILD@/$build/; s/@SIZE@/$size/" packaging/unpack.sh)
# The number has as many digits as its name has letters, so that it stays right.
header=${header/@OFFSET@/$(printf '%08d' $((${#header} + 2)))}
{ echo "$header"; cat $folder/files.tar.gz; } >dist/fer-worker
chmod +x dist/fer-worker
echo "dist/fer-worker: $(du --block-size=1M dist/fer-worker | cut -f 1) MB, $size MB unpacked"
