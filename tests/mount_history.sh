#!/usr/bin/env bash
# A real history: replays the steps of tests/data/gitignore.bundle into /head, one transaction each, half of them as git changes
# a work tree and half as rsync does. Then, for every step in random order, the tree that git itself checks out for the step must be
# what tidfs shows at its tid, before the next one, under a date, and as the root of a mount of its own; and the same once
# more after unmounting and mounting.
#
# Environment: STEPS, how many steps, taken evenly from all 1,940 (default 100; `all`); SEED, of the order (default: the clock; printed).
. "$(dirname "$0")/lib.sh"

STEPS=${STEPS:-100}
SEED=${SEED:-$(date +%s)}

# index_head COMMIT: makes the index of /head say that it holds COMMIT.
index_head() {
    local git=(git --git-dir="$DIR/git" --work-tree="$MNT/head")
    GIT_INDEX_FILE=$DIR/head.index "${git[@]}" read-tree "$1"
    GIT_INDEX_FILE=$DIR/head.index "${git[@]}" update-index -q --refresh
}

# Some spelling of a date given as seconds.nanoseconds since 1970; which one, the step's number decides.
spell_date() {
    case $(($2 % 4)) in
    0) date -u -d "@$1" +%Y-%m-%dT%H:%M:%S.%NZ ;;
    1) echo "@$1" ;;
    2) TZ=Asia/Kathmandu date -d "@$1" +%Y-%m-%dT%H:%M:%S.%N%:z ;;
    3) date -u -d "@$1" +%Y-%m-%dT%H%M%S.%N ;;
    esac
}

# assert_step N VIEW: the view shows what $DIR/export, which holds git's own tree of step N, does.
assert_step() {
    assert_same_tree "$DIR/export" "$2" || fail "step $1, ${messages[$1]}, is not what $2 shows"
}

# compare_all HOW: every step, in random order; `and mounts` looks through a mount of each, too.
compare_all() {
    local n
    while read -r n; do
        git_at "$DIR/export" "$DIR/export.index" "${commits[n]}"
        assert_step "$n" "$MNT/at/${tids[n]}"
        assert_step "$n" "$MNT/at/$(spell_date "${dates[n]}" "$n")"
        if [ "$n" -lt $((${#tids[@]} - 1)) ]; then
            assert_step "$n" "$MNT/before/${tids[n + 1]}"
        fi
        if [ "$1" = 'and mounts' ]; then
            mount_store "at=${tids[n]}" "$DIR/one"
            assert_step "$n" "$DIR/one"
            unmount "$DIR/one"
        fi
    done < <(seq 0 $((${#tids[@]} - 1)) | awk -v seed="$((SEED + ${#1}))" 'BEGIN { srand(seed) } { print rand(), $1 }' |
        sort -g | cut -d ' ' -f 2)
}

test_every_step_is_what_git_exports() {
    local commit message n=0
    commits=() messages=() tids=() dates=()
    echo "    STEPS=$STEPS SEED=$SEED"
    git clone -q --bare "$BUNDLE" "$DIR/git"
    mkdir "$DIR/export" "$DIR/source"
    new_store
    # A step is one transaction only if none is sealed while its files arrive.
    mount_store commit-interval=1h,dirty-limit=1G
    while read -r commit message; do
        if [ $((n % 20)) -lt 10 ]; then
            # git must know what rsync left there.
            [ $((n % 20)) != 0 ] || [ "$n" = 0 ] || index_head "${commits[n - 1]}"
            git_at "$MNT/head" "$DIR/head.index" "$commit"
        else
            git_at "$DIR/source" "$DIR/source.index" "$commit"
            # By checksum: steps follow each other within a second.
            rsync -a --checksum --delete "$DIR/source/" "$MNT/head/"
        fi
        tids+=("$(commit "$message")")
        dates+=("$(date +%s.%N)")
        commits+=("$commit") messages+=("$message")
        n=$((n + 1))
    done < <(choose_steps "$STEPS")
    [ "$n" -gt 0 ] || fail "no steps"

    assert_eq 'number of transactions' "$(in_head "$TIDFS" log | grep -cE '^[0-9a-f]{16}')" $((n + 1)) # and the first, that made the store
    compare_all 'as written'
    unmount
    tidfs verify "$STORE" >/dev/null
    mount_store
    compare_all 'and mounts'
    assert_same_tree "$MNT/at/${tids[n - 1]}" "$MNT/head" times
    unmount
}

run_tests "$@"
