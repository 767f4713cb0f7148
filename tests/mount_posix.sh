#!/usr/bin/env bash
# /head behaves like a local filesystem: tool_posix runs on a plain directory, which proves the program, and on /head with the
# kernel's write-back cache off and on. Where the results differ, the table in tests/POSIX.md must say so and why; what it says and is not so
# fails, too.
#
# Environment: POSIX_FILTER, to take the cases whose names contain it.
. "$(dirname "$0")/lib.sh"

FILTER=${POSIX_FILTER-}

# results DIR FILE: runs all cases in DIR, and leaves "<status> <case>" lines in FILE, sorted by case, and what was printed in
# FILE.log. The status is ok, failed or skipped.
results() {
    "$TIDFS_TOOLS/tool_posix" "$1" ${FILTER:+"$FILTER"} >"$2.log" 2>&1 || true
    grep -q '^# [0-9]* passed' "$2.log" || {
        tail -n 3 "$2.log"
        fail "tool_posix did not come to its end"
    }
    sed -nE 's/^ok - ([^ :]+)$/ok \1/p; s/^not ok - ([^ :]+): .*/failed \1/p; s/^skip - ([^ :]+): .*/skipped \1/p' "$2.log" |
        sort -k 2 >"$2"
}

# explained MOUNT: the cases that the table explains for that mount, sorted.
explained() {
    # shellcheck disable=SC2016 # those are the table's quotes
    sed -nE 's/^\| `([^`]+)` \| ([^|]*[^ |]) *\|.*/\1|\2/p' "$root/tests/POSIX.md" |
        awk -F'|' -v mount="$1" '$2 == "all" || $2 == mount { print $1 }' | grep -F -- "$FILTER" | sort
}

# compare MOUNT OPTIONS
compare() {
    local options=$2
    [ -w /dev/fuse ] || skip "/dev/fuse is not for this user"
    [ -s "$WORK/plain" ] || fail "the plain directory's results are missing"
    new_store
    [ "$(id -u)" != 0 ] || options=allow_other,dev,suid${options:+,$options}
    mount_store "$options"
    results "$MNT/head" "$WORK/$1"
    # What is ok on the plain directory and not here.
    comm -13 <(sed -n 's/^ok //p' "$WORK/$1" | sort) <(sed -n 's/^ok //p' "$WORK/plain" | sort) >different
    comm -23 different <(explained "$1") >unexplained
    if [ -s unexplained ]; then
        grep -F -f <(sed 's/^/ - /; s/$/:/' unexplained) "$WORK/$1.log" | head -n 50
        fail "$(wc -l <unexplained) cases differ from the plain directory, and tests/POSIX.md does not say why"
    fi
    # Root runs all cases, so whatever the table has must show.
    if [ "$(id -u)" = 0 ]; then
        comm -13 different <(explained "$1") >settled
        [ ! -s settled ] || fail "tests/POSIX.md explains differences that are none: $(tr '\n' ' ' <settled)"
    fi
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_the_cases_hold_on_a_plain_directory() {
    results "$DIR" "$WORK/plain"
    # Other filesystems than ext4 have differences of their own; what holds on this one is the measure all the same.
    [ "$(stat -f -c %T "$DIR")" = ext2/ext3 ] || return 0
    if grep '^failed' "$WORK/plain"; then
        fail "these cases do not hold on ext4: $(grep -m 20 '^not ok' "$WORK/plain.log")"
    fi
}

test_head_is_like_a_plain_directory() {
    compare write-through ''
}

test_head_is_like_a_plain_directory_with_writeback_cache() {
    compare write-back writeback_cache
}

run_tests "$@"
