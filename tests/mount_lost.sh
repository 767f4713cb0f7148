#!/usr/bin/env bash
# What the commands say of what `tidfs verify --repair` put on record as lost: which thing it is, and all the rest.
. "$(dirname "$0")/lib.sh"

# make_history: transactions $T1 to $T4, each of which changes contents, the third a name too. $STORE is not mounted then.
make_history() {
    need setfattr sqlite3
    local i
    new_store
    mount_store commit-interval=1h
    mkdir -p "$MNT/head/d"
    for i in 1 2 3; do echo "text $i" >"$MNT/head/d/f$i"; done
    seq 1 12000 >"$MNT/head/big"
    setfattr -n user.a -v one "$MNT/head/d/f3"
    T1=$(commit one)
    for i in 1 2 3; do echo more >>"$MNT/head/d/f$i"; done
    seq 1 30000 >"$MNT/head/big"
    setfattr -n user.a -v two "$MNT/head/d/f3"
    T2=$(commit two)
    for i in 1 2 3; do echo yet more >>"$MNT/head/d/f$i"; done
    mv "$MNT/head/d/f1" "$MNT/head/d/g1"
    seq 2 30000 >"$MNT/head/big"
    setfattr -n user.a -v three "$MNT/head/d/f3"
    T3=$(commit three)
    echo tail >>"$MNT/head/d/f2"
    T4=$(commit four)
    F2=$(stat -c %i "$MNT/head/d/f2") F3=$(stat -c %i "$MNT/head/d/f3") D=$(stat -c %i "$MNT/head/d")
    unmount
    SEQ2=$(sqlite3 "$STORE/tidfs.db" "SELECT seq FROM txn WHERE message = 'two'")
}

# lose SQL: damages rows in a way that checksums of pages do not show, and repairs the store.
lose() {
    [ -x "$TIDFS_TOOLS/tool_sql" ] || skip "tool_sql is not built"
    "$TIDFS_TOOLS/tool_sql" "$STORE" "$1"
    repair
}

repair() {
    expect_status 1 tidfs verify --repair "$STORE"
    expect_status 0 tidfs verify "$STORE"
}

# expect_status N COMMAND…: with its output in out and err.
expect_status() {
    local expected=$1 status=0
    shift
    "$@" >"$DIR/out" 2>"$DIR/err" || status=$?
    [ "$status" = "$expected" ] || {
        cat "$DIR/out" "$DIR/err" >&2
        fail "exit $status and not $expected: $*"
    }
}

# on N COMMAND ARGUMENT…: expect_status of a command of tidfs on the store.
on() {
    local expected=$1 command=$2
    shift 2
    expect_status "$expected" tidfs "$command" --store "$STORE" "$@"
}

# out_is: stdout is what stands on stdin.
out_is() {
    diff - "$DIR/out" || fail "that is not what was to be said"
}

# The words stand where they should, and nobody is left with "damaged data".
says() {
    grep -qE -- "$2" "$DIR/$1" || {
        cat "$DIR/$1" >&2
        fail "nothing says '$2' there"
    }
    if grep -q 'damaged data' "$DIR/out" "$DIR/err"; then
        fail "somebody says damaged data"
    fi
}

test_a_lost_state_is_named_and_the_rest_is_told() {
    make_history
    lose "UPDATE revision SET sum = sum + 1 WHERE oid = $F2 AND part = 0 AND seq = $SEQ2"
    on 1 diff "$T1" "$T2"
    out_is <<'END'
M  big  (content)
M  d/f1  (content)
M  d/f3  (content, xattr)
?  d/f2  (what it was after: lost)
END
    says err 'not all of it can be told'
    on 0 diff "$T1" "$T2" d/f3
    on 1 diff "$T1" "$T2" d/f2
    on 2 diff --exit-code "$T1" "$T2"
    on 0 diff "$T1" "$T4"
    grep -q '^M  d/f2  (content)$' out
    on 1 show "$T2"
    says out '^\?  d/f2 '
    says out '^M  d/f3 '
    on 1 diff -p "$T1" "$T2"
    says out '^tidfs: d/f2: what it was after: lost$'
    says out '^\+more$'
    on 1 diff --name-status "$T2" "$T3"
    says err 'd/f2: what it was before: lost'
    on 1 diff --json "$T2" "$T3"
    python3 -c 'import json, sys
told = [json.loads(line) for line in sys.stdin]
lost = [one for one in told if one["kind"] == "unknown"]
assert [(one["path"], one["unknown"], one["sides"], one["why"]) for one in lost] == [("d/f2", "object", ["old"], "lost")], lost
assert len(told) > 2' <out
    on 1 log --stat
    says out 'store created'
    on 0 log d/f2
    [ "$(wc -l <out)" = 4 ]
}

test_a_lost_version_is_one_of_the_versions() {
    make_history
    lose "UPDATE revision SET sum = sum + 1 WHERE oid = $F2 AND part = 0 AND seq = $SEQ2"
    on 1 versions d/f2
    [ "$(awk '{ print $2 }' out)" = "$(printf '%s\n' "$T4" "$T3" "$T2" "$T1")" ]
    says out "$T2 +- +lost +-\$"
    on 1 versions --reverse d/f2
    on 1 versions --json d/f2
    python3 -c 'import json, sys
told = [json.loads(line) for line in sys.stdin]
assert [one.get("unknown") for one in told] == [None, None, "lost", None], told
assert told[2]["opens"] is None and told[2]["command"] is None and "size" not in told[2], told' <out
    on 0 versions d/f3
    mount_store
    [ "$(find "$MNT/versions/d/f2" -mindepth 1 -printf x)" = xxxx ]
    [ "$(cat "$MNT/versions/d/f2/$T1")" = 'text 2' ]
    if cat "$MNT/versions/d/f2/$T2" 2>"$DIR/err"; then fail 'it is lost'; fi
    grep -q 'Input/output error' "$DIR/err"
}

test_lost_contents_are_one_line_of_a_patch() {
    make_history
    local size
    size=$(stat -c %s "$STORE/bodies/00000001")
    # In the second version of the three.
    printf X | dd of="$STORE/bodies/00000001" bs=1 seek=$((size / 3)) conv=notrunc status=none
    repair
    on 0 diff "$T1" "$T2"
    grep -q '^M  big  (content)$' out
    on 1 diff -p "$T1" "$T2"
    says out '^tidfs: big: cannot be read: lost, as'
    says out '^\+more$'
    on 1 diff --stat "$T1" "$T2"
    says out '^ big +\| Lost '
    says out '^ d/f1 +\| +1 '
    on 1 log -p
    says out 'store created'
    on 0 versions big
    mount_store
    sha256sum "$MNT/head/big" "$MNT/head/d/f2" >before
    expect_status 1 tidfs revert --mount "$MNT" --at "$T2" /big
    says err 'revert: big: it cannot be put back: .* lost'
    expect_status 1 tidfs undo --mount "$MNT" "$T2"
    says err 'undo: big: it cannot be put back: .* lost'
    sha256sum -c --quiet before
    # What can be put back is.
    expect_status 0 tidfs revert --mount "$MNT" --at "$T2" /d/f2
    [ "$(cat "$MNT/head/d/f2")" = "$(printf 'text 2\nmore')" ]
}

test_damaged_contents_take_no_place_of_good_ones() {
    make_history
    cp "$STORE/bodies/00000001" "$DIR/whole"
    # In the first version of the three; nobody knows it yet.
    printf X | dd of="$STORE/bodies/00000001" bs=1 seek=1000 conv=notrunc status=none
    on 1 revert --dry-run --at "$T1" big
    says err 'revert: big: it cannot be put back: .* damaged; nothing was changed; .tidfs verify. tells more, and .tidfs verify --repair.'
    on 1 revert --at "$T1" big
    says err 'revert: big: it cannot be put back'
    mount_store
    sha256sum "$MNT/head/big" "$MNT/head/d/f2" >before
    expect_status 1 tidfs revert --mount "$MNT" --at "$T1" /
    says err 'revert: big: it cannot be put back: .* damaged'
    expect_status 1 tidfs undo --mount "$MNT" "$T4" "$T3" "$T2"
    says err 'undo: big: it cannot be put back: .* damaged'
    # Nor that of another file, which is to have the place of one that was saved by renaming.
    cp "$MNT/head/big" "$MNT/head/new"
    mv "$MNT/head/new" "$MNT/head/big"
    commit saved >"$DIR/out"
    expect_status 1 tidfs revert --mount "$MNT" --at "$T1" /big
    says err 'revert: big: it cannot be put back: .* damaged'
    sha256sum -c --quiet before
    expect_status 0 tidfs revert --mount "$MNT" --at "$T2" /big
    unmount
    cp "$DIR/whole" "$STORE/bodies/00000001"
    on 0 revert --at "$T1" big
}

test_a_damaged_content_can_be_replaced_and_what_stays_may_be_damaged() {
    local size tid
    new_store
    mount_store commit-interval=1h
    seq 10000 30000 >"$MNT/head/big"
    T1=$(commit one)
    size=$(stat -c %s "$STORE/bodies/00000001")
    seq 10001 30001 >"$MNT/head/big"
    T2=$(commit two)
    printf X | dd of="$MNT/head/big" bs=1 seek=100000 conv=notrunc status=none
    T3=$(commit three)
    unmount
    # In the first chunk of what two and three have in common.
    printf X | dd of="$STORE/bodies/00000001" bs=1 seek=$((size + 1000)) conv=notrunc status=none
    on 0 revert --at "$T2" big
    on 0 revert --at "$T1" big
    mount_store
    cmp "$MNT/head/big" <(seq 10000 30000)
    tid=$(tidfs log --store "$STORE" --json 2>/dev/null | wc -l)
    for T in "$T2" "$T3"; do
        expect_status 1 tidfs revert --mount "$MNT" --at "$T" /big
        says err 'revert: big: it cannot be put back'
    done
    [ "$(tidfs log --store "$STORE" --json 2>/dev/null | wc -l)" = "$tid" ]
    cmp "$MNT/head/big" <(seq 10000 30000)
}

test_a_lost_chunk_and_lost_attributes_hide_nothing() {
    make_history
    lose "UPDATE revision SET sum = sum + 1 WHERE seq = $SEQ2 AND ((oid = $F2 AND part > 1) OR (oid = $F3 AND part = 1))"
    on 1 diff "$T1" "$T2"
    says out '^M  d/f3  \(content, xattr, of which some cannot be read\)$'
    on 1 diff -p "$T1" "$T2" -- d/f2
    says out '^tidfs: d/f2: cannot be read: lost, as'
    on 1 diff --ignore-times "$T2" "$T3"
    says out '^R  d/f1 -> d/g1  \(content\)$'
    on 1 versions d/f3
    [ "$(wc -l <out)" = 3 ]
    mount_store
    expect_status 1 tidfs revert --mount "$MNT" --at "$T2" /d/f2
    says err 'revert: d/f2: it cannot be put back'
    expect_status 1 tidfs revert --mount "$MNT" --at "$T2" /d/f3
    says err 'revert: d/f3: it cannot be put back'
    expect_status 0 tidfs revert --mount "$MNT" --at "$T2" /big
}

test_lost_names_are_told_and_nothing_is_deleted_for_them() {
    make_history
    lose "UPDATE past_entry SET sum = sum + 1 WHERE parent = $D"
    on 1 diff "$T2" "$T3"
    says out '^\?  d/  \(names in it before: lost\)$'
    says out '^\?  d/g1  \(names of it before: lost\)$'
    says out '^M  d/f2  \(content\)$'
    if grep -q '^A' out; then fail 'what had a name that is lost is not new'; fi
    on 1 versions d/f1
    says err 'd/f1: nobody knows what it was: names above it are lost'
    on 1 log d/f1
    says err 'd/f1: nobody knows'
    on 0 versions d/f2
    on 0 log d/f2
    mount_store
    expect_status 1 tidfs revert --mount "$MNT" --at "$T2" /d
    says err 'revert: d: it cannot be put back'
    [ -e "$MNT/head/d/g1" ]
    expect_status 0 tidfs revert --mount "$MNT" --at "$T2" /d/f2
    expect_status 1 tidfs undo --mount "$MNT" "$T3"
    says err 'undo: d: it cannot be put back'
    [ -e "$MNT/head/d/g1" ]
}

test_a_damaged_tag_hides_no_other() {
    make_history
    local tag
    for tag in first second third; do
        tidfs tag --store "$STORE" "$tag" "$T2" >"$DIR/out"
    done
    "$TIDFS_TOOLS/tool_sql" "$STORE" "UPDATE tag SET sum = sum + 1 WHERE name = 'second'"
    on 1 tag
    [ "$(awk '{ print $3 }' out)" = "$(printf 'first\nthird')" ]
    says err 'tag .second. has a wrong checksum'
    says err 'not all there'
    on 0 cat third d/f2
    on 1 cat second d/f2
    on 0 show "$T2"
    says out '^Tag: +first$'
    expect_status 0 tidfs info "$STORE"
    mount_store
    [ "$(cat "$MNT/at/third/d/f2")" = "$(printf 'text 2\nmore')" ]
    ls "$MNT/at" >"$DIR/out"
    grep -qx first "$DIR/out"
    grep -qx third "$DIR/out"
    if cat "$MNT/at/second/d/f2" 2>"$DIR/err"; then fail 'the tag is damaged'; fi
    grep -q 'Input/output error' "$DIR/err"
    unmount
    tidfs tag --store "$STORE" --force second "$T1" >"$DIR/out"
    on 0 tag
}

run_tests
