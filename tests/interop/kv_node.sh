# SPDX-License-Identifier: MIT
#
# For scripts that scripts/cluster runs: nodes as programs, by their numbers.
# shellcheck shell=dash

root=${STRAIT_CLUSTER%/*}

# node ID CLUSTER DATA: is that node.
node() {
    "$STRAIT" kv node --id "$1" --tun "tun$1" --addr "10.8.$1.2/24" --peer "10.8.$1.1" \
        --cluster "$2" --data "$3" 2>&1
}

# stop ID: ends the node of this sandbox, and waits until its device is gone.
stop() {
    for process in /proc/[0-9]*; do
        [ "$process/ns/net" -ef /proc/self/ns/net ] || continue
        if tr '\0' ' ' <"$process/cmdline" | grep -q "strait kv node --id $1 "; then
            kill "${process#/proc/}"
        fi
    done 2>/dev/null # some have ended meanwhile
    while ip link show "tun$1" >/dev/null 2>&1; do sleep 0.05; done
}

# start ID CLUSTER DATA: until it is ready, for 10 s at most.
start() {
    : >"$root/$1.log" # its former life was ready, too
    # By exec: else the shell that waits for the node keeps the pipe to whoever reads this script.
    (exec >"$root/$1.log" 2>&1 && node "$@") &
    for _ in $(seq 200); do
        ! grep -q 'is ready on' "$root/$1.log" || break
        sleep 0.05
    done
}

# of_root: what a node says of its directory, without its place.
of_root() {
    sed -n "s|^strait: $root/||p"
}
