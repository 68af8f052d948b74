#!/bin/sh
# Train a 3-D model on lesions planted into real series, and measure it on parts of them that it never saw.
# Usage: train.sh SERIES DIR [--device NAME]
set -eu
if [ $# -lt 2 ]; then
    echo "usage: $0 SERIES DIR [--device NAME]" >&2
    exit 2
fi
series=$1 folder=$2
shift 2
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

medplug plant "$series" -o "$folder/set" -n 2000 --size 24
medplug train cnn "$folder/set/manifest.csv" --patient patient --duplicates drop -o "$folder/model" "$@" \
    --set width=16 --set 'depth=[1,1]' --set mixup=0 --set cutmix=0 --set smoothing=0 \
    --set learning_rate=4e-3 --set recipe.batch_size=32 --set recipe.ema=0.98 --steps 1400
medplug evaluate "$folder/model" --explain 60 "$@"
medplug run "$folder/model" "$folder/set/volumes/01500.nii" -o "$folder/results" --explain "$@"
