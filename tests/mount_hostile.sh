#!/usr/bin/env bash
# The program on stores that were made to harm who opens them (tests/hostile.h): every command, and a mount. It may say anything but must end by
# itself, in time and with little memory, write nothing outside the store, and send nothing to the terminal that is no text.
#
# HOSTILE names those to try, by a part of their names (default: some of each kind; `all`: all).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tool=$TIDFS_TOOLS/tool_hostile
SOME='name-dots name-way-out name-escapes entry-to-nothing directory-in-itself root-as-a-child two-parents doubling-circle file-size-most
directory-size-most links-0 symlink-out setuid device time-far chunk-beyond body-too-long xattr-acl txn-gap txn-escapes txn-tid-last state-oid-last
state-horizon-all subtree-none tag-slash tag-escapes tag-option schema-endless-view format-newer'

chosen() {
    case ${HOSTILE-} in
    '') tr -s ' \n' '\n' <<<"$SOME" ;;
    all) "$tool" list ;;
    *) "$tool" list | grep -F -- "$HOSTILE" ;;
    esac
}

# try COMMAND…: on a terminal; must end by itself in time; what it says is looked at.
try() {
    local rc=0 command
    command=$(printf '%q ' timeout -s KILL 20 "$TIDFS" --no-pager "$@")
    [ "$1" != cat ] || command+='| head -c 1000000' # a file may be as large as any
    (
        [ -n "${unlimited-}" ] || ulimit -v 4000000
        TERM=dumb NO_COLOR=1 exec script -qec "$command" /dev/null
    ) >"$DIR/out" 2>&1 </dev/null || rc=$?
    tries=$((tries + 1))
    # 4: verify has found something.
    [ "$rc" -le 2 ] || [ "$1 $rc" = 'verify 4' ] || fail "$name: tidfs $*: exit code $rc: $(tail -n 3 "$DIR/out")" || return 1
    [ "$rc" = 0 ] || [ -s "$DIR/out" ] || fail "$name: tidfs $*: no word of why it failed" || return 1
    # Contents go out as they are; names and messages do not.
    [ "$1" = cat ] || ! grep -qaP '[\x00-\x08\x0b\x0c\x0e-\x1f]' "$DIR/out" ||
        fail "$name: tidfs $*: no text: $(grep -aP '[\x00-\x08\x0b\x0c\x0e-\x1f]' "$DIR/out" | cat -v | head -n 2)"
}

look_at_store() {
    local s=--store=$DIR/store
    try log "$s"
    try log "$s" --json
    try log "$s" --follow dir/file
    try show "$s" now
    try diff "$s" 'now~2' now
    try diff "$s" --stat now '^' || true
    try ls "$s" -l now
    try ls "$s" -l now dir
    try cat "$s" now dir/file
    try cat "$s" now big
    try versions "$s" dir/file
    try at "$s" now
    try info "$s" dir/file
    try info "$s"
    try status "$s"
    try tag "$s"
    try verify "$DIR/store"
}

not_mounted() {
    ! mountpoint -q "$DIR/mnt"
}

look_at_mount() {
    local mnt=$DIR/mnt rc=0
    try mount -o commit-interval=1h "$DIR/store" "$mnt"
    mountpoint -q "$mnt" || return 0
    # Everything is looked at, as far as it goes; the time is the driver's.
    timeout -s KILL 20 find "$mnt/head" -maxdepth 6 -printf '%y %m %n %s %T+ %l' >/dev/null 2>&1 || rc=$?
    [ "$rc" != 137 ] || fail "$name: find in head does not end" || return 1
    timeout -s KILL 20 find "$mnt/at/now/" "$mnt/at" -maxdepth 5 -ls >/dev/null 2>&1 || rc=$?
    # shellcheck disable=SC2016 # the inner shell expands them
    timeout -s KILL 20 sh -c 'head -c 5000 "$1"/head/dir/file "$1"/at/now/dir/file "$1"/head/big; getfattr -d "$1"/head/dir/file
        echo x >"$1"/head/other; echo x >>"$1"/head/dir/file; mv "$1"/head/dir "$1"/head/moved; mkdir "$1"/head/new; rm -rf "$1"/head/moved' \
        sh "$mnt" >/dev/null 2>&1 || rc=$?
    [ "$rc" != 137 ] || fail "$name: reading and writing do not end" || return 1
    try commit -m looked "$mnt"
    (cd "$mnt/head" && try revert --yes --at 'now~2' .) || return 1
    (cd "$mnt/head" && try undo --yes now) || return 1
    try status "$mnt"
    # A commit that the store does not take fails for good, and that is said.
    timeout -s KILL 20 "$TIDFS" umount "$mnt" 2>/dev/null || try umount -l "$mnt"
    wait_until 20 not_mounted || fail "$name: it stays mounted"
}

test_commands_and_a_mount_on_hostile_stores() {
    local name tries=0 count=0 outside unlimited=
    [ -x "$tool" ] || skip "$tool is not built"
    # A sanitizer takes as much address space as there is.
    (ulimit -v 4000000 && ASAN_OPTIONS='' UBSAN_OPTIONS='' "$TIDFS" --version) >/dev/null 2>&1 || unlimited=1
    "$tool" base "$DIR/base"
    mkdir "$DIR/mnt" "$DIR/beside"
    echo canary >"$DIR/canary"
    outside=$(find "$DIR/beside" "$DIR/canary" /tmp/canary /tmp/evil -printf '%p %s %T@\n' 2>/dev/null || true)
    while read -r name; do
        rm -rf "$DIR/store"
        cp -r "$DIR/base" "$DIR/store"
        "$tool" change "$DIR/store" "$name"
        look_at_store
        look_at_mount
        assert_eq "$name: what lies beside the store" \
            "$(find "$DIR/beside" "$DIR/canary" /tmp/canary /tmp/evil -printf '%p %s %T@\n' 2>/dev/null || true)" "$outside"
        count=$((count + 1))
    done < <(chosen)
    echo "    HOSTILE=${HOSTILE-}: $count stores, $tries commands"
}

run_tests
