#!/bin/sh
# Builds the sdist and from it the wheel, installs that wheel alone, with what it says it needs, into an environment of
# its own, and runs the sample from it: what a user gets. Removes the environment again, which takes 2 GB.
set -eu
cd "$(dirname "$0")/.."
ROOT=$PWD
PYTHON=${PYTHON:-.venv/bin/python}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/irtrack-wheel.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

rm -rf dist
"$PYTHON" -m build --outdir dist . > "$WORK/build.log" 2>&1 || { tail -20 "$WORK/build.log"; exit 1; }
"$PYTHON" -m venv "$WORK/env"
"$WORK/env/bin/pip" install -qq -c constraints.txt dist/irtrack-*.whl

cd "$WORK"  # from here nothing of the source tree is found
unset PYTHONPATH
SAMPLE=$(env/bin/python -c 'import irtrack, pathlib; print(pathlib.Path(irtrack.__file__).parent / "_assets" / "sample.mkv")')
case $SAMPLE in "$ROOT"/*) echo "that is not the wheel's: $SAMPLE"; exit 1;; esac
env/bin/irtrack run "$SAMPLE" --csv tracks.csv --quiet
env/bin/python - <<'CHECK'
import csv

rows = list(csv.DictReader(open("tracks.csv")))
tracks = {row["track_id"] for row in rows}
assert len(rows) > 500 and len(tracks) == 5, (len(rows), len(tracks))
print(f"the wheel tracks its sample: {len(rows)} rows of {len(tracks)} tracks")
CHECK
env/bin/irtrack doctor
