#!/usr/bin/env bash
# /versions: every version of a path, as files named by time; and `tidfs versions`, which tells the same.
. "$(dirname "$0")/lib.sh"

version_name='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}\.[0-9]{9}Z'

# A file with four versions: three contents, and a mode. $TIDS are theirs, oldest first.
make_four() {
    new_store
    mount_store "commit-interval=1h${1:+,$1}"
    mkdir "$MNT/head/dir"
    TIDS=()
    local text
    for text in one two three; do
        echo "$text" >>"$MNT/head/dir/f"
        TIDS+=("$(commit "$text")")
    done
    chmod 600 "$MNT/head/dir/f"
    TIDS+=("$(commit mode)")
}

# names PATH: what /versions lists of it, a line each.
names() {
    ls -1 "$MNT/versions/$1"
}

# count_names PATH
count_names() {
    names "$1" | wc -l
}

test_a_file_lists_its_versions_by_time() {
    local i=0 version time
    make_four
    assert_eq 'number of versions' "$(count_names dir/f)" 4
    while read -r version; do
        assert_match name "$version" "^$version_name\$"
        assert_eq "content of $version" "$(cat "$MNT/versions/dir/f/$version")" "$(cat "$MNT/at/${TIDS[i]}/dir/f")"
        assert_eq "attributes of $version" "$(stat -c '%i %s %a %u %g %h %y %F' "$MNT/versions/dir/f/$version")" \
            "$(stat -c '%i %s %a %u %g %h %y %F' "$MNT/at/${TIDS[i]}/dir/f")"
        time=$(tidfs at --json "$version" --store "$STORE" | grep -o '"tid": "[0-9a-f]*"')
        assert_eq "what $version means" "$time" "\"tid\": \"${TIDS[i]}\""
        i=$((i + 1))
    done < <(names dir/f)
    assert_eq 'the directory' "$(stat -c %F "$MNT/versions/dir/f")" directory
    mapfile -t VERSIONS < <(names dir/f)
    cd "$MNT/versions/dir/f"
    expect_fail 1 '' diff "${VERSIONS[0]}" "${VERSIONS[1]}"
    diff "${VERSIONS[2]}" "${VERSIONS[3]}"
    cd "$DIR"
    unmount
}

test_what_shells_complete() {
    make_four
    assert_eq 'completions' "$(bash -c 'compgen -f "$1/versions/dir/f/2"' - "$MNT" | wc -l)" 4
    assert_eq 'a pattern' "$(bash -c 'cd "$1/versions/dir/f" && echo 2*Z' - "$MNT" | wc -w)" 4
    assert_eq 'with types' "$(find "$MNT/versions/dir/f" -type f | wc -l)" 4
    assert_eq 'by size' "$(find "$MNT/versions/dir/f" -type f -size -5c | wc -l)" 1
    cp "$MNT/versions/dir/f/$(names dir/f | head -n 1)" "$MNT/head/dir/back"
    assert_eq 'a copy' "$(cat "$MNT/head/dir/back")" one
}

test_nothing_else_is_listed() {
    make_four
    ln -s dir "$MNT/head/link"
    commit >/dev/null
    assert_eq 'what find finds' "$(find "$MNT/versions")" "$MNT/versions"
    assert_eq 'below a directory' "$(find "$MNT/versions/dir")" "$MNT/versions/dir"
    assert_eq 'files' "$(find "$MNT" -type f -path '*/versions/*')" ''
    assert_eq 'beside the others' "$(ls "$MNT")" $'README\nat\nbefore\nhead\nversions'
    grep -q '^versions/' "$MNT/README"
    expect_fail any 'No such file' stat "$MNT/versions/nothing"
    expect_fail any 'No such file' stat "$MNT/versions/dir/f/nothing"
    expect_fail any 'No such file' stat "$MNT/versions/dir/2026"
    expect_fail any 'No such file' stat "$MNT/versions/link/f"
}

test_every_time_can_be_looked_up() {
    make_four
    tidfs tag middle "${TIDS[1]}" --store "$STORE" >/dev/null
    local now
    now=$(names dir/f | tail -n 1)
    assert_eq 'now' "$(readlink "$MNT/versions/dir/f/now")" "$now"
    assert_eq 'its size' "$(stat -c %s "$MNT/versions/dir/f/now")" ${#now}
    assert_eq 'a tag' "$(cat "$MNT/versions/dir/f/middle")" $'one\ntwo'
    assert_eq 'a tid' "$(cat "$MNT/versions/dir/f/${TIDS[0]}")" one
    assert_eq 'a step' "$(cat "$MNT/versions/dir/f/now~3")" one
    echo four >>"$MNT/head/dir/f"
    assert_eq 'now, later' "$(tail -n 1 "$MNT/versions/dir/f/now")" four
    expect_fail any 'No such file' cat "$MNT/versions/dir/f/2001"
    expect_fail any 'No such file' cat "$MNT/versions/dir/f/5000"
    rm "$MNT/head/dir/f"
    expect_fail any 'No such file' cat "$MNT/versions/dir/f/now"
    assert_eq 'before it went' "$(tail -n 1 "$MNT/versions/dir/f/now^")" four
}

test_a_new_version_is_seen_at_once() {
    local i
    make_four
    for i in $(seq 5 25); do
        echo "$i" >>"$MNT/head/dir/f"
        assert_eq "versions after change $i" "$(count_names dir/f)" "$i"
        assert_eq 'again' "$(count_names dir/f)" "$i"
    done
    # A reader that asks for nothing but names, and one that stands in the directory.
    python3 - "$MNT" <<'END'
import os, sys
mnt = sys.argv[1]
os.chdir(mnt + "/versions/dir/f")
for i in range(26, 40):
    with open(mnt + "/head/dir/f", "a") as f:
        f.write("more\n")
    assert len(os.listdir(mnt + "/versions/dir/f")) == i, (i, len(os.listdir(mnt + "/versions/dir/f")))
    assert len(os.listdir(".")) == i, i
END
}

test_a_file_that_did_not_exist_a_moment_ago() {
    new_store
    mount_store commit-interval=1h
    expect_fail any 'No such file' ls "$MNT/versions/f"
    echo x >"$MNT/head/f"
    assert_eq 'its versions' "$(count_names f)" 1
    mkdir -p "$MNT/head/a/b"
    echo y >"$MNT/head/a/b/c"
    assert_eq 'versions further down' "$(count_names a/b/c)" 1
}

test_many_versions_are_listed_once_each() {
    local i
    new_store
    mount_store commit-interval=1h
    for ((i = 0; i < 400; i++)); do
        echo "$i" >"$MNT/head/f"
        sync "$MNT/head/f" # each a transaction
    done
    assert_eq 'the number' "$(count_names f)" 400
    assert_eq 'different ones' "$(names f | sort -u | wc -l)" 400
    assert_eq 'contents' "$(cat "$MNT/versions/f/"* | tr '\n' ' ')" "$(seq 0 399 | tr '\n' ' ')"
    assert_eq 'with attributes' "$(find "$MNT/versions/f" -type f -printf '%f %T@\n' | sort | awk '$2 < last { exit 1 } { last = $2 } END { print NR }')" 400
}

test_saving_by_rename_removing_and_making_again() {
    new_store
    mount_store commit-interval=1h
    echo one >"$MNT/head/f"
    commit >/dev/null
    echo two >"$MNT/head/.f.tmp"
    commit >/dev/null # an editor's fsync
    mv "$MNT/head/.f.tmp" "$MNT/head/f"
    commit >/dev/null
    rm "$MNT/head/f"
    commit >/dev/null
    ln -s elsewhere "$MNT/head/f"
    commit >/dev/null
    mv "$MNT/head/f" "$MNT/head/g"
    commit >/dev/null
    assert_eq 'versions' "$(count_names f)" 3
    assert_eq 'contents' "$(find "$MNT/versions/f/" -type f -exec cat {} + | sort | tr '\n' ' ')" 'one two '
    assert_eq 'a symlink' "$(find "$MNT/versions/f/" -type l -printf %l)" elsewhere
    assert_eq 'of the temporary name' "$(cat "$MNT/versions/.f.tmp/"*)" two
    assert_eq 'of the new name' "$(readlink "$MNT/versions/g/"*)" elsewhere
    assert_eq kinds "$(tidfs versions --json "$MNT/head/f" | grep -oE '"kind": "[a-z]+"' | cut -d '"' -f 4 | tr '\n' ' ')" \
        'deleted added deleted modified added '
}

test_vim_saves() {
    need vim
    new_store
    mount_store commit-interval=1h
    echo one >"$MNT/head/f"
    commit >/dev/null
    vim -u NONE -es -c 'set backup backupcopy=no backupskip=' -c 's/one/two/' -c wq "$MNT/head/f" </dev/null
    assert_eq 'what vim wrote' "$(cat "$MNT/head/f")" two
    assert_eq 'versions' "$(cat "$MNT/versions/f/"* | tr '\n' ' ')" 'one two '
    assert_eq 'of its backup' "$(cat "$MNT/versions/f~/"*)" one
}

test_directories_that_are_renamed_and_replaced() {
    new_store
    mount_store commit-interval=1h
    mkdir "$MNT/head/d"
    echo one >"$MNT/head/d/f"
    commit >/dev/null
    mv "$MNT/head/d" "$MNT/head/e"
    commit >/dev/null
    mkdir "$MNT/head/d"
    echo two >"$MNT/head/d/f"
    commit >/dev/null
    echo three >"$MNT/head/e/f"
    commit >/dev/null
    rm -r "$MNT/head/e"
    echo now >"$MNT/head/e"
    assert_eq 'd/f' "$(cat "$MNT/versions/d/f/"* | tr '\n' ' ')" 'one two '
    assert_eq 'e/f' "$(cat "$MNT/versions/e/f/"* | tr '\n' ' ')" 'one three '
    assert_eq 'e, which was a directory' "$(cat "$MNT/versions/e/"*)" now
    assert_eq 'e/f now' "$(stat -c %F "$MNT/versions/e/f")" directory
    expect_fail any 'No such file' cat "$MNT/versions/e/f/now"
    expect_fail any 'No such file' stat "$MNT/versions/e/2001"
}

test_nothing_can_be_changed() {
    local path
    make_four
    path=$MNT/versions/dir/f/$(names dir/f | head -n 1)
    expect_fail any 'Read-only' mkdir "$MNT/versions/new"
    expect_fail any 'Read-only' touch "$MNT/versions/dir/new"
    expect_fail any 'Read-only' ln -s x "$MNT/versions/dir/f/new"
    expect_fail any 'Read-only' rm "$path"
    expect_fail any 'Read-only' mv "$path" "$MNT/versions/dir/f/other"
    expect_fail any 'Read-only' chmod 777 "$path"
    expect_fail any 'Read-only' chmod 777 "$MNT/versions/dir/f"
    expect_fail any 'Read-only' rmdir "$MNT/versions/dir/f"
    expect_fail any 'Read-only' truncate -s 0 "$path"
    expect_fail any 'Read-only' setfattr -n user.x -v y "$path"
    assert_eq 'the file' "$(cat "$path")" one
}

test_after_mounting_again_and_read_only() {
    make_four
    rm -r "$MNT/head/dir"
    local before
    before=$(names dir/f)
    unmount
    mount_store
    assert_eq 'after mounting again' "$(names dir/f)" "$before"
    assert_eq 'contents' "$(cat "$MNT/versions/dir/f/"* | wc -l)" 9
    # What another mount commits is seen, too.
    mount_store ro "$DIR/ro"
    echo new >"$MNT/head/new"
    commit >/dev/null
    assert_eq 'in a read-only mount' "$(cat "$DIR/ro/versions/new/"*)" new
    echo newer >"$MNT/head/new"
    commit >/dev/null
    assert_eq 'and then' "$(cat "$DIR/ro/versions/new/"* | tr '\n' ' ')" 'new newer '
    assert_eq 'what was deleted' "$(ls "$DIR/ro/versions/dir/f")" "$before"
    unmount "$DIR/ro"
}

test_a_mount_of_one_view_has_none() {
    make_four
    mount_store "at=${TIDS[0]}" "$DIR/one"
    expect_fail any 'No such file' ls "$DIR/one/versions"
    assert_eq 'what it has' "$(ls "$DIR/one")" dir
}

test_a_mount_of_a_subdirectory_shows_what_is_below_it() {
    make_four
    echo x >"$MNT/head/outside"
    unmount
    mount_store subdir=dir
    assert_eq 'its file' "$(count_names f)" 4
    expect_fail any 'No such file' ls "$MNT/versions/outside"
    expect_fail any 'No such file' ls "$MNT/versions/dir"
    assert_eq 'tidfs versions' "$(tidfs versions "$MNT/head/f" | awk '{ print $NF }' | head -n 1)" "$MNT/at/${TIDS[3]}/f"
}

test_others_may_not_enter_unless_they_are_let() {
    need_root
    need setpriv
    local other=(setpriv --reuid 65534 --clear-groups)
    chmod 711 "$WORK" "$DIR"
    make_four allow_other
    "${other[@]}" ls "$MNT/head" >/dev/null
    chmod 644 "$MNT/head/dir/f"
    commit >/dev/null
    expect_fail any 'Permission denied' "${other[@]}" ls "$MNT/versions/dir/f"
    expect_fail any 'Permission denied' "${other[@]}" cat "$MNT/versions/dir/f/now"
    unmount
    mount_store allow_other,history=all,commit-interval=1h
    assert_eq 'one that others may read' "$("${other[@]}" cat "$MNT/versions/dir/f/now" | wc -l)" 3
    expect_fail any 'Permission denied' "${other[@]}" cat "$MNT/versions/dir/f/${TIDS[3]}"
    # A directory that was nobody else's at some time: what is below is not theirs, even if it is everybody's now.
    mkdir -m 700 "$MNT/head/closed"
    echo secret >"$MNT/head/closed/f"
    commit >/dev/null
    chmod 755 "$MNT/head/closed"
    echo public >"$MNT/head/closed/f"
    commit >/dev/null
    assert_eq 'now' "$("${other[@]}" cat "$MNT/head/closed/f")" public
    expect_fail any 'Permission denied' "${other[@]}" ls "$MNT/versions/closed/f"
    assert_eq 'for the owner' "$(cat "$MNT/versions/closed/f/"* | tr '\n' ' ')" 'secret public '
    mkdir -m 755 "$MNT/head/given"
    echo x >"$MNT/head/given/f"
    commit >/dev/null
    chown 65534:65534 "$MNT/head/given"
    commit >/dev/null
    assert_eq 'one that changed hands' "$("${other[@]}" cat "$MNT/versions/given/f/now")" x
    chmod 700 "$MNT/head/given"
    expect_fail any 'Permission denied' setpriv --reuid 65533 --clear-groups ls "$MNT/versions/given/f"
}

test_pages_are_shared_with_the_views() {
    make_four
    cat "$MNT/at/${TIDS[0]}/dir/f" >/dev/null
    local reads
    reads=$(tidfs status --json "$MNT" | grep -oE '"read": [0-9]+')
    assert_eq content "$(cat "$MNT/versions/dir/f/${TIDS[0]}")" one
    assert_eq 'requests to read' "$(tidfs status --json "$MNT" | grep -oE '"read": [0-9]+')" "$reads"
}

# ---------------------------------------------------------------- tidfs versions

# kinds ARGUMENTS…: the kind of change of each version, in the order of `tidfs versions`.
kinds() {
    tidfs versions --json "$@" | python3 -c 'import json, sys
for line in sys.stdin:
    x = json.loads(line)
    print(x["kind"] + "".join(":" + c for c in x.get("changed", []) if c != "times"), end=" ")'
}

test_the_command_lists_the_same() {
    make_four
    cd "$MNT/head/dir"
    assert_eq kinds "$(kinds f)" 'modified:mode modified:content modified:content added '
    assert_eq 'oldest first' "$(kinds --reverse f)" 'added modified:content modified:content modified:mode '
    assert_eq 'the newest two' "$(kinds -n 2 f)" 'modified:mode modified:content '
    assert_eq 'the newest two, reversed' "$(kinds -n 2 --reverse f)" 'modified:content modified:mode '
    assert_eq tids "$(tidfs versions --reverse f | awk '{ print $2 }' | tr '\n' ' ')" "${TIDS[*]} "
    assert_eq 'what opens one' "$(cat "$(tidfs versions --reverse f | awk 'NR == 2 { print $NF }')")" $'one\ntwo'
    assert_match 'a line' "$(tidfs versions --utc -n 1 f)" "^[0-9T:.-]{29}Z  ${TIDS[3]} +14 bytes  mode +$MNT/at/${TIDS[3]}/dir/f\$"
    assert_eq 'times that the mount has as names' "$(tidfs versions --utc --reverse f | awk '{ print $1 }' | tr -d :)" "$(names dir/f)"
    assert_eq 'a directory' "$(kinds .)" 'modified:content modified:content modified:content added '
    expect_fail 2 'one path' tidfs versions f f
    expect_fail 2 'path is needed' tidfs versions
    expect_fail 2 'number' tidfs versions -n x f
    expect_fail 1 'missing: not there now, nor at any other time' tidfs versions missing
}

test_the_command_in_other_times_and_places() {
    make_four
    mv "$MNT/head/dir/f" "$MNT/head/g"
    local moved
    moved=$(commit)
    cd "$MNT/head"
    assert_eq 'what is gone' "$(kinds dir/f)" 'deleted modified:mode modified:content modified:content added '
    assert_eq 'followed' "$(kinds --follow g)" 'renamed modified:mode modified:content modified:content added '
    assert_match 'where it was' "$(tidfs versions --follow g)" "/at/${TIDS[0]}/dir/f\$"
    assert_match 'from where' "$(tidfs versions --follow -n 1 g)" '/g  from dir/f$'
    assert_eq 'in a view' "$(kinds "$MNT/at/${TIDS[1]}/dir/f")" 'modified:content added '
    expect_fail 1 "not there yet then: it came later, in $moved, " tidfs versions "$MNT/at/${TIDS[1]}/g"
    cd /
    unmount
    assert_eq 'a store at rest' "$(kinds --store "$STORE" g)" 'added '
    assert_match 'which has no path that opens it' "$(tidfs versions --json --store "$STORE" g)" '"opens": null'
    local line
    line=$(tidfs versions --store "$STORE" --json g)
    assert_eq 'as JSON' "$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["command"])' "$line")" \
        "tidfs cat --store $STORE $moved /g"
    assert_match 'of a directory' "$(tidfs versions --store "$STORE" -n 1 '')" " tidfs ls --store $STORE $moved /\$"
    assert_match 'of what is gone' "$(tidfs versions --store "$STORE" -n 1 dir/f)" '  -$'
    mount_store "at=$moved" "$DIR/one"
    assert_match 'in a mount of one view' "$(tidfs versions "$DIR/one/g")" " tidfs cat --store $STORE $moved /g\$"
    unmount "$DIR/one"
    assert_match 'but a command' "$(tidfs versions --store "$STORE" g)" "$moved .* tidfs cat --store $STORE $moved /g\$"
}

test_the_command_shown_can_be_run() {
    # shellcheck disable=SC2016 # a name with a dollar
    local name names=(-n "it's" 'a b$x' $'new\nline \e[31m' 'Zoë' $'\xff\xfe' 'b\c' $'x\nq\'\\7')
    new_store
    mount_store commit-interval=1h
    for name in "${names[@]}"; do
        echo "content of $name" >"$MNT/head/$name"
    done
    commit >/dev/null
    unmount
    for name in "${names[@]}"; do
        [ "$(tidfs versions --store "$STORE" "/$name" | wc -l)" = 1 ] || fail "more than a line for $name"
        assert_eq "what shows $name" "$(eval "$(tidfs versions --store "$STORE" "/$name" | grep -ao 'tidfs cat .*')")" \
            "content of $name"
    done
}

test_commands_know_where_one_stands_in_versions() {
    make_four
    cd "$MNT/versions/dir"
    assert_eq 'a path' "$(kinds f)" 'modified:mode modified:content modified:content added '
    assert_eq 'a version' "$(kinds "f/${TIDS[1]}")" 'modified:content added '
    assert_eq 'the log of a version' "$(tidfs log "f/$(names dir/f | head -n 1)" | cut -c 1-16)" "${TIDS[0]}"
    assert_eq 'another time' "$(cat "$(tidfs at "${TIDS[0]}" f)")" one
    expect_fail 1 'g: not there now, nor at any other time' tidfs versions g
    expect_fail 1 'not in a tree' tidfs versions "$MNT/versions"
}

test_the_command_sees_what_was_just_written() {
    make_four
    echo five >>"$MNT/head/dir/f"
    assert_eq 'a change' "$(tidfs versions "$MNT/head/dir/f" | wc -l)" 5
    echo x >"$MNT/head/new"
    assert_eq 'a new file' "$(tidfs versions "$MNT/head/new" | wc -l)" 1
}

run_tests "$@"
