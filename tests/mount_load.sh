#!/usr/bin/env bash
# Many at once and for long: 24 processes (tests/tool_load.c) that look at 50 views, change /head, commit, tag and run commands, none of which may fail, wait
# for a minute, or find anything but what was there; and a thousand views, opened and dropped, that leave nothing behind.
#
# Environment: LOAD_SECONDS, how long (default 40); SEED (default: the clock; printed); LOAD_MIB, the memory that the driver may take (default: the
# 256 MiB that tidfs-mount(1) states), 0 for a build that takes more than the driver itself does.
. "$(dirname "$0")/lib.sh"

LOAD_SECONDS=${LOAD_SECONDS:-40}
SEED=${SEED:-$(date +%s)}
VIEWS=1000

# What a sanitizer needs for itself is no fault of the driver's.
if [ -z "${LOAD_MIB-}" ]; then
    LOAD_MIB=256
    ! grep -qE '__asan_init|__tsan_init' "$TIDFS" || LOAD_MIB=0
fi

# The rest of what a load takes from others: they may all be waiting for the disk.
under_load() {
    new_store
    mount_foreground "$1" 2>"$DIR/driver.log"
    "$TIDFS_TOOLS/tool_load" "$MNT" "$STORE" "$TIDFS" "$DRIVER" "$2" "$SEED" "$LOAD_MIB" || {
        cat "$DIR/driver.log"
        fail "again: LOAD_SECONDS=$LOAD_SECONDS SEED=$SEED tests/mount_load.sh"
    }
    unmount
    wait "$DRIVER"
    assert_eq 'what the driver said' "$(grep -vE 'mounted on' "$DIR/driver.log" || true)" ''
    tidfs verify "$STORE" >/dev/null
}

test_everything_at_once() {
    under_load '' $((LOAD_SECONDS * 3 / 4))
}

test_everything_at_once_with_writeback_cache() {
    under_load writeback_cache $((LOAD_SECONDS / 4))
}

# driver_has WHAT: a number of /proc/PID/status, or `fds`.
driver_has() {
    if [ "$1" = fds ]; then
        find "/proc/$DRIVER/fd" -mindepth 1 | wc -l
    else
        awk -v what="$1:" '$1 == what { print $2 }' "/proc/$DRIVER/status"
    fi
}

# look_at FIRST COUNT: opens so many views, by all the names that a view may have, and what is in them.
look_at() {
    local i tid time path content
    while read -r i tid time; do
        case $((i % 3)) in
        0) path=$MNT/at/$tid ;;
        1) path=$MNT/at/$time ;;
        2) path=$MNT/before/$tid i=$((i - 1)) ;;
        esac
        [ -d "$path/directory" ] || fail "$path has no directory"
        read -r content <"$path/directory/file"
        [ "$content" = "$i" ] || fail "$path shows $content, expected $i"
        set -- "$path"/*
        [ $# = 2 ] || fail "$path has $# names"
    done < <(sed -n "$1,$(($1 + $2 - 1))p" "$DIR/instants")
}

# forgotten: the kernel has given back what it knew of views, and the pool has dropped them.
forgotten() {
    echo 2 >/proc/sys/vm/drop_caches
    [ "$(counter nodes)" -le 4 ] && [ "$(counter views open)" = 0 ]
}

store_sizes() {
    find "$STORE" -name tidfs.db -o -path '*/bodies/*' | sort | xargs stat -c '%n %s'
}

test_views_leave_nothing_behind() {
    local i resident fds threads sizes
    need_root
    new_store
    mount_foreground commit-interval=1h,historical-timeout=1s,historical-pool-size=8,cache-size=4M 2>"$DIR/driver.log"
    mkdir "$MNT/head/directory"
    mkdir "$MNT/head/other"
    for ((i = 1; i <= VIEWS + 200; i++)); do
        echo "$i" >"$MNT/head/directory/file"
        sync "$MNT/head/directory/file"
    done
    tidfs log --utc --json --reverse "$MNT/head/directory/file" |
        sed -E 's/.*"tid": *"([0-9a-f]+)".*"time": *"([^"]+)".*/\1 \2/' | tail -n $((VIEWS + 200)) | cat -n >"$DIR/instants"
    look_at 2 190
    wait_until 20 forgotten
    resident=$(driver_has VmRSS) fds=$(driver_has fds) threads=$(driver_has Threads) sizes=$(store_sizes)
    look_at 200 "$VIEWS"
    [ "$(counter nodes)" -gt 100 ] || fail 'the kernel knows no directories of views'
    assert_at_most 'views in the pool' "$(counter views idle)" 8
    wait_until 20 forgotten
    assert_eq 'descriptors' "$(driver_has fds)" "$fds"
    assert_at_most 'threads' "$(driver_has Threads)" $((threads + 10))
    [ "$LOAD_MIB" = 0 ] || assert_at_most 'KiB of memory' "$(driver_has VmRSS)" $((resident + 2048))
    assert_eq 'the sizes of the files of the store' "$(store_sizes)" "$sizes"
    echo "    VIEWS=$VIEWS: $resident KiB before, $(driver_has VmRSS) after; $fds descriptors; $(counter nodes) nodes"
    unmount
    wait "$DRIVER"
}

run_tests "$@"
