#!/usr/bin/env bash
# What cannot be changed says so: every system call that would change a view is tried, as root and as another user, and answered as on a filesystem that
# is read-only as a whole; where not, the second table of tests/POSIX.md says so and why, and what it says and is not so fails, too. And every call that only
# reads does the same in a view as in /head.
. "$(dirname "$0")/both.sh"

calls() {
    "$TIDFS_TOOLS/tool_readonly" "$@"
}

as_user() {
    setpriv --reuid=64001 --regid=64001 --clear-groups "$@"
}

# prepare [OPTIONS]: the same tree in $HEAD, in the view $VIEW, and in $DIR/reference, which is read-only.
prepare() {
    need_root
    need setpriv
    chmod 755 "$WORK" "$DIR"
    new_both "allow_other,history=all${1:+,$1}"
    mkdir "$DIR/reference"
    mount -t tmpfs none "$DIR/reference" || skip 'no tmpfs can be mounted here'
    mkdir "$DIR/reference/desk"
    calls make "$DIR/reference/desk"
    calls make "$HEAD"
    mount -o remount,ro "$DIR/reference"
    TID=$(commit)
    VIEW=$MNT/at/$TID/desk
}

# try_all DIR NAME: what every change is answered with, in NAME.root and NAME.user.
try_all() {
    calls change "$1" >"$2.root"
    as_user "$TIDFS_TOOLS/tool_readonly" change "$1" >"$2.user"
}

# explained WHO: the table's rows for root or user, as calls prints them, sorted.
explained() {
    # shellcheck disable=SC2016 # those are the table's quotes
    sed -nE 's/^\| `([^`]+)` \| (root|user|both) \| ([^ |]+) \|.*/\2 \1 \3/p' "$root/tests/POSIX.md" |
        awk -v who="$1" '$1 == who || $1 == "both" { print $2, $3 }' | sort
}

# answers_as_read_only [OPTIONS]
answers_as_read_only() {
    local who
    prepare "${1-}"
    describe "$VIEW" times >before
    describe "$VIEW" >before.no-times
    try_all "$DIR/reference/desk" reference
    try_all "$VIEW" view
    [ "$(wc -l <reference.root)" -gt 80 ] || fail 'too few calls were tried'
    for who in root user; do
        comm -13 <(sort "reference.$who") <(sort "view.$who") >"different.$who"
        diff <(explained "$who") "different.$who" || fail "for $who: < is in the table of tests/POSIX.md alone, > is not in it"
    done
    # Whatever was answered, nothing has changed, in memory or beneath. With the write-back cache the kernel moves a time by itself for a store through a
    # mapping, and keeps it.
    if [[ ,$(with_options "${1-}"), = *,writeback_cache,* ]]; then
        describe "$VIEW" | diff before.no-times -
    else
        describe "$VIEW" times | diff before -
    fi
    remount allow_other,history=all
    describe "$VIEW" times | diff before -
}

test_a_view_answers_changes_as_a_read_only_filesystem() {
    answers_as_read_only
}

test_a_view_answers_changes_as_a_read_only_filesystem_with_writeback_cache() {
    answers_as_read_only writeback_cache
}

test_a_mounted_view_answers_changes_as_a_read_only_filesystem() {
    local who
    prepare
    try_all "$DIR/reference/desk" reference
    unmount
    mount_store "$(with_options "allow_other,at=$TID")"
    try_all "$MNT/desk" view
    unmount
    mount_store "$(with_options allow_other,history=all,ro)"
    try_all "$VIEW" at-of-read-only
    try_all "$MNT/head/desk" head-of-read-only
    for who in root user; do
        diff "reference.$who" "view.$who"
        diff "reference.$who" "at-of-read-only.$who"
        diff "reference.$who" "head-of-read-only.$who"
    done
}

test_with_ro_views_a_view_answers_as_a_read_only_filesystem() {
    local who
    prepare ro_views
    # A mount that is read-only, of a filesystem that is not.
    mount -o remount,rw "$DIR/reference"
    mount -o remount,bind,ro "$DIR/reference"
    describe "$VIEW" times >before
    try_all "$DIR/reference/desk" reference
    try_all "$VIEW" view
    for who in root user; do
        diff "reference.$who" "view.$who"
    done
    describe "$VIEW" times | diff before -
    cp "$VIEW/$(cd "$VIEW" && find . -type f -size +0 | head -n 1)" "$HEAD/back"
    tidfs verify "$STORE" >/dev/null
}

test_ro_views_come_and_go_with_the_mount() {
    need_root
    new_store
    mount_store ro_views
    echo 1 >"$MNT/head/f"
    tid=$(tidfs commit "$MNT")
    assert_eq 'mounts' "$(grep -c "$MNT" /proc/self/mounts)" 4
    # shellcheck disable=SC2016 # the child's own
    expect_fail any 'Read-only' bash -c ': >>"$1"' bash "$MNT/at/$tid/f"
    [ ! -w "$MNT/at/$tid/f" ] || fail 'it says that it can be written'
    cd "$MNT/at/$tid"
    expect_fail 32 'in use' tidfs umount "$MNT"
    cd "$MNT/head"
    expect_fail 32 'in use' tidfs umount "$MNT"
    cd "$DIR"
    assert_eq 'mounts after refusals' "$(grep -c "$MNT" /proc/self/mounts)" 4
    tidfs umount "$MNT"
    assert_eq 'mounts after it' "$(grep -c "$MNT" /proc/self/mounts || true)" 0
    # The driver that is told to stop, and the one that dies, leave nothing in the way.
    mount_store ro_views
    pid=$(pgrep -f "mount .*$STORE $MNT")
    kill "$pid"
    wait_until 10 test ! -e "/proc/$pid"
    assert_eq 'mounts after SIGTERM' "$(grep -c "$MNT" /proc/self/mounts || true)" 0
    mount_store ro_views
    pid=$(pgrep -f "mount .*$STORE $MNT")
    kill -9 "$pid"
    wait_until 10 test ! -e "/proc/$pid"
    mount_store ro_views
    assert_eq 'mounts after SIGKILL' "$(grep -c "$MNT" /proc/self/mounts)" 4
    assert_eq 'what is there' "$(cat "$MNT/head/f")" 1
    umount -R "$MNT"
    # What is read-only as a whole needs none.
    mount_store ro,ro_views
    assert_eq 'mounts of a read-only one' "$(grep -c "$MNT" /proc/self/mounts)" 1
}

test_ro_views_need_root() {
    local other=(env HOME="$DIR/home" setpriv --reuid=64001 --regid=64001 --clear-groups)
    need_root
    need setpriv
    chmod 755 "$WORK" "$DIR"
    mkdir -m 777 "$DIR/home" "$MNT"
    "${other[@]}" "$TIDFS" init "$DIR/home/store"
    expect_fail 1 'only root' "${other[@]}" "$TIDFS" mount -o ro_views "$DIR/home/store" "$MNT"
}

test_a_view_reads_as_head_does() {
    prepare
    calls read "$HEAD" >head.root
    calls read "$VIEW" >view.root
    as_user "$TIDFS_TOOLS/tool_readonly" read "$HEAD" >head.user
    as_user "$TIDFS_TOOLS/tool_readonly" read "$VIEW" >view.user
    diff head.root view.root
    diff head.user view.user
    unmount
    mount_store "$(with_options allow_other,history=all,ro)"
    calls read "$MNT/head/desk" | diff head.root -
    calls read "$VIEW" | diff head.root -
    unmount
    mount_store "$(with_options "allow_other,at=$TID")"
    calls read "$MNT/desk" | diff head.root -
    as_user "$TIDFS_TOOLS/tool_readonly" read "$MNT/desk" | diff head.user -
}

# The same by programs, over a tree with one of everything.
test_programs_read_a_view_as_head() {
    local command
    new_both
    work_in "$HEAD" make_rich_tree
    PLAIN=$MNT/at/$(commit)/desk
    for command in 'ls -lR --time-style=full-iso' 'find . -ls' 'find . -printf %p%y%m%s%T@%n\n' 'getfattr -R -d -m - -h .' 'getfacl -R -P .' \
        'grep -rIc 7 many' 'wc -c text long' 'file-types' 'tar -cf - --xattrs --acls many'; do
        on_both read_by "$command"
    done
    assert_same_files "$PLAIN/tree" "$HEAD/tree" times
    cmp "$PLAIN/tree/random" "$HEAD/tree/random"
    rsync -aHAXS --itemize-changes "$PLAIN/tree/" "$DIR/copy/" >/dev/null
    assert_eq 'what rsync says of head after a copy of the view' "$(rsync -aHAXSn --itemize-changes "$HEAD/tree/" "$DIR/copy/")" ''
}

# read_by COMMAND: what it says, without the inode numbers and block counts that differ on purpose.
read_by() {
    cd tree
    if [ "$1" = file-types ]; then
        find . -print0 | xargs -0 stat -c '%n %F %h %a %u %g %s %t %T %y'
        return
    fi
    # shellcheck disable=SC2086 # a command and its arguments
    $1 2>/dev/null | sed -E 's/^ *[0-9]+ +[0-9]+ ([-dlpscb])/\1/; s/^total [0-9]+$//' | sha256sum
}

run_tests "$@"
