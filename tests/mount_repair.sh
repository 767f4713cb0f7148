#!/usr/bin/env bash
# A damaged store, repaired as a user does it.
. "$(dirname "$0")/lib.sh"

# A store with directories, files of all sizes and three transactions.
make_history() {
    new_store
    mount_store
    mkdir -p "$MNT/head/docs/old"
    for i in $(seq 1 60); do
        echo "text $i" >"$MNT/head/docs/file-$i"
    done
    head -c 600000 /dev/urandom >"$MNT/head/docs/large"
    tidfs commit -m one "$MNT" >/dev/null
    for i in $(seq 1 30); do
        echo "more $i" >>"$MNT/head/docs/file-$i"
    done
    tidfs commit -m two "$MNT" >/dev/null
    mv "$MNT/head/docs/file-3" "$MNT/head/docs/old/"
    tidfs commit -m three "$MNT" >/dev/null
    cp -a "$MNT/head/docs" "$DIR/expected"
    tidfs umount "$MNT"
}

# root_page TABLE: the page at which it begins.
root_page() {
    sqlite3 "$STORE/tidfs.db" "SELECT rootpage FROM sqlite_schema WHERE name = '$1'"
}

zero_page() {
    dd if=/dev/zero of="$STORE/tidfs.db" bs=4096 seek=$(($1 - 1)) count=1 conv=notrunc status=none
}

# expect_status N COMMAND…
expect_status() {
    local expected=$1 status=0
    shift
    "$@" >"$DIR/out" 2>"$DIR/err" || status=$?
    [ "$status" = "$expected" ] || {
        echo "    exit $status and not $expected: $*" >&2
        cat "$DIR/out" "$DIR/err" >&2
        return 1
    }
}

test_a_sound_store_is_left_alone() {
    make_history
    cp -a "$STORE/tidfs.db" before
    expect_status 0 tidfs verify --repair "$STORE"
    grep -q ': clean$' out
    cmp before "$STORE/tidfs.db"
}

test_names_that_are_lost_come_back() {
    need sqlite3
    make_history
    # Names are in the table and in two indexes.
    zero_page "$(root_page entry)"
    expect_status 4 tidfs verify "$STORE"
    cp -a "$STORE/tidfs.db" before
    expect_status 4 tidfs verify --repair --dry-run "$STORE"
    cmp before "$STORE/tidfs.db"
    expect_status 1 tidfs verify --repair "$STORE"
    grep -q 'it is back in its place' out
    cmp before "$STORE"/tidfs.db.damaged-*Z
    expect_status 0 tidfs verify "$STORE"
    mount_store
    diff -r "$DIR/expected" "$MNT/head/docs"
    tidfs log "$MNT" >said
    grep -q 'repair: ' said
    echo more >>"$MNT/head/docs/file-1"
    tidfs umount "$MNT"
    expect_status 0 tidfs verify "$STORE"
}

test_what_has_no_name_is_in_lost_and_found() {
    need sqlite3
    make_history
    zero_page "$(root_page entry)"
    zero_page "$(root_page entry_name)"
    zero_page "$(root_page entry_oid)"
    expect_status 1 tidfs verify --repair "$STORE"
    expect_status 0 tidfs verify "$STORE"
    mount_store
    [ "$(stat -c %a "$MNT/head/lost+found")" = 700 ]
    # All contents are there, whatever they are called now.
    diff <(find "$DIR/expected" -type f -exec sha256sum {} + | cut -d ' ' -f 1 | sort) \
        <(find "$MNT/head" -type f -exec sha256sum {} + | cut -d ' ' -f 1 | sort)
}

test_lost_contents_are_an_error_and_never_zeros() {
    make_history
    printf X | dd of="$STORE/bodies/00000001" bs=1 seek=1000 conv=notrunc status=none
    expect_status 1 tidfs verify --repair "$STORE"
    grep -q '^/docs/large: .* bytes of contents are lost' out
    expect_status 0 tidfs verify "$STORE"
    grep -q '^known: /docs/large: .* bytes of contents are lost' out
    tidfs verify --json "$STORE" | python3 -c 'import json, sys; told = json.load(sys.stdin); assert told["clean"] and len(told["known"]) == 1'
    expect_status 0 tidfs verify --repair "$STORE"
    mount_store
    expect_status 1 cat "$MNT/head/docs/large"
    grep -q 'Input/output error' err
    cmp -i 300000 "$DIR/expected/large" "$MNT/head/docs/large"
    cp "$DIR/expected/large" "$MNT/head/docs/large"
    cmp "$DIR/expected/large" "$MNT/head/docs/large"
}

# change SQL: to the database, under right checksums of pages.
change() {
    [ -x "$TIDFS_TOOLS/tool_sql" ] || skip "tool_sql is not built"
    "$TIDFS_TOOLS/tool_sql" "$STORE" "$1"
}

# told_and_known TEXT: by a dry run, by a repair and by a check after it.
told_and_known() {
    expect_status 4 tidfs verify --repair -n "$STORE"
    grep -qF "$1" out
    expect_status 1 tidfs verify --repair "$STORE"
    grep -qF "$1" out
    grep -qE ': repaired: [0-9]+ rows kept, 1 loss on record, 0 objects placed, 0 names removed$' out
    expect_status 0 tidfs verify "$STORE"
    grep -qF "known: $1" out
}

test_lost_tags_are_told() {
    need sqlite3
    make_history
    tidfs tag --store "$STORE" first >/dev/null
    tidfs tag --store "$STORE" second >/dev/null
    cp -a "$STORE" whole
    change "UPDATE tag SET tid = 7 WHERE name = 'first'"
    told_and_known 'the tag first is lost'
    tidfs tag --store "$STORE" first >/dev/null
    assert_eq 'tags' "$(tidfs tag --store "$STORE" | awk '{ print $NF }' | xargs)" 'first second'
    rm -rf "$STORE"
    cp -a whole "$STORE"
    zero_page "$(root_page tag)"
    told_and_known 'tags are lost, if '
    tidfs tag --store "$STORE" third >/dev/null
    assert_eq 'tags' "$(tidfs tag --store "$STORE" | awk '{ print $NF }')" third
}

test_a_lost_user_and_message_are_told() {
    local tid
    make_history
    tid=$(tidfs log --store "$STORE" | awk '/ one$/ { print $1 }')
    change "UPDATE txn SET user = 'evil' WHERE seq = 2"
    told_and_known "the user and message of transaction $tid ("
}

# A name of two, so that nothing is placed anew.
test_a_lost_name_is_told() {
    local told losses
    make_history
    mount_store
    ln "$MNT/head/docs/file-9" "$MNT/head/docs/old/other"
    commit >/dev/null
    unmount
    change "UPDATE entry SET born = 1 WHERE name = CAST('file-9' AS BLOB)"
    expect_status 1 tidfs verify --repair "$STORE"
    grep -q '^/docs: names are lost: ' out
    grep -q '^/docs: the name file-9 in it, .* is lost$' out
    grep -q '^/docs/old/other: its names or contents .* are lost$' out
    told=$(grep -cv ': repaired' out)
    losses=$(grep -oE '[0-9]+ losses on record' out | cut -d ' ' -f 1)
    assert_eq 'lines, of which one is not on record' "$told" "$((losses + 1))"
    expect_status 0 tidfs verify "$STORE"
    assert_eq 'what is known' "$(grep -c '^known: ' out)" "$losses"
}

test_damage_is_told_in_sentences() {
    need sqlite3
    make_history
    cp -a "$STORE" whole
    zero_page "$(root_page entry)"
    expect_status 4 tidfs verify "$STORE"
    grep -qx "tidfs.db is damaged: page $(root_page entry) cannot be read" out
    assert_eq "SQLite's words" "$(grep -cE '\\n|error code|sqlite_schema|\*\*\*' out || true)" 0
    rm -rf "$STORE"
    cp -a whole "$STORE"
    change 'UPDATE state SET sum = 1'
    expect_status 4 tidfs verify "$STORE"
    grep -q "is damaged: the record of the store's state is missing or wrong; .tidfs verify --repair. saves" err
    expect_status 1 tidfs verify --repair "$STORE"
    diff -r <(tidfs ls --store "$STORE" now docs) <(ls -A expected)
}

test_a_row_that_is_too_large_is_damage() {
    make_history
    change "UPDATE revision SET data = zeroblob(100000000) WHERE id = (SELECT max(id) FROM revision WHERE part >= 16)"
    expect_status 4 tidfs verify "$STORE"
    grep -qE '^/docs/.*: revision [0-9]+ .* is damaged' out
    mount_store
    { find "$MNT/head" -type f -exec cat {} + 2>&1 >/dev/null || true; } | sed 's/.*: //' | sort -u >errors
    assert_eq 'errors' "$(cat errors)" 'Input/output error'
    unmount
    expect_status 1 tidfs verify --repair "$STORE"
    grep -qE '^/docs/.*: contents, bytes 0 to 262143, .*: lost' out
    expect_status 0 tidfs verify "$STORE"
}

test_a_mounted_store_is_refused() {
    make_history
    mount_store
    expect_status 8 tidfs verify --repair "$STORE"
    grep -q "mounted on $MNT" err
    expect_status 8 tidfs verify --repair "$MNT"
}

test_json_says_the_same() {
    make_history
    printf X | dd of="$STORE/bodies/00000001" bs=1 seek=1000 conv=notrunc status=none
    expect_status 1 tidfs verify --repair --json "$STORE"
    python3 - out <<'END'
import json, sys
told = json.load(open(sys.argv[1]))
assert told["damaged"] and told["repaired"] and told["complete"], told
assert told["left"] == 0 and told["losses"] == len(told["report"]) == 1, told
assert told["report"][0]["path"] == "/docs/large", told
assert ".damaged-" in told["kept"], told
END
    expect_status 16 tidfs verify -n "$STORE"
}

# The log of a driver that was killed; 24 zeros have a right checksum, and are no header.
test_a_log_without_its_header_is_read() {
    new_store
    mount_foreground commit-interval=1h
    local i
    for i in $(seq 10); do
        echo "$i" >"$MNT/head/same"
        commit "c$i" >/dev/null
    done
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    unmount_below "$DIR"
    dd if=/dev/zero of="$STORE/tidfs.db-wal" bs=32 count=1 conv=notrunc status=none
    expect_status 1 tidfs verify --repair "$STORE"
    assert_match 'what is left' "$(tidfs cat --store "$STORE" now same)" '^(9|10)$'
    assert_match 'the log' "$(tidfs log --store "$STORE")" ' c9$'
}

test_the_database_stays_its_owners() {
    need_root
    need sqlite3
    make_history
    chown 65534:100 "$STORE/tidfs.db"
    chmod 640 "$STORE/tidfs.db"
    zero_page "$(root_page entry)"
    expect_status 1 tidfs verify --repair "$STORE"
    assert_eq 'owner and mode' "$(stat -c '%u:%g %a' "$STORE/tidfs.db")" '65534:100 640'
}

test_nobody_gets_permissions_on_a_guess() {
    need sqlite3
    new_store
    mount_store
    local i page open pages
    for i in $(seq 200); do
        echo "$i" >"$MNT/head/$i"
    done
    commit >/dev/null
    (cd "$MNT/head" && chmod 600 ./*)
    commit >/dev/null
    unmount
    cp -a "$STORE" whole
    pages=$(($(stat -c %s "$STORE/tidfs.db") / 4096))
    for page in $(seq $((pages * 2 / 3)) 2 "$pages"); do
        rm -rf "$STORE"
        cp -a whole "$STORE"
        zero_page "$page"
        "$TIDFS" verify --repair "$STORE" >/dev/null 2>&1 || true
        open=$("$TIDFS" ls -l --store "$STORE" now 2>/dev/null | grep -cE '^-...[r-]*r' || true)
        assert_eq "files that others may read, page $page" "$open" 0
    done
}

as_reader() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env TMPDIR="$DIR/tmp" "$@"
}

# The log of a driver that was killed, and a store in which only root may write.
test_a_dry_run_needs_only_to_read() {
    need_root
    need setpriv
    new_store
    mount_foreground commit-interval=1h
    seq 1000 >"$MNT/head/file"
    commit >/dev/null
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    unmount_below "$DIR"
    mkdir -m 777 tmp
    rm -f "$STORE/tidfs.db-shm"
    chmod a+rx "$WORK"
    chmod -R a+rX "$DIR"
    expect_status 0 as_reader "$TIDFS" verify --repair -n "$STORE"
    printf XXXX | dd of="$STORE/tidfs.db-wal" bs=1 seek=$((32 + 4120 + 1000)) conv=notrunc status=none
    tar -cf before.tar -C "$STORE" .
    expect_status 4 as_reader "$TIDFS" verify --repair -n "$STORE"
    grep -q 'can be repaired' out
    tar -cf after.tar -C "$STORE" .
    cmp before.tar after.tar
    assert_eq 'what is left in TMPDIR' "$(ls tmp)" ''
    expect_status 8 as_reader "$TIDFS" verify --repair "$STORE"
}

test_an_interrupted_repair_leaves_nothing() {
    make_history
    zero_page 9
    mkdir tmp
    local status killed=0 options
    cp -a "$STORE" whole
    for options in -n ''; do
        for _ in $(seq 50); do
            status=0
            # shellcheck disable=SC2086
            TMPDIR=$DIR/tmp "$TIDFS" verify --repair $options "$STORE" >out 2>err &
            while kill -0 $! 2>/dev/null; do
                compgen -G "$DIR/tmp/tidfs-repair.*/*" >/dev/null || [ -e "$STORE/tidfs.db.repaired" ] || continue
                kill -TERM $! 2>/dev/null || true
                break
            done
            wait $! || status=$?
            assert_eq 'what is left in TMPDIR' "$(ls tmp)" ''
            if [ "$status" = 143 ]; then
                killed=$((killed + 1))
                assert_eq 'what is left in the store' "$(compgen -G "$STORE/tidfs.db.re*" || true)" ''
                break
            fi
            rm -rf "$STORE"
            cp -a whole "$STORE"
        done
    done
    assert_eq 'repairs that were ended' "$killed" 2
    expect_status 1 tidfs verify --repair "$STORE"
}

test_nobody_need_listen_to_a_repair() {
    need sqlite3
    make_history
    zero_page "$(root_page entry)"
    zero_page "$(root_page entry_name)"
    zero_page "$(root_page entry_oid)"
    local status=0
    { "$TIDFS" verify --repair "$STORE" || status=$?; echo "$status" >status; } | true
    assert_eq 'status' "$(cat status)" 8
    expect_status 0 tidfs verify "$STORE"
    assert_match 'the log' "$(tidfs log --store "$STORE")" 'repair: '
}

test_what_is_full_is_told() {
    need_root
    make_history
    zero_page 9
    mkdir tmp
    mount -t tmpfs -o size=64k none "$DIR/tmp"
    TMPDIR=$DIR/tmp expect_status 8 tidfs verify --repair -n "$STORE"
    umount "$DIR/tmp"
    grep -q "$DIR/tmp/tidfs-repair" err
    grep -q 'set TMPDIR to a directory with more' err
    TMPDIR=$DIR/none expect_status 8 tidfs verify --repair -n "$STORE"
    grep -q 'set TMPDIR to another one' err
}

test_a_database_that_is_gone_is_told() {
    make_history
    mv "$STORE/tidfs.db" kept
    expect_status 8 tidfs verify --repair "$STORE"
    grep -q 'tidfs.db is missing' err
    : >"$STORE/tidfs.db"
    expect_status 8 tidfs verify --repair "$STORE"
    grep -q 'tidfs.db is empty' err
    mv kept "$STORE/tidfs.db"
    expect_status 0 tidfs verify --repair "$STORE"
}

# Where the frames of its newest use end.
end_of_log() {
    python3 - "$STORE/tidfs.db-wal" <<'END'
import sys
log = open(sys.argv[1], "rb").read()
end = 32
while log[end + 8 : end + 16] == log[16:24]:
    end += 4120
print(end)
END
}

# One of its last frames. SQLite ends the log before it, and `tidfs verify` finds nothing wrong.
test_a_damaged_end_of_the_log_is_told() {
    new_store
    mount_foreground commit-interval=1h
    local i end
    for i in $(seq 5); do
        seq "$i" 2000 >"$MNT/head/same"
        commit "c$i" >/dev/null
    done
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    unmount_below "$DIR"
    end=$(end_of_log)
    printf XXXX | dd of="$STORE/tidfs.db-wal" bs=1 seek=$((end - 3000)) conv=notrunc status=none
    expect_status 1 tidfs verify --repair "$STORE"
    grep -q 'the newest transactions in the log are damaged' out
    expect_status 0 tidfs verify "$STORE"
    tidfs cat --store "$STORE" now same >is || true
    [ ! -s is ] || seq 5 2000 | cmp - is
}

# Where it is only not there just now, all contents would be lost for ever.
test_without_body_files_nothing_is_given_up() {
    new_store
    mount_store
    head -c 200000 /dev/urandom >"$MNT/head/large"
    commit >/dev/null
    unmount
    mv "$STORE/bodies" elsewhere
    cp "$STORE/tidfs.db" before
    expect_fail 8 'bodies is missing: put it back' tidfs verify --repair --dry-run "$STORE"
    expect_fail 8 'bodies is missing: put it back' tidfs verify --repair "$STORE"
    cmp before "$STORE/tidfs.db"
    mv elsewhere "$STORE/bodies"
    expect_status 0 tidfs verify "$STORE"
}

run_tests "$@"
