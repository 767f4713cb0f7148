#!/usr/bin/env bash
# Everything that a person, a disk or a clock can do wrong: each has its own clear error, and nothing is lost.
. "$(dirname "$0")/lib.sh"

# kill_driver: of $STORE. What it held, such as memory of a file that is gone, is free only once it is gone itself.
kill_driver() {
    local pid
    pid=$(tidfs info "$STORE" | grep -oE 'process [0-9]+' | grep -oE '[0-9]+')
    kill -9 "$pid"
    wait_until 10 test ! -e "/proc/$pid"
}

# A store with two small transactions, and a large body; unmounted.
make_store() {
    new_store
    mount_store commit-interval=1h
    mkdir "$MNT/head/dir"
    echo one >"$MNT/head/dir/small"
    ONE=$(commit one)
    seq 200000 >"$MNT/head/dir/large"
    TWO=$(commit two)
    unmount
}

# assert_store_whole: what make_store made is all there.
assert_store_whole() {
    tidfs verify "$STORE" >/dev/null
    mkdir -p "$DIR/whole"
    mount_store ro "$DIR/whole"
    assert_eq 'small file' "$(cat "$DIR/whole/at/$ONE/dir/small")" one
    assert_eq 'large file' "$(tail -n 1 "$DIR/whole/at/$TWO/dir/large")" 200000
    unmount "$DIR/whole"
}

# assert_verify_finds REGEX
assert_verify_finds() {
    local rc=0
    tidfs verify "$STORE" >"$DIR/verify" 2>&1 || rc=$?
    assert_eq 'exit code of verify' "$rc" 4
    assert_match 'what verify says' "$(cat "$DIR/verify")" "$1"
}

test_missing_store() {
    mkdir "$MNT"
    expect_fail 1 "$STORE.*(No such|not a tidfs store|missing|does not exist)" tidfs mount "$STORE" "$MNT"
    expect_fail 1 "$STORE" tidfs info "$STORE"
    expect_fail 8 "$STORE" tidfs verify "$STORE"
    assert_eq 'what a failed mount made' "$(ls -A "$DIR")" mnt
}

test_wrong_store() {
    mkdir "$MNT" "$STORE"
    echo 'not a store' >"$STORE/file"
    expect_fail 1 'not a tidfs store' tidfs mount "$STORE" "$MNT"
    expect_fail 1 'not empty' tidfs init "$STORE"
    assert_eq 'what is there after a refused init' "$(ls -A "$STORE")" file
    sqlite3 "$STORE/tidfs.db" 'CREATE TABLE t(a)'
    expect_fail 1 'not a tidfs store' tidfs mount "$STORE" "$MNT"
    seq 5000 >"$STORE/tidfs.db"
    expect_fail 1 'not a tidfs store|damaged' tidfs mount "$STORE" "$MNT"
    : >"$STORE/tidfs.db"
    expect_fail 1 'not a tidfs store|damaged' tidfs mount "$STORE" "$MNT"
    expect_fail 1 'Not a directory|not a directory|not a tidfs store' tidfs mount "$STORE/tidfs.db" "$MNT"
}

test_init_twice() {
    make_store
    expect_fail 1 'not empty' tidfs init "$STORE"
    assert_store_whole
}

test_newer_format() {
    make_store
    "$TIDFS_TOOLS/tool_sql" "$STORE" 'PRAGMA user_version = 1000'
    expect_fail 1 'format 1000.*upgrade' tidfs mount "$STORE" "$MNT"
    "$TIDFS_TOOLS/tool_sql" "$STORE" 'PRAGMA user_version = 1'
    assert_store_whole
}

test_mount_point_missing() {
    make_store
    expect_fail 1 "$DIR/nowhere.*(No such|does not exist)" tidfs mount "$STORE" "$DIR/nowhere"
    echo >"$DIR/file"
    expect_fail 1 "$DIR/file.*[Nn]ot a directory" tidfs mount "$STORE" "$DIR/file"
    assert_store_whole
}

test_mount_point_busy() {
    make_store
    mount_store
    expect_fail 1 "$MNT.*(busy|mounted|in use)" tidfs mount -o ro "$STORE" "$MNT"
    assert_eq 'the first mount' "$(cat "$MNT/head/dir/small")" one
    unmount
    assert_store_whole
}

test_unmount_of_what_is_no_mount() {
    mkdir "$MNT"
    expect_fail any "$MNT" tidfs umount "$MNT"
    expect_fail any "$DIR/nowhere" tidfs umount "$DIR/nowhere"
    expect_fail 1 "$MNT|not.*tidfs" tidfs commit "$MNT"
}

test_unmount_of_a_busy_mount() {
    make_store
    mount_store
    exec 7<"$MNT/head/dir/small"
    expect_fail any 'busy|in use' tidfs umount "$MNT"
    assert_eq 'still mounted' "$(cat <&7)" one
    exec 7<&-
    unmount
    assert_store_whole
}

test_second_writer_is_told_who_holds_it() {
    make_store
    mount_foreground
    mkdir "$DIR/second"
    expect_fail 1 "$DRIVER.*$MNT|$MNT.*$DRIVER" tidfs mount "$STORE" "$DIR/second"
    # Readers may come while it writes.
    mount_store ro "$DIR/second"
    echo three >"$MNT/head/dir/small"
    commit three >/dev/null
    wait_until 5 grep -qx three "$DIR/second/head/dir/small"
    unmount "$DIR/second"
    unmount
    wait "$DRIVER"
    assert_store_whole
}

test_unknown_options() {
    make_store
    expect_fail 2 'comit-interval' tidfs mount -o comit-interval=1s "$STORE" "$MNT"
    expect_fail 2 'commit-interval' tidfs mount -o commit-interval=soon "$STORE" "$MNT"
    expect_fail 2 'history' tidfs mount -o history=nobody "$STORE" "$MNT"
    expect_fail 2 'follow' tidfs mount -o follow "$STORE" "$MNT"
    expect_fail 2 '--nonsense' tidfs mount --nonsense "$STORE" "$MNT"
    expect_fail 2 'nonsense' tidfs nonsense
    expect_fail 2 '[Uu]sage|--help' tidfs mount "$STORE"
    expect_fail 2 '[Uu]sage|--help' tidfs
    assert_store_whole
}

test_malformed_when() {
    local when
    make_store
    mount_store
    for when in 2026-13-01 2026-02-30 -3y 12 0123456789abcdeg @x '@GMT-2026.1.1-1.1.1' "$ONE~x" "$ONE~" nosuchtag ' now' Now \
        "$ONE~5000"; do
        expect_fail 1 '.' tidfs at --mount "$MNT" -- "$when"
        expect_fail any 'No such file' ls -d "$MNT/at/$when/"
        expect_fail any 'No such file' ls -d "$MNT/before/$when/"
    done
    unmount
    expect_fail 1 'nosuchtag' tidfs mount -o at=nosuchtag "$STORE" "$MNT"
}

test_future() {
    make_store
    mount_store
    for when in 2126 4100000000000000 @32503680000; do
        expect_fail 1 'cannot open a view in the future' tidfs at --mount "$MNT" "$when"
        expect_fail any 'No such file' ls -d "$MNT/at/$when/"
        expect_fail any 'No such file' ls -d "$MNT/before/$when/"
    done
    unmount
    expect_fail 1 'at=2126: cannot open a view in the future; .now. is the latest' tidfs mount -o at=2126 "$STORE" "$MNT"
}

test_before_the_first_commit_is_empty() {
    make_store
    mount_store
    assert_eq 'a view before the first commit' "$(ls -A "$MNT/at/1970-01-01/")" ''
    unmount
}

test_truncated_body() {
    local body size
    make_store
    body=$(find "$STORE/bodies" -type f)
    size=$(stat -c %s "$body")
    cp -a "$STORE" "$DIR/good"
    truncate -s $((size / 2)) "$body"

    assert_verify_finds 'dir/large'
    mount_foreground 2>"$DIR/log"
    expect_fail any 'Input/output error' cat "$MNT/head/dir/large"
    expect_fail any 'Input/output error' cat "$MNT/at/$TWO/dir/large"
    assert_eq 'another file' "$(cat "$MNT/head/dir/small")" one
    assert_match 'the log' "$(cat "$DIR/log")" 'body file .* damaged'
    # The present can go on, and what is written now is whole.
    seq 100000 >"$MNT/head/dir/new"
    commit after >/dev/null
    unmount
    wait "$DRIVER"
    mount_store
    assert_eq 'what was written after the damage' "$(tail -n 1 "$MNT/head/dir/new")" 100000
    unmount

    rm -r "$STORE"
    mv "$DIR/good" "$STORE"
    assert_store_whole
}

# A copy shares the damaged bytes, so it is named too.
test_flipped_byte_in_a_body() {
    local body
    make_store
    mount_store
    cp "$MNT/at/now/dir/large" "$MNT/head/shared"
    unmount
    body=$(find "$STORE/bodies" -type f)
    printf '\377' | dd of="$body" bs=1 seek=1000 conv=notrunc status=none
    assert_verify_finds 'dir/large'
    assert_verify_finds '/shared'
    mount_store
    expect_fail any 'Input/output error' cat "$MNT/head/dir/large"
    assert_eq 'another file' "$(cat "$MNT/head/dir/small")" one
    unmount
}

# Damage of a page is found by verify; a mount is refused with a reason, or serves what is not affected; nothing crashes.
test_damaged_pages() {
    local i pages page rc
    make_store
    mount_store
    for i in $(seq 300); do
        echo "$i" >"$MNT/head/dir/file$i"
    done
    commit many >/dev/null
    unmount
    assert_eq 'size of the log after unmounting' "$(stat -c %s "$STORE/tidfs.db-wal" 2>/dev/null || echo 0)" 0
    mv "$STORE" "$DIR/good"
    pages=$(($(stat -c %s "$DIR/good/tidfs.db") / 4096))
    for ((page = 0; page < pages; page += 1 + pages / 12)); do
        cp -a "$DIR/good" "$STORE"
        dd if=/dev/urandom of="$STORE/tidfs.db" bs=4096 count=1 seek="$page" conv=notrunc status=none
        rc=0
        tidfs verify "$STORE" >"$DIR/verify" 2>&1 || rc=$?
        case $rc in
        4 | 8) ;;
        *) fail "verify exits $rc with page $page damaged: $(cat "$DIR/verify")" ;;
        esac
        [ -s "$DIR/verify" ] || fail "verify says nothing of the damaged page $page"
        mkdir -p "$MNT"
        rc=0
        timeout 60 "$TIDFS" mount -o ro "$STORE" "$MNT" >"$DIR/mount" 2>&1 || rc=$?
        if [ "$rc" = 0 ]; then
            find "$MNT/head" -type f -exec cat {} + >/dev/null 2>"$DIR/errors" || true
            if grep -vE 'Input/output error' "$DIR/errors"; then
                fail "page $page: another error than EIO"
            fi
            mountpoint -q "$MNT" || fail "the driver is gone after page $page"
            tidfs status "$MNT" >/dev/null
            unmount
        else
            assert_eq "exit code of a refused mount, page $page" "$rc" 1
            assert_match "what a refused mount says, page $page" "$(cat "$DIR/mount")" 'damaged|not a tidfs store|cannot'
        fi
        rm -r "$STORE"
    done
    mv "$DIR/good" "$STORE"
    assert_store_whole
}

# What is deleted stays in history, so only more room, or packing, ends it; until then the present can be read and deleted from.
# Links, pipes and files that nobody may read in the place of a store's own.
test_a_file_of_the_store_that_is_none_is_told() {
    make_store
    cp -a "$STORE" "$DIR/good"
    mv "$STORE/bodies/00000001" "$DIR/body"
    assert_verify_finds '^body file 00000001 is missing'
    ln -s "$DIR/body" "$STORE/bodies/00000001"
    assert_verify_finds '^body file 00000001 is no regular file'
    expect_fail 8 'bodies: what stands for its newest file is no regular file' tidfs verify --repair "$STORE"
    rm "$STORE/bodies/00000001"
    mkfifo "$STORE/bodies/00000001"
    assert_verify_finds '^body file 00000001 is no regular file'
    rm "$STORE/bodies/00000001"
    mv "$DIR/body" "$STORE/bodies/00000001"

    rm -f "$STORE/tidfs.db-wal" # an empty one
    ln -s /dev/null "$STORE/tidfs.db-wal"
    expect_fail 8 "$STORE/tidfs.db-wal is no regular file: put" timeout 20 "$TIDFS" verify --repair "$STORE"
    rm "$STORE/tidfs.db-wal"
    mkfifo "$STORE/tidfs.db-wal"
    expect_fail 8 "$STORE/tidfs.db-wal is no regular file: put" timeout 20 "$TIDFS" verify --repair "$STORE"
    rm "$STORE/tidfs.db-wal"

    mv "$STORE/tidfs.db" "$DIR/database"
    ln -s "$DIR/database" "$STORE/tidfs.db"
    expect_fail 8 "$STORE/tidfs.db is no regular file: put" tidfs verify --repair "$STORE"
    rm "$STORE/tidfs.db"
    mkfifo "$STORE/tidfs.db"
    expect_fail 8 "$STORE/tidfs.db is no regular file: put" timeout 20 "$TIDFS" verify --repair "$STORE"
    rm "$STORE/tidfs.db"
    mv "$DIR/database" "$STORE/tidfs.db"
    assert_store_whole

    need_root
    need setpriv
    chmod 755 "$WORK" "$DIR"
    cp "$TIDFS" "$DIR/program"
    chown -R 64001:64001 "$STORE"
    chmod 0 "$STORE/bodies/00000001"
    expect_fail 8 'cannot repair .*: one of its files, of bodies/ perhaps, may not be read or written' \
        setpriv --reuid=64001 --regid=64001 --clear-groups "$DIR/program" verify --repair "$STORE"
}

test_a_root_that_cannot_be_read_is_told() {
    local page options
    make_store
    [ -x "$TIDFS_TOOLS/tool_sql" ] || skip 'tool_sql is not built'
    cp -a "$STORE" "$DIR/good"
    mkdir -p "$MNT"
    # The table that has the root in it, and the index by which it is found.
    for page in 6 7; do
        dd if=/dev/urandom of="$STORE/tidfs.db" bs=4096 count=1 seek=$((page - 1)) conv=notrunc status=none
        for options in ro ro,at=now; do
            expect_fail 1 "mount: $STORE: .* cannot be read: Input/output error; .tidfs verify. tells more" tidfs mount -o "$options" "$STORE" "$MNT"
        done
        expect_fail 1 'subdir=dir cannot be read: Input/output error; .tidfs verify.' tidfs mount -o ro,subdir=dir "$STORE" "$MNT"
        cp "$DIR/good/tidfs.db" "$STORE/tidfs.db"
    done
    "$TIDFS_TOOLS/tool_sql" "$STORE" 'DELETE FROM revision WHERE oid = 1'
    expect_fail 1 'the newest state cannot be read: it has no root directory; .tidfs verify.' tidfs mount -o ro "$STORE" "$MNT"
    expect_fail 1 'the newest state cannot be read: it has no root directory; .tidfs verify.' tidfs mount "$STORE" "$MNT"
    expect_fail 1 'subdir=nowhere: No such file' tidfs mount -o ro,subdir=nowhere "$DIR/good" "$MNT"
}

test_full_disk() {
    local i
    need_root
    mkdir "$DIR/disk"
    mount -t tmpfs -o size=16m tidfs-test "$DIR/disk"
    STORE=$DIR/disk/store
    make_store
    mount_store commit-interval=1h
    echo kept >"$MNT/head/kept"
    commit kept >/dev/null
    expect_fail 1 'No space left' dd if=/dev/urandom of="$MNT/head/big" bs=1M count=40 conv=fsync status=none
    assert_eq 'what was there before' "$(cat "$MNT/head/kept")" kept
    rm "$MNT/head/big"
    commit 'deleted on a full disk' >/dev/null
    expect_fail 1 'No space left' dd if=/dev/urandom of="$MNT/head/more" bs=1M count=4 conv=fsync status=none
    rm -f "$MNT/head/more"
    unmount
    assert_store_whole
    mount_store
    assert_eq 'what was there before, mounted again' "$(cat "$MNT/head/kept")" kept
    [ ! -e "$MNT/head/big" ] || fail 'a file that was deleted on a full disk is back'

    # More room, until it is full again: each file that was acknowledged is there.
    mount -o remount,size=32m "$DIR/disk"
    for ((i = 0; i < 200; i++)); do
        if ! dd if=/dev/urandom of="$MNT/head/fill$i" bs=256K count=1 conv=fsync status=none 2>"$DIR/error"; then
            grep -q 'No space left' "$DIR/error"
            break
        fi
        sha1sum "$MNT/head/fill$i" >>"$DIR/acknowledged"
    done
    [ "$i" -lt 200 ] || fail 'the disk never got full'
    [ "$i" -gt 20 ] || fail "only $i files of 256 KiB fit into 16 MiB"
    sha1sum --quiet -c "$DIR/acknowledged"
    kill_driver
    tidfs verify "$STORE" >/dev/null
    mount_store
    sha1sum --quiet -c "$DIR/acknowledged"
    unmount
    assert_store_whole
    # The kernel may hold it for a moment after the driver is gone.
    wait_until 5 umount "$DIR/disk"
}

test_init_on_a_full_disk() {
    need_root
    mkdir "$DIR/disk"
    mount -t tmpfs -o size=64k tidfs-test "$DIR/disk"
    dd if=/dev/zero of="$DIR/disk/full" bs=4k status=none 2>/dev/null || true
    expect_fail 1 'No space left|full' tidfs init "$DIR/disk/store"
    rm "$DIR/disk/full"
    # The kernel may hold it for a moment after the driver is gone.
    wait_until 5 umount "$DIR/disk"
}

# fill_disk [KIB]: $DIR/disk, but for so much.
fill_disk() {
    local free
    rm -f "$DIR/disk/full"
    sync "$DIR/disk"
    free=$(df -k --output=avail "$DIR/disk" | tail -n 1)
    # The file's own map takes some of it.
    dd if=/dev/zero of="$DIR/disk/full" bs=1k count=$((free - ${1:-0})) status=none 2>/dev/null || [ "${1:-0}" -lt 64 ]
}

test_a_store_at_rest_on_a_full_disk_is_read() {
    need_root
    mkdir "$DIR/disk"
    mount -t tmpfs -o size=8m tidfs-test "$DIR/disk"
    STORE=$DIR/disk/store
    make_store
    rm -f "$STORE"/tidfs.db-*
    fill_disk
    tidfs log --store "$STORE" -n 1 >"$DIR/log" 2>"$DIR/errors"
    assert_match 'the log' "$(cat "$DIR/log")" "$TWO .*two"
    assert_eq 'what it complains of' "$(cat "$DIR/errors")" ''
    assert_eq 'a file' "$(tidfs cat --store "$STORE" "$ONE" dir/small)" one
    assert_eq 'the last line of a large one' "$(tidfs cat --store "$STORE" now dir/large | tail -n 1)" 200000
    tidfs verify "$STORE" >/dev/null
    expect_fail 1 'no space left on the disk of .*: free at least' tidfs tag full now --store "$STORE"

    # A reader keeps writers out, and is not taken for one.
    mount_store ro
    mkdir "$DIR/second"
    expect_fail 1 'is being read by a process that found its disk full' tidfs mount "$STORE" "$DIR/second"
    assert_match 'who holds it' "$(tidfs info "$STORE")" '.'
    expect_fail 1 'no space left|is being read' tidfs tag roomy now --store "$STORE"
    # It lets them in when there is room again, and sees what they do.
    rm "$DIR/disk/full"
    wait_until 10 tidfs tag roomy now --store "$STORE" >/dev/null
    wait_until 10 tidfs mount "$STORE" "$DIR/second"
    echo new >"$DIR/second/head/new"
    tidfs commit "$DIR/second" >/dev/null
    wait_until 10 grep -q new "$MNT/head/new"
    assert_eq 'a file read before and after' "$(cat "$MNT/head/dir/small")" one
    unmount "$DIR/second"
    unmount
    mount_store commit-interval=1h
    echo more >"$MNT/head/dir/small"

    # What is left in the log by a driver that died cannot be read without the log's index.
    commit three >/dev/null
    kill_driver
    umount -l "$MNT"
    rm -f "$STORE/tidfs.db-shm"
    fill_disk
    expect_fail 1 'no space left on the disk of .*: free at least' tidfs log --store "$STORE" -n 1
    ! tidfs log --store "$STORE" -n 1 2>&1 | grep 'I/O error' || fail 'it has words of SQLite'
    rm "$DIR/disk/full"
    assert_match 'with room again' "$(tidfs log --store "$STORE" -n 1)" three
    assert_store_whole
    wait_until 5 umount "$DIR/disk"
}

# On small blocks SQLite's shared memory has holes: without room for them whoever writes it is killed by the kernel.
test_small_blocks_on_a_disk_that_is_nearly_full() {
    local room rc
    need_root
    need mkfs.ext4
    truncate -s 8M "$DIR/image"
    mkfs.ext4 -q -b 1024 -m 0 "$DIR/image"
    mkdir "$DIR/disk"
    mount -o loop "$DIR/image" "$DIR/disk" 2>/dev/null || skip 'no loop devices'
    STORE=$DIR/disk/store
    for ((room = 60; room <= 180; room += 10)); do
        fill_disk "$room"
        rc=0
        tidfs init "$STORE" >"$DIR/said" 2>&1 || rc=$?
        if [ "$rc" != 0 ]; then
            assert_eq "exit code of init with $room KiB" "$rc" 1
            assert_match "what it says with $room KiB" "$(cat "$DIR/said")" 'no space left'
            [ ! -e "$STORE" ] || fail "something is left of a store with $room KiB"
        fi
        rm -rf "$STORE"
    done
    rm "$DIR/disk/full"
    make_store
    for ((room = 0; room <= 80; room += 8)); do
        rm -f "$STORE"/tidfs.db-*
        fill_disk "$room"
        rc=0
        tidfs log --store "$STORE" >"$DIR/said" 2>&1 || rc=$?
        assert_eq "exit code of log with $room KiB ($(cat "$DIR/said"))" "$rc" 0
        mkdir -p "$MNT"
        rc=0
        tidfs mount "$STORE" "$MNT" >"$DIR/said" 2>&1 || rc=$?
        if [ "$rc" = 0 ]; then
            assert_eq "a file with $room KiB" "$(cat "$MNT/head/dir/small")" one
            rm -f "$MNT/head/dir/none"
            tidfs status "$MNT" >/dev/null
            unmount
        else
            assert_eq "exit code of mount with $room KiB" "$rc" 1
            assert_match "what it says with $room KiB" "$(cat "$DIR/said")" 'no space left'
        fi
    done
    rm "$DIR/disk/full"
    assert_store_whole
    wait_until 5 umount "$DIR/disk"
}

test_read_only_disk() {
    need_root
    mkdir "$DIR/disk"
    mount -t tmpfs -o size=24m tidfs-test "$DIR/disk"
    STORE=$DIR/disk/store
    make_store
    mount -o remount,ro "$DIR/disk"
    expect_fail 1 '[Rr]ead-only' tidfs mount "$STORE" "$MNT"
    expect_fail 1 '[Rr]ead-only' tidfs init "$DIR/disk/other"
    mount_store ro
    assert_eq 'a file of a store on a read-only disk' "$(cat "$MNT/head/dir/small")" one
    expect_fail any 'Read-only file system' touch "$MNT/head/new"
    unmount
    assert_store_whole
    # The kernel may hold it for a moment after the driver is gone.
    wait_until 5 umount "$DIR/disk"
}

# with_clock SHIFT COMMAND…: as if the clock were set by so much.
with_clock() {
    local shift=$1
    shift
    # The library must come before everything that a sanitizer would rather see first.
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 faketime -f "$shift" "$@"
}

# mount_with_clock SHIFT
mount_with_clock() {
    mkdir -p "$MNT"
    with_clock "$1" "$TIDFS" mount -o commit-interval=1h "$STORE" "$MNT"
}

test_clock_set_back_an_hour() {
    local back
    need faketime
    make_store
    mount_with_clock -1h
    echo back >"$MNT/head/dir/back"
    back=$(commit back)
    [[ $back > $TWO ]] || fail "tid $back is not after $TWO"
    assert_eq 'now' "$(cat "$MNT/at/now/dir/back")" back
    assert_eq 'newest' "$(cat "$MNT/at/$back/dir/back")" back
    [ ! -e "$MNT/before/$back/dir/back" ] || fail 'seen before it was committed'
    unmount
    mount_store
    echo again >"$MNT/head/dir/again"
    [[ $(commit again) > $back ]] || fail 'out of order after the clock was set right'
    unmount
    assert_store_whole
}

test_clock_set_forward_ten_years() {
    local forward after
    need faketime
    make_store
    mount_with_clock +10y
    echo forward >"$MNT/head/dir/forward"
    forward=$(commit forward)
    [[ $forward > $TWO ]] || fail "tid $forward is not after $TWO"
    unmount
    # With the clock right again, that transaction lies ahead of it; the order holds, and nothing is refused.
    mount_store commit-interval=1h
    echo after >"$MNT/head/dir/after"
    after=$(commit after)
    [[ $after > $forward ]] || fail "tid $after is not after $forward"
    assert_eq 'now' "$(cat "$MNT/at/now/dir/after")" after
    assert_eq 'by tid' "$(cat "$MNT/at/$forward/dir/forward")" forward
    [ ! -e "$MNT/at/$forward/dir/after" ] || fail 'seen before it was committed'
    unmount
    assert_store_whole
}

test_names_that_are_too_long() {
    make_store
    mount_store
    expect_fail 1 'File name too long' touch "$MNT/head/$(printf '%0256d' 0)"
    expect_fail any 'No such file|File name too long' ls -d "$MNT/at/$(printf '%0255d' 0)/"
    unmount
}

run_tests "$@"
