#!/usr/bin/env bash
# `tidfs undo`: on a live mount and at rest; and against `git revert`, on a real history.
#
# Environment, for the comparison: STEPS, how many consecutive steps of tests/data/gitignore.bundle are replayed (default 60; `all` 1,940); UNDOS, how
# many random ones are undone, at some later step (default 20); SEED, of the choice (default: the clock; printed).
. "$(dirname "$0")/lib.sh"

STEPS=${STEPS:-60}
UNDOS=${UNDOS:-20}
SEED=${SEED:-$(date +%s)}

undo() {
    tidfs undo "$@"
}

test_one_in_the_middle_and_the_kernel_sees_it_at_once() {
    local tid
    new_store
    mount_store
    seq 1 20 >"$MNT/head/merged"
    echo one >"$MNT/head/f"
    echo gone >"$MNT/head/gone"
    commit made >/dev/null
    sed -i 's/^3$/three/' "$MNT/head/merged"
    echo two >"$MNT/head/f"
    rm "$MNT/head/gone"
    mkdir "$MNT/head/d"
    echo new >"$MNT/head/d/new"
    tid=$(commit 'to undo')
    sed -i 's/^17$/seventeen/' "$MNT/head/merged"
    echo later >"$MNT/head/later"
    commit later >/dev/null
    in_head bash -c 'cat merged f later d/new; test ! -e gone; ls -R' >/dev/null
    undo --dry-run --mount "$MNT" "$tid" >planned
    (cd "$MNT/head" && undo "$tid") >did
    diff planned <(sed '$d' did)
    assert_eq merged "$(cat "$MNT/head/merged")" "$(seq 1 20 | sed 's/^17$/seventeen/')"
    assert_eq f "$(cat "$MNT/head/f")" one
    assert_eq gone "$(cat "$MNT/head/gone")" gone
    assert_eq later "$(cat "$MNT/head/later")" later
    [ ! -e "$MNT/head/d" ]
    assert_match "the message" "$(tidfs log -n 1 --mount "$MNT")" "undo $tid: to undo"
    undo --mount "$MNT" now >/dev/null
    assert_same_tree "$MNT/head" "$MNT/at/now~2"
    assert_match "nothing" "$(undo --mount "$MNT" now now^)" '^nothing to do'
    unmount
    tidfs verify "$STORE" >/dev/null
}

test_a_conflict_changes_nothing() {
    local tid later
    new_store
    mount_store
    echo one >"$MNT/head/f"
    echo one >"$MNT/head/g"
    commit made >/dev/null
    echo two >"$MNT/head/f"
    echo two >"$MNT/head/g"
    tid=$(commit 'to undo')
    echo three >"$MNT/head/f"
    later=$(commit later)
    expect_fail 1 "conflict: f: its content was changed since in the same lines, in $later \(to undo: $tid\)" \
        undo --mount "$MNT" "$tid"
    expect_fail 1 'nothing was changed' undo --dry-run --mount "$MNT" "$tid"
    assert_eq g "$(cat "$MNT/head/g")" two
    assert_eq newest "$(newest_tid)" "$later"
    undo --json --mount "$MNT" "$tid" >json 2>/dev/null && fail "there is a conflict"
    assert_match json "$(cat json)" "\"kind\": *\"conflict\".*\"later\": *\"$later\""
    undo --mount "$MNT" "$tid..$later" >/dev/null
    assert_eq f "$(cat "$MNT/head/f")" one
    assert_eq g "$(cat "$MNT/head/g")" one
}

test_a_store_at_rest() {
    local tid
    new_store
    mount_store
    echo one >"$MNT/head/f"
    commit made >/dev/null
    echo two >"$MNT/head/f"
    tid=$(commit two)
    echo x >"$MNT/head/x"
    commit x >/dev/null
    unmount
    undo --store "$STORE" "$tid" >/dev/null
    assert_eq f "$(tidfs cat --store "$STORE" now f)" one
    assert_eq x "$(tidfs cat --store "$STORE" now x)" x
    tidfs verify "$STORE" >/dev/null
}

test_a_message_keeps_what_was_undone() {
    local tid
    new_store
    mount_store
    echo one >"$MNT/head/f"
    tid=$(commit 'wrong')
    undo -m 'it was wrong' --mount "$MNT" "$tid" >/dev/null
    tidfs log --json -n 1 --mount "$MNT" >said
    assert_match "the message" "$(cat said)" 'it was wrong'
    assert_match "what was undone" "$(cat said)" "undo $tid: wrong"
    expect_fail 1 'undo: the message is empty' undo -m '' --mount "$MNT" now
}

# A transaction is taken back whole, also what the mount does not show.
test_outside_of_the_mounted_directory() {
    new_store
    mount_store
    mkdir "$MNT/head/d"
    echo 1 >"$MNT/head/d/in"
    echo 1 >"$MNT/head/out"
    commit made >/dev/null
    echo 2 >"$MNT/head/d/in"
    echo 2 >"$MNT/head/out"
    commit changed >/dev/null
    unmount
    mount_store subdir=d
    undo --mount "$MNT" now >printed
    assert_match printed "$(cat printed)" '^M  out'
    unmount
    assert_eq out "$(tidfs cat --store "$STORE" now out)" 1
    assert_eq d/in "$(tidfs cat --store "$STORE" now d/in)" 1
}

test_bad_input_says_what_is_wrong() {
    local first
    new_store
    mount_store
    echo one >"$MNT/head/f"
    commit one >/dev/null
    first=$(tidfs log --mount "$MNT" | grep -oE '[0-9a-f]{16}' | tail -n 1)
    expect_fail 1 'made the store: it cannot be undone' undo --mount "$MNT" "$first"
    expect_fail 1 'no transaction of this store has the tid .*is it of another store' undo --mount "$MNT" 03f8a3c100d2e4b7
    expect_fail 1 'lies in the future' undo --mount "$MNT" 0fffffffffffffff
    expect_fail 1 'there was no transaction yet' undo --mount "$MNT" 1999
    expect_fail 1 'no tag has that name' undo --mount "$MNT" no-such-tag
    expect_fail 2 'which transaction' undo --mount "$MNT"
    mount_store ro "$DIR/read-only"
    expect_fail 1 'is a read-only mount' undo --mount "$DIR/read-only" now
}

# ---------------------------------------------------------------- against git

# git_at TREE INDEX COMMIT: makes TREE what git has for COMMIT; INDEX remembers what it was.
git_at() {
    GIT_INDEX_FILE=$2 git --git-dir="$DIR/git" --work-tree="$1" -c core.fileMode=true read-tree --reset -u "$3"
}

# The steps that are replayed, one commit a line, the oldest first.
choose_steps() {
    git --git-dir="$DIR/git" log --reverse --format=%H main |
        awk -v want="$STEPS" -v seed="$SEED" '{ line[NR] = $0 }
            END { if (want == "all" || want > NR) want = NR
                  srand(seed); first = int(rand() * (NR - want + 1))
                  for (i = 1; i <= want; i++) print line[first + i] }'
}

# replay COMMIT: its tree in /head and, since the history has branches, as a commit of a linear one.
replay() {
    local git=(git --git-dir="$DIR/git" -c user.name=n -c user.email=e) parent=''
    [ ${#commits[@]} = 0 ] || parent=${commits[-1]}
    git_at "$MNT/head" "$DIR/head.index" "$1"
    tids+=("$(commit "$1")")
    commits+=("$("${git[@]}" commit-tree ${parent:+-p "$parent"} -m "$1" "$1^{tree}")")
}

# Undoes step $1 in both ways, and says how they differ. /head and the work tree are then as before.
compare_undo() {
    local git_clean=1 tidfs_clean=1 before unmerged
    local git=(git -C "$DIR/work" -c user.name=n -c user.email=e -c core.fileMode=true)
    before=$(newest_tid)
    "${git[@]}" reset -q --hard "${commits[-1]}"
    "${git[@]}" revert --no-edit "${commits[$1]}" >/dev/null 2>&1 || git_clean=0
    # It fails as well if there is nothing to do.
    [ -n "$("${git[@]}" ls-files -u)" ] || git_clean=1
    undo --mount "$MNT" "${tids[$1]}" >did 2>said || tidfs_clean=0
    if [ "$git_clean$tidfs_clean" = 11 ]; then
        diff -r --exclude=.git "$DIR/work" "$MNT/head" || fail "undo of step $1, ${tids[$1]}, gives another tree than git"
    elif [ "$git_clean" = 1 ]; then
        # git knows no directories: one that a step made and that later steps use stays, one that is gone comes back.
        # It also takes a file that was renamed since for the same only if it is similar; and one that was made
        # for a renamed one if it is similar to one that went, and then moves it back with all that was changed since.
        if grep 'conflict:' said | grep -vE 'there are later names in it|its directory is gone|renamed since' >conflicts; then
            "${git[@]}" reset -q --hard "${commits[-1]}"
            "${git[@]}" revert --strategy=recursive -Xno-renames --no-edit "${commits[$1]}" >/dev/null 2>&1 || true
            [ -n "$("${git[@]}" ls-files -u)" ] ||
                fail "undo of step $1, ${tids[$1]}, has conflicts that git has not: $(cat conflicts)"
        fi
    elif [ "$tidfs_clean" = 1 ]; then
        # git guesses renames, and then merges content of two different files, or will not put a file
        # into a directory that it believes was renamed.
        unmerged=$("${git[@]}" status --porcelain)
        "${git[@]}" revert --abort
        # The newer strategy of gits before 2.49 guesses even when told not to.
        "${git[@]}" revert --strategy=recursive -Xno-renames --no-edit "${commits[$1]}" >/dev/null 2>&1 || true
        [ -z "$("${git[@]}" ls-files -u)" ] ||
            fail "undo of step $1, ${tids[$1]}, has no conflict where git has: $unmerged"
        diff -r --exclude=.git "$DIR/work" "$MNT/head" || fail "undo of step $1 gives another tree than git does without renames"
    fi
    "${git[@]}" revert --abort 2>/dev/null || true
    outcomes[$git_clean$tidfs_clean]=$((${outcomes[$git_clean$tidfs_clean]-0} + 1))
    [ "$(newest_tid)" = "$before" ] || undo --mount "$MNT" now >/dev/null
    assert_same_tree "$MNT/head" "$MNT/at/$before"
}

# Each step is undone when some others have followed it, few as a rule: so that what was changed since is in the way of some.
test_random_ones_agree_with_git() {
    local commit number=0 total back
    local -a commits=() tids=() undone=()
    declare -A outcomes
    need git
    echo "    STEPS=$STEPS UNDOS=$UNDOS SEED=$SEED"
    RANDOM=$SEED
    git clone -q --bare "$BUNDLE" "$DIR/git"
    new_store
    mount_store commit-interval=1h,dirty-limit=1G
    choose_steps >steps
    total=$(wc -l <steps)
    while read -r commit; do
        replay "$commit"
        [ -d "$DIR/work" ] || git --git-dir="$DIR/git" worktree add -q "$DIR/work" "${commits[0]}"
        number=$((number + 1))
        # The first one has nothing before it to go back to.
        while [ "$number" -gt 1 ] && [ $((${#undone[@]} * total)) -lt $((UNDOS * number)) ]; do
            back=$((RANDOM % 4 == 0 ? RANDOM % (number - 1) : RANDOM % (number < 12 ? number - 1 : 11)))
            undone+=("$((number - 1 - back))")
            compare_undo "${undone[-1]}"
        done
    done <steps
    echo "    both clean: ${outcomes[11]-0}, both conflict: ${outcomes[00]-0}, only git clean: ${outcomes[10]-0}," \
        "only tidfs clean: ${outcomes[01]-0}"
    [ "${outcomes[11]-0}" -gt 0 ] || fail "nothing could be undone"
}

run_tests "$@"
