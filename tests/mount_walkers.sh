#!/usr/bin/env bash
# Programs that walk a whole mount do not fall into history: no view is entered, and the walk costs what the present
# does, however long the past is.
. "$(dirname "$0")/lib.sh"

# A present of some hundred files and a past of 30 transactions and two tags.
make_history() {
    local i
    new_store
    mount_store
    mkdir "$MNT/head/dir"
    for ((i = 0; i < 30; i++)); do
        seq 100 | sed "s/^/$i /" >"$MNT/head/dir/file$i"
        commit "change $i" >/dev/null
    done
    in_head "$TIDFS" tag first-tag "$(newest_tid)~20" >/dev/null
    in_head "$TIDFS" tag second-tag >/dev/null
}

# assert_enters_no_view COMMAND…
assert_enters_no_view() {
    local opened reused started=$SECONDS
    opened=$(counter views opened)
    reused=$(counter views reused)
    "$@" >"$DIR/walk"
    assert_eq "views opened by $*" "$(counter views opened)" "$opened"
    assert_eq "views reused by $*" "$(counter views reused)" "$reused"
    assert_at_most "seconds of $*" $((SECONDS - started)) 5
}

test_find_enters_no_view() {
    make_history
    assert_enters_no_view find "$MNT"
    assert_eq 'files that find saw' "$(grep -c '/file[0-9]*$' "$DIR/walk")" 30
    assert_enters_no_view find "$MNT" -xdev -type f -size +0 -newermt 1970-01-02
}

test_find_lists_history_as_symlinks_only() {
    make_history
    assert_eq 'what lies below /at and is no symlink' "$(find "$MNT/at" "$MNT/before" -mindepth 1 ! -type l)" ''
    assert_eq 'what lies below /at' "$(find "$MNT/at" -mindepth 1 -maxdepth 1 | wc -l)" 23 # two tags, now and the 20 before it
}

test_du_enters_no_view() {
    make_history
    assert_enters_no_view du -s "$MNT"
}

test_updatedb_like_walk_enters_no_view() {
    # What updatedb does: descend into every directory that is one, with lstat on each name.
    make_history
    assert_enters_no_view find -P "$MNT" -ignore_readdir_race -type d -printf '%p %i\n' -o -printf '%p\n'
}

test_backup_enters_no_view() {
    make_history
    assert_enters_no_view tar -C "$MNT" -cf - --exclude=nothing .
    assert_enters_no_view rsync -a "$MNT/" "$DIR/copy/"
    assert_same_tree "$MNT/head" "$DIR/copy/head"
}

test_grep_enters_no_view() {
    make_history
    assert_enters_no_view grep -r --count '^29 100$' "$MNT"
    assert_eq 'matches' "$(grep -c ':1$' "$DIR/walk")" 1
}

run_tests "$@"
