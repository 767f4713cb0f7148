#!/usr/bin/env bash
# Kills the driver (kill -9) at random moments under a mixed load. After each kill the store verifies, the mount point takes the
# next mount, everything that an fsync acknowledged is there, and the tree is that of a sealed transaction.
#
# Environment: KILLS, how many (default 10); SEED, of the moments and of the load (default: the clock; printed).
. "$(dirname "$0")/lib.sh"

KILLS=${KILLS:-10}
SEED=${SEED:-$(date +%s)}
crashload=$TIDFS_TOOLS/tool_crashload

# kill_and_look I: one kill, in a directory of its own.
kill_and_look() {
    local i=$1 load moment options=commit-interval=200ms
    [ $((i % 2)) = 0 ] || options+=,writeback_cache
    mount_foreground "$options" 2>>"$DIR/driver.log"
    mkdir "$MNT/head/$i"
    sync "$MNT/head"
    "$crashload" run "$MNT/head/$i" "$DIR/log$i" "$((SEED + i))" &
    load=$!
    moment=$(printf '0.%03d' $((RANDOM % 1000)))
    sleep "$moment"
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    wait "$load" || fail "kill $i after $moment s: the load met another error than the lost connection"

    tidfs verify "$STORE" >"$DIR/verify" 2>&1 || {
        cat "$DIR/verify"
        fail "kill $i after $moment s: the store does not verify"
    }
    mount_store commit-interval=1h # on top of the dead mount
    "$crashload" check "$MNT/head/$i" "$DIR/log$i" >"$DIR/check" || {
        cat "$DIR/check"
        fail "kill $i after $moment s: the tree is not what was acknowledged"
    }
    sed "s/^/    kill $i after $moment s: /" "$DIR/check"
    assert_same_tree "$MNT/head/$i" "$MNT/at/$(newest_tid)/$i" times
    unmount
}

test_everything_acknowledged_survives() {
    local i first
    RANDOM=$SEED
    echo "    KILLS=$KILLS SEED=$SEED"
    # A store sees ten kills: verifying takes longer the more there is.
    for ((first = 1; first <= KILLS; first += 10)); do
        rm -rf "$STORE"
        new_store
        for ((i = first; i <= KILLS && i < first + 10; i++)); do
            kill_and_look "$i"
        done
        # What earlier runs left was not touched by later kills, and stays what their own transactions say.
        mount_store
        assert_same_tree "$MNT/head" "$MNT/at/now" times
        for ((i = first; i <= KILLS && i < first + 10; i++)); do
            "$crashload" check "$MNT/head/$i" "$DIR/log$i" >"$DIR/check" || {
                cat "$DIR/check"
                fail "kill $i: later kills took something away"
            }
        done
        unmount
        tidfs verify "$STORE" >/dev/null
    done
}

run_tests "$@"
