#!/bin/sh
# Builds the sdist and from it the wheel, installs that wheel into an environment of its own that has what the wheel says
# it needs and nothing else, and runs the sample from it: what a user gets.
set -eu
cd "$(dirname "$0")/.."
ROOT=$PWD
PYTHON=${PYTHON:-.venv/bin/python}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/irtrack-wheel.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
unset PYTHONPATH

rm -rf dist
"$PYTHON" -m build --outdir dist . > "$WORK/build.log" 2>&1 || { tail -20 "$WORK/build.log"; exit 1; }
"$PYTHON" -m venv --without-pip "$WORK/env"
"$PYTHON" -m pip --python "$WORK/env" install --quiet --no-deps dist/irtrack-*.whl
"$PYTHON" tools/linked_site.py dist/irtrack-*.whl "$WORK/needed"
echo "$WORK/needed" > "$("$WORK/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/needed.pth"

cd "$WORK"  # from here nothing of the source tree is found
SAMPLE=$(env/bin/python -c 'import irtrack, pathlib; print(pathlib.Path(irtrack.__file__).parent / "_assets" / "sample.mkv")')
case $SAMPLE in "$WORK"/*) ;; *) echo "that is not the wheel's: $SAMPLE"; exit 1;; esac
env/bin/python -c 'import pytest' 2> /dev/null && { echo "more is there than the wheel needs"; exit 1; }
env/bin/irtrack run "$SAMPLE" --csv tracks.csv --quiet
env/bin/python - <<'CHECK'
import csv

rows = list(csv.DictReader(open("tracks.csv")))
tracks = {row["track_id"] for row in rows}
assert len(rows) > 500 and len(tracks) == 5, (len(rows), len(tracks))
print(f"the wheel tracks its sample: {len(rows)} rows of {len(tracks)} tracks")
CHECK
env/bin/irtrack doctor
