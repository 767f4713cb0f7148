#!/usr/bin/env bash
# Kills the driver (kill -9) at random moments under a mixed load. After each kill the store verifies, the mount point takes the
# next mount, everything that an fsync acknowledged is there, and the tree is that of a sealed transaction.
#
# Environment: KILLS, how many (default 10); SEED, of the moments and of the load (default: the clock; printed).
. "$(dirname "$0")/lib.sh"

KILLS=${KILLS:-10}
SEED=${SEED:-$(date +%s)}
crashload=$TIDFS_TOOLS/tool_crashload

test_everything_acknowledged_survives() {
    local i load moment
    RANDOM=$SEED
    echo "    KILLS=$KILLS SEED=$SEED"
    new_store
    for ((i = 1; i <= KILLS; i++)); do
        mount_foreground commit-interval=200ms 2>>"$DIR/driver.log"
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
    done

    # What earlier runs left was not touched by later kills, and stays what their own transactions say.
    mount_store
    assert_same_tree "$MNT/head" "$MNT/at/now" times
    unmount
    tidfs verify "$STORE" >/dev/null
}

run_tests "$@"
