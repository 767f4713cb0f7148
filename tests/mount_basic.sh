#!/usr/bin/env bash
# A mounted store as programs see it: the present, the past, names, and what a filesystem is expected to do.
. "$(dirname "$0")/lib.sh"

file=$TIDFS_TOOLS/tool_file

# Three transactions, each of which is a variable: the file `f` says one, two, three.
make_three() {
    new_store
    mount_store commit-interval=1h
    mkdir "$MNT/head/dir"
    echo one >"$MNT/head/dir/f"
    ONE=$(commit one)
    echo two >"$MNT/head/dir/f"
    TWO=$(commit two)
    echo three >"$MNT/head/dir/f"
    ln -s dir/f "$MNT/head/link"
    THREE=$(commit three)
}

test_what_is_written_is_read_back() {
    new_store
    mount_store
    seq 100000 >"$DIR/expected"
    cp "$DIR/expected" "$MNT/head/file"
    cmp "$DIR/expected" "$MNT/head/file"
    printf 'HELLO' | dd of="$MNT/head/file" bs=1 seek=70000 conv=notrunc status=none
    printf 'HELLO' | dd of="$DIR/expected" bs=1 seek=70000 conv=notrunc status=none
    cmp "$DIR/expected" "$MNT/head/file"
    echo appended >>"$MNT/head/file"
    echo appended >>"$DIR/expected"
    truncate -s -100 "$MNT/head/file" "$DIR/expected"
    cmp "$DIR/expected" "$MNT/head/file"
    unmount
    mount_store
    cmp "$DIR/expected" "$MNT/head/file"
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_the_root_shows_what_it_should() {
    make_three
    assert_eq 'ls of the root' "$(find "$MNT" -mindepth 1 -maxdepth 1 -printf '%P\n' | sort | tr '\n' ' ')" 'README at before head versions '
    assert_match 'README' "$(cat "$MNT/README")" 'at/WHEN/'
    expect_fail 1 'Read-only|Permission|not permitted' touch "$MNT/new"
    expect_fail 1 'Read-only|Permission|not permitted' touch "$MNT/at/new"
    expect_fail 1 'Read-only|Permission|not permitted|Is a directory' rm -r "$MNT/README"
    unmount
}

test_at_and_before_show_the_past() {
    make_three
    assert_eq 'at one' "$(cat "$MNT/at/$ONE/dir/f")" one
    assert_eq 'at two' "$(cat "$MNT/at/$TWO/dir/f")" two
    assert_eq 'at three' "$(cat "$MNT/at/$THREE/dir/f")" three
    assert_eq 'before two' "$(cat "$MNT/before/$TWO/dir/f")" one
    assert_eq 'before three' "$(cat "$MNT/before/$THREE/dir/f")" two
    assert_eq 'before one' "$(ls -A "$MNT/before/$ONE/")" ''
    assert_eq 'a step back' "$(cat "$MNT/at/$THREE~2/dir/f")" one
    assert_eq 'a step back' "$(cat "$MNT/at/$THREE^/dir/f")" two
    assert_eq 'now' "$(cat "$MNT/at/now/dir/f")" three
    assert_eq 'the symlink' "$(readlink "$MNT/at/$THREE/link")" dir/f
    [ ! -e "$MNT/at/$TWO/link" ] || fail 'a symlink before it was made'
    # The present moves on; the past does not.
    rm -r "$MNT/head/dir"
    commit gone >/dev/null
    assert_eq 'at two, after the present went on' "$(cat "$MNT/at/$TWO/dir/f")" two
    unmount
}

test_an_open_view_stays_when_head_moves() {
    make_three
    exec 7<"$MNT/at/$TWO/dir/f"
    cd "$MNT/at/$TWO/dir"
    rm -r "$MNT/head/dir"
    commit gone >/dev/null
    assert_eq 'an open file' "$(cat <&7)" two
    assert_eq 'the working directory' "$(cat f)" two
    exec 7<&-
    cd "$DIR"
    unmount
}

test_now_includes_what_was_just_written() {
    make_three
    echo four >"$MNT/head/dir/f"
    assert_eq 'now' "$(cat "$MNT/at/now/dir/f")" four
    echo five >"$MNT/head/dir/f"
    assert_eq 'now, again' "$(cat "$MNT/at/now/dir/f")" five
    "$file" mmapwrite "$MNT/head/dir/f" 0 FIVE
    assert_eq 'now, written through a mapping' "$(cat "$MNT/at/now/dir/f")" FIVE
    "$file" mmapwrite "$MNT/head/dir/f" 0 fIVE
    assert_eq 'a commit, written through a mapping' "$(cat "$MNT/at/$(commit mapped)/dir/f")" fIVE
    unmount
}

test_views_are_read_only_for_everything() {
    local view
    make_three
    view=$MNT/at/$THREE
    chmod 777 "$MNT/head/dir"
    for view in "$MNT/at/$THREE" "$MNT/before/$THREE"; do
        expect_fail 1 'Read-only file system' touch "$view/new"
        expect_fail 1 'Read-only file system' mkdir "$view/new"
        expect_fail 1 'Read-only file system' rm -f "$view/dir/f"
        expect_fail 1 'Read-only file system' rmdir "$view/dir"
        expect_fail 1 'Read-only file system' mv "$view/dir/f" "$view/dir/g"
        expect_fail 1 'Read-only file system' ln -s x "$view/new"
        expect_fail 1 'Read-only file system' ln "$view/dir/f" "$view/dir/g"
        expect_fail 1 'Read-only file system' chmod 600 "$view/dir/f"
        expect_fail 1 'Read-only file system' touch -d 2001-01-01 "$view/dir/f"
        expect_fail 1 'Read-only file system' truncate -s 0 "$view/dir/f"
        expect_fail 1 'Read-only file system' setfattr -n user.a -v b "$view/dir/f"
        expect_fail 1 'Read-only file system' mkfifo "$view/new"
        expect_fail any 'Read-only file system' bash -c "echo x >>'$view/dir/f'"
        expect_fail 1 'Read-only file system' "$file" noreplace "$view/dir/f" "$view/dir/g"
    done
    unmount
}

test_moving_names_are_symlinks_and_others_directories() {
    local name
    make_three
    in_head "$TIDFS" tag release-1 "$TWO"
    for name in now release-1 -1s today yesterday now~1 'release-1^'; do
        [ -L "$MNT/at/$name" ] || fail "/at/$name is no symlink"
    done
    assert_eq 'readlink of now' "$(readlink "$MNT/at/now")" "$THREE"
    assert_eq 'readlink of a tag' "$(readlink "$MNT/at/release-1")" "$TWO"
    assert_eq 'readlink of a step' "$(readlink "$MNT/at/release-1^")" "$ONE"
    assert_eq 'through a tag' "$(cat "$MNT/at/release-1/dir/f")" two
    assert_eq 'before a tag' "$(cat "$MNT/before/release-1/dir/f")" one
    for name in "$TWO" 2001-02-03 2001 @1000000000 "$TWO~1" 2001-02-03T04:05:06+01:00 '2001-02-03 04:05' \
        @GMT-2001.02.03-04.05.06; do
        assert_eq "type of /at/$name" "$(stat -c %F "$MNT/at/$name")" directory
    done
    unmount
}

test_tags() {
    make_three
    in_head "$TIDFS" tag release-1 "$ONE"
    in_head "$TIDFS" tag release-2
    assert_match 'list of tags' "$(in_head "$TIDFS" tag | tr '\n' ' ')" "release-1.*$ONE.*release-2.*$THREE|$ONE.*release-1.*$THREE.*release-2"
    assert_eq 'at a tag' "$(cat "$MNT/at/release-1/dir/f")" one
    expect_fail 1 'release-1.*(--force|exists)' in_head "$TIDFS" tag release-1 "$TWO"
    assert_eq 'a tag that was not moved' "$(cat "$MNT/at/release-1/dir/f")" one
    in_head "$TIDFS" tag --force release-1 "$TWO"
    assert_eq 'a moved tag, at once' "$(cat "$MNT/at/release-1/dir/f")" two
    in_head "$TIDFS" tag --delete release-1
    expect_fail any 'No such file' cat "$MNT/at/release-1/dir/f"
    expect_fail 1 'release-1' in_head "$TIDFS" tag --delete release-1
    for name in now 2026 -1h 0123456789abcdef "$ONE~1" a/b ''; do
        expect_fail any . in_head "$TIDFS" tag -- "$name" "$ONE"
    done
    unmount
    mount_store
    assert_eq 'a tag after mounting again' "$(cat "$MNT/at/release-2/dir/f")" three
    unmount
}

# All names that lead to a transaction by its tid are directories, so what is listed, as a symlink to one, has names that move.
test_at_lists_tags_now_and_the_twenty_before() {
    local i
    make_three
    in_head "$TIDFS" tag release-1 "$ONE" >/dev/null
    for ((i = 0; i < 25; i++)); do
        echo "$i" >"$MNT/head/dir/f"
        commit >>"$DIR/tids"
    done
    assert_eq 'entries that are no symlinks' "$(find "$MNT/at" -mindepth 1 -maxdepth 1 ! -type l)" ''
    { echo "$ONE" && tail -n 21 "$DIR/tids"; } | sort >"$DIR/expected"
    find "$MNT/at" -mindepth 1 -printf '%l\n' | sort >"$DIR/found"
    diff "$DIR/expected" "$DIR/found"
    assert_eq 'a tag' "$(readlink "$MNT/at/release-1")" "$ONE"
    assert_eq 'now' "$(readlink "$MNT/at/now")" "$(tail -n 1 "$DIR/tids")"
    assert_eq 'what /before lists' "$(find "$MNT/before" -mindepth 1 ! -type l)" ''
    unmount
}

test_view_times_are_the_old_ones() {
    local before
    new_store
    mount_store
    mkdir "$MNT/head/dir"
    echo x >"$MNT/head/dir/f"
    chmod 6754 "$MNT/head/dir/f"
    touch -d '2001-02-03 04:05:06.123456789' "$MNT/head/dir/f"
    touch -d '1999-12-31 23:59:59.999999999' "$MNT/head/dir"
    before=$(stat -c '%n %a %u %g %h %s %y %z' "$MNT/head/dir" "$MNT/head/dir/f")
    commit first >"$DIR/tid"
    sleep 0.02
    chmod 600 "$MNT/head/dir/f"
    touch "$MNT/head/dir/g"
    commit second >/dev/null
    cd "$MNT/at/$(cat "$DIR/tid")"
    assert_eq 'attributes in a view' "$(stat -c '%n %a %u %g %h %s %y %z' dir dir/f)" "${before//$MNT\/head\//}"
    # The root of a view has the time of its commit.
    assert_eq 'root of a view' "$(stat -c %y . | cut -d. -f1)" "$(tidfs at "$(cat "$DIR/tid")" | grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}' | head -n 1 | tr T ' ')"
    cd "$DIR"
    unmount
}

test_command_at_leads_from_head_into_history() {
    make_three
    assert_eq 'a path' "$(in_head "$TIDFS" at "$TWO" dir/f | xargs cat)" two
    assert_eq 'from inside a directory' "$(cd "$MNT/head/dir" && cd "$(tidfs at "$TWO~1" .)" && cat f)" one
    assert_eq 'what it prints for a path' "$(in_head "$TIDFS" at "$TWO" dir/f | wc -l)" 1
    assert_match 'what it prints' "$(tidfs at --store "$STORE" "$TWO")" "$TWO"
    assert_match 'what it prints' "$(tidfs at --mount "$MNT" now)" "$THREE"
    unmount
}

test_log() {
    make_three
    tidfs commit -m $'two lines\nof "message"' --user 'Zoë <z@example.org>' "$MNT" >/dev/null
    in_head "$TIDFS" log >"$DIR/log"
    assert_match 'first line of the log' "$(head -n 1 "$DIR/log")" "$THREE|[0-9a-f]{16}"
    for tid in "$ONE" "$TWO" "$THREE"; do
        grep -q "$tid" "$DIR/log" || fail "$tid is not in the log"
    done
    assert_eq 'order' "$(grep -oE "$ONE|$TWO|$THREE" "$DIR/log" | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_eq 'log -n 2' "$(in_head "$TIDFS" log -n 2 "$MNT/head" | grep -cE '[0-9a-f]{16}')" 2
    assert_eq 'range' "$(in_head "$TIDFS" log "$ONE..$TWO" | grep -oE "$ONE|$TWO|$THREE" | sort -u | wc -l)" 2
    echo x >"$MNT/head/other"
    commit other >/dev/null
    assert_eq 'log of a path' "$(in_head "$TIDFS" log dir/f | grep -oE "$ONE|$TWO|$THREE" | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_eq 'log of a directory leaves others out' "$(in_head "$TIDFS" log dir | { grep other || true; })" ''
    in_head "$TIDFS" log --json >"$DIR/json"
    assert_match 'log --json' "$(tr -d ' \n' <"$DIR/json")" "\"tid\":\"$TWO\""
    # In a view the log stops at the view's own transaction.
    assert_eq 'log in a view' "$(cd "$MNT/at/$TWO" && tidfs log | grep -oE "$ONE|$TWO|$THREE" | tr '\n' ' ')" "$TWO $ONE "
    unmount
}

test_seals_after_the_interval() {
    local commits
    new_store
    mount_store commit-interval=100ms
    commits=$(counter commits)
    echo one >"$MNT/head/f"
    wait_until 5 is_sealed
    assert_eq 'commits' "$(counter commits)" $((commits + 1))
    assert_eq 'sealed by the interval' "$(cat "$MNT/at/$(newest_tid)/f")" one
    unmount
}

test_dirty_limit_seals() {
    new_store
    mount_store commit-interval=1h,dirty-limit=1M
    dd if=/dev/urandom of="$MNT/head/f" bs=64k count=40 status=none
    wait_until 5 [ "$(counter commits)" -ge 2 ]
    unmount
}

# is_sealed: nothing is pending.
is_sealed() {
    [ "$(counter pending objects)" = 0 ]
}

test_fsync_seals() {
    local commits
    new_store
    mount_store commit-interval=1h
    commits=$(counter commits)
    echo one >"$MNT/head/f"
    ! is_sealed || fail 'sealed before it was asked for'
    sync "$MNT/head/f"
    is_sealed || fail 'not sealed by fsync of a file'
    mkdir "$MNT/head/dir"
    ! is_sealed || fail 'sealed before it was asked for'
    sync "$MNT/head/dir"
    is_sealed || fail 'not sealed by fsync of a directory'
    assert_eq 'commits' "$(counter commits)" $((commits + 2))
    unmount
}

test_unmount_and_signals_seal() {
    local signal
    new_store
    mount_store commit-interval=1h
    echo umount >"$MNT/head/f"
    unmount
    for signal in TERM INT; do
        mount_foreground commit-interval=1h
        echo "$signal" >"$MNT/head/f.$signal"
        kill -s "$signal" "$DRIVER"
        wait "$DRIVER"
        ! mountpoint -q "$MNT" || fail "still mounted after SIG$signal"
    done
    mount_store
    assert_eq 'sealed at unmount' "$(cat "$MNT/head/f")" umount
    assert_eq 'sealed at SIGTERM' "$(cat "$MNT/head/f.TERM")" TERM
    assert_eq 'sealed at SIGINT' "$(cat "$MNT/head/f.INT")" INT
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_names_of_all_bytes_and_255_of_them() {
    new_store
    mount_store
    mkdir "$MNT/head/names" "$DIR/names"
    "$file" name "$MNT/head/names"
    "$file" name "$DIR/names"
    assert_eq 'number of names' "$(find "$MNT/head/names" -type f -print0 | tr -dc '\0' | wc -c)" 254
    assert_same_tree "$DIR/names" "$MNT/head/names"
    commit >/dev/null
    assert_same_tree "$DIR/names" "$MNT/at/now/names"
    unmount
    mount_store
    assert_same_tree "$DIR/names" "$MNT/head/names"
    rm -r "$MNT/head/names"
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_deep_trees() {
    local i
    new_store
    mount_store
    cd "$MNT/head"
    for ((i = 0; i < 300; i++)); do
        mkdir deep
        cd deep
    done
    echo bottom >file
    cd "$MNT"
    commit >/dev/null
    assert_eq 'depth' "$(find at/now/ -name deep | wc -l)" 300
    find head -name file -execdir cat {} + >"$DIR/found"
    assert_eq 'the deepest' "$(cat "$DIR/found")" bottom
    mv head/deep head/moved
    rm -r head/moved
    cd "$DIR"
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_sparse_files() {
    local f=$MNT/head/sparse
    new_store
    mount_store
    truncate -s 8E "$f" 2>/dev/null || truncate -s 9223372036854775807 "$f"
    truncate -s 1T "$f"
    printf 'in the middle' | dd of="$f" bs=4096 seek=100000000 conv=notrunc status=none
    assert_eq 'size' "$(stat -c %s "$f")" 1099511627776
    assert_at_most '512-byte blocks' "$(stat -c %b "$f")" 1024
    assert_eq 'first data' "$("$file" data "$f" 0)" 409600000000
    assert_at_most 'hole after it' "$("$file" hole "$f" 409600000000)" 409600262144
    assert_eq 'zeros' "$(dd if="$f" bs=4096 skip=5000 count=1 status=none | tr -d '\0' | wc -c)" 0
    commit >/dev/null
    assert_eq 'in a view' "$(dd if="$MNT/at/now/sparse" bs=4096 skip=100000000 count=1 status=none | tr -d '\0')" 'in the middle'
    assert_eq 'first data in a view' "$("$file" data "$MNT/at/now/sparse" 0)" 409600000000
    fallocate -p -o 409600000000 -l 4096 "$f"
    expect_fail 1 'No such device' "$file" data "$f" 0
    assert_eq 'the view keeps it' "$("$file" data "$MNT/at/now~1/sparse" 0)" 409600000000
    unmount
    assert_at_most 'bytes in the store' "$(store_bytes)" 2000000
    tidfs verify "$STORE" >/dev/null
}

test_unlinked_files_stay_open() {
    new_store
    mount_store commit-interval=50ms
    "$file" unlinked "$MNT/head/gone"
    exec 7<>"$MNT/head/f"
    echo kept >&7
    rm "$MNT/head/f"
    commit >/dev/null
    echo 'after a commit' >&7
    assert_eq 'an unlinked file' "$(tr '\n' ' ' </proc/self/fd/7)" 'kept after a commit '
    exec 7>&-
    unmount
    tidfs verify "$STORE" >/dev/null
    mount_store
    assert_eq 'what is left' "$(ls -A "$MNT/head")" ''
    unmount
}

test_rename() {
    new_store
    mount_store
    cd "$MNT/head"
    mkdir a b
    echo 1 >a/one
    echo 2 >b/two
    mv a/one b/three
    assert_eq 'moved' "$(cat b/three)" 1
    mv b/three b/two
    assert_eq 'replaced' "$(cat b/two)" 1
    mv b a/b
    assert_eq 'directory moved' "$(cat a/b/two)" 1
    mkdir c c/full empty
    mv -T c/full empty
    expect_fail 1 'subdirectory of itself' mv a a/b/
    echo x >plain
    expect_fail 1 'File exists|not empty' "$file" noreplace a c
    expect_fail 1 'File exists' "$file" noreplace plain a/b/two
    "$file" noreplace plain renamed
    assert_eq 'renamed without replacing' "$(cat renamed)" x
    "$file" exchange renamed a
    assert_eq 'exchanged, the file' "$(cat a)" x
    assert_eq 'exchanged, the directory' "$(cat renamed/b/two)" 1
    expect_fail 1 'No such file' "$file" exchange renamed nothing
    commit >/dev/null
    cd "$DIR"
    assert_same_tree "$MNT/head" "$MNT/at/now" times
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_link_counts_and_special_files() {
    local tid
    need_root
    new_store
    mount_store dev
    cd "$MNT/head"
    mkdir dir dir/sub
    echo x >f
    ln f dir/second
    mkfifo fifo
    mknod null c 1 3
    assert_eq 'links of a directory' "$(stat -c %h dir)" 3
    assert_eq 'links of a file' "$(stat -c %h f)" 2
    ln -s "$(printf '%04095d' 0)" long
    assert_eq 'length of a symlink' "$(readlink long | tr -d '\n' | wc -c)" 4095
    tid=$(commit)
    rm f
    assert_eq 'links after one is gone' "$(stat -c %h dir/second)" 1
    assert_eq 'links in a view' "$(stat -c %h "$MNT/at/$tid/f")" 2
    assert_eq 'special file in a view' "$(stat -c '%F %t %T' "$MNT/at/now/null")" 'character special file 1 3'
    assert_eq 'fifo in a view' "$(stat -c %F "$MNT/at/now/fifo")" fifo
    cd "$DIR"
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_extended_attributes_and_acls() {
    local tid
    new_store
    mount_store
    echo x >"$MNT/head/f"
    setfattr -n user.colour -v blue "$MNT/head/f"
    setfattr -n user.empty "$MNT/head/f"
    tid=$(commit)
    setfattr -n user.colour -v red "$MNT/head/f"
    assert_eq 'attribute' "$(getfattr --absolute-names --only-values -n user.colour "$MNT/head/f")" red
    assert_eq 'attribute in a view' "$(getfattr --absolute-names --only-values -n user.colour "$MNT/at/$tid/f")" blue
    setfattr -x user.colour "$MNT/head/f"
    assert_eq 'list' "$(getfattr "$MNT/head/f" 2>/dev/null | grep -c '^user')" 1
    expect_fail 1 'No such attribute' getfattr -n user.colour "$MNT/head/f"
    setfacl -m u:65534:r "$MNT/head/f" 2>/dev/null && {
        assert_match 'ACL' "$(getfacl -cn "$MNT/head/f")" 'user:65534:r--'
        assert_match 'ACL in a view' "$(getfacl -cn "$MNT/at/now/f")" 'user:65534:r--'
    }
    unmount
    tidfs verify "$STORE" >/dev/null
}

# A tree from /at copied into /head shares the stored bytes. 128 MiB stand for the gigabytes of real use.
test_copies_from_history_share_the_bytes() {
    local before grown i
    new_store
    mount_store commit-interval=1h
    mkdir "$MNT/head/dir"
    for i in 1 2 3 4; do
        dd if=/dev/urandom of="$MNT/head/dir/$i" bs=1M count=32 status=none
    done
    commit >/dev/null
    before=$(store_bytes)
    assert_match 'bytes in the store' "$before" '^1[34][0-9]{7}$'
    cp -a "$MNT/at/now/dir" "$MNT/head/dir2"
    commit >/dev/null
    cp -a "$MNT/head/dir" "$MNT/head/dir3"
    commit >/dev/null
    grown=$(($(store_bytes) - before))
    assert_at_most 'bytes that two copies took' "$grown" $((2 * 134217728 / 100))
    assert_same_tree "$MNT/at/now/dir" "$MNT/head/dir2" times
    # What is shared is not tied together.
    printf changed | dd of="$MNT/head/dir2/1" bs=1 seek=5000000 conv=notrunc status=none
    cmp -s "$MNT/head/dir/1" "$MNT/head/dir3/1"
    set +o pipefail # cmp tells that it found some
    ! cmp -s "$MNT/head/dir/1" "$MNT/head/dir2/1" || fail 'a change of the copy is not seen'
    assert_eq 'differing bytes' "$(cmp -l "$MNT/head/dir/1" "$MNT/head/dir2/1" | awk '$1 <= 5000000 || $1 > 5000007' | wc -l)" 0
    unmount
    mount_store
    assert_eq 'the changed copy' "$(dd if="$MNT/head/dir2/1" bs=1 skip=5000000 count=7 status=none)" changed
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_copy_file_range_at_odd_places() {
    new_store
    mount_store
    seq 100000 >"$DIR/a"
    cp "$DIR/a" "$MNT/head/a"
    seq 50000 60000 >"$DIR/b"
    cp "$DIR/b" "$MNT/head/b"
    "$file" copyrange "$DIR/a" 12345 "$DIR/b" 777 300001 >/dev/null
    "$file" copyrange "$MNT/head/a" 12345 "$MNT/head/b" 777 300001 >/dev/null
    cmp "$DIR/b" "$MNT/head/b"
    "$file" copyrange "$MNT/at/now/a" 5 "$MNT/head/b" 70000 100 >/dev/null
    "$file" copyrange "$DIR/a" 5 "$DIR/b" 70000 100 >/dev/null
    cmp "$DIR/b" "$MNT/head/b"
    unmount
    mount_store
    cmp "$DIR/b" "$MNT/head/b"
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_mount_of_one_view() {
    make_three
    in_head "$TIDFS" tag production "$ONE"
    mount_store "at=$TWO" "$DIR/two"
    assert_eq 'the root is the view' "$(ls -A "$DIR/two")" dir
    assert_eq 'a file of it' "$(cat "$DIR/two/dir/f")" two
    expect_fail 1 'Read-only file system' touch "$DIR/two/new"
    mount_store 'at=production,follow' "$DIR/production"
    assert_eq 'the tag' "$(cat "$DIR/production/dir/f")" one
    exec 7<"$DIR/production/dir/f"
    in_head "$TIDFS" tag --force production "$THREE"
    wait_until 5 grep -qx three "$DIR/production/dir/f"
    assert_eq 'the new view, whole' "$(readlink "$DIR/production/link")" dir/f
    assert_eq 'a file that was open' "$(cat <&7)" one
    exec 7<&-
    # The writer goes on beside them.
    echo four >"$MNT/head/dir/f"
    commit >/dev/null
    assert_eq 'a view does not move' "$(cat "$DIR/two/dir/f")" two
    unmount "$DIR/two"
    unmount "$DIR/production"
    unmount
}

test_mount_of_a_subdirectory() {
    make_three
    unmount
    mount_store subdir=dir,ro
    assert_eq 'head' "$(cat "$MNT/head/f")" three
    assert_eq 'a view' "$(cat "$MNT/at/$TWO/f")" two
    unmount
    mount_store "subdir=dir,at=$ONE"
    assert_eq 'a view as the root' "$(cat "$MNT/f")" one
    unmount
    expect_fail 1 'nowhere' tidfs mount -o subdir=nowhere "$STORE" "$MNT"
}

test_read_only_mount() {
    make_three
    unmount
    mount_store ro
    expect_fail any 'Read-only file system' touch "$MNT/head/new"
    assert_eq 'reading' "$(cat "$MNT/head/dir/f")" three
    assert_match 'mount options' "$(grep -F " $MNT " /proc/self/mounts)" ' ro[, ]'
    unmount
}

test_fstab_and_mount_helper() {
    need_root
    mkdir "$DIR/bin" "$MNT"
    new_store
    ln -s "$TIDFS" "$DIR/bin/mount.tidfs"
    ln -s "$TIDFS" "$DIR/bin/mount.fuse.tidfs"
    # As mount(8) calls its helpers.
    "$DIR/bin/mount.tidfs" "$STORE" "$MNT" -o rw,noatime,commit-interval=100ms
    echo x >"$MNT/head/f"
    umount "$MNT"
    wait_until 10 bash -c "'$TIDFS' mount '$STORE' '$MNT' 2>/dev/null"
    unmount
    "$DIR/bin/mount.fuse.tidfs" "$STORE" "$MNT" -n -o ro
    assert_eq 'through the helper' "$(cat "$MNT/head/f")" x
    assert_match 'type of the mount' "$(grep -F " $MNT " /proc/self/mounts)" ' fuse.tidfs '
    umount "$MNT"
}

# as_user COMMAND…: as one who is not root.
as_user() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$WORK/home" USER=nobody "$@"
}

test_ordinary_user() {
    local tidfs=$DIR/home/tidfs mnt=$DIR/home/mnt
    need_root
    chmod 755 "$WORK" "$DIR"
    mkdir "$DIR/home"
    cp "$TIDFS" "$tidfs" # the build may lie where only root may go
    chown -R 65534:65534 "$DIR/home"

    open_fuse

    in_namespace as_user "$tidfs" init "$DIR/home/store"
    in_namespace as_user mkdir "$mnt"
    in_namespace as_user "$tidfs" mount "$DIR/home/store" "$mnt"
    in_namespace as_user sh -c "echo mine >'$mnt/head/f'"
    assert_match 'commit' "$(in_namespace as_user "$tidfs" commit -m mine "$mnt")" '^[0-9a-f]{16}$'
    assert_eq 'reading back' "$(in_namespace as_user cat "$mnt/at/now/f")" mine
    assert_eq 'owner' "$(in_namespace as_user stat -c %u "$mnt/head/f")" 65534
    expect_fail any 'Permission denied' in_namespace ls "$mnt"
    in_namespace as_user "$tidfs" umount "$mnt"
    as_user "$tidfs" verify "$DIR/home/store" >/dev/null
}

test_only_the_owner_commits_under_another_name() {
    need_root
    new_store
    chmod 755 "$WORK" "$DIR"
    mount_store allow_other
    chmod 1777 "$MNT/head"
    expect_fail any 'not permitted' as_user "$TIDFS" commit -m forged --user root "$MNT/head"
    as_user "$TIDFS" commit -m mine "$MNT/head" >/dev/null
    assert_match author "$(tidfs log -n 1 --store "$STORE")" "(nobody|65534) .*mine"
}

# newest_user: of the last transaction, as the store has it; nothing is sealed by that.
newest_user() {
    sqlite3 -readonly "$STORE/tidfs.db" 'SELECT user FROM txn ORDER BY seq DESC LIMIT 1'
}

has_commits() {
    [ "$(counter commits)" -gt 0 ]
}

test_ordinary_changes_have_the_owner_as_user() {
    local me
    need sqlite3
    me=$(id -un)
    new_store
    mount_store commit-interval=100ms
    echo 1 >"$MNT/head/f"
    wait_until 10 has_commits
    assert_eq 'sealed by the interval' "$(newest_user)" "$me"
    unmount
    mount_store commit-interval=1h
    echo 2 >"$MNT/head/f"
    sync "$MNT/head/f"
    assert_eq 'sealed by fsync' "$(newest_user)" "$me"
    echo 3 >"$MNT/head/f"
    commit >/dev/null
    assert_eq 'sealed by commit' "$(newest_user)" "$me"
    assert_eq 'and a second one makes none' "$(commit)" "$(newest_tid)"
    echo 4 >"$MNT/head/f"
    unmount
    assert_eq 'sealed by unmounting' "$(newest_user)" "$me"
    assert_eq 'all of them, and the making' "$(tidfs log --user "$me" --store "$STORE" | wc -l)" 5
}

test_changes_of_a_shared_mount_have_the_user_who_made_them() {
    local cache
    need_root
    need setpriv sqlite3
    chmod 755 "$WORK" "$DIR"
    for cache in '' ,writeback_cache; do
        rm -rf "$STORE"
        new_store
        mount_store "allow_other,commit-interval=1h$cache"
        chmod 1777 "$MNT/head" # who may write there may commit
        mkdir -m 1777 "$MNT/head/all"
        sync "$MNT/head/all"
        assert_eq "root's change$cache" "$(newest_user)" root
        as_user sh -c "echo 1 >'$MNT/head/all/f'"
        as_user sync "$MNT/head/all/f"
        assert_eq "another's change$cache" "$(newest_user)" nobody
        # What only asks for an answer is nobody's commit.
        as_user sh -c "echo 2 >'$MNT/head/all/g'"
        tidfs log "$MNT/head" >/dev/null
        assert_eq "another's change, settled by root's question$cache" "$(newest_user)" nobody
        as_user sh -c "echo 3 >'$MNT/head/all/h'"
        echo 4 >"$MNT/head/all/i"
        sync "$MNT/head/all/i"
        assert_eq "changes of both$cache" "$(newest_user)" ''
        echo 5 >"$MNT/head/all/j"
        as_user "$TIDFS" commit "$MNT/head" >/dev/null
        assert_eq "who commits$cache" "$(newest_user)" nobody
        as_user rm "$MNT/head/all/f"
        unmount
        assert_eq "sealed by unmounting$cache" "$(newest_user)" nobody
    done
}

test_history_is_the_owners_when_shared() {
    need_root
    chmod 755 "$WORK" "$DIR"
    new_store
    mount_store allow_other
    echo secret >"$MNT/head/f"
    commit >/dev/null
    chmod 600 "$MNT/head/f"
    echo public >"$MNT/head/g"
    assert_eq 'the present' "$(as_user cat "$MNT/head/g")" public
    expect_fail any 'Permission denied' as_user cat "$MNT/head/f"
    expect_fail any 'Permission denied' as_user ls "$MNT/at/"
    expect_fail any 'Permission denied' as_user cat "$MNT/at/now~1/f"
    expect_fail any 'Permission denied' as_user ls "$MNT/before/"
    unmount
    mount_store allow_other,history=all
    assert_eq 'history opened to all' "$(as_user cat "$MNT/at/now~1/f")" secret
    unmount
}

test_creation_as_the_caller() {
    need_root
    chmod 755 "$WORK" "$DIR"
    new_store
    mount_store allow_other
    mkdir -m 2777 "$MNT/head/shared"
    chgrp 1234 "$MNT/head/shared"
    as_user bash -c "umask 027; mkdir '$MNT/head/shared/dir'; echo x >'$MNT/head/shared/f'"
    assert_eq 'a file made by another' "$(stat -c '%u:%g %a' "$MNT/head/shared/f")" '65534:1234 640'
    assert_eq 'a directory made by another' "$(stat -c '%u:%g %a' "$MNT/head/shared/dir")" '65534:1234 2750'
    unmount
}

test_views_are_pooled() {
    local opened i
    make_three
    unmount
    mount_store historical-pool-size=2,historical-timeout=1s
    cat "$MNT/at/$ONE/dir/f" >/dev/null
    opened=$(counter views opened)
    for i in 1 2 3; do
        cat "$MNT/at/$ONE/dir/f" >/dev/null
    done
    assert_eq 'views opened by coming again' "$(counter views opened)" "$opened"
    cat "$MNT/at/$TWO/dir/f" "$MNT/at/$THREE/dir/f" "$MNT/before/$ONE/." >/dev/null 2>&1 || true
    wait_until 15 bash -c "[ \"\$('$TIDFS' status --json '$MNT' | tr -d ' \n' | grep -o '\"expired\":[0-9]*' | cut -d: -f2)\" -gt 0 ]"
    assert_eq 'after expiry' "$(cat "$MNT/at/$ONE/dir/f")" one
    unmount
}

test_statfs() {
    new_store
    mount_store
    df "$MNT/head" >"$DIR/df"
    assert_match 'df' "$(tail -n 1 "$DIR/df")" '[1-9][0-9]*'
    assert_eq 'longest name' "$(stat -f -c %l "$MNT/head")" 255
    unmount
}

run_tests "$@"
