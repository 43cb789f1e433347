#!/bin/bash
# Runs the Dockerfile's steps without a registry: on a Debian system made here, by buildah, as root.
#   apt-get install buildah mmdebstrap;  make image-check
# PIP_* variables of the environment, and the folders in PIP_FIND_LINKS and PIP_CERT, are there during the build.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in buildah mmdebstrap; do
    command -v "$program" >/dev/null || { echo "image-check: $program is missing: apt-get install $program"; exit 1; }
done
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
export BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker
buildah() { command buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"; }

# In the place of python:3.x-slim: Debian with Python, whose packages pip may install into.
mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3-pip,python-is-python3 \
    --customize-hook="rm -f \$1/usr/lib/python3*/EXTERNALLY-MANAGED" bookworm "$work/root.tar"
{
    printf 'FROM scratch\nADD root.tar /\n'
    env | sed -n 's/^\(PIP_[A-Z_]*\)=\(.*\)$/ENV \1="\2"/p'
} > "$work/Dockerfile"
buildah build --network host --quiet --tag base "$work"
rm "$work/root.tar"

volumes=()
for path in ${PIP_FIND_LINKS:-} ${PIP_CERT:-}; do
    [[ -e $path ]] && volumes+=(--volume "$path:$path:ro")
done
buildah build --network host --pull-never "${volumes[@]}" \
    --build-arg BASE=localhost/base --build-arg TORCH_INDEX="${TORCH_INDEX-}" \
    --ignorefile deploy/Dockerfile.dockerignore --file deploy/Dockerfile --tag latentcrf "$@" .
buildah images
