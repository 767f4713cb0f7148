#!/usr/bin/env bash
# What makes the command line pleasant: cat and ls without a mount, status, the pager, help, completion, suggestions, messages.
. "$(dirname "$0")/lib.sh"

time='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}(Z|[+-][0-9]{2}:[0-9]{2})'

# A tree at two instants, $ONE and $TWO, of which each has what the other lacks.
make_two() {
    new_store
    mount_store commit-interval=1h
    mkdir -p "$MNT/head/dir/sub"
    echo one >"$MNT/head/dir/f"
    echo moves >"$MNT/head/dir/moves"
    echo old >"$MNT/head/gone"
    ln -s f "$MNT/head/dir/link"
    ln -s dir "$MNT/head/way"
    ONE=$(commit one)
    echo two >"$MNT/head/dir/f"
    mv "$MNT/head/dir/moves" "$MNT/head/moved"
    rm "$MNT/head/gone"
    echo new >"$MNT/head/later"
    TWO=$(commit two)
}

# at_rest: without the mount, but with the tests' variables.
at_rest() {
    cd "$DIR"
    unmount
}

# json FILTER: of the documents on stdin, one a line.
json() {
    python3 -c 'import json, sys; x = [json.loads(l) for l in sys.stdin]; print(eval(sys.argv[1], {"x": x}))' "$1"
}

# on_terminal COMMAND…: with a terminal as stdin, stdout and stderr; prints what that got.
on_terminal() {
    python3 - "$@" <<'END'
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        got = os.read(terminal, 65536)
    except OSError:
        break
    if not got:
        break
    sys.stdout.buffer.write(got.replace(b"\r\n", b"\n"))
sys.stdout.flush()
status = os.waitpid(pid, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
END
}

# ---------------------------------------------------------------- cat

test_cat_writes_files_as_they_were() {
    make_two
    cd "$MNT/head"
    assert_eq "then" "$(tidfs cat "$ONE" dir/f)" one
    assert_eq now "$(tidfs cat now dir/f)" two
    assert_eq 'several' "$(tidfs cat "$ONE" dir/f gone dir/moves)" $'one\nold\nmoves'
    echo three >dir/f
    assert_eq 'what was written just now' "$(tidfs cat now dir/f)" three
    cd "$MNT/at/$ONE/dir"
    assert_eq 'from a view' "$(tidfs cat "$TWO" f)" two
    assert_eq 'of that view' "$(tidfs cat "$ONE" f)" one
    cd "$MNT/before/$TWO/dir"
    assert_eq 'from a view before' "$(tidfs cat "$TWO" f ../later)" $'two\nnew'
    cd /
    assert_eq 'by its path' "$(tidfs cat "$ONE" "$MNT/head/dir/f")" one
    assert_eq 'with --mount' "$(tidfs cat --mount "$MNT" "$ONE" dir/f)" one
    assert_eq 'with --store' "$(tidfs cat --store "$STORE" "$ONE" dir/f /dir//f)" $'one\none'
    at_rest
    assert_eq 'at rest' "$(tidfs cat --store "$STORE" "$ONE" dir/f)" one
}

test_cat_is_exact() {
    new_store
    mount_store commit-interval=1h
    head -c 3000001 /dev/urandom >bytes
    cp bytes "$MNT/head/bytes"
    : >"$MNT/head/empty"
    truncate -s 5M "$MNT/head/hole"
    printf 'end\0' >>"$MNT/head/hole"
    cp --sparse=never "$MNT/head/hole" hole
    ONE=$(commit)
    echo more >>"$MNT/head/bytes"
    at_rest
    tidfs cat --store "$STORE" "$ONE" bytes | cmp - bytes
    tidfs cat --store "$STORE" "$ONE" hole | cmp - hole
    tidfs cat --store "$STORE" "$ONE" empty | cmp - /dev/null
    tidfs cat --store "$STORE" "$ONE" bytes hole bytes | cmp - <(cat bytes hole bytes)
    tidfs cat --store "$STORE" "$ONE" hole bytes | head -c 10 >/dev/null || [ "${PIPESTATUS[0]}" = 141 ]
    [ ! -e /dev/full ] || expect_fail 1 'cannot write to stdout' sh -c "'$TIDFS' cat --store '$STORE' $ONE hole >/dev/full"
}

test_cat_says_why_not() {
    make_two
    mkfifo "$MNT/head/fifo"
    FIFO=$(commit)
    cd "$MNT/head"
    expect_fail 1 "not there yet then: it came later, in $TWO, $time" tidfs cat "$ONE" later
    expect_fail 1 "not there then: it was deleted before, in $TWO, $time; ~1 of that" tidfs cat now gone
    assert_eq 'as it says' "$(tidfs cat "$TWO~1" gone)" old
    expect_fail 1 "it lost that name before, in $TWO, .* is then /moved$" tidfs cat now dir/moves
    expect_fail 1 'not there then, nor at any other time' tidfs cat now never
    expect_fail 1 'not there then, nor at any other time' tidfs cat now never/at/all
    expect_fail 1 'is a directory then; .tidfs ls. lists it' tidfs cat now dir
    expect_fail 1 'symlink then, to f; symlinks are not followed' tidfs cat now dir/link
    expect_fail 1 'special file' tidfs cat "$FIFO" fifo
    expect_fail 1 '/way was then a symlink to dir, which is not followed' tidfs cat --store "$STORE" now way/f
    expect_fail 1 '/dir/f was then no directory' tidfs cat --store "$STORE" now dir/f/x
    expect_fail 1 'cannot open a view in the future' tidfs cat 2999-01-01 dir/f
    expect_fail 1 'not there yet then' tidfs cat 1999 dir/f
    expect_fail 2 'which file' tidfs cat now
    expect_fail 2 'when' tidfs cat
    expect_fail 1 'not in a tree' tidfs cat now "$MNT/README"
    # One that is wrong keeps none of the others.
    expect_fail 1 'never' tidfs cat "$ONE" never dir/f
    assert_eq 'the others' "$(tidfs cat "$ONE" dir/f never gone 2>/dev/null || true)" $'one\nold'
    "$TIDFS" init "$DIR/other"
    "$TIDFS" mount "$DIR/other" "$(mkdir "$DIR/elsewhere" && echo "$DIR/elsewhere")"
    expect_fail 1 'another store' tidfs cat now dir/f "$DIR/elsewhere/head/x"
    cd "$DIR"
}

test_cat_of_what_is_damaged() {
    new_store
    mount_store commit-interval=1h
    seq 100000 >"$MNT/head/large"
    echo fine >"$MNT/head/fine"
    commit >/dev/null
    at_rest
    local body
    body=$(find "$STORE/bodies" -type f -size +0 | head -n 1)
    printf x | dd of="$body" bs=1 seek=100000 conv=notrunc status=none
    expect_fail 1 'large: cannot be read from byte [0-9]+ on: Input/output error' tidfs cat --store "$STORE" now large
    assert_eq 'the rest' "$(tidfs cat --store "$STORE" now large fine 2>/dev/null | tail -n 1 || true)" fine
}

# ---------------------------------------------------------------- ls

test_ls_lists_what_was_there() {
    make_two
    cd "$MNT/head"
    assert_eq "then" "$(tidfs ls "$ONE" | tr '\n' ' ')" 'dir gone way '
    assert_eq now "$(tidfs ls now | tr '\n' ' ')" 'dir later moved way '
    assert_eq 'a directory' "$(tidfs ls "$ONE" dir | tr '\n' ' ')" 'f link moves sub '
    assert_eq 'an empty one' "$(tidfs ls "$ONE" dir/sub)" ''
    assert_eq 'a file' "$(tidfs ls "$ONE" dir/f)" dir/f
    assert_eq 'a directory itself' "$(tidfs ls -d "$ONE" dir)" dir
    cd "$MNT/at/$ONE/dir"
    assert_eq 'from a view' "$(tidfs ls "$TWO" | tr '\n' ' ')" 'f link sub '
    cd /
    assert_eq 'with --mount' "$(tidfs ls --mount "$MNT" "$ONE" | tr '\n' ' ')" 'dir gone way '
    at_rest
    assert_eq 'at rest' "$(tidfs ls --store "$STORE" "$ONE" | tr '\n' ' ')" 'dir gone way '
    assert_eq 'below it' "$(tidfs ls --store "$STORE" "$ONE" /dir/ | tr '\n' ' ')" 'f link moves sub '
    assert_eq 'before everything' "$(tidfs ls --store "$STORE" 1999)" ''
    expect_fail 1 'not there yet then' tidfs ls --store "$STORE" "$ONE" later
    expect_fail 1 'not in a mount' tidfs ls now
    expect_fail 2 when tidfs ls
    expect_fail 2 'more than one path' tidfs ls now a b
}

# Against the real ls, of the view in the mount. Directories have other sizes there.
test_ls_long_is_as_ls_has_it() {
    make_two
    cd "$MNT/head/dir"
    chmod 4755 f
    chmod 2070 sub
    ln f g
    [ "$(id -u)" != 0 ] || { chown 1234:4321 f && mknod null c 1 3 && chmod 1777 sub; }
    mkfifo fifo
    touch -d '1969-07-20T20:17:40.000000001Z' g
    NOW=$(commit)
    assert_eq 'the lines' "$(tidfs ls -l "$NOW" | sed -E 's/ +/ /g' | grep -v ^d)" \
        "$(cd "$MNT/at/$NOW/dir" && ls -lA --time-style=+%Y-%m-%dT%H:%M:%S.%N%:z | sed -E '1d; s/ +/ /g' | grep -v ^d)"
    assert_match 'a directory' "$(tidfs ls -ld "$NOW" sub)" "^d(rwxrwsrwt|---rws---) 2 [^ ]+ [^ ]+ 0 $time sub\$"
    assert_match 'the zone' "$(TZ=Asia/Kolkata tidfs ls -l "$NOW" g)" 'T01:47:40\.000000001\+05:30 g$'
    assert_match 'in UTC' "$(TZ=Asia/Kolkata tidfs ls -l --utc "$NOW" g)" '1969-07-20T20:17:40\.000000001Z g$'
}

test_ls_for_programs() {
    new_store
    mount_store commit-interval=1h
    cd "$MNT/head"
    echo x >$'new\nline'
    ln -s $'new\nline' link
    : >$'\xff'
    NOW=$(commit)
    assert_eq zeros "$(tidfs ls -z "$NOW" | od -An -c | tr -d ' \n')" 'link\0new\nline\0377\0'
    assert_eq names "$(tidfs ls --json "$NOW" | json '[(y["name"], y["type"]) for y in x]')" \
        "[('link', 'symlink'), ('new\\nline', 'file'), ('�', 'file')]"
    assert_eq bytes "$(tidfs ls --json "$NOW" | json 'x[2]["name_base64"]')" '/w=='
    assert_eq values "$(tidfs ls --json "$NOW" $'new\nline' | json '[x[0][k] for k in ("mode", "links", "uid", "size")]')" \
        "['0644', 1, $(id -u), 2]"
    assert_eq target "$(tidfs ls --json "$NOW" link | json 'x[0]["target"]')" $'new\nline'
    cd "$DIR"
}

test_ls_of_many() {
    new_store
    mount_store commit-interval=1h
    mkdir "$MNT/head/many"
    (cd "$MNT/head/many" && seq -f 'name-%.0f' 5000 | xargs touch)
    NOW=$(commit)
    tidfs ls --store "$STORE" "$NOW" many | cmp - <(seq -f 'name-%.0f' 5000 | LC_ALL=C sort)
}

# Twelve steps of a real history: what git lists and holds for each is what ls and cat give, mounted and at rest.
test_ls_and_cat_agree_with_git() {
    need git
    local commit message n path tids=() commits=()
    git clone -q --bare "$BUNDLE" "$DIR/git"
    new_store
    mount_store commit-interval=1h
    while read -r commit message; do
        git_at "$MNT/head" "$DIR/index" "$commit"
        commits+=("$commit") tids+=("$(commit "$message")")
    done < <(choose_steps 12)
    compare_steps() {
        for n in "${!tids[@]}"; do
            assert_eq "step $n" "$(tidfs ls --store "$STORE" "${tids[n]}")" \
                "$(git --git-dir="$DIR/git" ls-tree --name-only "${commits[n]}" | LC_ALL=C sort)"
            while read -r path; do
                tidfs cat --store "$STORE" "${tids[n]}" "$path" | cmp - <(git --git-dir="$DIR/git" show "${commits[n]}:$path")
            done < <(git --git-dir="$DIR/git" ls-tree -r "${commits[n]}" | awk '$1 != 120000' | cut -f 2 | awk "NR % 9 == $n % 9")
        done
    }
    compare_steps
    unmount
    compare_steps
}

# ---------------------------------------------------------------- status

test_status_of_a_store_at_rest() {
    make_two
    at_rest
    assert_eq json "$(tidfs status --json "$STORE" | json '[x[0][k] for k in ("store", "mount", "writable", "last_tid")]')" \
        "['$STORE', None, False, '$TWO']"
    assert_match text "$(tidfs status --store "$STORE")" "^newest: +$TWO  $time\$"
    assert_match text "$(tidfs status "$STORE")" '^size: +[0-9.]+ [A-Za-z]+ of database, [0-9.]+ [A-Za-z]+ of body files$'
    expect_fail 1 'not in a mount of tidfs; name one' tidfs status "$DIR"
    expect_fail 2 'more than one' tidfs status --store "$STORE" "$STORE"
}

test_status_of_a_store_finds_its_mount() {
    make_two
    echo more >"$MNT/head/more"
    assert_eq 'pending' "$(tidfs status --json --store "$STORE" | json 'x[0]["pending"]["objects"] > 0')" True
    assert_eq 'the mount' "$(tidfs status --json "$STORE" | json 'x[0]["mount"]')" "$MNT"
    assert_match text "$(tidfs status --mount "$MNT")" '^pending: +2 objects?, .*to be sealed in (59 min|1 h)'
    cat "$MNT/at/$ONE/dir/f" "$MNT/at/$ONE/gone" >/dev/null
    assert_match text "$(tidfs status "$MNT")" '^views: +1 open'
    assert_match text "$(tidfs status "$MNT")" '^cache: .*[0-9]+ hits, [0-9]+ misses \([0-9.]+ % hits\)'
}

# ---------------------------------------------------------------- the pager and colour

test_the_pager_is_for_terminals_alone() {
    make_two
    export TIDFS_PAGER='sed s/^/paged:/'
    assert_eq 'on a terminal' "$(on_terminal "$TIDFS" ls --store "$STORE" "$ONE")" $'paged:dir\npaged:gone\npaged:way'
    assert_eq 'with --no-pager' "$(on_terminal "$TIDFS" ls --no-pager --store "$STORE" "$ONE")" $'dir\ngone\nway'
    assert_eq 'with it before' "$(on_terminal "$TIDFS" --no-pager ls --store "$STORE" "$ONE")" $'dir\ngone\nway'
    assert_eq 'in a pipe' "$(tidfs ls --store "$STORE" "$ONE")" $'dir\ngone\nway'
    assert_eq 'cat' "$(on_terminal "$TIDFS" cat --store "$STORE" "$ONE" dir/f)" one
    assert_eq 'an empty one' "$(TIDFS_PAGER='' PAGER='sed s/^/x/' on_terminal "$TIDFS" ls --store "$STORE" "$ONE")" \
        $'dir\ngone\nway'
    unset TIDFS_PAGER
    assert_eq 'PAGER' "$(PAGER='sed s/^/second:/' on_terminal "$TIDFS" ls --store "$STORE" "$ONE" dir/f)" second:dir/f
    assert_eq 'one that is missing' "$(PAGER=no-such-pager on_terminal "$TIDFS" ls --store "$STORE" "$ONE" dir/f)" dir/f
}

test_exit_codes_are_kept_behind_the_pager() {
    make_two
    export TIDFS_PAGER='cat; true'
    on_terminal "$TIDFS" ls --store "$STORE" now >/dev/null
    local rc=0
    on_terminal "$TIDFS" ls --store "$STORE" now never >said || rc=$?
    assert_eq 'exit code' "$rc" 1
    assert_match said "$(cat said)" 'nor at any other time'
    on_terminal "$TIDFS" ls --nonsense >said || rc=$?
    assert_eq 'exit code' "$rc" 2
}

test_leaving_the_pager_is_quiet() {
    new_store
    mount_store commit-interval=1h
    (cd "$MNT/head" && seq -f 'a-rather-long-name-that-fills-the-pipe-%.0f' 5000 | xargs touch)
    NOW=$(commit)
    assert_eq 'what is seen' "$(TIDFS_PAGER='head -n 1' on_terminal "$TIDFS" ls --store "$STORE" "$NOW")" \
        a-rather-long-name-that-fills-the-pipe-1
}

# ---------------------------------------------------------------- help

# With pages of our own, since the real ones may not be installed here.
test_help_on_a_terminal_is_the_manual_page() {
    need man
    mkdir -p man/man1
    sed 's/^\.SH DESCRIPTION/.SH DESCRIPTION\nThis comes from the page.\n/' "$root/fs/man/tidfs-tag.1" >man/man1/tidfs-tag.1
    export MANPATH=$DIR/man MANPAGER=cat PAGER=cat TERM=dumb
    assert_match 'on a terminal' "$(on_terminal "$TIDFS" help tag)" 'This comes from the page'
    assert_eq 'in a pipe' "$(tidfs help tag)" "$(tidfs tag --help)"
    assert_eq 'without a page' "$(on_terminal "$TIDFS" help at)" "$(tidfs at --help)"
    assert_eq 'of all' "$(on_terminal "$TIDFS" help)" "$(tidfs --help)"
}

# ---------------------------------------------------------------- completion

test_completion_knows_instants() {
    make_two
    tidfs tag --mount "$MNT" release-1 "$ONE" >/dev/null
    cd "$MNT/head"
    assert_eq tags "$(tidfs --complete ls rel | cut -f 1)" release-1
    assert_match words "$(tidfs --complete ls '' | cut -f 1 | tr '\n' ' ')" "^release-1 $TWO $ONE $(printf %.4s "$ONE").* now today yesterday \$"
    assert_match 'what they are' "$(tidfs --complete ls "$ONE")" "^$ONE	$time one\$"
    assert_match times "$(tidfs --complete cat 20)" "^$time	$TWO\$"
    assert_eq 'given back' "$(tidfs at "$(tidfs --complete cat 20 | head -n 1 | cut -f 1)" | cut -c 1-16)" "$TWO"
    assert_eq ranges "$(tidfs --complete log "$ONE..rel" | head -n 1 | cut -f 1)" "$ONE..release-1"
    assert_eq paths "$(tidfs --complete cat "$ONE" '')" ':files '
    cd /
    assert_eq 'with --store' "$(tidfs --complete ls --store "$STORE" rel | cut -f 1)" release-1
    assert_eq 'with --mount' "$(tidfs --complete ls "--mount=$MNT" rel | cut -f 1)" release-1
    assert_eq 'of tag' "$(tidfs --complete tag --store "$STORE" rel | cut -f 1)" release-1
    assert_eq elsewhere "$(tidfs --complete ls rel 2>&1)" ''
    cd "$DIR"
}

# ask_bash LINE: what bash offers at the end of it, one a line. Bash cuts the words as its readline does.
ask_bash() {
    bash --norc -c '
        . "$1" && shift
        compopt() { :; }
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<<"$(sed -E "s/([=:@]+)/ \1 /g" <<<"$1")"
        [[ $1 != *[[:space:]=:@] ]] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _tidfs
        printf "%s\n" "${COMPREPLY[@]}"' ask "$root/fs/completion/tidfs.bash" "$1"
}

test_completion_of_bash() {
    make_two
    tidfs tag --store "$STORE" release-1 "$ONE" >/dev/null
    mkdir 'a directory' && : >'a file'
    mkdir bin && ln -s "$TIDFS" bin/tidfs
    PATH=$DIR/bin:$PATH
    assert_eq command "$(ask_bash 'tidfs comm')" commit
    assert_eq option "$(ask_bash 'tidfs commit --mes')" --message
    assert_eq tag "$(ask_bash "tidfs ls --store $STORE rel")" release-1
    assert_eq 'after =' "$(ask_bash "tidfs ls --store=$STORE rel")" release-1
    assert_eq 'a value after =' "$(ask_bash 'tidfs ls --color=al')" always
    local shown
    shown=$(tidfs at --store "$STORE" "$TWO" | awk '{ print $2 }')
    assert_eq 'a time, cut at its colons' "$(ask_bash "tidfs ls --store $STORE ${shown%:*:*}:" | head -n 1)" "${shown#*:*:}"
    assert_eq files "$(ask_bash 'tidfs cat now a' | sort)" $'a directory\na file'
    assert_eq directories "$(ask_bash 'tidfs init a')" 'a directory'
    assert_eq 'a value that is a directory' "$(ask_bash 'tidfs ls --store=a')" 'a directory'
}

test_completion_of_fish() {
    need fish
    make_two
    tidfs tag --store "$STORE" release-1 "$ONE" >/dev/null
    mkdir a-directory home bin && ln -s "$TIDFS" bin/tidfs
    export HOME=$DIR/home PATH=$DIR/bin:$PATH
    # shellcheck disable=SC2016 # they are variables of fish
    ask() { fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$root/fs/completion/tidfs.fish" "$1" | cut -f 1; }
    fish --no-execute "$root/fs/completion/tidfs.fish"
    assert_eq command "$(ask 'tidfs comm')" commit
    assert_eq option "$(ask 'tidfs commit --mes')" --message
    assert_eq tag "$(ask "tidfs ls --store $STORE rel")" release-1
    assert_eq 'after =' "$(ask 'tidfs ls --store=a-d')" --store=a-directory/
    assert_eq directories "$(ask 'tidfs init a-d')" a-directory/
}

test_completion_of_zsh() {
    need zsh
    zsh -n "$root/fs/completion/_tidfs"
}

# ---------------------------------------------------------------- did you mean, and what to do

test_misspelt_words_name_the_nearest() {
    make_two
    tidfs tag --store "$STORE" release-1 "$ONE" >/dev/null
    expect_fail 2 'no command comit; did you mean commit\?' tidfs comit
    expect_fail 2 'did you mean --store\?' tidfs ls --stoer x now
    expect_fail 1 'no tag has that name; did you mean release-1\?' tidfs ls --store "$STORE" relaese-1
    expect_fail 1 'no tag has that name; did you mean release-1\?' tidfs at --store "$STORE" release1~2
    expect_fail 1 'no tag has that name$' tidfs at --store "$STORE" something-else
}

test_messages_say_what_to_do() {
    make_two
    expect_fail 1 'tag: "now" is a time already' tidfs tag --store "$STORE" now
    expect_fail 1 'tag: "2026-11-22" is a time already' tidfs tag --store "$STORE" 2026-11-22
    expect_fail 1 'commit: .*not in a mount of tidfs; name a directory in one' tidfs commit "$DIR"
    expect_fail 1 'the message is empty' tidfs commit -m '' "$MNT"
    expect_fail 1 'the message is empty' tidfs commit -F /dev/null "$MNT"
    expect_fail 2 'cache-size is 1 byte to 8388607T' tidfs mount -o cache-size=99999999T "$STORE" "$DIR"
    expect_fail 2 'there is no remount: unmount it' tidfs mount -o remount,ro "$STORE" "$MNT"
    expect_fail 1 'name one, or a store with --store' tidfs log "$DIR"
}

test_a_read_only_disk_is_mounted_read_only() {
    need_root
    make_two
    at_rest
    mkdir disk
    mount -t tmpfs none disk 2>/dev/null || skip 'mounting is not permitted here'
    cp -a "$STORE" disk/store
    mount -o remount,ro disk
    expect_fail 1 '-o ro' tidfs mount disk/store "$MNT"
    tidfs mount -o ro disk/store "$MNT"
    assert_eq 'the file' "$(cat "$MNT/head/dir/f")" two
    unmount
    wait_until 10 umount disk
}

test_only_who_mounted_it_unmounts() {
    need_root
    need setpriv
    make_two
    chmod 755 "$WORK" "$DIR"
    expect_fail 1 "was mounted by $(id -un): they can unmount it, or root" \
        setpriv --reuid 65534 --clear-groups "$TIDFS" umount "$MNT"
    mountpoint -q "$MNT"
}

run_tests
