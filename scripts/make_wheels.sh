#!/usr/bin/env bash
# Make wheels and sdists of both distributions for this machine, in dist/. Those for other machines are
# made by cibuildwheel, which goes by pyproject.toml as well.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=.venv/bin
made=build/wheels
rm -rf $made dist/*.whl dist/*.tar.gz
mkdir -p $made dist

quietly() {
    "$@" >$made/log 2>&1 || { tail -n 20 $made/log >&2; exit 1; }
}

for project in client .; do
    quietly $bin/python -m build --outdir $made $project # the wheel from the sdist
done
# Names the oldest glibc that the compiled library runs with.
PATH=$bin:$PATH quietly auditwheel repair --wheel-dir dist $made/fer_worker-*.whl
mv $made/*.tar.gz $made/fer_worker_client-*.whl dist/
ls -sh dist/*.whl dist/*.tar.gz
