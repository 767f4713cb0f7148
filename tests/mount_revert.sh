#!/usr/bin/env bash
# `tidfs revert`: on a live mount, whose kernel must see the old tree at once, and on a store at rest.
. "$(dirname "$0")/lib.sh"

revert() {
    tidfs revert "$@"
}

# A tree with something of everything, and its tid.
make_tree() {
    in_head bash -e -c '
        mkdir -p d/sub gone
        echo one >f; echo two >d/g; echo three >d/sub/h; echo four >gone/i
        seq 1 1000 >lines
        ln d/g d/link; ln -s f symlink
        chmod 640 f; touch -d "2020-02-03 04:05:06.789" lines
        setfattr -n user.color -v red d/g'
    commit 'the tree'
}

# Much of it changed, through everything that the kernel remembers.
change_tree() {
    in_head bash -e -c '
        echo changed >f; chmod 600 f; chown 7:8 f
        mv d e; echo new >e/new; rm e/sub/h; setfattr -n user.color -v blue e/g
        rm -r gone; echo a file >gone
        rm symlink; ln -s elsewhere symlink
        sed -i s/500/five/ lines
        mkdir later; echo later >later/j
        ls -lR . >/dev/null; cat f e/g lines >/dev/null; test ! -e d/g; test ! -e gone/i'
    commit 'changed'
}

# attributes DIR: the extended ones of everything below.
attributes() {
    (cd "$1" && find . -print0 | sort -z | xargs -0 -n 1 getfattr -d -- 2>/dev/null)
}

# assert_head_is WHEN: everything, also times, owners and attributes.
assert_head_is() {
    assert_same_tree "$MNT/head" "$MNT/at/$1" times
    diff <(attributes "$MNT/head") <(attributes "$MNT/at/$1") || fail "extended attributes differ"
    assert_eq "difference to $1" "$(tidfs diff --mount "$MNT" "$1")" ""
}

test_a_whole_tree_and_the_kernel_sees_it_at_once() {
    local before after
    need setfattr
    need_root
    new_store
    mount_store
    before=$(make_tree)
    after=$(change_tree)
    revert --at "$before" "$MNT/head" >printed
    assert_head_is "$before"
    assert_eq "the link" "$(inode "$MNT/head/d/g")" "$(inode "$MNT/head/d/link")"
    assert_match "what was printed" "$(cat printed)" '^transaction [0-9a-f]{16}$'
    assert_match "the message" "$(tidfs log -n 1 --mount "$MNT")" "revert / to $before"
    # And forward again, which is a revert too.
    revert --at "$after" "$MNT/head" >/dev/null
    assert_head_is "$after"
    unmount
    mount_store
    assert_head_is "$after"
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_dry_run_prints_what_is_done() {
    local before last
    new_store
    mount_store
    in_head bash -c 'echo one >a; echo one >b; echo one >c'
    before=$(commit one)
    in_head bash -c 'echo two >a; rm b; mv c d; echo new >e'
    commit two >/dev/null
    last=$(newest_tid)
    revert --dry-run --at "$before" "$MNT/head" >planned
    assert_eq "newest after a dry run" "$(newest_tid)" "$last"
    assert_eq "a after a dry run" "$(cat "$MNT/head/a")" two
    revert --at "$before" "$MNT/head" >did
    diff planned <(sed '$d' did)
    diff planned - <<'END'
M  a  (content)
A  b
R  d -> c
D  e
END
}

test_open_files_show_the_old_content() {
    local before
    new_store
    mount_store
    seq 1 100000 >"$MNT/head/f"
    before=$(commit one)
    echo short >"$MNT/head/f"
    exec 7<"$MNT/head/f"
    assert_eq "before" "$(cat <&7)" short
    revert --at "$before" "$MNT/head/f" >/dev/null
    # It is at the end of the short content: what follows is the rest of the long one.
    assert_eq "after" "$(md5sum <&7)" "$(seq 1 100000 | tail -c +7 | md5sum)"
    exec 7<&-
}

# The kernel then has its own mind about sizes and times.
test_with_the_write_back_cache() {
    local before
    new_store
    mount_store writeback_cache
    in_head bash -c 'echo one >a; seq 1 10000 >b; echo one >c; touch -d 2001-02-03 a'
    before=$(commit one)
    in_head bash -c 'seq 1 20000 >a; echo short >b; seq 1 30000 >c'
    exec 7<"$MNT/head/b" 8<"$MNT/head/c"
    in_head cat a b c >/dev/null
    revert --at "$before" "$MNT/head" >/dev/null
    assert_same_tree "$MNT/head" "$MNT/at/$before" times
    assert_eq "an open file that grew" "$(md5sum <&7)" "$(seq 1 10000 | md5sum)"
    assert_eq "an open file that shrank" "$(cat <&8)" one
    exec 7<&- 8<&-
    assert_same_tree "$MNT/head" "$MNT/at/$before" times
}

test_what_is_written_but_not_sealed_counts() {
    local before
    new_store
    mount_store commit-interval=1h
    echo one >"$MNT/head/f"
    before=$(commit one)
    echo two >"$MNT/head/f"
    echo new >"$MNT/head/g"
    revert --at "$before" "$MNT/head" >/dev/null
    assert_eq f "$(cat "$MNT/head/f")" one
    [ ! -e "$MNT/head/g" ]
    # It was committed first, so that nothing is lost.
    assert_eq "g before the revert" "$(cat "$MNT/at/now^/g")" new
}

test_paths_say_what_and_when() {
    local one two
    new_store
    mount_store
    mkdir "$MNT/head/d"
    echo one >"$MNT/head/d/f"
    one=$(commit one)
    echo two >"$MNT/head/d/f"
    two=$(commit two)
    echo three >"$MNT/head/d/f"
    commit three >/dev/null
    revert "$MNT/at/$two/d/f" >/dev/null
    assert_eq "after a path in a view" "$(cat "$MNT/head/d/f")" two
    (cd "$MNT/before/$two/d" && revert f >/dev/null)
    assert_eq "after a relative path in a view" "$(cat "$MNT/head/d/f")" one
    (cd "$MNT/head/d" && revert --at "$two" f >/dev/null)
    assert_eq "after a relative path in head" "$(cat "$MNT/head/d/f")" two
    (cd "$MNT/at/$one/d" && revert --at "$two" f) >nothing
    assert_match "nothing" "$(cat nothing)" '^nothing to do'
    expect_fail 1 'to when\?' revert "$MNT/head/d/f"
    expect_fail 1 'lie in different times' revert "$MNT/at/$one/d/f" "$MNT/at/$two/d/f"
}

test_a_store_at_rest() {
    local before
    new_store
    mount_store
    echo one >"$MNT/head/f"
    before=$(commit one)
    echo two >"$MNT/head/f"
    unmount
    revert --store "$STORE" --at "$before" -m 'back to one' f >/dev/null
    tidfs verify "$STORE" >/dev/null
    assert_match "the message" "$(tidfs log -n 1 --store "$STORE")" 'back to one'
    assert_eq "f" "$(tidfs cat --store "$STORE" now f)" one
}

test_keep_new_deletes_nothing() {
    local before
    new_store
    mount_store
    echo one >"$MNT/head/f"
    before=$(commit one)
    echo two >"$MNT/head/f"
    echo new >"$MNT/head/g"
    revert --keep-new --at "$before" "$MNT/head" >/dev/null
    assert_eq f "$(cat "$MNT/head/f")" one
    assert_eq g "$(cat "$MNT/head/g")" new
}

test_hunks_are_picked() {
    local before
    new_store
    mount_store
    seq 1 50 >"$MNT/head/f"
    echo one >"$MNT/head/g"
    mkdir "$MNT/head/d"
    echo gone >"$MNT/head/d/gone"
    before=$(commit one)
    sed -i -e 's/^5$/five/' -e 's/^25$/twenty-five/' -e '$ s/$/ and last/' "$MNT/head/f"
    echo two >"$MNT/head/g"
    rm -r "$MNT/head/d"
    echo new >"$MNT/head/new"
    commit two >/dev/null
    # d, d/gone, the hunks of f, g, new.
    printf '%s\n' y y n '?' y n n n | revert --patch --at "$before" "$MNT/head" >asked
    assert_match "what was asked" "$(cat asked)" 'Put this hunk back \[y,n,q,a,d,\?\]'
    assert_eq f "$(cat "$MNT/head/f")" "$(seq 1 50 | sed -e 's/^5$/five/' -e '$ s/$/ and last/')"
    assert_eq g "$(cat "$MNT/head/g")" two
    assert_eq d/gone "$(cat "$MNT/head/d/gone")" gone
    assert_eq new "$(cat "$MNT/head/new")" new
    # The end of the input is a q.
    revert --patch --at "$before" "$MNT/head" </dev/null >asked
    assert_match "nothing chosen" "$(tail -n 1 asked)" 'nothing was chosen'
    printf '%s\n' a y y | revert --patch --at "$before" "$MNT/head" >/dev/null
    assert_same_tree "$MNT/head" "$MNT/at/$before"
}

# What nobody was asked about, or said no to, stays: times too.
test_picked_changes_are_all_that_is_done() {
    local before
    new_store
    mount_store
    in_head bash -e -c 'mkdir gone d; echo 1 >gone/x; echo 1 >gone/y; echo 1 >d/f; echo 1 >m; echo 1 >r; touch -d 2001-02-03 .'
    before=$(commit one)
    in_head bash -e -c '
        rm -r gone; mkdir -p deep/er; echo new >deep/er/z; echo new >deep/w; chmod 600 m; mv r s; echo 2 >d/f
        touch -d 2011-12-13 deep deep/er .'
    commit two >/dev/null
    # d/f, deep/er/z, deep/w, gone, m, the rename; then deep/er, and not deep, as something in it stays.
    printf '%s\n' n y n n n n y | revert --patch --at "$before" "$MNT/head" >asked
    assert_eq "questions" "$(grep -c '?]?' asked)" 7
    ! grep -qE '^A  gone/[xy]' asked || fail "asked about what is in a directory that is not to come: $(cat asked)"
    [ ! -e "$MNT/head/gone" ] && [ ! -e "$MNT/head/r" ]
    diff <(in_head find . | sort) - <<'END'
.
./d
./d/f
./deep
./deep/w
./m
./s
END
    assert_eq "time of ." "$(stat -c %y "$MNT/head")" "2011-12-13 00:00:00.000000000 +0000"
    # y to all of them is the whole revert.
    printf 'y\n%.0s' {1..20} | revert --patch --at "$before" "$MNT/head" >asked
    assert_match asked "$(cat asked)" '^A  gone/$'
    assert_same_tree "$MNT/head" "$MNT/at/$before"
}

test_other_names_of_a_file() {
    local one
    new_store
    mount_store
    in_head bash -e -c 'echo 1 >f; ln f g; echo h >h1; ln h1 h2'
    one=$(commit one)
    in_head bash -e -c 'echo 2 >f; rm h1'
    commit two >/dev/null
    revert --dry-run --at "$one" "$MNT/head/f" >printed
    diff printed - <<'END'
M  f  (content)
M  g  (content)
END
    revert --json --at "$one" "$MNT/head/f" >json
    assert_match "the second" "$(sed -n 2p json)" '"path": *"g"'
    revert --at "$one" "$MNT/head/h1" >/dev/null
    assert_eq "h1" "$(inode "$MNT/head/h1")" "$(inode "$MNT/head/h2")"
    assert_eq "links" "$(stat -c %h "$MNT/head/h2")" 2
}

test_what_cannot_be_printed_was_done() {
    local one last
    [ -c /dev/full ] || skip "no /dev/full"
    new_store
    mount_store
    echo 1 >"$MNT/head/f"
    one=$(commit one)
    echo 2 >"$MNT/head/f"
    last=$(newest_tid)
    { "$TIDFS" revert --at "$one" "$MNT/head/f" 2>said >/dev/full && fail "it could not be printed"; } || true
    [ "$(newest_tid)" != "$last" ]
    assert_match said "$(cat said)" "it was done all the same, in transaction $(newest_tid)"
}

test_bad_input_says_what_is_wrong() {
    local one
    new_store
    mount_store
    echo one >"$MNT/head/f"
    one=$(commit one)
    echo here >"$MNT/head/short"
    commit short >/dev/null
    rm "$MNT/head/short"
    commit gone >/dev/null
    expect_fail 1 'nothing: not there then, nor at any other time' revert --at "$one" "$MNT/head/nothing"
    expect_fail 1 'not there then, nor now; it came in .* and was gone in' revert --at "$one" "$MNT/head/short"
    expect_fail 1 'in the future' revert --at 2200-01-01 "$MNT/head/f"
    expect_fail 1 '-9000d is before the first transaction: there is nothing to put back' revert --at -9000d "$MNT/head"
    expect_fail 1 'before the first transaction' revert --dry-run --at 1999 "$MNT/head/f"
    assert_eq "f after that" "$(cat "$MNT/head/f")" one
    expect_fail 1 'revert: the message is empty' revert --at "$one" -m '' "$MNT/head/f"
    expect_fail 1 'no tag has that name' revert --at no-such-tag "$MNT/head/f"
    expect_fail 2 'which file' revert --at "$one"
    expect_fail 2 'choose one' revert --patch --json --at "$one" "$MNT/head/f"
    mount_store ro "$DIR/read-only"
    expect_fail 1 'is a read-only mount' revert --at "$one" "$DIR/read-only/head/f"
    unmount
    expect_fail 1 'is a view, and no mount writes' revert "$DIR/read-only/at/$one/f"
    # It may be asked what would be done.
    revert --dry-run --at "$one" "$DIR/read-only/head/f" >/dev/null
}

test_others_may_not() {
    local before
    need_root
    new_store
    mount_store allow_other
    chmod 777 "$MNT/head"
    echo one >"$MNT/head/f"
    before=$(commit one)
    echo two >"$MNT/head/f"
    chmod 755 "$WORK" "$DIR"
    expect_fail 1 'only the mount.s owner and root may|ermission' \
        setpriv --reuid 12345 --regid 12345 --clear-groups "$TIDFS" revert --at "$before" "$MNT/head/f"
    assert_eq f "$(cat "$MNT/head/f")" two
}

test_a_full_disk_leaves_nothing_half_done() {
    local before after
    need_root
    mkdir "$DIR/small"
    mount -t tmpfs -o size=12m tmpfs "$DIR/small"
    STORE=$DIR/small/store
    new_store
    mount_store
    # Files whose names and attributes alone are more than what will be left.
    mkdir "$MNT/head/d"
    (cd "$MNT/head/d" && for i in $(seq 1 2000); do echo "$i" >"file-with-a-long-name-$i"; done)
    before=$(commit made)
    rm -r "$MNT/head/d"
    commit gone >/dev/null
    echo stays >"$MNT/head/stays"
    after=$(commit stays)
    dd if=/dev/zero of="$DIR/small/filler" bs=64k 2>/dev/null || true
    expect_fail 1 'no space left' revert --at "$before" "$MNT/head"
    assert_eq "the tree" "$(ls "$MNT/head")" stays
    assert_eq "newest" "$(newest_tid)" "$after"
    rm "$DIR/small/filler"
    revert --at "$before" "$MNT/head" >/dev/null
    assert_same_tree "$MNT/head" "$MNT/at/$before"
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_a_file_comes_back_though_its_directory_was_renamed() {
    new_store
    mount_store
    cd "$MNT/head"
    mkdir d
    echo 1 >d/f
    echo 2 >d/g
    then=$(tidfs commit)
    mv d e
    tidfs commit >/dev/null
    tidfs revert --at "$then" d/f >/dev/null
    assert_eq 'what is there' "$(find . -type f | sort | tr '\n' ' ')" './d/f ./e/f ./e/g '
    assert_eq 'its content' "$(cat d/f)" 1
    echo changed >d/f
    assert_eq 'the renamed one' "$(cat e/f)" 1
}

run_tests "$@"
