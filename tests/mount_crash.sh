#!/usr/bin/env bash
# Kills the driver (kill -9) at random moments under a load, one kind of load after the other. After each kill
#   - every program that was at work or had files open has got an error, and none hangs;
#   - the store verifies;
#   - the next mount takes the mount point without anybody's help;
#   - all that was acknowledged is there: by an fsync, by `tidfs tag`, `tidfs revert`; and the tree is that of a sealed transaction.
#
# Environment: KILLS, how many (default 20); SCENARIOS, those to take in turn (default: all); SEED, of the moments and of the loads
# (default: the clock; printed).
. "$(dirname "$0")/lib.sh"

KILLS=${KILLS:-20}
SCENARIOS=${SCENARIOS:-write create rename fsync tag copy mixed}
SEED=${SEED:-$(date +%s)}
SOON=20 # seconds: who takes longer hangs
crashload=$TIDFS_TOOLS/tool_crashload

# ---------------------------------------------------------------- loads that are commands

# Each works until a command fails, which is told in $2.ended; $1 is the kill's number, $2 the log of what was acknowledged, in the order in which it was.

# Names an instant, changes something, names the next.
load_tag() {
    local n tid
    for ((n = 0; ; n++)); do
        tid=$(tidfs tag --mount "$MNT" "kill$1-$n" 2>"$2.ended") || return 0
        echo "kill$1-$n $tid" >>"$2"
        echo "$n" 2>"$2.ended" >"$MNT/head/$1/file" || return 0
    done
}

check_tag() {
    local name tid count=0
    tidfs tag --store "$STORE" >"$DIR/tags"
    while read -r name tid; do
        grep -qE "^$name .*$tid|$tid.* $name( |\$)" "$DIR/tags" || fail "tag $name of $tid is gone" || return 1
        count=$((count + 1))
    done <"$2"
    echo "$count acknowledged"
}

prepare_copy() {
    mkdir "$MNT/head/$1/source"
    seq 100 >"$MNT/head/$1/source/small"
    seq 100000 >"$MNT/head/$1/source/large"
    ln -s small "$MNT/head/$1/source/link"
    commit >"$2.tid"
}

# Copies a tree out of history, and puts it back where it was changed.
load_copy() {
    local n tid
    tid=$(cat "$2.tid")
    for ((n = 0; ; n++)); do
        cp -a "$MNT/at/$tid/$1/source" "$MNT/head/$1/copy$n" 2>"$2.ended" && sync "$MNT/head/$1" 2>"$2.ended" || return 0
        echo "copied $n" >>"$2"
        echo changed >>"$2"
        echo "$n" 2>"$2.ended" >>"$MNT/head/$1/source/small" || return 0
        tidfs revert --at "$tid" "$MNT/head/$1/source" >/dev/null 2>"$2.ended" || return 0
        echo reverted >>"$2"
    done
}

check_copy() {
    local n tid what count=0
    tid=$(cat "$2.tid")
    while read -r what n; do
        [ "$what" = copied ] || continue
        assert_same_tree "$MNT/at/$tid/$1/source" "$MNT/head/$1/copy$n" times || return 1
        count=$((count + 1))
    done <"$2"
    [ "$(tail -n 1 "$2")" != reverted ] ||
        assert_same_tree "$MNT/at/$tid/$1/source" "$MNT/head/$1/source" times || return 1
    echo "$count acknowledged"
}

# ---------------------------------------------------------------- one kill

prepare_load() {
    case $1 in
    copy) prepare_copy "$2" "$3" ;;
    tag) ;;
    esac
    : >"$3"
    : >"$3.ended"
}

run_load() {
    case $1 in
    tag | copy) "load_$1" "$2" "$3" ;;
    *) exec "$crashload" run "$1" "$MNT/head/$2" "$3" "$((SEED + $2))" ;;
    esac
}

check_load() {
    case $1 in
    tag | copy) "check_$1" "$2" "$3" ;;
    *) "$crashload" check "$1" "$MNT/head/$2" "$3" ;;
    esac
}

is_over() {
    ! kill -0 "$1"
}

# end_of PID WHAT: waits for a child, not for long, which has to succeed.
end_of() {
    wait_until "$SOON" is_over "$1" || {
        kill -9 "$1"
        fail "$2 hangs" || return 1
    }
    wait "$1" || fail "$2 met another error than the lost connection"
}

mounts_on() {
    awk -v point="$1" '$2 == point' /proc/self/mounts | wc -l
}

# kill_and_look I: one kill, in a directory of its own.
kill_and_look() {
    local i=$1 load holder scenario moment options=commit-interval=200ms log=$DIR/log$1
    scenario=${scenarios[$((i % ${#scenarios[@]}))]}
    [ $((i / ${#scenarios[@]} % 2)) = 0 ] || options+=,writeback_cache
    moment=$(printf '0.%03d' $((50 + RANDOM % 500)))
    what="kill $i after $moment s of $scenario ($options)"
    echo "$scenario" >"$log.scenario"
    mount_foreground "$options" 2>>"$DIR/driver.log"
    mkdir "$MNT/head/$i" "$MNT/head/$i.held"
    prepare_load "$scenario" "$i" "$log"
    sync "$MNT/head"
    rm -f "$DIR/go" "$DIR/held"
    mkfifo "$DIR/go"
    "$crashload" hold "$MNT/head/$i.held" <>"$DIR/go" >"$DIR/held" &
    holder=$!
    run_load "$scenario" "$i" "$log" &
    load=$!
    wait_until "$SOON" grep -q open "$DIR/held"
    sleep "$moment"
    kill -0 "$load" || fail "$what: the load ended by itself: $(cat "$log.ended")"
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    end_of "$load" "$what: the load"
    echo go >"$DIR/go"
    end_of "$holder" "$what: a program with open files" || {
        cat "$DIR/held"
        return 1
    }

    tidfs verify "$STORE" >"$DIR/verify" 2>&1 || {
        cat "$DIR/verify"
        fail "$what: the store does not verify"
    }
    tidfs mount -o commit-interval=1h "$STORE" "$MNT" # on top of the dead mount, of which nothing can be asked
    assert_eq "mounts on the mount point after $what" "$(mounts_on "$MNT")" 1
    check_load "$scenario" "$i" "$log" >"$DIR/check" || {
        cat "$DIR/check"
        fail "$what: the store has not what was acknowledged"
    }
    [ "$KILLS" -gt 50 ] || sed "s/^/    $what: /" "$DIR/check"
    assert_same_tree "$MNT/head/$i" "$MNT/at/$(newest_tid)/$i" times
    unmount
}

test_everything_acknowledged_survives() {
    local i first what scenarios
    read -ra scenarios <<<"$SCENARIOS"
    RANDOM=$SEED
    # Said also when something fails; what is local to this function is gone then.
    kills=0
    trap 'echo "    KILLS=$KILLS SEED=$SEED: $kills kills under ${SCENARIOS// /, }"' EXIT
    # A store sees ten kills: verifying takes longer the more there is.
    for ((first = 1; first <= KILLS; first += 10)); do
        rm -rf "$STORE"
        new_store
        for ((i = first; i <= KILLS && i < first + 10; i++)); do
            kill_and_look "$i"
            kills=$((kills + 1))
        done
        # What earlier runs left was not touched by later kills, and stays what their own transactions say.
        mount_store
        assert_same_tree "$MNT/head" "$MNT/at/now" times
        for ((i = first; i <= KILLS && i < first + 10; i++)); do
            check_load "$(cat "$DIR/log$i.scenario")" "$i" "$DIR/log$i" >"$DIR/check" || {
                cat "$DIR/check"
                fail "kill $i: later kills took something away"
            }
        done
        unmount
        tidfs verify "$STORE" >/dev/null
    done
}

run_tests "$@"
