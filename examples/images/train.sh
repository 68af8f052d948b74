#!/bin/sh
# Train a 2-D model on lesions planted into images, and see whether its maps point at lesions in patients it never saw.
# Usage: train.sh IMAGES DIR [OPTION of `medplug plant`, for instance --select finding=none --patient who]...
set -eu
if [ $# -lt 2 ]; then
    echo "usage: $0 IMAGES DIR [OPTION of 'medplug plant']..." >&2
    exit 2
fi
images=$1 folder=$2
shift 2
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

medplug plant "$images" --dims 2 "$@" -o "$folder/set"
medplug train cnn "$folder/set/manifest.csv" --patient patient --mask mask --duplicates drop \
    --steps 300 -o "$folder/model"
medplug evaluate "$folder/model" --explain 100
