# shellcheck shell=bash
# What the mount tests share. A test script sources this, defines functions test_<behaviour>, and ends with `run_tests`,
# which runs them in the order of their definition, each in a subshell and a directory of its own, and prints
# `ok - <behaviour>`, `not ok - <behaviour>` or `skip - <behaviour>: why` for each.
#
# Inside a test function
#   - every command must succeed (errexit): one that fails ends the test, and its line is shown;
#   - $DIR is the test's directory, empty at first and removed afterwards, with everything mounted below it;
#   - $STORE and $MNT are the store and the mount point that new_store and mount_store use;
#   - `skip WHY` ends the test.
# $WORK is the script's own directory, for what several tests share: the parent of every $DIR.
#
# Environment: TIDFS, the program (default build/tidfs); TIDFS_TOOLS, where tests/tool_*.c were built; TMPDIR.
# Nothing here waits longer than it must: wait_until polls every 0.05 s.

set -u -o pipefail
umask 022
export LC_ALL=C TZ=UTC

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TIDFS=$(realpath "${TIDFS:-$root/build/tidfs}") || exit 2
TIDFS_TOOLS=$(realpath -m "${TIDFS_TOOLS:-$root/build/tests}")
export TIDFS
# shellcheck disable=SC2034 # for the scripts that source this
BUNDLE=$root/tests/data/gitignore.bundle

WORK=$(mktemp -d "${TMPDIR:-/tmp}/tidfs-$(basename "$0" .sh).XXXXXX") || exit 2
DIR=$WORK STORE=$WORK/store MNT=$WORK/mnt

# ---------------------------------------------------------------- running

# unmount_below DIR: whatever is mounted there, the newest first. A driver that was killed leaves a mount behind too.
unmount_below() {
    local point
    while read -r point; do
        fusermount3 -u "$point" 2>/dev/null || fusermount3 -uz "$point" 2>/dev/null || umount -l "$point" 2>/dev/null
    done < <(awk '{ print $2 }' /proc/self/mounts | xargs -r -n 1 printf '%b\n' | grep -aF "$1/" | tac)
}

clean_up() {
    unmount_below "$WORK"
    # A driver may outlive its mount point for a moment while it seals.
    rm -rf --one-file-system "$WORK" 2>/dev/null || { sleep 0.05 && rm -rf --one-file-system "$WORK"; }
}
trap clean_up EXIT
trap 'exit 143' TERM INT

skip() {
    echo "$1" >"$DIR.skip"
    exit 77
}

need_root() {
    [ "$(id -u)" = 0 ] || skip "needs root"
}

# need COMMAND…: skips where one is not installed.
need() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null || skip "$command is not installed"
    done
}

# The line of the test, and those between it and the command that failed; called by the ERR trap.
show_failure() {
    local i
    for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
        [[ ${BASH_SOURCE[i]} = */lib.sh ]] || echo "    at ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}: $1"
        [[ ${FUNCNAME[i]} != test_* ]] || break
    done
}

# run_tests [TEST…]: those functions, or all.
run_tests() {
    local test name rc failed=0
    while read -r test; do
        name=${test#test_}
        DIR=$WORK/$name STORE=$WORK/$name/store MNT=$WORK/$name/mnt
        mkdir "$DIR"
        # Not in a condition, where errexit would be off.
        (
            set -e -E
            trap 'show_failure "$BASH_COMMAND" >&2' ERR
            cd "$DIR"
            $test
        )
        rc=$?
        case $rc in
        0) echo "ok - $name" ;;
        77) echo "skip - $name: $(cat "$DIR.skip")" ;;
        *)
            echo "not ok - $name (exit $rc)"
            failed=1
            ;;
        esac
        unmount_below "$DIR"
        rm -rf --one-file-system "$DIR"
    done < <(if [ $# = 0 ]; then grep -oE '^test_[a-z0-9_]+' "$0"; else printf '%s\n' "$@"; fi)
    exit $failed
}

# ---------------------------------------------------------------- stores and mounts

tidfs() {
    "$TIDFS" "$@"
}

new_store() {
    tidfs init "$STORE" >/dev/null
}

# mount_store [OPTIONS [DIR]]: $STORE on DIR (default $MNT).
mount_store() {
    local point=${2:-$MNT}
    mkdir -p "$point"
    tidfs mount ${1:+-o "$1"} "$STORE" "$point"
}

# mount_foreground [OPTIONS]: as mount_store, but the driver is this shell's child, and $DRIVER its process id.
mount_foreground() {
    mkdir -p "$MNT"
    "$TIDFS" mount -f ${1:+-o "$1"} "$STORE" "$MNT" &
    # shellcheck disable=SC2034 # for the scripts that source this
    DRIVER=$!
    wait_until 20 mountpoint -q "$MNT"
}

# unmount [DIR]: seals what is pending.
unmount() {
    tidfs umount "${1:-$MNT}"
}

# commit [MESSAGE]: seals, prints the tid.
commit() {
    tidfs commit ${1:+-m "$1"} "$MNT"
}

# open_fuse: from here on in_namespace runs what it is given where everybody may use FUSE, also with allow_other, as an administrator can have it:
# in a container /dev/fuse may be root's alone. What is mounted there goes with the test.
open_fuse() {
    need unshare
    need nsenter
    mknod -m 666 "$DIR/fuse" c 10 229
    echo user_allow_other >"$DIR/fuse.conf"
    # A slave of the rest, so that what is unmounted there does not live on here.
    # shellcheck disable=SC2016 # the inner shell expands them
    unshare -m --propagation slave sh -c 'mount --bind "$1" /dev/fuse && { [ -e /etc/fuse.conf ] || : >/etc/fuse.conf; } &&
        mount --bind "$1.conf" /etc/fuse.conf && : >"$1.ready" && exec sleep 600' sh "$DIR/fuse" >/dev/null &
    namespace=$!
    # shellcheck disable=SC2064 # what they are now: the function's variables are gone by then
    trap "nsenter -t $namespace -m umount -l '$DIR/home/mnt' 2>/dev/null || true; kill $namespace" EXIT
    wait_until 5 [ -e "$DIR/fuse.ready" ]
}

# in_namespace COMMAND…: COMMAND may be one of the script's functions, as long as it ends in a program.
in_namespace() {
    WORK=$WORK nsenter -t "$namespace" -m -- bash -c "$(declare -f); \"\$@\"" in_namespace "$@"
}

# counter [GROUP] KEY: a number of `tidfs status --json`.
counter() {
    local json
    json=$(tidfs status --json "$MNT")
    if [ $# = 2 ]; then
        json=$(grep -o "\"$1\": {[^}]*}" <<<"$json")
        shift
    fi
    grep -o "\"$1\": [0-9]*" <<<"$json" | grep -o '[0-9]*$'
}

# ---------------------------------------------------------------- a real history

# These use $DIR/git, a bare clone of $BUNDLE.

# git_at TREE INDEX COMMIT: makes TREE what git has for COMMIT; INDEX remembers what it was.
git_at() {
    GIT_INDEX_FILE=$2 git --git-dir="$DIR/git" --work-tree="$1" -c core.fileMode=true read-tree --reset -u "$3"
}

# choose_steps COUNT|all: that many of its commits, taken evenly, with their subjects, one a line, the oldest first.
choose_steps() {
    git --git-dir="$DIR/git" log --reverse --format='%H %s' main |
        awk -v want="$1" '{ line[NR] = $0 }
            END { if (want == "all" || want > NR) want = NR
                  for (i = 1; i <= want; i++) print line[int(i * NR / want)] }'
}

# ---------------------------------------------------------------- saying what must hold

# Each returns 1 when it does not hold, also where errexit is off because of an `||` around it.

fail() {
    echo "    failed: $*"
    return 1
}

# assert_eq WHAT ACTUAL EXPECTED
assert_eq() {
    [ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
}

# assert_match WHAT TEXT REGEX
assert_match() {
    grep -qE -- "$3" <<<"$2" || fail "$1 is '$2', expected to match '$3'"
}

# assert_at_most WHAT ACTUAL LIMIT
assert_at_most() {
    [ "$2" -le "$3" ] || fail "$1 is $2, expected at most $3"
}

# expect_fail CODE REGEX COMMAND…: exits with CODE (`any`: not 0), and says on stderr what matches REGEX.
expect_fail() {
    local code=$1 pattern=$2 rc=0 said
    shift 2
    { said=$("$@" 2>&1 >&3) || rc=$?; } 3>/dev/null
    if [ "$code" = any ]; then
        [ "$rc" != 0 ] || fail "'$*' succeeded" || return 1
    else
        assert_eq "exit code of '$*' (which said '$said')" "$rc" "$code" || return 1
    fi
    grep -qE -- "$pattern" <<<"$said" || fail "'$*' said '$said', expected to match '$pattern'"
}

# wait_until SECONDS COMMAND…
wait_until() {
    local deadline=$((SECONDS + $1)) seconds=$1
    shift
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -le "$deadline" ] || fail "'$*' did not come true in $seconds s" || return 1
        sleep 0.05
    done
}

# tree_listing DIR [times]: type, permissions, owner, link target and path of everything below, sorted; no contents. With
# `times`, the time of the last change of the content too, to the nanosecond.
tree_listing() {
    (cd "$1" && find . -mindepth 1 -printf "%y %m %U:%G ${2:+%T@} %p -> %l\n" | sort)
}

# assert_same_tree A B [times]: names, types, permissions, owners, symlinks and contents.
assert_same_tree() {
    diff <(tree_listing "$1" "${3-}") <(tree_listing "$2" "${3-}") >"$DIR/.listing.diff" || {
        head -n 20 "$DIR/.listing.diff"
        fail "$1 and $2 list differently" || return 1
    }
    diff -r --no-dereference "$1/" "$2/" >"$DIR/.content.diff" || {
        head -n 20 "$DIR/.content.diff"
        fail "$1 and $2 differ" || return 1
    }
}

# in_head COMMAND…: inside of $MNT/head.
in_head() {
    (cd "$MNT/head" && "$@")
}

# newest_tid: of the last transaction, whatever the clock says. Seals what is pending, as everything does that asks for now.
newest_tid() {
    in_head "$TIDFS" log -n 1 | grep -oE '[0-9a-f]{16}' | head -n 1
}

# inode PATH
inode() {
    stat -c %i "$1"
}

# store_bytes: what $STORE takes on the disk.
store_bytes() {
    du -s --block-size=1 "$STORE" | cut -f 1
}
