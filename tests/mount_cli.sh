#!/usr/bin/env bash
# The command line: what each command prints, where it looks, and how it fails.
. "$(dirname "$0")/lib.sh"

tid='[0-9a-f]{16}'
time='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}(Z|[+-][0-9]{2}:[0-9]{2})'

# Three transactions of a tree: $ONE, $TWO, $THREE; dir/f says which.
make_three() {
    new_store
    mount_store commit-interval=1h
    mkdir -p "$MNT/head/dir/sub"
    echo one >"$MNT/head/dir/f"
    echo old >"$MNT/head/gone"
    ONE=$(commit one)
    echo two >"$MNT/head/dir/f"
    rm "$MNT/head/gone"
    TWO=$(commit two)
    echo three >"$MNT/head/dir/f"
    echo new >"$MNT/head/later"
    THREE=$(tidfs commit --user alice -m $'three\n\nwith a body' "$MNT")
}

# json FILTER: of what is on stdin; also says that it is JSON.
json() {
    python3 -c 'import json, sys; x = json.load(sys.stdin); print(eval(sys.argv[1], {"x": x}))' "$1"
}

# json_lines FILTER: of a list of the lines of stdin, each of them JSON.
json_lines() {
    python3 -c 'import json, sys; x = [json.loads(line) for line in sys.stdin]; print(eval(sys.argv[1], {"x": x}))' "$1"
}

# ---------------------------------------------------------------- help and usage

test_help_of_every_command() {
    local command
    for command in $(tidfs --help | sed -nE 's/^  ([a-z]+) .*/\1/p'); do
        assert_eq "help of $command" "$(tidfs help "$command")" "$(tidfs "$command" --help)"
        assert_match "help of $command" "$(tidfs "$command" --help)" "^Usage: tidfs $command"
    done
    assert_match version "$(tidfs --version)" '^tidfs [0-9]+\.[0-9]+'
}

test_wrong_usage_exits_2() {
    expect_fail 2 'did you mean commit' tidfs comit
    expect_fail 2 'did you mean commit' tidfs help comit
    expect_fail 2 '--help' tidfs
    expect_fail 2 'no command xyzzy' tidfs xyzzy
    expect_fail 2 'did you mean --json' tidfs log --jsn
    expect_fail 2 'unknown option -z' tidfs log -z
    expect_fail 2 'needs a value' tidfs log -n
    expect_fail 2 'number' tidfs log -n many
    expect_fail 2 'when' tidfs at
    expect_fail 2 'store' tidfs init
    expect_fail 2 'exclude' tidfs log --store a --mount b
    expect_fail 2 'not from both' tidfs commit -m a -F b
    expect_fail 16 'store' tidfs verify
    expect_fail 16 'unknown' tidfs verify --what
}

test_outside_of_a_mount() {
    local command
    for command in status commit log tag info 'at now'; do
        # shellcheck disable=SC2086 # a command and its argument
        expect_fail 1 'not in a mount|not a tidfs store' tidfs $command
    done
    expect_fail 1 'No such file|not a tidfs' tidfs log --store "$DIR/missing"
}

# ---------------------------------------------------------------- commit

test_commit_prints_the_tid_alone() {
    new_store
    mount_store commit-interval=1h
    echo x >"$MNT/head/x"
    one=$(tidfs commit -m one "$MNT/head")
    assert_match tid "$one" "^$tid\$"
    assert_eq 'without anything pending' "$(cd "$MNT/head" && tidfs commit)" "$one"
    two=$(tidfs commit -m 'nothing happened' "$MNT/at/$one")
    [[ $two > $one ]] || fail "$two is not after $one"
    assert_eq 'the view' "$(ls "$MNT/at/$two")" x
}

test_commit_takes_its_message_from_a_file() {
    new_store
    mount_store commit-interval=1h
    printf 'first\nsecond\n\n\n' | tidfs commit -F - "$MNT" >/dev/null
    assert_eq message "$(tidfs log --json -n 1 --store "$STORE" | json_lines 'x[0]["message"]')" $'first\nsecond'
    head -c 15000 /dev/zero | tr '\0' a >longest
    tidfs commit -F longest "$MNT" >/dev/null
    assert_eq length "$(tidfs log --json -n 1 --store "$STORE" | json_lines 'len(x[0]["message"])')" 15000
    echo a >>longest
    expect_fail 1 'too long.*15000' tidfs commit -F longest "$MNT"
    expect_fail 1 'zero byte' tidfs commit -F <(printf 'a\0b') "$MNT"
    expect_fail 1 'No such file' tidfs commit -F missing "$MNT"
}

test_commit_includes_what_was_written_through_mmap() {
    new_store
    mount_store commit-interval=1h
    echo aaaa >"$MNT/head/f"
    commit >/dev/null
    python3 - "$MNT/head/f" "$TIDFS" "$MNT" >tid <<'END'
import mmap, subprocess, sys
with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[0:4] = b"bbbb"
    subprocess.run([sys.argv[2], "commit", sys.argv[3]], check=True)
END
    assert_eq 'the view' "$(cat "$MNT/at/$(cat tid)/f")" bbbb
}

test_commit_into_a_read_only_mount() {
    make_three
    unmount
    mount_store ro
    expect_fail 1 'read-only' tidfs commit "$MNT"
}

# ---------------------------------------------------------------- log

test_log_lists_newest_first() {
    make_three
    cd "$MNT"
    assert_eq tids "$(tidfs log | cut -c 1-16 | head -n 3 | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_match line "$(tidfs log -n 1)" "^$THREE  $time  alice +[0-9]+ objects?  three\$"
    assert_eq number "$(tidfs log -n 2 | wc -l)" 2
    assert_eq json "$(tidfs log --json | json_lines '[t["tid"] for t in x][:3]')" "['$THREE', '$TWO', '$ONE']"
    assert_eq message "$(tidfs log --json -n 1 | json_lines 'x[0]["message"]')" $'three\n\nwith a body'
    assert_eq user "$(tidfs log --json -n 1 | json_lines 'x[0]["user"]')" alice
    assert_eq 'an empty log' "$(tidfs log --json -n 0)" ''
}

test_log_times_are_the_readers_and_can_be_given_back() {
    make_three
    cd "$MNT"
    local shown
    shown=$(TZ=Asia/Kolkata tidfs log -n 1 "..$TWO" | awk '{ print $2 }')
    assert_match 'time in Kolkata' "$shown" '\+05:30$'
    assert_eq 'that time' "$(tidfs at "$shown" | cut -c 1-16)" "$TWO"
    assert_match 'time in UTC' "$(TZ=Asia/Kolkata tidfs log --utc -n 1 | awk '{ print $2 }')" 'Z$'
}

test_log_of_a_range() {
    make_three
    cd "$MNT"
    assert_eq 'one to two' "$(tidfs log "$ONE..$TWO" | cut -c 1-16 | tr '\n' ' ')" "$TWO $ONE "
    assert_eq 'from two' "$(tidfs log "$TWO.." | cut -c 1-16 | tr '\n' ' ')" "$THREE $TWO "
    assert_eq 'up to one' "$(tidfs log -n 1 "..$ONE" | cut -c 1-16)" "$ONE"
    assert_eq 'one alone' "$(tidfs log -n 1 "$ONE" | cut -c 1-16)" "$ONE"
    tidfs tag middle "$TWO" >/dev/null
    assert_eq 'up to a tag' "$(tidfs log -n 1 middle | cut -c 1-16)" "$TWO"
    assert_eq 'an hour' "$(tidfs log -1h.. | wc -l)" "$(tidfs log | wc -l)"
    expect_fail 1 'no tag' tidfs log nothing..now
    expect_fail 1 'not in a tree' tidfs log nothing
    expect_fail 1 'head/nothing: not there now, nor at any other time; .tidfs ls WHEN.' tidfs log head/nothing
}

test_log_of_a_path() {
    make_three
    cd "$MNT/head/dir"
    assert_eq 'the file' "$(tidfs log f | cut -c 1-16 | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_eq 'the directory' "$(tidfs log . | cut -c 1-16 | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_eq 'another' "$(tidfs log sub | cut -c 1-16 | tr '\n' ' ')" "$ONE "
    assert_eq 'a deleted file' "$(tidfs log ../gone | cut -c 1-16 | tr '\n' ' ')" "$TWO $ONE "
    assert_eq 'a range of it' "$(tidfs log "$TWO" f | cut -c 1-16 | tr '\n' ' ')" "$TWO $ONE "
    assert_eq 'with --store' "$(cd / && tidfs log --store "$STORE" dir/f | cut -c 1-16 | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_eq 'with --mount' "$(cd / && tidfs log --mount "$MNT" dir/f | cut -c 1-16 | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_eq 'by its path' "$(cd / && tidfs log "$MNT/head/later" | cut -c 1-16 | tr '\n' ' ')" "$THREE "
    ln -s f link
    LINK=$(commit link)
    assert_eq 'a symlink itself' "$(tidfs log link | cut -c 1-16 | tr '\n' ' ')" "$LINK "
    echo x >'two..dots'
    DOTS=$(commit dots)
    assert_eq 'a file with two dots' "$(tidfs log two..dots | cut -c 1-16)" "$DOTS"
    expect_fail 1 'missing: not there now, nor at any other time' tidfs log missing
}

test_log_in_a_view_ends_with_the_view() {
    make_three
    cd "$MNT/at/$TWO/dir"
    assert_eq 'the log' "$(tidfs log -n 1 | cut -c 1-16)" "$TWO"
    assert_eq 'of a file' "$(tidfs log f | cut -c 1-16 | tr '\n' ' ')" "$TWO $ONE "
    assert_eq 'up to now' "$(tidfs log -n 1 "..$THREE" | cut -c 1-16)" "$TWO"
    cd "$MNT/before/$TWO"
    assert_eq 'just before' "$(tidfs log -n 1 | cut -c 1-16)" "$ONE"
    expect_fail 1 "later: not there yet then: it came later, in $THREE, $time" tidfs log later
    expect_fail 1 'never: not there then, nor at any other time' tidfs log never
    assert_eq 'from outside' "$(cd / && tidfs log -n 1 "$MNT/at/$TWO/dir/f" | cut -c 1-16)" "$TWO"
    mount_store "at=$TWO" "$DIR/view"
    cd "$DIR/view"
    assert_eq 'in a mount of the view' "$(tidfs log -n 1 | cut -c 1-16)" "$TWO"
    assert_eq 'of a file there' "$(tidfs log dir/f | cut -c 1-16 | tr '\n' ' ')" "$TWO $ONE "
    cd "$DIR"
}

test_log_seals_first_but_makes_no_empty_transaction() {
    make_three
    before=$(tidfs log --store "$STORE" | wc -l)
    tidfs log --store "$STORE" >/dev/null
    assert_eq 'after nothing' "$(tidfs log --store "$STORE" | wc -l)" "$before"
    echo more >"$MNT/head/more"
    assert_eq 'after a change' "$(cd "$MNT" && tidfs log | wc -l)" $((before + 1))
}

test_log_shows_hostile_names_harmlessly() {
    new_store
    mount_store commit-interval=1h
    tidfs commit --user $'e\x1b[2Jvil' -m $'a\tb\x07\xff' "$MNT" >/dev/null
    assert_match line "$(tidfs log -n 1 --store "$STORE")" 'e\\033\[2Jvil.*a\\tb\\007\\377$'
    assert_eq bytes "$(tidfs log -n 1 --json --store "$STORE" |
        json_lines '__import__("base64").b64decode(x[0]["message_base64"]) == b"a\tb\x07\xff"')" True
}

# ---------------------------------------------------------------- at

test_at_resolves() {
    make_three
    cd "$MNT"
    assert_match line "$(tidfs at "$TWO")" "^$TWO  $time  $MNT/at/$TWO\$"
    assert_eq now "$(tidfs at now | cut -c 1-16)" "$THREE"
    assert_eq 'a step back' "$(tidfs at now~1 | cut -c 1-16)" "$TWO"
    assert_match 'just before' "$(tidfs at --before "$TWO")" "^$ONE  $time  $MNT/before/$tid\$"
    assert_eq json "$(tidfs at --json "$TWO" head/dir/f | json '[x[k] for k in ("tid", "path", "tree_path", "how")]')" \
        "['$TWO', '$MNT/at/$TWO/dir/f', 'dir/f', 'at']"
    assert_eq 'with --store' "$(cd / && tidfs at --store "$STORE" "$TWO" | awk '{ print $1, $3 }')" "$TWO $MNT/at/$TWO"
    unmount_after_leaving
    assert_eq 'without a mount' "$(tidfs at --store "$STORE" "$TWO" | awk '{ print NF, $1 }')" "2 $TWO"
}

unmount_after_leaving() {
    cd "$DIR"
    unmount
}

test_at_leads_to_the_same_place_then() {
    make_three
    cd "$MNT/head/dir"
    cd "$(tidfs at "$TWO" .)"
    assert_eq 'from head' "$PWD: $(cat f)" "$MNT/at/$TWO/dir: two"
    cd "$(tidfs at "$ONE" .)"
    assert_eq 'from a view' "$PWD: $(cat f)" "$MNT/at/$ONE/dir: one"
    cd "$(tidfs at --before "$TWO" sub)"
    assert_match 'just before' "$PWD" "^$MNT/before/$tid/dir/sub\$"
    cd "$MNT/at/now/dir"
    cd "$(tidfs at "$ONE" .)"
    assert_eq 'through a symlink' "$PWD" "$MNT/at/$ONE/dir"
    assert_eq 'with --mount' "$(cd / && tidfs at --mount "$MNT" "$ONE" dir/f)" "$MNT/at/$ONE/dir/f"
    assert_eq 'the top' "$(tidfs at "$ONE" "$MNT")" "$MNT/at/$ONE"
    ln -s "$MNT" "$DIR/short"
    assert_eq 'through a symlink from outside' "$(tidfs at "$ONE" "$DIR/short/head/dir")" "$MNT/at/$ONE/dir"
    assert_eq 'stderr' "$(tidfs at "$ONE" . 2>&1 >/dev/null)" ''
    assert_match 'stderr with -v' "$(tidfs at -v "$ONE" . 2>&1 >/dev/null)" "^$ONE  $time\$"
}

test_at_of_what_was_not_there() {
    make_three
    cd "$MNT/head"
    expect_fail 1 'not there yet then' tidfs at "$ONE" later
    expect_fail 1 "deleted before, in $TWO" tidfs at now gone
    expect_fail 1 'nor at any other time' tidfs at now never
    assert_eq 'what is gone' "$(cat "$(tidfs at "$ONE" gone)")" old
    expect_fail 1 'not in a tree' tidfs at now "$MNT/README"
    expect_fail 1 '2999-01-01: cannot open a view in the future; .now. is the latest' tidfs at 2999-01-01
    expect_fail 1 '2999-01-01: cannot open a view in the future; .now. is the latest' tidfs log 2999-01-01..now
    expect_fail 1 '2999-01-01~1: cannot open a view in the future; .now. is the latest' tidfs show 2999-01-01~1
    expect_fail 1 '.' tidfs at 2026-13-01
    expect_fail 1 'no tag' tidfs at no-such-tag
}

test_at_seals_for_now_alone() {
    make_three
    echo four >"$MNT/head/dir/f"
    assert_eq 'a tid' "$(tidfs at --store "$STORE" "$THREE" | cut -c 1-16)" "$THREE"
    assert_eq 'nothing sealed' "$(tidfs status --json "$MNT" | json 'x["pending"]["objects"] > 0')" True
    now=$(tidfs at --mount "$MNT" now | cut -c 1-16)
    [[ $now > $THREE ]] || fail "$now is not after $THREE"
    assert_eq 'the view' "$(cat "$MNT/at/$now/dir/f")" four
}

# ---------------------------------------------------------------- tag

test_tags() {
    make_three
    cd "$MNT/head"
    assert_eq 'a tag for now' "$(tidfs tag three)" "$THREE"
    assert_eq 'a tag for then' "$(tidfs tag two "$TWO")" "$TWO"
    assert_eq 'in the mount' "$(readlink "$MNT/at/two")" "$TWO"
    assert_match list "$(tidfs tag | tr '\n' ';')" "^$THREE  $time  three;$TWO  $time  two;\$"
    assert_eq json "$(tidfs tag --json | json '[(t["name"], t["tid"]) for t in x]')" "[('three', '$THREE'), ('two', '$TWO')]"
    expect_fail 1 "exists already, as $TWO.*--force" tidfs tag two "$ONE"
    assert_eq 'a tag that moves' "$(tidfs tag --force two "$ONE")" "$ONE"
    assert_eq 'in the mount' "$(cat "$MNT/at/two/dir/f")" one
    tidfs tag --delete two
    expect_fail 1 'no tag two' tidfs tag --delete two
    expect_fail any '.' ls "$MNT/at/two/"
    assert_eq 'with --store' "$(cd / && tidfs tag --store "$STORE" | awk '{ print $3 }')" three
    assert_eq 'with --mount' "$(cd / && tidfs tag --mount "$MNT" | awk '{ print $3 }')" three
    local name
    for name in now -2h 2026 a/b 'a b' "$ONE" .. ''; do
        expect_fail 1 '.' tidfs tag -- "$name"
    done
    cd "$DIR"
    unmount
    assert_eq 'without a mount' "$(tidfs tag --store "$STORE" late "$ONE")" "$ONE"
    tidfs verify "$STORE" >/dev/null
}

test_tag_seals_first() {
    make_three
    echo four >"$MNT/head/dir/f"
    cd "$MNT"
    tidfs tag four >/dev/null
    assert_eq 'the view' "$(cat "$MNT/at/four/dir/f")" four
}

# ---------------------------------------------------------------- status, info, verify

test_status() {
    make_three
    echo four >"$MNT/head/dir/f"
    cd "$MNT/head/dir"
    assert_eq keys "$(tidfs status --json | json 'sorted(x)')" \
        "['body_bytes', 'cache', 'commit_error', 'commits', 'database_bytes', 'failed', 'head_objects', 'last_seq', 'last_tid', 'last_time', 'mount', 'nodes', 'pending', 'requests', 'store', 'views', 'writable']"
    assert_eq values "$(tidfs status --json | json '[x["store"], x["mount"], x["writable"], x["last_tid"], x["commits"]]')" \
        "['$STORE', '$MNT', True, '$THREE', 3]"
    assert_match text "$(tidfs status)" 'pending: +1 object'
    assert_match text "$(tidfs status)" "newest: +$THREE"
    commit >/dev/null
    assert_match text "$(tidfs status)" 'pending: +nothing'
}

test_info() {
    new_store
    assert_eq json "$(tidfs info --json "$STORE" | json '[x[k] for k in ("store", "format", "transactions", "tags", "horizon", "writer")]')" \
        "['$STORE', 1, 1, 0, None, None]"
    mount_store
    assert_eq 'from the mount' "$(cd "$MNT/head" && tidfs info --json | json 'x["store"]')" "$STORE"
    assert_eq 'who writes' "$(tidfs info --json "$STORE" | json 'x["writer"]["mount"]')" "$MNT"
    assert_match text "$(tidfs info "$STORE")" "writer: +process [0-9]+, mounted on $MNT"
    unmount
    assert_match text "$(tidfs info "$STORE")" 'writer: +none'
}

test_verify_while_mounted() {
    make_three
    assert_match 'by its directory' "$(tidfs verify "$STORE")" 'clean$'
    assert_match 'by its mount' "$(tidfs verify "$MNT/head/dir")" 'clean$'
    assert_eq json "$(tidfs verify --json "$STORE" | json '[x["clean"], x["complete"], x["problems"]]')" '[True, True, []]'
    expect_fail 8 '.' tidfs verify "$DIR/missing"
    mkdir "$DIR/empty"
    expect_fail 8 '.' tidfs verify "$DIR/empty"
}

test_verify_names_the_path() {
    make_three
    seq 100000 >"$MNT/head/dir/large"
    commit >/dev/null
    unmount
    local body
    body=$(find "$STORE/bodies" -type f -size +0 | head -n 1)
    printf 'x' | dd of="$body" bs=1 seek=100000 conv=notrunc status=none
    expect_fail 4 '' tidfs verify "$STORE"
    assert_match text "$(tidfs verify "$STORE" 2>/dev/null)" '^/?dir/large: '
    tidfs verify --json "$STORE" >found 2>said || true
    assert_match json "$(json '[x["clean"], x["problems"][0]["path"]]' <found)" "^\[False, '/?dir/large'\]"
    assert_eq 'what else is said' "$(cat said)" ''
}

# ---------------------------------------------------------------- where things are

test_bind_mounts_are_seen_through() {
    need_root
    make_three
    mkdir "$DIR/bound"
    mount --bind "$MNT/head/dir" "$DIR/bound" 2>/dev/null || skip 'bind mounts are not permitted here'
    cd "$DIR/bound"
    assert_eq 'the log' "$(tidfs log f | cut -c 1-16 | tr '\n' ' ')" "$THREE $TWO $ONE "
    assert_eq 'the view' "$(tidfs at "$TWO" f)" "$MNT/at/$TWO/dir/f"
    echo four >f
    tidfs commit -m four >/dev/null
    assert_match 'the log' "$(tidfs log -n 1)" ' four$'
    cd "$DIR"
    umount "$DIR/bound"
}

test_subdir_mounts_are_seen_through() {
    make_three
    unmount
    mount_store subdir=dir
    cd "$MNT/head"
    assert_eq 'the log' "$(tidfs log f | cut -c 1-16 | tr '\n' ' ')" "$THREE $TWO $ONE "
    cd "$(tidfs at "$TWO" .)"
    assert_eq 'the view' "$PWD: $(cat f)" "$MNT/at/$TWO: two"
    cd "$MNT/head"
    assert_eq 'diff without a path' "$(tidfs diff "$ONE" "$THREE")" "$(tidfs diff "$ONE" "$THREE" .)"
    assert_match 'diff without a path' "$(tidfs diff "$ONE" "$THREE")" 'dir/f'
    tidfs diff "$ONE" "$THREE" >"$DIR/printed"
    tidfs show "$THREE" >>"$DIR/printed"
    tidfs log -n 1 --name-status >>"$DIR/printed"
    assert_eq 'what is elsewhere' "$(grep -E 'gone|later' "$DIR/printed" || true)" ''
    assert_match show "$(tidfs show "$THREE")" 'dir/f'
    assert_eq 'the log of all' "$(tidfs log | wc -l)" "$(tidfs log --store "$STORE" | wc -l)"
    assert_match 'the whole' "$(tidfs diff --store "$STORE" "$ONE" "$THREE")" 'later'
    cd "$DIR"
}

test_a_mount_whose_driver_died() {
    new_store
    mount_foreground
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    expect_fail 1 'driver has died.*tidfs mount' tidfs status "$MNT"
    expect_fail 1 'driver has died.*tidfs mount' tidfs log "$MNT/head/x"
    assert_eq 'the store itself' "$(tidfs log --store "$STORE" | wc -l)" 1
    mount_store
    tidfs status "$MNT" >/dev/null
}

test_another_user_is_told_why_not() {
    need_root
    need setpriv
    make_three
    chmod 755 "$WORK" "$DIR"
    expect_fail 1 'Permission denied' setpriv --reuid 65534 --clear-groups "$TIDFS" log "$MNT/head"
    expect_fail 1 'Permission denied' setpriv --reuid 65534 --clear-groups "$TIDFS" log --store "$STORE"
    expect_fail 1 'Permission denied' setpriv --reuid 65534 --clear-groups "$TIDFS" tag --store "$STORE" name
    expect_fail 1 'Permission denied: this command reads the store itself, which only its owner may; ask the owner' \
        setpriv --reuid 65534 --clear-groups "$TIDFS" log --store "$STORE"
}

test_who_may_not_read_the_store_is_told_what_to_do() {
    need_root
    need setpriv
    make_three
    unmount
    mount_store commit-interval=1h,allow_other,history=all
    chmod 755 "$WORK" "$DIR"
    local other=(setpriv --reuid 65534 --clear-groups) command
    assert_eq 'what works' "$("${other[@]}" cat "$MNT/at/$ONE/dir/f")" one
    cd "$MNT/head"
    for command in log 'versions dir/f' "diff $ONE $TWO" "cat $ONE dir/f" "ls $ONE" "revert -n --at $ONE dir/f"; do
        # shellcheck disable=SC2086 # words
        expect_fail 1 "reads the store itself.* below $MNT/at and $MNT/versions work" "${other[@]}" "$TIDFS" $command
    done
    cd "$DIR"
}

test_a_store_in_use_says_what_to_do() {
    make_three
    mkdir second
    expect_fail 1 "in use by process [0-9]+, which has it mounted on $MNT; use it there, or unmount that with .tidfs umount" \
        tidfs mount "$STORE" second
}

# ---------------------------------------------------------------- paths are names

# $OLD has a directory where there is a symlink now.
make_replaced() {
    new_store
    mount_store commit-interval=1h
    mkdir -p "$MNT/head/dd" "$MNT/head/other"
    echo 1 >"$MNT/head/dd/b"
    echo only >"$MNT/head/dd/only"
    echo other >"$MNT/head/other/b"
    OLD=$(commit old)
    in_head mv dd dd2
    in_head ln -s other dd
    NEW=$(commit new)
}

test_paths_do_not_lead_through_symlinks_of_today() {
    make_replaced
    cd "$MNT/head"
    assert_eq cat "$(tidfs cat now~1 dd/b)" 1
    assert_eq 'cat by its path' "$(tidfs cat "$OLD" "$MNT/head/dd/b")" 1
    assert_eq 'cat, lexically' "$(tidfs cat "$OLD" other/../dd/./b "$MNT/head/dd/../dd/b")" $'1\n1'
    assert_eq 'several' "$(tidfs cat "$OLD" other/b dd/b)" $'other\n1'
    assert_eq log "$(tidfs log dd/b | cut -c 1-16 | tr '\n' ' ')" "$NEW $OLD "
    assert_eq versions "$(tidfs versions dd/b | wc -l)" 2
    assert_match diff "$(tidfs diff -p "$OLD" "$NEW" -- dd/b)" 'rename from dd/b'
    assert_match at "$(tidfs at "$OLD" dd/b)" "at/$OLD/dd/b\$"
    expect_fail 1 'dd: something that is no directory is there now' tidfs revert -n --at "$OLD" dd/only
    cd "$MNT/at/$NEW"
    assert_eq 'from a view' "$(tidfs cat "$OLD" dd/b)" 1
    expect_fail 1 'symlink' tidfs cat "$NEW" dd/b
    mount_store "at=$NEW" "$DIR/view"
    assert_eq 'in a mount of a view' "$(tidfs cat "$OLD" "$DIR/view/dd/b")" 1
    assert_eq 'below /versions' "$(tidfs cat "$OLD" "$MNT/versions/dd/b")" 1
    assert_eq 'at a moving name' "$(tidfs cat "$OLD" "$MNT/at/now/dd/b")" 1
    cd "$DIR"
}

test_paths_lead_through_symlinks_elsewhere() {
    make_replaced
    ln -s "$MNT/head" "$DIR/short"
    ln -s "$MNT/head/dd2" "$DIR/deep"
    ln -s "$MNT/head/dd/b" "$DIR/file"
    assert_eq 'to the head' "$(tidfs cat "$OLD" "$DIR/short/dd/b")" 1
    assert_eq 'to what is below it' "$(tidfs cat "$NEW" deep/b)" 1
    assert_eq 'to it alone' "$(tidfs ls "$NEW" deep)" $'b\nonly'
    assert_eq 'through a symlink of the tree' "$(tidfs cat "$OLD" file)" 1
    # Where one stands is what the kernel says.
    cd "$MNT/head/dd"
    assert_eq 'where one stands' "$(tidfs cat "$OLD" b ../dd/b)" $'other\n1'
    cd "$DIR"
}

# ---------------------------------------------------------------- tids are exact

test_a_tid_that_is_no_transaction_is_refused() {
    make_three
    local other none arguments
    # One more than a tid is at most another transaction's by a rare chance; that of a day before the store is nobody's.
    none=03f0000000000000
    other=$(printf '%016x' $((0x$TWO + 1)))
    cd "$MNT/head"
    for arguments in "show $other" "diff $other" "diff $ONE $other" "diff $other..$THREE" "diff $ONE..$other" \
        "cat $other dir/f" "ls $other" "log $other" "log $other.." "log ..$other" "log --since $other" \
        "log --until $other" "at $other" "at --before $other" "tag name $other" "revert --at $other dir/f" "undo $other" \
        "show $other~1" "ls $other^" "undo $other~1" "log $other^..$THREE"; do
        # shellcheck disable=SC2086 # words
        expect_fail 1 "no transaction of this store has the tid $other; is it of another store\? .tidfs log. lists them" \
            tidfs $arguments
    done
    expect_fail 1 "has the tid $none" tidfs ls "$none"
    expect_fail 1 'ffffffffffffff0: cannot open a view in the future' tidfs ls 0ffffffffffffff0
    # A path's names are lenient, and so is the view in which one stands.
    assert_eq 'a path' "$(cat "$MNT/at/$other/dir/f")" two
    cd "$MNT/at/$other/dir"
    assert_eq 'the log there' "$(tidfs log -n 1 | cut -c 1-16)" "$TWO"
    assert_match 'show there' "$(tidfs show)" "$TWO"
    assert_eq 'diff to there' "$(tidfs diff "$TWO")" ''
    assert_match 'revert to there' "$(tidfs revert -n f)" 'f'
    mount_store "at=$other" "$DIR/view"
    assert_eq 'a mount' "$(cat "$DIR/view/dir/f")" two
    cd "$DIR"
}

# ---------------------------------------------------------------- before the first transaction

test_before_the_first_transaction_nothing_was_there() {
    make_three
    cd "$MNT/head"
    local first
    first=$(tidfs log | tail -n 1 | cut -c 1-16)
    said="2000: nothing was there yet; that is before the first transaction, $first, "
    assert_match at "$(tidfs at 2000 2>&1 >/dev/null)" "$said"
    assert_match ls "$(tidfs ls 2000 2>&1)" "$said"
    assert_match log "$(tidfs log 2000 2>&1)" "$said"
    assert_match 'log of a range' "$(tidfs log ..2000 2>&1)" " $said"
    assert_match 'log until' "$(tidfs log --until 2000 2>&1)" "$said"
    assert_match diff "$(tidfs diff 1999 2000 2>&1)" "$said"
    expect_fail 1 'not there yet then: it came later' tidfs cat 2000 dir/f
    assert_eq 'nothing to say' "$(tidfs ls now 2>&1 >/dev/null; tidfs log now 2>&1 >/dev/null)" ''
    cd "$DIR"
}

test_paths_from_the_root_with_mount() {
    make_three
    assert_eq relative "$(tidfs cat --mount "$MNT" "$ONE" dir/f)" one
    assert_eq absolute "$(tidfs cat --mount "$MNT" "$ONE" /dir/f)" one
    expect_fail 1 '/dir/g: not there then, nor at any other time' tidfs cat --mount "$MNT" "$ONE" /dir/g
    mkdir other other-mount
    tidfs init other >/dev/null
    tidfs mount other other-mount
    expect_fail 1 'other-mount/head/x: lies in no tree of the store that --mount names' \
        tidfs cat --mount "$MNT" "$ONE" "$DIR/other-mount/head/x"
}

test_the_helper_of_mount() {
    new_store
    mkdir "$MNT"
    ln -s "$TIDFS" mount.tidfs
    ln -s "$TIDFS" mount.fuse.tidfs
    ./mount.tidfs "$STORE" "$MNT" -f
    expect_fail 1 'not in a mount' tidfs status "$MNT"
    ./mount.tidfs "$STORE" "$MNT" -sv -t tidfs -o rw,noauto,x-systemd.automount,commit-interval=1h
    assert_eq writable "$(tidfs status --json "$MNT" | json 'x["writable"]')" True
    unmount
    ./mount.fuse.tidfs "$STORE" "$MNT" -o rw,at=now
    assert_eq writable "$(tidfs status --json "$MNT" | json 'x["writable"]')" False
    unmount
    expect_fail 1 'unknown option' ./mount.tidfs "$STORE" "$MNT" -o nonsense
    expect_fail 32 '.' ./mount.tidfs "$DIR/missing" "$MNT" -o rw
}

test_names_of_anything() {
    new_store
    mkdir "$DIR/a b"$'\n'"c"
    mount_store commit-interval=1h "$DIR/a b"$'\n'"c"
    cd "$DIR/a b"$'\n'"c/head"
    echo x >$'new\nline'
    ONE=$(tidfs commit)
    assert_eq 'the view' "$(tidfs at "$ONE" $'new\nline')" "$DIR/a b"$'\n'"c/at/$ONE/"$'new\nline'
    assert_eq 'the log' "$(tidfs log $'new\nline' | cut -c 1-16)" "$ONE"
    cd "$DIR"
    unmount "$DIR/a b"$'\n'"c"
}

# ---------------------------------------------------------------- a store that is not what it was

test_a_store_that_was_moved_away_is_not_taken_for_another() {
    local command
    new_store
    mount_store commit-interval=1h
    echo 1 >"$MNT/head/f"
    commit first >/dev/null
    mv "$STORE" "$DIR/moved"
    expect_fail 1 "the store mounted on $MNT is not at $STORE any more" tidfs log "$MNT"
    new_store
    for command in log 'diff now~1' status info 'versions f' 'tag t' 'tag --delete t'; do
        # shellcheck disable=SC2086 # what it takes is a word of its own
        (cd "$MNT/head" && expect_fail 1 "the store mounted on $MNT is not at $STORE any more" "$TIDFS" $command) ||
            fail "$command"
    done
    expect_fail any 'any more' tidfs verify "$MNT"
    expect_fail 1 'any more' tidfs revert --mount "$MNT" now~1 f
    # Nor is that mount taken for one of the other store.
    assert_match 'status of the new store' "$(tidfs status --json --store "$STORE")" '"mount": null'
    rm -r "$STORE"
    mv "$DIR/moved" "$STORE"
    assert_match 'log, after it was moved back' "$(tidfs log "$MNT")" first
    unmount
    assert_match 'store' "$(tidfs verify "$STORE")" clean
}

# Nobody but its owner can do that.
test_removing_the_lock_lets_no_second_writer_in() {
    new_store
    mount_store commit-interval=1h
    echo 1 >"$MNT/head/f"
    rm "$STORE/lock"
    mkdir "$DIR/mnt2"
    expect_fail 1 'its file lock was removed' tidfs mount "$STORE" "$DIR/mnt2"
    expect_fail 8 'its file lock was removed' tidfs verify --repair "$STORE"
    tidfs commit "$MNT" >/dev/null
    unmount
    mount_store
    assert_match 'what was written' "$(cat "$MNT/head/f")" 1
    unmount
}

# Where neither the file nor the directory keeps the second out, as on some disks of other machines: here it comes by another directory.
test_a_writer_beside_another_is_told_what_happened() {
    local said='another process has written the store meanwhile: was .*lock.* removed'
    new_store
    mount_foreground commit-interval=1h 2>"$DIR/log"
    echo 1 >"$MNT/head/f"
    mkdir -m 700 "$DIR/twin" "$DIR/twin/bodies" "$DIR/mnt2"
    ln "$STORE"/tidfs.db* "$DIR/twin"
    tidfs mount -o commit-interval=1h "$DIR/twin" "$DIR/mnt2"
    echo 2 >"$DIR/mnt2/head/g"
    tidfs commit "$DIR/mnt2" >/dev/null
    expect_fail 1 "$said" tidfs commit "$MNT"
    expect_fail 1 "$said" tidfs commit "$MNT"
    assert_match 'status' "$(tidfs status "$MNT")" "$said"
    expect_fail 32 "$said.*pending is lost" tidfs umount "$MNT"
    unmount "$DIR/mnt2"
    tidfs umount -l "$MNT"
    ! wait "$DRIVER" || fail 'the driver told of no loss'
    assert_match log "$(cat "$DIR/log")" "$said"
    assert_match 'store' "$(tidfs verify "$STORE")" clean
}

test_a_configuration_that_is_a_fifo_is_not_waited_for() {
    new_store
    mkdir -p "$DIR/home/.config/tidfs" "$MNT"
    mkfifo "$DIR/home/.config/tidfs/tidfs.conf"
    HOME=$DIR/home XDG_CONFIG_HOME='' expect_fail 1 'tidfs.conf is no regular file' timeout 10 "$TIDFS" mount "$STORE" "$MNT"
}

run_tests "$@"
