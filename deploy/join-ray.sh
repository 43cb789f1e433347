#!/bin/bash
# The image's entry point: runs its arguments and, where RAY_HEAD names a Ray head ("ray-head:6379"), first makes this
# container a node of that cluster, without CPUs or GPUs. A driver needs a Ray node in its own container, which it finds
# among the processes there; so it can be neither a sidecar nor a Ray client.
set -euo pipefail

join() {
    rm -f /tmp/ray/session_latest /tmp/ray/ray_current_cluster  # of this container's last start
    ray start --address="$RAY_HEAD" --num-cpus=0 --num-gpus=0 --object-store-memory=200000000 --block &
    node=$!
    until [[ -s /tmp/ray/ray_current_cluster ]]; do  # which Ray writes once the head knows the node
        kill -0 "$node" 2>/dev/null || return 1
        sleep 1
    done
}

if [[ -n "${RAY_HEAD:-}" ]]; then
    join || join || join || exit 1  # Ray gives a node 30 s to start, which are too few on a busy machine
    # Without its node the command can do nothing: end it, so that it is started again and joins again.
    { tail --pid="$node" --follow /dev/null; kill -TERM $$; } &
    export RAY_ADDRESS=auto
fi
exec "$@"  # in this shell's place: signals reach the command itself
