#!/bin/sh
# Train the four models one after the other: tools/train-models.sh DATA OUT [KEY=VALUE ...]
#
# DATA is made by `python -m irtrack.train.pack ROOT DATA`. Each run goes on where it stopped. Settings behind OUT overrule
# the recipes': on a GPU, for example, `batch=16 steps=20000`.
set -eu
data=$1
out=$2
shift 2
for model in general nudt nuaa slim; do
	extra=""
	[ $# -gt 0 ] && extra="--set $*"
	teacher=""
	[ "$model" = slim ] && teacher="--teacher $out/general/best.pt"
	# shellcheck disable=SC2086
	python -m irtrack train --recipe "$model" --root "$data" --out "$out/$model" $teacher $extra
done
