#!/usr/bin/env bash
# What copies and archives trees keeps everything on the way to /head, back, and out of a view: rsync comes to rest in both directions, tar's round trip has
# attributes, ACLs, holes and hard links, and so has cp's.
. "$(dirname "$0")/both.sh"

# sync_trees FROM TO: all that rsync knows to keep. Only root may set what trusted attributes and owners need.
sync_trees() {
    rsync -aHAXS --numeric-ids --delete --itemize-changes "$1/" "$2/"
}

# assert_at_rest FROM TO: nothing is left to do, by times and sizes, and by content.
assert_at_rest() {
    assert_eq "what rsync still changes from $1 to $2" "$(sync_trees "$1" "$2")" ''
    assert_eq "what rsync --checksum still changes from $1 to $2" \
        "$(rsync -aHAXS --numeric-ids --delete --checksum --itemize-changes "$1/" "$2/")" ''
}

test_rsync_comes_to_rest_both_ways() {
    need rsync
    new_both
    work_in "$PLAIN" make_rich_tree
    sync_trees "$PLAIN/tree" "$HEAD/tree" >"$DIR/first"
    assert_at_rest "$PLAIN/tree" "$HEAD/tree"
    assert_same_files "$PLAIN/tree" "$HEAD/tree" times
    remount
    assert_at_rest "$PLAIN/tree" "$HEAD/tree"
    sync_trees "$HEAD/tree" "$DIR/back" >"$DIR/second"
    assert_at_rest "$HEAD/tree" "$DIR/back"
    assert_same_files "$PLAIN/tree" "$DIR/back" times
    # Changes go over in place and by a new file, and only they do.
    echo more >>"$PLAIN/tree/many/file7"
    rm "$PLAIN/tree/many/file8"
    mv "$PLAIN/tree/long" "$PLAIN/tree/deep/long"
    chmod 640 "$PLAIN/tree/many/file9"
    printf 'else' | dd of="$PLAIN/tree/random" bs=1000 seek=100 conv=notrunc status=none
    sync_trees "$PLAIN/tree" "$HEAD/tree" >"$DIR/third"
    assert_at_most 'files that went over' "$(grep -c '^>f' "$DIR/third")" 3
    rsync -aHAX --inplace --no-whole-file --numeric-ids --itemize-changes "$PLAIN/tree/" "$HEAD/tree/"
    assert_at_rest "$PLAIN/tree" "$HEAD/tree"
}

test_rsync_out_of_a_view_comes_to_rest() {
    local view
    need rsync
    new_both
    work_in "$HEAD" make_rich_tree
    view=$MNT/at/$(commit)/desk
    cp -a "$HEAD/tree" "$PLAIN/tree"
    rm -rf "$HEAD/tree"
    sync_trees "$view/tree" "$DIR/out" >"$DIR/first"
    assert_at_rest "$view/tree" "$DIR/out"
    assert_same_files "$PLAIN/tree" "$DIR/out" times
    # And back to where it was.
    sync_trees "$view/tree" "$HEAD/tree" >"$DIR/second"
    assert_at_rest "$view/tree" "$HEAD/tree"
    assert_same_files "$PLAIN/tree" "$HEAD/tree" times
}

pack() {
    tar -C "$1" --xattrs --xattrs-include='*' --acls --sparse --numeric-owner --sort=name -cf "$2" tree
}

unpack() {
    mkdir -p "$2"
    tar -C "$2" --xattrs --xattrs-include='*' --acls --numeric-owner -xpf "$1" --warning=no-timestamp
}

test_tar_round_trip() {
    local view
    need tar
    new_both
    work_in "$PLAIN" make_rich_tree
    rm "$PLAIN/tree/socket" # which tar leaves out
    pack "$PLAIN" "$DIR/plain.tar"
    unpack "$DIR/plain.tar" "$HEAD"
    assert_same_files "$PLAIN/tree" "$HEAD/tree" times
    tar -C "$HEAD" --acls --xattrs --numeric-owner -df "$DIR/plain.tar"
    assert_at_most 'blocks of the sparse file' "$(stat -c %b "$HEAD/tree/sparse")" 4096
    remount
    view=$MNT/at/$(commit)/desk
    pack "$HEAD" "$DIR/head.tar"
    pack "$view" "$DIR/view.tar"
    # Not byte by byte: tar puts its process id into the names of sparse members.
    diff <(tar --full-time -tvvf "$DIR/head.tar") <(tar --full-time -tvvf "$DIR/view.tar")
    unpack "$DIR/head.tar" "$DIR/from-head"
    unpack "$DIR/view.tar" "$DIR/from-view"
    assert_same_files "$PLAIN/tree" "$DIR/from-head/tree" times
    assert_same_files "$PLAIN/tree" "$DIR/from-view/tree" times
}

# By copy_file_range where it can, between /head and views.
test_cp_keeps_everything() {
    local view
    new_both
    work_in "$PLAIN" make_rich_tree
    cp -a "$PLAIN/tree" "$HEAD/tree"
    assert_same_files "$PLAIN/tree" "$HEAD/tree" times
    cp -a "$HEAD/tree" "$HEAD/twice"
    assert_same_files "$PLAIN/tree" "$HEAD/twice" times
    view=$MNT/at/$(commit)/desk
    cp -a "$view/tree" "$HEAD/thrice"
    assert_same_files "$PLAIN/tree" "$HEAD/thrice" times
    cp -a "$view/tree" "$DIR/out"
    assert_same_files "$PLAIN/tree" "$DIR/out" times
    assert_same_files "$PLAIN/tree" "$view/tree" times
    mv "$HEAD/thrice" "$DIR/moved"
    assert_same_files "$PLAIN/tree" "$DIR/moved" times
    mv "$DIR/moved" "$HEAD/moved"
    assert_same_files "$PLAIN/tree" "$HEAD/moved" times
}

run_tests "$@"
