#!/usr/bin/env bash
# What makes stock tools right and fast on history: inode numbers that say which version a file is. A tree of 10,000 files, two
# views that differ in ten of them, and the programs that people compare, copy and edit with.
. "$(dirname "$0")/lib.sh"

# The ten files that change between the views, and what happens to each, are the same in every test. All keep their size:
# diff -q tells files of different sizes apart without reading them.
changed=(a/0/0/file0 a/1/2/file3 a/3/3/file33 a/5/0/file50 a/6/6/file6 a/7/8/file78 a/8/1/file81 a/9/9/file99 a/9/9/deep/er/est/file linked)

# make_tree: 10,000 files in 100 directories of three levels, and two hard links.
make_tree() {
    local i top next
    cd "$MNT/head"
    for top in 0 1 2 3 4 5 6 7 8 9; do
        for next in 0 1 2 3 4 5 6 7 8 9; do
            mkdir -p "a/$top/$next"
            for ((i = 0; i < 100; i++)); do
                echo "content of $top $next $i, version 1" >"a/$top/$next/file$i"
            done
        done
    done
    mkdir -p a/9/9/deep/er/est
    echo 'the deepest, version 1' >a/9/9/deep/er/est/file
    echo 'a hard link, version 1' >linked
    ln linked a/4/4/other-name
    ln -s a/0/0/file0 symlink
    echo 'another hard link' >kept
    ln kept a/2/2/kept-name
    # rsync leaves a directory's time alone if it is off by less than a second.
    find . -type d -exec touch -d '2001-02-03 04:05:06.789' {} +
    cd "$DIR"
}

# Same size, and the time of change of the one deep in the tree restored: only the version can tell.
change_ten() {
    local file
    for file in "${changed[@]}"; do
        touch -r "$MNT/head/$file" "$DIR/stamp"
        sed 's/version 1/version 2/' "$MNT/head/$file" >"$DIR/new"
        cat "$DIR/new" >"$MNT/head/$file"
        case $file in
        *deep*) touch -r "$DIR/stamp" "$MNT/head/$file" ;;
        esac
    done
}

# make_views: two views, $A and $B, looked at through a mount that has not read a thing.
make_views() {
    new_store
    mount_store commit-interval=1h
    make_tree
    A=$MNT/at/$(commit before)
    change_ten
    B=$MNT/at/$(commit after)
    unmount
    mount_store commit-interval=1h
}

test_diff_reads_what_changed_and_nothing_else() {
    local reads directories
    make_views
    # The ten files, and the second name of the one that has two.
    printf '%s\n' "${changed[@]}" a/4/4/other-name | sort >"$DIR/expected"

    reads=$(counter requests read)
    directories=$(($(counter requests readdir) + $(counter requests readdirplus)))
    diff -rq --no-dereference "$A" "$B" >"$DIR/found" || assert_eq 'exit code of diff' $? 1
    sed -n "s|^Files $A/\(.*\) and $B/\(.*\) differ\$|\1|p" "$DIR/found" | sort >"$DIR/named"
    diff "$DIR/expected" "$DIR/named"
    assert_eq 'lines of diff' "$(wc -l <"$DIR/found")" "$(wc -l <"$DIR/expected")"
    assert_eq 'reads of contents' $(($(counter requests read) - reads)) 20

    # Directories with no change below are not listed either: at most the 19 that hold a change, with each of the
    # two listings of each taking two requests, the second to see the end.
    directories=$(($(counter requests readdir) + $(counter requests readdirplus) - directories))
    assert_at_most 'requests to list directories' "$directories" 100
}

test_inode_numbers_identify_versions() {
    make_views
    assert_eq 'unchanged file' "$(inode "$A/a/0/0/file1")" "$(inode "$B/a/0/0/file1")"
    assert_eq 'unchanged directory' "$(inode "$A/a/2")" "$(inode "$B/a/2")"
    [ "$(inode "$A/a/0/0/file0")" != "$(inode "$B/a/0/0/file0")" ] || fail 'a changed file kept its number'
    [ "$(inode "$A/a/9")" != "$(inode "$B/a/9")" ] || fail 'a directory with a change deep below kept its number'
    [ "$(inode "$A")" != "$(inode "$B")" ] || fail 'the roots have one number'
    assert_eq 'hard links of a view' "$(inode "$B/linked")" "$(inode "$B/a/4/4/other-name")"
    # Nothing of the present has a number of the past: cp and mv would refuse to bring it back.
    comm -12 <(find "$MNT/head" -printf '%i\n' | sort -u) <(find "$A" "$B" -printf '%i\n' | sort -u) >"$DIR/both"
    assert_eq 'numbers in /head and in history' "$(wc -l <"$DIR/both")" 0
    assert_eq 'devices' "$(stat -c %d "$A")" "$(stat -c %d "$MNT/head/a")"
}

test_diff_of_head_and_now_finds_changes() {
    make_views
    assert_eq 'diff of the same' "$(diff -rq --no-dereference "$B" "$MNT/at/now/")" ''
    echo more >>"$MNT/head/a/0/0/file7"
    assert_eq 'diff after a change' "$(diff -rq --no-dereference "$B" "$MNT/at/now/" || true)" \
        "Files $B/a/0/0/file7 and $MNT/at/now/a/0/0/file7 differ"
}

test_tar_and_rsync_of_both_views_are_right() {
    make_views
    mkdir "$DIR/tar"
    tar -C "$MNT/at" --format=posix -cf - "$(basename "$A")" "$(basename "$B")" | tar -C "$DIR/tar" -xf -
    rsync -aH "$A" "$B" "$DIR/rsync/"
    for copy in "$DIR/tar" "$DIR/rsync"; do
        assert_same_tree "$A" "$copy/$(basename "$A")" times
        assert_same_tree "$B" "$copy/$(basename "$B")" times
        assert_eq 'hard links in a copy' "$(inode "$copy/$(basename "$B")/linked")" \
            "$(inode "$copy/$(basename "$B")/a/4/4/other-name")"
        assert_eq 'old content in a copy' "$(cat "$copy/$(basename "$A")/a/4/4/other-name")" 'a hard link, version 1'
        assert_eq 'new content in a copy' "$(cat "$copy/$(basename "$B")/a/4/4/other-name")" 'a hard link, version 2'
    done
}

test_cp_brings_a_view_back() {
    make_views
    cp -a "$A/." "$MNT/head/."
    assert_same_tree "$A" "$MNT/head" times
    assert_eq 'diff of the restored present' "$(diff -rq --no-dereference "$A" "$MNT/head")" ''
    cp -a "$B/linked" "$MNT/head/linked"
    assert_eq 'one file brought back' "$(cat "$MNT/head/linked")" 'a hard link, version 2'
    # mv out of a view copies and cannot remove.
    expect_fail 1 'Read-only file system' mv "$B/symlink" "$MNT/head/moved"
}

# What a way of saving does to the inode number, as "kept" or "new": save NAME in DIR.
save_vim() {
    printf '%s\n' 'set nocompatible backup writebackup backupcopy='"$2" 'normal Gofrom vim' 'wq' >"$DIR/script"
    vim -es -u NONE -i NONE -S "$DIR/script" "$1" </dev/null
}
save_by_rename() {
    # emacs with backup-by-copying off, and git, rsync and most others: the old file becomes the backup.
    mv "$1" "$1~"
    { cat "$1~" && echo 'from emacs'; } >"$1"
}
save_by_copy() {
    # emacs with backup-by-copying on: the backup is a copy, the file is truncated and written.
    cp -p "$1" "$1~"
    { cat "$1~" && echo 'from emacs'; } >"$1"
}
save_by_temporary() {
    { cat "$1" && echo 'from a temporary file'; } >"$1.tmp"
    sync "$1.tmp"
    mv "$1.tmp" "$1"
}

# assert_saves_as_elsewhere HOW…: the number of the file, and of a second name of it, as on the disk outside.
assert_saves_as_elsewhere() {
    local place old new
    for place in "$DIR/outside" "$MNT/head"; do
        mkdir -p "$place/$1"
        seq 50 >"$place/$1/text"
        old=$(inode "$place/$1/text")
        "$1" "$place/$1/text" "${@:2}"
        new=$(inode "$place/$1/text")
        if [ "$old" = "$new" ]; then echo kept; else echo new; fi >"$place/$1.$2"
        assert_eq 'lines saved' "$(wc -l <"$place/$1/text")" 51
    done
    assert_eq "inode number after $*" "$(cat "$MNT/head/$1.$2")" "$(cat "$DIR/outside/$1.$2")"
    assert_same_tree "$DIR/outside/$1" "$MNT/head/$1"
    rm -r "$DIR/outside/$1" "$MNT/head/$1"
}

test_editors_keep_inode_numbers_as_elsewhere() {
    need vim
    new_store
    mount_store commit-interval=50ms # so that transactions fall between the steps of a save
    assert_saves_as_elsewhere save_vim yes
    assert_saves_as_elsewhere save_vim no
    assert_saves_as_elsewhere save_vim auto
    assert_saves_as_elsewhere save_by_rename ''
    assert_saves_as_elsewhere save_by_copy ''
    assert_saves_as_elsewhere save_by_temporary ''
}

test_head_inode_numbers_survive_commits_and_mounts() {
    local before
    new_store
    mount_store
    mkdir "$MNT/head/dir"
    echo one >"$MNT/head/dir/file"
    before=$(stat -c '%n %i' "$MNT/head" "$MNT/head/dir" "$MNT/head/dir/file")
    commit >/dev/null
    echo two >>"$MNT/head/dir/file"
    mv "$MNT/head/dir/file" "$MNT/head/dir/moved"
    mv "$MNT/head/dir/moved" "$MNT/head/dir/file"
    commit >/dev/null
    assert_eq 'numbers after commits' "$(stat -c '%n %i' "$MNT/head" "$MNT/head/dir" "$MNT/head/dir/file")" "$before"
    unmount
    mount_store
    assert_eq 'numbers after mounting again' "$(stat -c '%n %i' "$MNT/head" "$MNT/head/dir" "$MNT/head/dir/file")" "$before"
}

run_tests "$@"
