#!/usr/bin/env bash
# A store on a disk that is full, over quota, read-only or failing: small ext4 images, and tool_baddisk, which fails on command.
#
# Environment: DISKS, how many disks are filled (default 3); SEED, of what is done to them (default: the clock; printed).
. "$(dirname "$0")/lib.sh"

DISKS=${DISKS:-3}
SEED=${SEED:-$(date +%s)}

# ---------------------------------------------------------------- disks

# new_disk KIB [OPTIONS]: an ext4 filesystem of that size on $DIR/disk.
new_disk() {
    need_root
    need mkfs.ext4
    truncate -s "${1}K" "$DIR/image"
    mkfs.ext4 -q -F -m 0 "$DIR/image"
    mkdir "$DIR/disk"
    mount -o "loop${2:+,$2}" "$DIR/image" "$DIR/disk" 2>"$DIR/error" || skip "no loop device: $(cat "$DIR/error")"
    STORE=$DIR/disk/store
}

# new_baddisk: what is in $DIR/low, on $DIR/disk.
new_baddisk() {
    [ -c /dev/fuse ] || skip 'no /dev/fuse'
    mkdir "$DIR/low" "$DIR/disk"
    "$TIDFS_TOOLS/tool_baddisk" "$DIR/low" "$DIR/disk"
    STORE=$DIR/disk/store
}

# rule LINE: as tool_baddisk.c has them.
rule() {
    echo "$1" >"$DIR/disk/.rules"
}

free_kib() {
    df -k --output=avail "$DIR/disk" | tail -n 1
}

# fill_disk [KIB]: with a file beside the store, but for so much.
fill_disk() {
    rm -f "$DIR/disk/ballast"
    sync "$DIR/disk"
    fallocate -l "$(($(free_kib) - ${1:-0}))K" "$DIR/disk/ballast" 2>/dev/null ||
        dd if=/dev/zero of="$DIR/disk/ballast" bs=4K count=$((($(free_kib) - ${1:-0}) / 4)) status=none 2>/dev/null || true
}

# leave_disk: the store is whole, and nothing holds the disk.
leave_disk() {
    tidfs verify "$STORE" >"$DIR/verify" 2>&1 || fail "the store does not verify: $(cat "$DIR/verify")" || return 1
    # The kernel may hold it for a moment after the driver is gone.
    wait_until 5 umount "$DIR/disk"
}

# ---------------------------------------------------------------- drivers

# mount_logged [OPTIONS]: $DRIVER, whose log is $DIR/log.
mount_logged() {
    mount_foreground "${1-}" 2>>"$DIR/log"
}

said() {
    grep -qE "$1" "$DIR/log"
}

# driver_says REGEX: in its log, now or soon.
driver_says() {
    wait_until 10 said "$1" || {
        cat "$DIR/log"
        fail "the driver does not say '$1'"
    }
}

# kill_driver: as a power cut would end it.
kill_driver() {
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    umount -l "$MNT"
}

# end_driver: by plain unmounting; its exit code is $ENDED.
end_driver() {
    fusermount3 -u "$MNT"
    ENDED=0
    wait "$DRIVER" || ENDED=$?
}

# make_much DIR: more small files than the room in the log takes, which a full disk still has.
make_much() {
    local i
    mkdir "$1"
    for ((i = 0; i < 40; i++)); do
        head -c 8192 /dev/urandom >"$1/$i"
    done
}

# try_sync FILE TEXT: fsync fails, and says so.
fails_to_sync() {
    expect_fail 1 "$2" sync "$1"
}

# no_driver: nobody has the store for writing.
no_driver() {
    ! pgrep -f "mount .*$STORE $MNT" >/dev/null
}

can_write() {
    echo again >"$MNT/head/probe" && sync "$MNT/head/probe"
}

# history_answers TID: what can be asked is answered; what is pending and cannot be sealed is not in it, which it says.
history_answers() {
    tidfs log --store "$STORE" -n 3 >/dev/null 2>&1
    tidfs diff --store "$STORE" "$1" now --stat >/dev/null 2>&1
    tidfs verify "$STORE" >/dev/null
    ls "$MNT/at/$1" >/dev/null
}

# ---------------------------------------------------------------- full

# One more file, or a change of one; what is on the disk for certain is in $DIR/kept, what may be in $DIR/hoped. Returns 1 if there was no room.
work_once() {
    local name=$MNT/head/d$((RANDOM % 4))/f$((RANDOM % 40)) size=$((RANDOM * RANDOM % 200000 + 1)) rc=0
    case $((RANDOM % 8)) in
    0) mkdir -p "$MNT/head/d$((RANDOM % 4))/e$RANDOM" 2>>"$DIR/errors" || rc=1 ;;
    1)
        sed -i "\\# $name\$#d" "$DIR/kept" "$DIR/hoped"
        rm -f "$name"
        ;;
    2) tidfs commit "$MNT" >/dev/null 2>>"$DIR/errors" && {
        cat "$DIR/hoped" >>"$DIR/kept"
        : >"$DIR/hoped"
    } || rc=1 ;;
    3 | 4)
        sed -i "\\# $name\$#d" "$DIR/kept" "$DIR/hoped"
        if head -c "$size" /dev/urandom 2>>"$DIR/errors" | dd of="$name" bs=64K iflag=fullblock status=none 2>>"$DIR/errors"; then
            sha1sum "$name" >>"$DIR/hoped"
        else
            rc=1
        fi
        ;;
    5)
        if [ -e "$name" ]; then
            sed -i "\\# $name\$#d" "$DIR/kept" "$DIR/hoped"
            mv "$name" "$name.old" 2>>"$DIR/errors" && rm -f "$name.old" || rc=1
        fi
        ;;
    *)
        sed -i "\\# $name\$#d" "$DIR/kept" "$DIR/hoped"
        if head -c "$size" /dev/urandom | dd of="$name" bs=64K conv=fsync iflag=fullblock status=none 2>>"$DIR/errors"; then
            sha1sum "$name" >>"$DIR/kept"
            cat "$DIR/hoped" >>"$DIR/kept" # one transaction holds everything
            : >"$DIR/hoped"
        else
            rc=1
        fi
        ;;
    esac
    return "$rc"
}

check_kept() {
    sha1sum --quiet -c "$DIR/kept" || fail "$1: what was acknowledged is not there"
}

# fill_and_go_on ROUND: a disk of some size, with a store and something else on it, until it is full; then more room, and on.
fill_and_go_on() {
    local i ops tid full=0 size=$((16000 + RANDOM % 24000)) ballast options=commit-interval=200ms
    [ $(($1 % 2)) = 0 ] || options+=,writeback_cache
    new_disk "$size"
    new_store
    : >"$DIR/kept"
    : >"$DIR/hoped"
    mount_logged "$options"
    mkdir "$MNT"/head/d{0..3}
    tid=$(commit first)
    ballast=$(($(free_kib) / 2 + RANDOM % ($(free_kib) / 4)))
    fallocate -l "${ballast}K" "$DIR/disk/ballast"
    for ((ops = 0; ops < 2000 && full < 6; ops++)); do
        work_once || full=$((full + 1))
    done
    [ "$full" -gt 0 ] || fail "round $1: the disk never got full"
    if grep -qvE 'No space left on device|^[0-9]+ bytes|^$' "$DIR/errors"; then
        fail "round $1: another error than ENOSPC: $(grep -v 'No space left' "$DIR/errors" | head -n 3)"
    fi
    check_kept "round $1, full"
    history_answers "$tid"
    # Removing works, and is durable.
    find "$MNT/head" -type f | sort | sed -n 1,3p | while read -r name; do
        sed -i "\\# $name\$#d" "$DIR/kept" "$DIR/hoped"
        rm "$name"
    done
    commit removed >/dev/null
    # With more room it goes on, without a remount.
    rm "$DIR/disk/ballast"
    wait_until 10 can_write
    check_kept "round $1, with room again"
    for ((i = 0; i < 20; i++)); do
        work_once || fail "round $1: no room after $(free_kib) KiB were freed: $(tail -n 1 "$DIR/errors")"
    done
    commit last >/dev/null
    cat "$DIR/hoped" >>"$DIR/kept"
    if [ $((RANDOM % 2)) = 0 ]; then
        kill_driver
    else
        end_driver
        assert_eq 'exit code of the driver' "$ENDED" 0
    fi
    mount_logged
    check_kept "round $1, mounted again"
    end_driver
    leave_disk
    echo "    round $1: $size KiB, full after $ops operations, $(wc -l <"$DIR/kept") files acknowledged"
    rm -rf "$DIR/image" "$DIR/disk" "$DIR/kept" "$DIR/hoped" "$DIR/errors" "$MNT"
}

test_a_disk_that_fills_up_at_any_point() {
    local round
    RANDOM=$((SEED % 32768))
    # Said also when one fails; what is local to this function is gone then.
    filled=0
    trap 'echo "    DISKS=$DISKS SEED=$SEED: $filled disks filled"' EXIT
    for ((round = 0; round < DISKS; round++)); do
        fill_and_go_on "$round"
        filled=$((filled + 1))
    done
}

test_refused_writes_leave_the_room_for_removals_alone() {
    local before i
    new_disk 24000
    new_store
    mount_logged commit-interval=1h
    head -c 3000000 /dev/urandom >"$MNT/head/big"
    commit big >/dev/null
    fill_disk 800
    before=$(free_kib)
    for ((i = 0; i < 30; i++)); do
        expect_fail 1 'No space left' dd if=/dev/zero of="$MNT/head/more" bs=64K count=4 status=none
    done
    [ $((before - $(free_kib))) -le 64 ] || fail "writes that were refused took $((before - $(free_kib))) of $before KiB"
    rm -f "$MNT/head/big" "$MNT/head/more"
    commit removed >/dev/null
    end_driver
    assert_eq 'exit code of the driver' "$ENDED" 0
    leave_disk
}

test_commands_on_a_full_disk() {
    local one two tags=0
    new_disk 16000
    new_store
    mount_logged commit-interval=1h
    echo one >"$MNT/head/f"
    one=$(commit one)
    echo two >"$MNT/head/f"
    two=$(commit two)
    echo three >"$MNT/head/f"
    make_much "$MNT/head/much"
    fill_disk
    while dd if=/dev/zero bs=1K count=64 status=none >>"$DIR/disk/ballast" 2>/dev/null; do :; done

    # Neither half done nor said to be done.
    if ! tidfs commit -m three "$MNT" >/dev/null 2>"$DIR/error"; then
        assert_match 'what commit says' "$(cat "$DIR/error")" '[Nn]o space left'
        assert_match 'what status says' "$(tidfs status "$MNT")" 'No space left|no space left'
        expect_fail 32 '[Nn]o space left.*-l' tidfs umount "$MNT"
        mountpoint -q "$MNT"
        expect_fail 1 '[Nn]o space left' tidfs undo --mount "$MNT" "$two"
        expect_fail 1 '[Nn]o space left' tidfs revert --at "$one" "$MNT/head/f"
    else
        fail "the disk is not full: $(free_kib) KiB"
    fi
    # The log has room for some.
    while tidfs tag "full$tags" "$two" --store "$STORE" >/dev/null 2>"$DIR/error"; do
        tags=$((tags + 1))
        [ "$tags" -lt 400 ] || fail "$tags tags on a full disk"
    done
    assert_match 'what tag says' "$(cat "$DIR/error")" '[Nn]o space left'
    expect_fail 1 'No space left|no space left' tidfs init "$DIR/disk/other"
    [ ! -e "$DIR/disk/other" ] || fail 'something is left of a store that could not be made'
    assert_eq 'the file' "$(cat "$MNT/head/f")" three
    assert_eq 'the file, before' "$(tidfs cat --store "$STORE" "$one" f)" one
    history_answers "$one"

    rm "$DIR/disk/ballast"
    wait_until 10 can_write
    driver_says 'it succeeds again'
    assert_match 'status when it is over' "$(tidfs status "$MNT")" 'access: +writable$'
    ! tidfs status "$MNT" | grep -i 'no space' || fail 'status still tells of what is over'
    tidfs tag roomy now --store "$STORE" >/dev/null
    tidfs revert --at "$one" "$MNT/head/f" >/dev/null
    assert_eq 'the file, reverted' "$(cat "$MNT/head/f")" one
    tidfs umount "$MNT"
    wait "$DRIVER"

    # Beginning on a full disk: to read always, to write if it can.
    fill_disk
    while dd if=/dev/zero bs=1K count=64 status=none >>"$DIR/disk/ballast" 2>/dev/null; do :; done
    mount_store ro
    assert_eq 'the file on a full disk' "$(cat "$MNT/head/f")" one
    unmount
    expect_fail 1 'no space left on the disk of .*: free at least' tidfs mount "$STORE" "$MNT"
    rm "$DIR/disk/ballast"
    mount_logged
    can_write
    end_driver
    leave_disk
}

test_unmounting_a_full_disk_says_what_is_lost() {
    local two
    new_disk 16000
    new_store
    mount_logged commit-interval=1h
    mkdir "$MNT/head/d"
    echo 1 >"$MNT/head/d/kept"
    two=$(commit)
    echo 2 >"$MNT/head/d/kept"
    echo 2 >"$MNT/head/d/new"
    make_much "$MNT/head/much"
    fill_disk
    while dd if=/dev/zero bs=1K count=64 status=none >>"$DIR/disk/ballast" 2>/dev/null; do :; done
    fails_to_sync "$MNT/head/d/new" 'No space left'
    end_driver
    [ "$ENDED" != 0 ] || fail 'the driver ends as if nothing was lost'
    driver_says 'is lost: .*no space left|lost: No space left'
    driver_says '/d/kept'
    driver_says '/d/new'
    rm "$DIR/disk/ballast"
    mount_logged
    assert_eq 'the file that was not lost' "$(cat "$MNT/head/d/kept")" 1
    [ ! -e "$MNT/head/d/new" ] || fail 'a file is there that was said to be lost'
    assert_eq 'the newest' "$(newest_tid)" "$two"
    end_driver
    leave_disk
}

# A quota is a disk whose fullness statfs does not tell.
test_a_quota_is_a_full_disk() {
    local tid
    new_baddisk
    new_store
    mount_logged commit-interval=200ms
    head -c 300000 /dev/urandom >"$MNT/head/kept"
    tid=$(commit)
    sha1sum "$MNT/head/kept" >"$DIR/kept"
    rule 'left 200000 EDQUOT hidden'
    expect_fail 1 'No space left' dd if=/dev/urandom of="$MNT/head/big" bs=64K count=20 conv=fsync status=none
    rm -f "$MNT/head/big"
    rule 'left 0 EDQUOT hidden'
    expect_fail any 'No space left' bash -c "head -c 300000 /dev/urandom >'$MNT/head/more' && sync '$MNT/head/more'"
    expect_fail any 'No space left' bash -c "echo more >'$MNT/head/more'"
    check_kept 'over quota'
    history_answers "$tid"
    expect_fail 1 'no space left|quota' tidfs init "$DIR/disk/other"
    rule 'left off'
    wait_until 10 can_write
    check_kept 'with quota again'
    end_driver
    assert_eq 'exit code of the driver' "$ENDED" 0
    leave_disk
}

# ---------------------------------------------------------------- limits of the driver

# mount_limited LIMIT…: as mount_logged, with those of ulimit.
mount_limited() {
    mkdir -p "$MNT"
    # Not a subshell beside it: $! is the driver.
    bash -c 'ulimit "${@:3}" && exec "$TIDFS" mount -f -o commit-interval=1h "$1" "$2"' - "$STORE" "$MNT" "$@" 2>>"$DIR/log" &
    DRIVER=$!
    wait_until 20 mountpoint -q "$MNT"
}

# Of body files, and of the database's log.
test_a_limit_for_files_is_a_full_disk() {
    local limit
    for limit in 5000 200; do
        rm -rf "$STORE" "$DIR/log"
        new_store
        mount_limited -f "$limit"
        echo small >"$MNT/head/small"
        tidfs commit "$MNT" >/dev/null
        head -c 9000000 /dev/urandom >"$MNT/head/large" 2>/dev/null || true
        expect_fail any 'No space left|File too large' sync "$MNT/head/large"
        expect_fail 1 'no space left below its store' tidfs commit "$MNT"
        expect_fail 32 'no space left below its store' tidfs umount "$MNT"
        kill -0 "$DRIVER" || fail 'the driver is gone'
        driver_says 'File too large'
        # Nothing is lost that can be kept: with less of it there is room.
        rm "$MNT/head/large"
        wait_until 10 tidfs commit "$MNT" >/dev/null
        echo more >"$MNT/head/more"
        tidfs umount "$MNT"
        wait "$DRIVER"
        assert_match 'store' "$(tidfs verify "$STORE")" clean
        assert_match 'names' "$(tidfs ls --store "$STORE" now | tr '\n' ' ')" 'more.*small'
    done
}

# Threads are cancelled when the driver ends, which takes what is loaded while there is memory.
test_a_driver_with_little_memory_ends_in_order() {
    local kib ended
    # A sanitizer takes as much address space as there is.
    ! grep -qE '__asan_init|__tsan_init' "$TIDFS" || return 0
    for kib in 54000 58000 60000 65000; do
        rm -rf "$STORE" "$DIR/log"
        new_store
        mount_limited -v "$kib"
        {
            head -c 3000000 /dev/urandom >"$MNT/head/f"
            cat "$MNT/head/f"
            dd if=/dev/zero of="$MNT/head/zeros" bs=1M count=30 status=none
            tidfs commit "$MNT"
        } >/dev/null 2>&1 || true # there may be too little for that, which is told
        tidfs umount "$MNT" 2>/dev/null || tidfs umount -l "$MNT" 2>/dev/null || true
        ended=0
        wait "$DRIVER" || ended=$?
        assert_at_most "exit code with $kib KiB" "$ended" 1
        ! said libgcc || fail "libgcc_s was wanted too late: $(cat "$DIR/log")"
        assert_match 'store' "$(tidfs verify "$STORE")" clean
    done
}

# ---------------------------------------------------------------- read-only

readonly_rule='fail write,create,truncate,fallocate,rename,unlink,mkdir,access * EROFS'

test_a_disk_that_becomes_read_only_and_writable_again() {
    local tid
    new_baddisk
    new_store
    mount_logged commit-interval=1h
    echo 1 >"$MNT/head/f"
    tid=$(commit)
    echo 2 >"$MNT/head/f"
    rule "$readonly_rule"
    fails_to_sync "$MNT/head/f" 'Read-only'
    driver_says 'failed: read-only'
    expect_fail any 'Read-only' bash -c ": >'$MNT/head/g'"
    expect_fail 1 'Read-only' rm "$MNT/head/f"
    expect_fail 1 'Read-only' dd if=/dev/zero of="$MNT/head/f" bs=64K count=1 conv=notrunc status=none
    expect_fail 32 '-l' tidfs umount "$MNT"
    assert_match 'status' "$(tidfs status "$MNT")" 'Read-only|read-only'
    expect_fail 1 'Read-only' tidfs tag t now --store "$STORE"
    assert_eq 'the file' "$(cat "$MNT/head/f")" 2
    history_answers "$tid"
    rule clear
    wait_until 10 can_write
    driver_says 'it succeeds again'
    commit >/dev/null
    end_driver
    assert_eq 'exit code of the driver' "$ENDED" 0
    mount_logged
    assert_eq 'the file, mounted again' "$(cat "$MNT/head/f")" 2
    end_driver
    leave_disk
}

# The kernel does it when it finds its own filesystem damaged.
test_ext4_that_falls_back_to_read_only() {
    local tid device
    new_disk 16000 errors=remount-ro
    device=$(findmnt -n -o SOURCE "$DIR/disk")
    [ -w "/sys/fs/ext4/${device##*/}/trigger_fs_error" ] || skip 'this kernel cannot be told to find an error'
    new_store
    mount_logged commit-interval=1h
    echo 1 >"$MNT/head/f"
    tid=$(commit)
    echo 2 >"$MNT/head/f"
    echo 1 >"/sys/fs/ext4/${device##*/}/trigger_fs_error"
    fails_to_sync "$MNT/head/f" 'Read-only|Input/output'
    driver_says 'commit to .* failed'
    assert_eq 'the file' "$(cat "$MNT/head/f")" 2
    ls "$MNT/at/$tid" >/dev/null
    tidfs log --store "$STORE" >/dev/null
    end_driver
    [ "$ENDED" != 0 ] || fail 'the driver ends as if nothing was lost'
    wait_until 5 umount "$DIR/disk"
    mount -o loop "$DIR/image" "$DIR/disk"
    mount_logged
    assert_eq 'the file, mounted again' "$(cat "$MNT/head/f")" 1
    can_write
    end_driver
    leave_disk
}

test_a_disk_that_is_read_only_from_the_start() {
    new_disk 16000
    new_store
    mount_store
    echo 1 >"$MNT/head/f"
    head -c 300000 /dev/urandom >"$MNT/head/big"
    sha1sum "$MNT/head/big" >"$DIR/kept"
    commit >/dev/null
    unmount
    wait_until 5 mount -o remount,ro "$DIR/disk"
    expect_fail 1 'read-only|Read-only.*-o ro' tidfs mount "$STORE" "$MNT"
    mount_logged ro
    assert_eq 'a file' "$(cat "$MNT/head/f")" 1
    check_kept 'on a read-only disk'
    expect_fail any 'Read-only' bash -c ": >'$MNT/head/g'"
    history_answers now
    expect_fail 1 'Read-only' tidfs tag t now --store "$STORE"
    expect_fail any 'Read-only' tidfs init "$DIR/disk/other"
    end_driver
    leave_disk
}

# ---------------------------------------------------------------- sectors that fail

test_bad_sectors_of_a_body_file_fail_their_files_alone() {
    new_baddisk
    new_store
    mount_store
    for name in a b c; do
        head -c 1000000 /dev/urandom >"$MNT/head/$name"
        sync "$MNT/head/$name"
    done
    sha1sum "$MNT"/head/[ac] >"$DIR/kept"
    unmount
    mount_logged
    rule 'fail read 0* EIO range 1200000 1201000'
    check_kept 'files beside the bad sectors'
    expect_fail 1 'Input/output' cat "$MNT/head/b"
    driver_says '/b cannot be read'
    expect_fail 4 '' tidfs verify "$STORE"
    tidfs verify "$STORE" >"$DIR/verify" 2>&1 || true
    assert_match 'what verify says' "$(cat "$DIR/verify")" '^/b: contents of transaction [0-9a-f]+ cannot be read: Input/output error: body file '
    assert_eq 'paths that verify names' "$(grep -oE '^/[a-z]+:' "$DIR/verify" | sort -u)" /b:
    can_write
    rule clear
    cat "$MNT/head/b" >/dev/null
    end_driver
    leave_disk
}

# can_read_all PAGE: all that can be read is right, and the rest says so.
can_read_all() {
    local name
    for name in {1..30}; do
        if cat "$MNT/head/d/$name" >"$DIR/got" 2>"$DIR/error"; then
            assert_eq "file $name with page $1 bad" "$(cat "$DIR/got")" "$name" || return 1
        else
            grep -q 'Input/output' "$DIR/error" || fail "page $1: $(cat "$DIR/error")" || return 1
        fi
    done
}

# Every page of the database in turn.
test_bad_sectors_of_the_database_never_hurt_more_than_what_they_hold() {
    local page pages rc name kept=0
    new_baddisk
    new_store
    mount_store
    mkdir "$MNT/head/d"
    for name in {1..30}; do
        echo "$name" >"$MNT/head/d/$name"
    done
    commit >/dev/null
    unmount
    pages=$(($(stat -c %s "$STORE/tidfs.db") / 4096))
    for ((page = 0; page < pages; page++)); do
        rule clear
        rule "fail read tidfs.db EIO range $((page * 4096)) $((page * 4096 + 4096))"
        rc=0
        tidfs verify "$STORE" >"$DIR/verify" 2>&1 || rc=$?
        case $rc in
        0 | 4 | 8) ;;
        *) fail "verify exits $rc with page $page bad: $(cat "$DIR/verify")" ;;
        esac
        [ "$rc" = 0 ] || assert_match "what verify says of page $page" "$(cat "$DIR/verify")" 'nput/output|cannot be read|missing|damaged'
        # What is acknowledged meanwhile is kept, too.
        if mount_store commit-interval=1h 2>"$DIR/error"; then
            can_read_all "$page"
            echo "$page" >"$MNT/head/new" && sync "$MNT/head/new" && kept=$page
            tidfs umount "$MNT" || tidfs umount -l "$MNT"
            wait_until 10 no_driver
        fi 2>>"$DIR/errors"
    done
    [ "$kept" != 0 ] || fail 'nothing could be written with any page bad'
    rule clear
    mount_store
    can_read_all none
    assert_eq 'what was acknowledged last' "$(cat "$MNT/head/new")" "$kept"
    unmount
    leave_disk
    echo "    $pages pages"
}

# What follows a frame that cannot be read was acknowledged all the same.
test_bad_sectors_of_the_log_are_not_its_end() {
    local bad name newest
    new_baddisk
    new_store
    mount_logged commit-interval=1h
    for name in 1 2 3 4 5; do
        echo "$name" >"$MNT/head/$name"
        newest=$(commit)
    done
    kill_driver
    mkdir -p "$MNT"
    for bad in '0 32' '40000 40001' '100000 100001'; do
        rule "fail read *-wal EIO range $bad"
        expect_fail 1 'nput/output' tidfs mount "$STORE" "$MNT"
        expect_fail 1 'nput/output' tidfs mount -o ro "$STORE" "$MNT"
        expect_fail 1 'nput/output' tidfs log --store "$STORE"
        rule clear
    done
    mount_logged
    assert_eq 'the newest' "$(newest_tid)" "$newest"
    for name in 1 2 3 4 5; do
        assert_eq "file $name" "$(cat "$MNT/head/$name")" "$name"
    done
    end_driver
    leave_disk
}

test_an_error_of_fsync_is_final() {
    local tid
    new_baddisk
    new_store
    rule track
    # Of what a body file held nobody has another copy, so that a full disk is no better there.
    for how in '*-wal EIO' '0* EIO' '0* ENOSPC' '0* EDQUOT'; do
        mount_logged commit-interval=1h
        echo kept >"$MNT/head/kept"
        tid=$(commit)
        rule "fail fsync $how times 1"
        head -c 100000 /dev/urandom >"$MNT/head/lost"
        # Not once, and then success.
        fails_to_sync "$MNT/head/lost" 'Input/output'
        fails_to_sync "$MNT/head/lost" 'Input/output'
        fails_to_sync "$MNT/head/kept" 'Input/output'
        expect_fail 1 'Input/output' tidfs commit -m claims "$MNT"
        expect_fail any 'Input/output' bash -c "echo more >'$MNT/head/more'"
        assert_match 'status' "$(tidfs status "$MNT")" 'read-only, after a failed commit'
        driver_says 'mount it again'
        expect_fail 32 'mount it again' tidfs umount "$MNT"
        end_driver
        [ "$ENDED" != 0 ] || fail 'the driver ends as if nothing was lost'
        driver_says '/lost'
        rule clear
        mount_logged
        assert_eq 'the newest' "$(newest_tid)" "$tid"
        [ ! -e "$MNT/head/lost" ] || fail 'a file is there that was said to be lost'
        rm "$MNT/head/kept"
        end_driver
        rm "$DIR/log"
    done
    leave_disk
}

test_now_that_cannot_be_sealed_says_what_works() {
    local tid
    new_baddisk
    new_store
    mount_logged commit-interval=1h
    echo kept >"$MNT/head/kept"
    tid=$(commit)
    tidfs tag --mount "$MNT" good now >/dev/null
    echo pending >"$MNT/head/pending"
    rule 'fail write *-wal ENOSPC'
    expect_fail any 'No space left' ls "$MNT/at/now/"
    expect_fail any 'No space left' ls "$MNT/at/now~1/"
    driver_says '/at/now cannot be opened, as what is pending cannot be committed: No space left .*; what was committed can, by tids'
    assert_eq 'times it was said' "$(grep -c 'now cannot be opened' "$DIR/log")" 1
    assert_eq 'by tid' "$(cat "$MNT/at/$tid/kept")" kept
    assert_eq 'by tag' "$(cat "$MNT/at/good/kept")" kept
    assert_eq 'by time' "$(ls "$MNT/at/-1d/")" ''
    tidfs at --mount "$MNT" now >"$DIR/at" 2>"$DIR/errors"
    assert_match 'the answer' "$(cat "$DIR/at")" "^$tid "
    assert_match 'the warning' "$(cat "$DIR/errors")" 'free some there; what was written last is not in the answer'
    rule clear
    wait_until 10 ls "$MNT/at/now/pending"
    end_driver
    leave_disk
}

# Linux shows a reader what it could not write, and does not try again: whoever goes on from that builds on what the disk has not.
test_a_log_that_the_disk_did_not_take_is_not_built_on() {
    new_baddisk
    new_store
    rule track
    mount_logged commit-interval=1h
    echo a >"$MNT/head/a"
    commit >/dev/null
    rule 'fail fsync *-wal EIO times 1'
    echo b >"$MNT/head/b"
    fails_to_sync "$MNT/head/b" 'Input/output'
    kill_driver
    mount_logged commit-interval=1h
    echo c >"$MNT/head/c"
    sync "$MNT/head/c"
    kill_driver
    rule powercut
    mount_logged
    assert_eq 'what was acknowledged at first' "$(cat "$MNT/head/a")" a
    assert_eq 'what was acknowledged after the failure' "$(cat "$MNT/head/c")" c
    end_driver
    leave_disk
}

test_a_disk_that_fails_for_a_moment() {
    local how
    new_baddisk
    new_store
    for how in 'write 0* EIO times 1' 'create 0* EIO times 1' 'write 0* ENOSPC times 2' 'write *-wal ENOSPC times 2' 'write *-wal EDQUOT times 2' \
        'fsync *-wal ENOSPC times 1' 'write 0* short 1000 times 5' 'write * EINTR times 1' 'write tidfs.db EIO times 3' 'fsync tidfs.db EIO times 1' \
        'fallocate * ENOSPC times 3' 'statfs * EIO times 3'; do
        mount_logged commit-interval=1h
        echo kept >"$MNT/head/kept"
        commit >/dev/null
        rule "fail $how"
        # One of these may fail, if it says so; then all is well again.
        head -c 150000 /dev/urandom >"$DIR/file"
        cp "$DIR/file" "$MNT/head/file" 2>/dev/null || true
        sync "$MNT/head/file" 2>/dev/null || true
        rule clear
        wait_until 10 can_write || fail "after '$how'"
        cp "$DIR/file" "$MNT/head/file"
        commit >/dev/null
        end_driver
        assert_eq "exit code of the driver after '$how'" "$ENDED" 0
        mount_store
        cmp "$DIR/file" "$MNT/head/file"
        assert_eq "what was there before '$how'" "$(cat "$MNT/head/kept")" kept
        unmount
        tidfs verify "$STORE" >/dev/null || fail "after '$how': the store does not verify"
    done
    leave_disk
}

# The log is not moved, which costs room and nothing else.
test_checkpoints_that_fail_lose_nothing() {
    new_baddisk
    new_store
    rule track
    mount_logged commit-interval=1h
    rule 'fail fsync tidfs.db EIO times 2'
    for name in {1..5}; do
        head -c 200000 /dev/zero | tr '\0' "$name" >"$MNT/head/$name"
        commit >/dev/null
    done
    end_driver
    rule powercut
    mount_store
    for name in {1..5}; do
        head -c 200000 /dev/zero | tr '\0' "$name" | cmp - "$MNT/head/$name"
    done
    unmount
    leave_disk
}

run_tests "$@"
