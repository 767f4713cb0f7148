#!/usr/bin/env bash
# Random operations on /head and on ext4 side by side: tool_random does the same to both and compares every result, and the trees at
# intervals; it mounts again at random moments, and remembers moments, which /at must show in the end as they were. With the
# kernel's write-back cache off and on, from one process and from several.
#
# Environment: OPS, how many operations in all (default 20000); SEED, which (default: the clock; printed); TRACES, a directory
# for the traces of the operations, which tool_random --replay and --reduce take (default: none are kept).
. "$(dirname "$0")/lib.sh"

OPS=${OPS:-20000}
SEED=${SEED:-$(date +%s)}
TRACES=${TRACES-}

# reference_directory: makes $DIR/ext4, on ext4 if that can be had: that of $DIR, or an image. Other filesystems that do all that is done here are as
# good a measure; tmpfs is none.
reference_directory() {
    local type
    mkdir "$DIR/ext4"
    type=$(stat -f -c %T "$DIR")
    [ "$type" != ext2/ext3 ] || return 0
    truncate -s 8G "$DIR/image"
    if ! { mkfs.ext4 -q "$DIR/image" && mount -o loop "$DIR/image" "$DIR/ext4"; } 2>/dev/null; then
        [ "$type" != tmpfs ] || skip "tmpfs is nothing to compare with, and no ext4 image can be mounted"
    fi
}

# side_by_side OPTIONS SHARE TOOL_OPTION…: that share of the operations, in percent.
side_by_side() {
    local options=$1 count=$((OPS * $2 / 100)) mount again
    shift 2
    [ -w /dev/fuse ] || skip "/dev/fuse is not for this user"
    [ "$(id -u)" != 0 ] || options=allow_other,dev,suid${options:+,$options}
    reference_directory
    new_store
    mount_store "$options"
    mount="'$TIDFS' mount ${options:+-o $options} '$STORE' '$MNT'"
    [ -z "$TRACES" ] || set -- --trace "$(realpath "$TRACES")/${DIR##*/}" "$@"
    again="OPS=$OPS SEED=$SEED tests/mount_random.sh ${FUNCNAME[1]}"
    "$TIDFS_TOOLS/tool_random" --seed "$SEED" --count "$count" \
        --remount "'$TIDFS' umount '$MNT' && $mount" --remount-every $((count / 4 < 20000 ? count / 4 : 20000)) \
        --remember "'$TIDFS' commit '$MNT'" --remember-every $((count / 12 < 4000 ? count / 12 : 4000)) --at "$MNT/at/%" \
        "$@" "$MNT/head" "$DIR/ext4" || fail "again: $again"
    unmount
    tidfs verify "$STORE" >/dev/null || fail "the store does not verify; again: $again"
}

test_one_process() {
    side_by_side '' 35
}

test_one_process_with_writeback_cache() {
    side_by_side writeback_cache 35
}

test_several_processes() {
    side_by_side '' 15 --workers 4
}

test_several_processes_with_writeback_cache() {
    side_by_side writeback_cache 15 --workers 4
}

run_tests "$@"
