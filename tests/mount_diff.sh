#!/usr/bin/env bash
# tidfs diff and tidfs show: what they print of changes made by hand; and, on a replayed history, that any two states differ as git says,
# and that a patch makes one of the other.
#
# The replay is of tests/data/gitignore.bundle, and then of steps that have what it lacks: binary files, executables, symlinks, hard links,
# renamed files and directories, and names with tabs, quotes, newlines and bytes that are not UTF-8.
#
# Environment: STEPS, how many steps of the bundle, taken evenly (default 25; `all`); EXTRA, how many further ones (default 20); PAIRS, how many
# pairs of states are compared (default 40; 200 take a minute or two); SEED, of everything random (default: the clock; printed).
. "$(dirname "$0")/lib.sh"

STEPS=${STEPS:-25}
EXTRA=${EXTRA:-20}
PAIRS=${PAIRS:-40}
SEED=${SEED:-$(date +%s)}

# What is set up for git here is no matter of these tests.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test

diff_head() {
    in_head "$TIDFS" diff "$@"
}

# assert_output WHAT ACTUAL: equal to stdin.
assert_output() {
    local expected
    expected=$(cat)
    [ "$2" = "$expected" ] || {
        diff <(echo "$expected") <(echo "$2")
        fail "$1 is not as expected"
    }
}

# new_history: a mounted store with one transaction of files, $FIRST, in which nothing is sealed by itself.
new_history() {
    new_store
    mount_store commit-interval=1h
    in_head mkdir dir
    printf 'a\nb\nc\n' >"$MNT/head/text"
    printf 'x\0y' >"$MNT/head/binary"
    echo same >"$MNT/head/dir/file"
    ln -s text "$MNT/head/link"
    in_head ln text linked
    printf '#!/bin/sh\n' >"$MNT/head/run"
    chmod 755 "$MNT/head/run"
    FIRST=$(commit first)
}

# ---------------------------------------------------------------- what is printed

test_kinds_are_told_apart() {
    need setfattr
    local tid
    new_history
    in_head touch content mode times
    in_head touch -d 2001-01-01 owner xattr type moved both gone
    FIRST=$(commit more)
    cd "$MNT/head"
    echo new >content
    chmod 600 mode
    [ "$(id -u)" != 0 ] || chown 1:2 owner
    setfattr -n user.x -v 1 xattr
    touch -d 2002-02-02 times
    rm type && mkdir type
    mv moved away
    mv both 'both of them' && chmod 755 'both of them'
    rm gone
    ln content hard
    mkfifo fifo
    mkdir empty
    mv dir directory
    tid=$(commit changes)
    assert_output 'the list' "$(tidfs diff "$FIRST" "$tid" -- content mode xattr times type away both gone hard fifo empty dir)" <<'END'
R  moved -> away
R  both -> both of them  (mode 0644 -> 0755)
M  content  (content)
R  dir/ -> directory/
A  empty/
A  fifo  (fifo)
D  gone
A  hard  (hard link)
M  mode  (mode 0644 -> 0600)
M  times  (times)
T  type/  (file -> directory)
M  xattr  (xattr)
END
    [ "$(id -u)" != 0 ] || assert_eq 'owner' "$(tidfs diff "$FIRST" "$tid" owner)" 'M  owner  (owner 0:0 -> 1:2)'
    assert_eq 'the reverse of a rename' "$(tidfs diff "$tid" "$FIRST" dir)" 'R  directory/ -> dir/'
    assert_eq 'without times' "$(tidfs diff --ignore-times "$FIRST" "$tid" times)" ''
    assert_output 'without renames' "$(tidfs diff --no-renames "$FIRST" "$tid" dir directory)" <<'END'
D  dir/
D  dir/file
A  directory/
A  directory/file
END
}

test_a_renamed_hard_link_is_a_rename() {
    new_history
    local tid
    in_head mv linked dir/elsewhere
    tid=$(commit moved)
    assert_eq 'one name of two' "$(diff_head "$FIRST" "$tid")" 'R  linked -> dir/elsewhere'
    assert_eq 'in letters' "$(diff_head --name-status "$FIRST" "$tid")" $'R100\tlinked\tdir/elsewhere'
    in_head mv text 'third name'
    in_head rm dir/elsewhere
    in_head ln 'third name' fourth
    echo more >>"$MNT/head/fourth"
    assert_output 'with content' "$(diff_head "$tid" | sort)" <<'END'
R  dir/elsewhere -> fourth  (content)
R  text -> third name  (content)
END
}

test_colour_only_adds_colour() {
    new_history
    (
        cd "$MNT/head"
        printf 'a\n-- b\n++ c\n@ d' >text
        printf 'zz\0' >binary
        mv dir/file moved
        chmod 600 run
    )
    commit >/dev/null
    local format escape=$'\e\\[[0-9;]*m'
    for format in -p --stat --name-status --no-renames; do
        diff_head "$format" --color=always "$FIRST" >coloured
        diff <(sed "s/$escape//g" coloured) <(diff_head "$format" "$FIRST")
    done
    diff_head -p --color=always "$FIRST" >coloured
    assert_match 'an added line' "$(cat coloured)" "^$escape"'\+\+\+ c'"$escape"'$'
    diff_head --color=never "$FIRST" >plain
    if grep -q $'\e' plain; then fail 'colour where none is wanted'; fi
    TERM=xterm diff_head "$FIRST" >plain
    if grep -q $'\e' plain; then fail 'colour in a pipe'; fi
}

test_odd_names_stay_on_their_line() {
    new_history
    in_head touch $'tab\there' $'new\nline' $'not utf-8 \xff' 'quote"' 'Ümlaut' -- '-dash'
    commit names >/dev/null
    assert_output 'the list' "$(diff_head "$FIRST")" <<'END'
A  -dash
A  "new\nline"
A  "not utf-8 \377"
A  "quote\""
A  "tab\there"
A  Ümlaut
END
    assert_output 'name-status' "$(diff_head --name-status "$FIRST")" <<'END'
A	-dash
A	"new\nline"
A	"not utf-8 \377"
A	"quote\""
A	"tab\there"
A	"\303\234mlaut"
END
    assert_eq 'with zero bytes' "$(diff_head -z "$FIRST" | od -An -c | tr -d ' \n')" \
        "$(printf 'A\0-dash\0A\0new\nline\0A\0not utf-8 \xff\0A\0quote"\0A\0tab\there\0A\0Ümlaut\0' | od -An -c | tr -d ' \n')"
    assert_match 'JSON' "$(diff_head --json "$FIRST")" '"path": "not utf-8 .*", "path_base64": "bm90IHV0Zi04IP8="'
}

test_patch_of_everything() {
    new_history
    (
        cd "$MNT/head"
        printf 'a\nB\nc' >text
        chmod 644 run
        ln -sfn run link
        mkdir sub
        mv dir/file 'sub/file 2'
        mkfifo fifo
        : >empty
        chmod 4711 binary
    )
    assert_output 'the patch' "$(diff_head -p "$FIRST")" <<'END'
tidfs: file binary: mode 0644 -> 4711
diff --git a/binary b/binary
old mode 100644
new mode 100755
diff --git a/empty b/empty
new file mode 100644
index 0000000000000000000000000000000000000000..e69de29bb2d1d6434b8b29ae775ad8c2e48c5391
tidfs: new fifo fifo (mode 0644, owner 0:0)
diff --git a/link b/link
index f3a34851d44d6b97c90fbb99dd3d18c261b9a237..e5224d533ef27b001224859a9b36696846a7e7fe 120000
--- a/link
+++ b/link
@@ -1 +1 @@
-text
\ No newline at end of file
+run
\ No newline at end of file
diff --git a/linked b/linked
index de980441c3ab03a8c07dda1ad27b8a11f39deb1e..36ef1ba5a79cdfa8b05036e0aa1aab5b21eb0639 100644
--- a/linked
+++ b/linked
@@ -1,3 +1,3 @@
 a
-b
-c
+B
+c
\ No newline at end of file
diff --git a/run b/run
old mode 100755
new mode 100644
tidfs: new directory sub (mode 0755, owner 0:0)
diff --git a/dir/file "b/sub/file 2"
similarity index 100%
rename from dir/file
rename to sub/file 2
diff --git a/text b/text
index de980441c3ab03a8c07dda1ad27b8a11f39deb1e..36ef1ba5a79cdfa8b05036e0aa1aab5b21eb0639 100644
--- a/text
+++ b/text
@@ -1,3 +1,3 @@
 a
-b
-c
+B
+c
\ No newline at end of file
END
}

test_stat() {
    new_history
    (
        cd "$MNT/head"
        printf 'a\nB\nc\nd\n' >text
        printf 'x\0yyyy' >binary
        mv dir/file dir/other
        chmod 644 run
    )
    assert_output 'the table' "$(diff_head --stat "$FIRST")" <<'END'
 binary              | Bin 3 -> 6 bytes
 dir/{file => other} |   0 +0
 linked              |   3 +2 ++-
 run                 |   0 +0
 text                |   3 +2 ++-
 5 files changed, 4 insertions(+), 2 deletions(-), +7 bytes
END
    assert_eq 'of nothing' "$(diff_head --stat now)" ''
    seq 500 >"$MNT/head/$(printf 'long%.0s' {1..40})"
    seq 3 >"$MNT/head/short"
    in_head "$TIDFS" diff --stat "$FIRST" >table
    assert_match 'a long name' "$(cat table)" '^ \.\.\.[long]+ \| +500 \+1892 \++$'
    assert_match 'a small bar' "$(cat table)" '^ short +\| +3 +\+6 \+$'
    assert_at_most 'the width' "$(wc -L <table)" 80
}

test_json_lines() {
    new_history
    (
        cd "$MNT/head"
        mv text 'new name'
        chmod 600 'new name'
        rm binary
    )
    commit >/dev/null
    diff_head --json "$FIRST" >lines
    python3 - lines <<'END'
import json, sys
changes = [json.loads(line) for line in open(sys.argv[1])]
assert [(c["kind"], c["path"]) for c in changes] == [("deleted", "binary"), ("modified", "linked"), ("renamed", "new name")], changes
deleted, linked, renamed = changes
assert deleted["new"] is None and deleted["old"]["size"] == 3 and deleted["old"]["type"] == "file"
assert linked["changed"] == ["mode"] and linked["old"]["mode"] == "0644" and linked["new"]["mode"] == "0600"
assert renamed["old_path"] == "text" and renamed["old"]["object"] == renamed["new"]["object"] == linked["new"]["object"]
END
}

test_show() {
    new_history
    local tid
    echo x >"$MNT/head/new file"
    tid=$(in_head "$TIDFS" commit --user $'someone\x1b' -m $'Why\n\nand how \x1b[31m')
    in_head "$TIDFS" tag release >/dev/null
    assert_output 'show' "$(in_head "$TIDFS" show --utc | sed 's/^\(Time: *\).*/\1…/; /^Clock:/d')" <<END
transaction $tid
Time:  …
User:  someone\\033
Tag:   release

    Why

    and how \\033[31m

A  new file
END
    assert_eq 'the time' "$(in_head "$TIDFS" show --utc release | sed -n 's/^Time: *//p')" \
        "$(in_head "$TIDFS" at --utc now | grep -oE '[0-9-]+T[0-9:.]+Z')"
    assert_eq 'the one before' "$(in_head "$TIDFS" show release^ | sed 1q)" "transaction $FIRST"
    assert_match 'with a table' "$(in_head "$TIDFS" show --stat "$tid")" '^ new file \| 1 \+2 \+$'
    assert_match 'with a patch' "$(in_head "$TIDFS" show -p "$tid")" '^\+x$'
    assert_match 'with letters' "$(in_head "$TIDFS" show --name-status "$tid")" $'^A\tnew file$'
    assert_match 'JSON' "$(in_head "$TIDFS" show --json "$tid" | sed 1q)" "^\{\"tid\": \"$tid\", .*\"tags\": \[\"release\"\]"
    assert_match 'JSON' "$(in_head "$TIDFS" show --json "$tid" | sed 1d)" '^\{"kind": "added", "path": "new file"'
    assert_eq 'in a view' "$(cd "$MNT/at/$FIRST" && tidfs show | sed 1q)" "transaction $FIRST"
    assert_eq 'in a view before' "$(cd "$MNT/before/$tid" && tidfs show | sed 1q)" "transaction $FIRST"
    assert_eq 'at rest' "$(tidfs show --store "$STORE" "$tid" | sed 1q)" "transaction $tid"
    expect_fail 1 'before the first transaction' in_head "$TIDFS" show 1990
    expect_fail 1 'not a time, and no tag' in_head "$TIDFS" show nosuch
    expect_fail 1 'in the future' in_head "$TIDFS" show 2999
    expect_fail 2 'one transaction only' in_head "$TIDFS" show now text
}

# ---------------------------------------------------------------- what is asked

test_sides() {
    new_history
    local second third
    echo 2 >"$MNT/head/two"
    second=$(commit)
    echo 3 >"$MNT/head/three"
    third=$(commit)
    echo 4 >"$MNT/head/pending"
    assert_eq 'up to now' "$(diff_head "$second" | tr '\n' ,)" 'A  pending,A  three,'
    assert_eq 'two operands' "$(diff_head "$FIRST" "$second")" 'A  two'
    assert_eq 'a range' "$(diff_head "$FIRST..$second")" 'A  two'
    assert_eq 'the reverse' "$(diff_head "$second..$FIRST")" 'D  two'
    assert_eq 'an open range' "$(diff_head "$third..")" 'A  pending'
    assert_eq 'from nothing' "$(diff_head --name-status "..$FIRST" | wc -l)" 6
    assert_eq 'the same' "$(diff_head "$FIRST" "$FIRST")" ''
    assert_eq 'steps' "$(diff_head now~2 now^)" 'A  three'
    assert_eq 'to the view' "$(cd "$MNT/at/$second" && tidfs diff "$FIRST")" 'A  two'
    assert_eq 'to the view before' "$(cd "$MNT/before/$third" && tidfs diff "$FIRST")" 'A  two'
    assert_eq 'to now from a view' "$(cd "$MNT/at/$second" && tidfs diff "$FIRST" now two)" 'A  two'
    assert_eq 'at rest' "$(tidfs diff --store "$STORE" "$FIRST" "$second")" 'A  two'
    mount_store "at=$second" "$DIR/view"
    assert_eq 'to the mounted view' "$(cd "$DIR/view" && tidfs diff "$FIRST")" 'A  two'
}

test_paths() {
    new_history
    local tid
    (
        cd "$MNT/head"
        echo 1 >dir/one
        echo 2 >text
        mkdir -p dir/sub
        echo 3 >dir/sub/three
    )
    tid=$(commit)
    assert_eq 'a directory' "$(diff_head --name-status "$FIRST" dir | tr '\n' ,)" $'A\tdir/one,A\tdir/sub/three,'
    assert_eq 'from inside' "$(cd "$MNT/head/dir" && tidfs diff --name-status "$FIRST" sub)" $'A\tdir/sub/three'
    assert_eq 'in a view' "$(cd "$MNT/at/$tid/dir" && tidfs diff --name-status "$FIRST" "$tid" sub)" $'A\tdir/sub/three'
    assert_eq 'upwards' "$(cd "$MNT/head/dir" && tidfs diff --name-status "$FIRST" ../text)" $'M\ttext'
    assert_eq 'several' "$(diff_head --name-status "$FIRST" "$tid" text dir/one | tr '\n' ,)" $'A\tdir/one,M\ttext,'
    assert_eq 'from outside' "$(tidfs diff --name-status "$FIRST" "$MNT/head/text")" $'M\ttext'
    assert_eq 'at rest' "$(tidfs diff --store "$STORE" --name-status "$FIRST" now dir/one)" $'A\tdir/one'
    assert_eq 'that did not change' "$(diff_head "$FIRST" binary)" ''
    assert_eq 'that a side lacks' "$(diff_head --name-status "$FIRST" "$tid" dir/one)" $'A\tdir/one'
    assert_eq 'of a removed file' "$(rm "$MNT/head/text" && diff_head --name-status "$FIRST" text)" $'D\ttext'
}

test_what_is_wrong_is_said() {
    new_history
    local tid
    rm "$MNT/head/text"
    tid=$(commit)
    touch "$MNT/head/2026" "$MNT/head/late"
    commit >/dev/null
    expect_fail 2 'since when' diff_head
    expect_fail 2 'since when' diff_head -- text
    expect_fail 2 'is a path; a time, a tid or a tag comes first' diff_head ./text
    expect_fail 1 'not a time, and no tag' diff_head text
    expect_fail 1 'in the future' diff_head 2999
    expect_fail 1 'no time, no tag, and no path' diff_head "$FIRST" nosuch
    expect_fail 1 'nosuch: not there in either state, nor at any other time' diff_head "$FIRST" -- nosuch
    expect_fail 1 "neither state has it; it was there from $FIRST, .* until $tid, " diff_head "$tid" now text
    expect_fail 1 'neither state has it; it is there since' diff_head "$FIRST" "$tid" late
    expect_fail 2 "is a time and a path too; write $FIRST\.\.2026" diff_head "$FIRST" 2026
    assert_eq 'after --' "$(diff_head "$FIRST" -- 2026)" 'A  2026'
    assert_match 'in a range' "$(diff_head "$FIRST..2026")" '^D  text'
    expect_fail 2 'json goes without' diff_head --json -p "$FIRST"
    expect_fail 2 'name-status goes without' diff_head --name-status --stat "$FIRST"
    expect_fail 2 '-z goes with' diff_head -z --stat "$FIRST"
    expect_fail 2 'unknown option' diff_head --patience "$FIRST"
    expect_fail 1 'lies in another store' sh -c "'$TIDFS' init '$DIR/other' && mkdir o && '$TIDFS' mount '$DIR/other' o && '$TIDFS' diff $FIRST '$MNT/head/run' o/head"
    expect_fail any 'not in a mount' tidfs diff "$FIRST"
}

test_exit_status_tells() {
    new_history
    local rc=0
    echo x >"$MNT/head/text"
    diff_head --exit-code now >/dev/null
    diff_head --exit-code "$FIRST" >/dev/null || rc=$?
    assert_eq 'with differences' "$rc" 1
    expect_fail 2 'not a time' diff_head --exit-code nosuch
    expect_fail 2 'in the future' diff_head --exit-code 2999
    commit >/dev/null
    in_head touch -d 2001-01-01 run
    diff_head --exit-code --name-status now^ now >/dev/null
}

test_a_file_that_is_too_large_for_a_patch() {
    new_history
    in_head truncate -s 513M sparse
    expect_fail 1 'sparse: 513 MiB are too much for a patch' diff_head -p "$FIRST"
    assert_match 'its line' "$(diff_head --stat "$FIRST")" '^ sparse \| Bin 0 -> 537919488 bytes$'
    assert_eq 'its letter' "$(diff_head --name-status "$FIRST")" $'A\tsparse'
}

# What git does not know stands in lines that git apply and patch skip, wherever they come.
test_remarks_are_skipped() {
    need git patch
    new_history
    mkdir work
    (
        cd "$MNT/head"
        echo new >>text
        chmod 600 binary
        mkfifo fifo $'odd\nname'
        mkdir "dir 2"
        mv dir/file "dir 2/file"
        touch -d 2001-01-01 run
    )
    in_head "$TIDFS" diff -p "$FIRST" >remarks.diff
    assert_at_most 'remarks missing' $((5 - $(grep -c '^tidfs: ' remarks.diff))) 0
    local tool
    for tool in 'git apply' 'patch -p1 -s'; do
        rm -rf work && cp -a "$MNT/at/$FIRST" work && chmod u+w work
        (cd work && $tool <../remarks.diff)
        diff -r --no-dereference --exclude=fifo --exclude=odd* --exclude=dir "$MNT/at/now/" work
    done
}

# ---------------------------------------------------------------- against git

repository() {
    GIT_INDEX_FILE=$DIR/head.index git --git-dir="$DIR/git" --work-tree="$MNT/head" -c core.fileMode=true "$@"
}

# A file of the current directory or below, or nothing.
random_file() {
    find . -type f -print0 | sort -z | tr '\n\0' '\001\n' | awk -v n="$RANDOM" '{ line[NR - 1] = $0 } END { if (NR) print line[n % NR] }' |
        tr '\001\n' '\n\001' | sed -z 's/\x01*$//'
}

# A change in the current directory, of the kinds that the bundle lacks.
random_change() {
    local file name
    local odd=($'tab\t' 'quote"' $'new\nline' $'not\xffutf8' 'back\slash' ' space ' 'ümlaut' '-dash' 'dollar$' "it's")
    file=$(random_file && echo .)
    file=${file%.}
    name=${odd[RANDOM % ${#odd[@]}]}$RANDOM
    case $((RANDOM % 23)) in
    0 | 1) head -c $((RANDOM % 3000)) /dev/urandom >"$name.bin" ;;
    2) seq $((RANDOM % 50)) >"$name" ;;
    3) : >"$name" ;;
    4) ln -s -- "$name" "link$RANDOM" ;;
    5) [ -f d0 ] || [ -L d0 ] || { mkdir -p "d0/$name" && echo "$RANDOM" >"d0/$name/file"; } ;;
    6 | 7) [ -z "$file" ] || mv -- "$file" "$name" ;;
    8) [ -z "$file" ] || ln -- "$file" "hard$RANDOM" ;;
    9) [ -z "$file" ] || chmod +x -- "$file" ;;
    10) [ -z "$file" ] || chmod 640 -- "$file" ;;
    11) [ -z "$file" ] || echo "$RANDOM" >>"$file" ;;
    12) [ -z "$file" ] || printf '%s' "$RANDOM" | dd of="$file" conv=notrunc bs=1 seek=$((RANDOM % 200)) status=none ;;
    13) [ -z "$file" ] || { cat -- "$file" >.new && echo edited >>.new && mv .new "$file"; } ;;
    14) [ -z "$file" ] || { cat -- "$file" >.same && mv .same "$file"; } ;;
    15) [ -z "$file" ] || { rm -- "$file" && ln -s elsewhere "$file"; } ;;
    16) [ -z "$file" ] || rm -- "$file" ;;
    17) [ ! -d d0 ] || mv d0 "moved $RANDOM" ;;
    18) [ -z "$file" ] || { rm -- "$file" && mkdir -- "$file" && seq 9 >"$file/inside"; } ;;
    19) [ ! -d d0 ] || { rm -r d0 && echo file >d0; } ;;
    20) [ -d d0 ] || rm -f d0 ;;
    21) [ -z "$file" ] || [ ! -f swapped ] || [ "$file" -ef swapped ] || { mv -- "$file" .swap && mv swapped "$file" && mv .swap swapped; } ;;
    22) [ -z "$file" ] || [ -d swapped ] || [ "$file" -ef swapped ] || mv -- "$file" swapped ;;
    esac
}

# replay: fills tids and commits, a state each; `bundled` is how many of them are the bundle's.
replay() {
    local step message id n i
    commits=() tids=()
    echo "    STEPS=$STEPS EXTRA=$EXTRA PAIRS=$PAIRS SEED=$SEED"
    RANDOM=$((SEED % 32768))
    git clone -q --bare "$BUNDLE" "$DIR/git"
    new_store
    mount_store commit-interval=1h,dirty-limit=1G
    while read -r step message; do
        git_at "$MNT/head" "$DIR/head.index" "$step"
        tids+=("$(commit "$message")") commits+=("$step")
    done < <(choose_steps "$STEPS")
    bundled=${#tids[@]}
    mkdir "$MNT/head/extra"
    for ((n = 0; n < EXTRA; n++)); do
        for ((i = RANDOM % 6; i >= 0; i--)); do
            (cd "$MNT/head/extra" && random_change)
            RANDOM=$((RANDOM + i))
        done
        repository add -A -f .
        id=$(repository commit-tree -p "${commits[-1]}" -m "extra $n" "$(repository write-tree)")
        tids+=("$(commit "extra $n")") commits+=("$id")
    done
}

# assert_applied PAIR TREE INDEX COMMIT: TREE, of which the index may know less, is what git has for COMMIT.
assert_applied() {
    local git=(git --git-dir="$DIR/git" --work-tree="$2" -c core.fileMode=true) tree
    GIT_INDEX_FILE=$3 "${git[@]}" add -A -f .
    tree=$(GIT_INDEX_FILE=$3 "${git[@]}" write-tree)
    [ "$tree" = "$("${git[@]}" rev-parse "$4^{tree}")" ] || {
        "${git[@]}" diff --stat "$tree" "$4"
        fail "pair $1: the patch does not make the other state"
    }
}

# compare_pair A B: the numbers of two states.
compare_pair() {
    local a=${tids[$1]} b=${tids[$2]} from=${commits[$1]} to=${commits[$2]} git=(git --git-dir="$DIR/git")
    diff <(diff_head --no-renames --name-status "$a" "$b") <("${git[@]}" diff --no-renames --name-status "$from" "$to") ||
        fail "pair $1 $2: other changes than git's"
    diff_head -p "$a" "$b" >"$DIR/patch"
    git_at "$DIR/export" "$DIR/export.index" "$from"
    [ ! -s "$DIR/patch" ] || (cd "$DIR/export" && git apply --allow-empty --whitespace=nowarn "$DIR/patch") ||
        fail "pair $1 $2: git apply refuses the patch"
    assert_applied "$1 $2" "$DIR/export" "$DIR/export.index" "$to"
    if [ "$1" -lt "$bundled" ] && [ "$2" -lt "$bundled" ]; then
        compare_texts "$1 $2" "$a" "$b" "$from" "$to"
    fi
}

# Between states that have nothing but text: the patch is git's to the byte, and patch(1) takes it too.
compare_texts() {
    diff <(diff_head --no-renames -p "$2" "$3" | grep -av '^tidfs: ') \
        <(git --git-dir="$DIR/git" diff --no-renames --full-index "$4" "$5") || fail "pair $1: another patch than git's"
    git_at "$DIR/export" "$DIR/export.index" "$4"
    (cd "$DIR/export" && patch -p1 -s <"$DIR/patch") || fail "pair $1: patch refuses the patch"
    assert_applied "$1" "$DIR/export" "$DIR/export.index" "$5"
}

test_random_pairs_differ_as_git_says() {
    need git patch
    local commits tids bundled i
    mkdir "$DIR/export"
    replay
    for ((i = 0; i < PAIRS; i++)); do
        compare_pair $((RANDOM % ${#tids[@]})) $((RANDOM % ${#tids[@]}))
    done
    tidfs umount "$MNT"
    tidfs verify "$STORE" >/dev/null
}

test_a_path_below_a_renamed_directory() {
    new_store
    mount_store
    cd "$MNT/head"
    mkdir d
    echo 1 >d/f
    echo 2 >d/g
    then=$(tidfs commit)
    mv d e
    tidfs commit >/dev/null
    assert_eq 'all' "$(tidfs diff "$then" now)" 'R  d/ -> e/'
    assert_eq 'the path then' "$(tidfs diff "$then" now d/f)" 'R  d/f -> e/f'
    assert_eq 'the path now' "$(tidfs diff "$then" now e/f)" 'R  d/f -> e/f'
    echo 3 >e/f
    assert_eq 'changed too' "$(tidfs diff "$then" now e/f)" 'M  d/f -> e/f  (content)'
}

run_tests "$@"
