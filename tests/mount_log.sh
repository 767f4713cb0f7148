#!/usr/bin/env bash
# `tidfs log`: which transactions it picks, in which order, and what it shows of them.
. "$(dirname "$0")/lib.sh"

# Six transactions, $TIDS[1..6], after the one that made the store: a file is made, changed, and renamed with its directory.
make_six() {
    new_store
    mount_store commit-interval=1h
    cd "$MNT/head"
    TIDS=('')
    mkdir dir
    echo one >dir/f
    TIDS+=("$(tidfs commit --user alice -m 'Make dir/f')")
    echo two >>dir/f
    TIDS+=("$(tidfs commit --user bob -m $'Change it\n\nfor issue #12')")
    echo x >other
    TIDS+=("$(tidfs commit --user alice -m 'Something else')")
    mv dir moved
    TIDS+=("$(tidfs commit --user bob -m 'Rename dir')")
    echo three >>moved/f
    TIDS+=("$(tidfs commit --user alice -m 'Change it again')")
    mv moved/f moved/g
    TIDS+=("$(tidfs commit --user alice -m 'Rename f')")
}

# picked ARGUMENTS…: the numbers of the transactions in the log, in its order.
picked() {
    local tid i
    tidfs log "$@" | { grep -oE '^[0-9a-f]{16}' || true; } | while read -r tid; do
        for ((i = 1; i < ${#TIDS[@]}; i++)); do
            [ "$tid" != "${TIDS[i]}" ] || printf '%s ' "$i"
        done
    done
}

test_by_user_and_message() {
    make_six
    assert_eq 'a user' "$(picked --user bob)" '4 2 '
    assert_eq 'no such user' "$(picked --user bo)" ''
    assert_eq 'a pattern' "$(picked --grep '^Change')" '5 2 '
    assert_eq 'of a later line' "$(picked --grep '^for issue #[0-9]+$')" '2 '
    assert_eq 'in its case' "$(picked --grep rename)" ''
    assert_eq 'in any case' "$(picked --grep rename -i)" '6 4 '
    assert_eq 'fixed' "$(picked -F --grep 'issue #12')" '2 '
    assert_eq 'fixed, no pattern' "$(picked -F --grep '^Change')" ''
    assert_eq 'fixed in any case' "$(picked -F -i --grep 'ISSUE #')" '2 '
    assert_eq 'both' "$(picked --user alice --grep Rename)" '6 '
    assert_eq 'two of many' "$(picked --user alice -n 2)" '6 5 '
    expect_fail 2 '--grep \(: ' tidfs log --grep '('
    expect_fail 2 'go with --grep' tidfs log -i
}

test_since_and_until() {
    make_six
    assert_eq since "$(picked --since "${TIDS[4]}")" '6 5 4 '
    assert_eq until "$(picked --until "${TIDS[2]}")" '2 1 '
    assert_eq both "$(picked --since "${TIDS[2]}" --until "${TIDS[4]}")" '4 3 2 '
    assert_eq 'with a range' "$(picked --since "${TIDS[2]}" "..${TIDS[3]}")" '3 2 '
    assert_eq 'relative' "$(picked --since -1h)" '6 5 4 3 2 1 '
    assert_eq 'nothing' "$(picked --until -1h)" ''
    expect_fail 1 'not a time' tidfs log --since nonsense
    tidfs tag release-1 "${TIDS[2]}" >/dev/null
    assert_eq 'a tag' "$(picked --since release-1 --until release-1)" '2 '
    expect_fail 1 'no tag has that name; did you mean release-1' tidfs log --until relese-1
    expect_fail 1 'did you mean release-1' tidfs log release-1..relese-1
}

test_an_end_in_the_future_is_now() {
    make_six
    assert_eq 'a period' "$(picked 2001..2999)" '6 5 4 3 2 1 '
    assert_eq 'with until' "$(picked --until 2999)" '6 5 4 3 2 1 '
    expect_fail 1 'future' tidfs log 2999..
    expect_fail 1 'future' tidfs log --since 2999
}

test_reversed() {
    make_six
    assert_eq 'all' "$(picked --reverse)" '1 2 3 4 5 6 '
    assert_eq 'a range' "$(picked --reverse "${TIDS[2]}..${TIDS[4]}")" '2 3 4 '
    assert_eq 'the newest' "$(picked --reverse -n 2)" '5 6 '
    assert_eq 'those of a user' "$(picked --reverse --user bob)" '2 4 '
    assert_eq 'the newest of a user' "$(picked --reverse -n 2 --user alice)" '5 6 '
    assert_eq 'of a path' "$(picked --reverse --follow moved/g)" '1 2 4 5 6 '
    assert_eq 'the newest of a path' "$(picked --reverse --follow -n 3 moved/g)" '4 5 6 '
}

test_of_paths() {
    make_six
    assert_eq 'a file' "$(picked moved/g)" '6 '
    assert_eq 'under its old name' "$(picked moved/f)" '6 5 4 '
    assert_eq 'in its old directory' "$(picked dir/f)" '4 2 1 '
    assert_eq 'followed' "$(picked --follow moved/g)" '6 5 4 2 1 '
    assert_eq 'a directory' "$(picked moved)" '6 5 4 '
    assert_eq 'a directory followed' "$(picked --follow moved)" '6 5 4 2 1 '
    assert_eq 'two' "$(picked other dir)" '4 3 2 1 '
    assert_eq 'three that meet' "$(picked moved moved/f dir/f)" '6 5 4 2 1 '
    assert_eq 'a range of two' "$(picked "${TIDS[2]}..${TIDS[3]}" other dir/f)" '3 2 '
    expect_fail 1 'missing: not there now, nor at any other time' tidfs log other missing
    expect_fail 1 "other: not there yet then: it came later, in ${TIDS[3]}, " tidfs log "${TIDS[2]}" other
    expect_fail 2 'needs a path' tidfs log --follow
}

test_with_what_changed() {
    make_six
    assert_match 'a patch' "$(tidfs log -p -n 1 "..${TIDS[5]}")" '^\+three$'
    assert_match 'a rename' "$(tidfs log -p -n 1)" '^rename to moved/g$'
    assert_match 'of the path alone' "$(tidfs log --name-status --follow moved/g | tr '\t' ' ')" '^A dir/f$'
    assert_eq 'of another path' "$(tidfs log --name-status other | grep -c '^[A-Z]')" 1
    assert_match stat "$(tidfs log --stat -n 1 "..${TIDS[2]}")" '1 insertion'
    # What is printed can be applied in turn to what was there at first.
    mkdir "$DIR/apply"
    cd "$DIR/apply"
    git init -q
    for i in 1 2 3 4 5 6; do
        tidfs log -p -n 1 --store "$STORE" "..${TIDS[i]}" | sed 1d | git apply
    done
    assert_same_tree "$MNT/head/moved" "$DIR/apply/moved"
    expect_fail 2 'tidfs show' tidfs log -p --json --store "$STORE"
    expect_fail 2 'name-status goes without' tidfs log --stat --name-status --store "$STORE"
}

test_json_is_an_object_a_line() {
    make_six
    tidfs log --json --reverse >"$DIR/log"
    python3 - "$DIR/log" "${TIDS[2]}" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert len(lines) == 7
assert lines[2]["tid"] == sys.argv[2]
assert lines[2]["message"] == "Change it\n\nfor issue #12"
assert lines[2]["user"] == "bob"
END
}

test_activity() {
    make_six
    local total
    assert_match 'by hour' "$(tidfs log --activity)" '^[0-9-]{10} [A-Z][a-z]{2} [0-9]{2}:00 +[0-9]+  #+$'
    assert_match 'by day' "$(tidfs log --activity=day)" '^[0-9-]{10} [A-Z][a-z]{2} +[0-9]+  #+$'
    total=$(tidfs log --activity=day | awk '{ total += $3 } END { print total }')
    assert_eq 'all of them' "$total" 7
    assert_eq 'one user' "$(tidfs log --activity=day --user bob | awk '{ total += $3 } END { print total }')" 2
    assert_at_most 'its width' "$(COLUMNS=50 tidfs log --activity | awk '{ if (length > most) most = length } END { print most }')" 50
    assert_eq 'in JSON' "$(tidfs log --activity=hour --json |
        python3 -c 'import json, sys; print(sum(json.loads(line)["transactions"] for line in sys.stdin))')" 7
    expect_fail 2 'by hour or by day' tidfs log --activity=week
    expect_fail 2 'shows no changes' tidfs log --activity --stat
    assert_eq 'of nothing' "$(tidfs log --activity --user nobody)" ''
}

test_a_reader_that_has_enough_ends_it() {
    make_six
    assert_eq 'the first line' "$({ tidfs log || true; } | head -n 1 | cut -c 1-16)" "${TIDS[6]}"
    assert_eq 'none' "$(tidfs log -n 0)" ''
}

run_tests "$@"
