# shellcheck shell=bash
# What the tests of programs share (tests/mount_program_*.sh): the same work is done in a plain directory and in /head, and what came
# of it, what was said and what was left behind, must be the same. A script sources this instead of lib.sh.
#
# Environment: OPTIONS, further options of every mount, as in OPTIONS=writeback_cache.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OPTIONS=${OPTIONS-}
PLAIN=plain HEAD=head

# with_options [OPTIONS]: those and the ones of the environment, joined.
with_options() {
    local joined=${1-}
    echo "$joined${joined:+${OPTIONS:+,}}$OPTIONS"
}

# new_both [OPTIONS]: a new store, mounted, and two empty directories for the same work: $PLAIN and $HEAD.
new_both() {
    new_store
    mount_store "$(with_options "${1-}")"
    PLAIN=$DIR/plain HEAD=$MNT/head/desk
    mkdir "$PLAIN" "$HEAD"
}

# remount [OPTIONS]: so that nothing is left in any memory. What the kernel keeps of the plain directory is its own affair.
remount() {
    unmount
    mount_store "$(with_options "${1-}")"
}

# work_in WHERE COMMAND…: runs it there; what it says goes to a file, with WHERE's path written as <here>. Shown if it fails.
work_in() {
    local where=$1 said=$DIR/said.${1##*/} rc=0
    shift
    # Not in a condition, where errexit would be off in all that is called.
    set +e
    (
        set -e
        cd "$where"
        "$@"
    ) >"$said" 2>&1
    rc=$?
    set -e
    sed -i "s|$where|<here>|g" "$said"
    if [ "$rc" != 0 ]; then
        tail -n 30 "$said"
        fail "'$*' in $where: exit code $rc"
    fi
}

# on_both COMMAND…: in $PLAIN and in $HEAD, and both must say the same.
on_both() {
    work_in "$PLAIN" "$@"
    work_in "$HEAD" "$@"
    diff "$DIR/said.${PLAIN##*/}" "$DIR/said.${HEAD##*/}" >"$DIR/said.diff" || {
        head -n 30 "$DIR/said.diff"
        fail "'$*' says something else in $HEAD"
    }
}

# describe DIR [times]: everything that a tree is, as text: types, modes, owners, link counts, sizes, targets, devices, which names are the
# same file, attributes with names, ACLs, contents; with `times`, the times of modification. Names are escaped.
describe() {
    (
        cd "$1"
        find . -printf "%y %m %U:%G %n ${2:+%T@} %p -> %l" \( -type f -printf ' %s\n' -o -printf '\n' \) | sort
        echo '# hard links'
        find . ! -type d -links +1 -printf '%i %p\n' | sort -k 2 | awk '{ first[$1] = first[$1] ? first[$1] : $2; print $2, first[$1] }'
        echo '# devices'
        find . \( -type b -o -type c \) -exec stat -c '%n %t:%T' {} + | sort
        echo '# attributes'
        getfattr --absolute-names -R -P -h -d -m - -e hex . | awk 'BEGIN { RS = "" } { gsub("\n", " "); print }' | sort
        echo '# access'
        getfacl --absolute-names --numeric -R -P . 2>/dev/null | awk 'BEGIN { RS = "" } { gsub("\n", " "); print }' | sort
        echo '# contents'
        find . -type f -exec sha256sum {} + | sort -k 2
    )
}

# assert_same_files A B [times]: by all that describe tells.
assert_same_files() {
    diff <(describe "$1" "${3-}") <(describe "$2" "${3-}") >"$DIR/.describe.diff" || {
        head -n 20 "$DIR/.describe.diff"
        fail "$1 and $2 are not the same"
    }
}

# make_rich_tree: in the working directory, one of everything that a tree may hold. Without root, what needs root is left out.
make_rich_tree() {
    local i long
    mkdir -p tree/deep/er/and/deeper tree/empty tree/many
    cd tree
    printf 'one line\n' >text
    : >nothing
    head -c 300000 /dev/urandom >random
    seq 300000 >long
    for i in {1..300}; do echo "$i" >"many/file$i"; done
    truncate -s 8M sparse
    printf 'in the middle' | dd of=sparse bs=1M seek=3 conv=notrunc status=none
    printf 'near the end' | dd of=sparse bs=1M seek=7 conv=notrunc status=none
    truncate -s 1M hole
    ln text hard-one
    ln text deep/er/hard-two
    ln -s text link
    ln -s /nowhere/at/all dangling
    ln -s "$(printf '%0300d' 7)" long-link
    ln link hard-link-of-link
    mkfifo pipe
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    printf -v long '%0255d' 3
    echo long >"$long"
    echo odd >$'new\nline'
    echo odd >' space and "quotes" \ * ?'
    echo odd >$'\xff\xfe bytes'
    echo odd >-n
    mkdir 'sticky' 'setgid'
    chmod 1777 sticky
    chmod 2775 setgid
    echo program >setuid
    chmod 4755 setuid
    echo secret >private
    chmod 000 private
    setfattr -n user.one -v 'a value' text
    setfattr -n user.empty text
    setfattr -n user.bytes -v 0x00ff00ff random
    setfattr -n user.large -v "0x$(printf '%06000d' 5)" random
    setfattr -n user.directory -v yes deep
    setfacl -m u:64001:rw,g:64011:r,m:rwx text
    setfacl -m d:u:64001:rwx,d:g:64011:rx,u:64002:x deep
    if [ "$(id -u)" = 0 ]; then
        mknod null c 1 3
        mknod block b 7 63
        setfattr -n trusted.one -v 'for root' text
        setfattr -h -n trusted.of-link -v yes link
        setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 setuid
        echo theirs >owned
        chown 64001:64011 owned
        chown -h 64002:64012 dangling
    fi
    # rsync leaves the time of a device that it makes within the same second.
    find . -exec touch -h -d '2020-02-02 02:02:02.020202020' {} +
    touch -d '2001-02-03 04:05:06.789012345' text
    touch -h -d '1999-12-31 23:59:59.999999999' dangling
    touch -d '2038-01-19 03:14:08' many/file1
    touch -d '1969-07-20 20:17:40' many/file2
    touch -d '2010-10-10 10:10:10.101010101' deep/er deep setgid
    cd ..
}
