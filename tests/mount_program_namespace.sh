#!/usr/bin/env bash
# The mount as a part of other trees: bound elsewhere, as the lower layer of an overlay, as the root of a process and of a container, and by file
# handles, as an NFS server has them (the handles themselves: what nfsd itself adds takes a kernel that has it).
. "$(dirname "$0")/both.sh"

handle() {
    "$TIDFS_TOOLS/tool_handle" "$@"
}

# need_namespaces: skips where this user may make no mounts.
need_namespaces() {
    need_root
    need unshare
    unshare --mount true 2>/dev/null || skip 'no mount namespaces here'
}

test_bind_mounts() {
    need_namespaces
    new_both
    mkdir "$HEAD/dir" "$DIR/bound" "$DIR/view"
    echo one >"$HEAD/dir/file"
    commit >/dev/null
    mount --bind "$HEAD/dir" "$DIR/bound"
    mount --bind "$MNT/at/$(newest_tid)/desk" "$DIR/view"
    echo two >"$DIR/bound/file"
    assert_eq 'what was written through the bind mount' "$(cat "$HEAD/dir/file")" two
    mv "$HEAD/dir/file" "$HEAD/dir/moved"
    assert_eq 'what was renamed beneath it' "$(ls "$DIR/bound")" moved
    expect_fail any 'Invalid cross-device link' ln "$DIR/bound/moved" "$HEAD/link"
    assert_eq 'the bound view' "$(cat "$DIR/view/dir/file")" one
    expect_fail any 'Read-only file system' touch "$DIR/view/dir/new"
    mount -o remount,bind,ro "$DIR/bound"
    expect_fail any 'Read-only file system' touch "$DIR/bound/new"
    echo three >"$HEAD/dir/moved"
    assert_eq 'what was written beneath a read-only one' "$(cat "$DIR/bound/moved")" three
    # A file, and the directory that is bound, removed beneath.
    : >"$DIR/on"
    mount --bind "$HEAD/dir/moved" "$DIR/on"
    rm -r "$HEAD/dir"
    assert_eq 'a bound file that is removed' "$(cat "$DIR/on")" three
    assert_eq 'a bound directory that is removed' "$(ls -A "$DIR/bound")" ''
    umount "$DIR/on" "$DIR/bound" "$DIR/view"
}

# What an overlay is put through; in the working directory it is `merged`. The same with a plain lower layer must come out the same.
through_overlay() {
    cd merged
    sha256sum tree/text tree/random
    echo changed >>tree/text
    chmod 600 tree/many/file1
    touch -d '2020-01-01' tree/many/file2
    chown 64001 tree/many/file3
    setfattr -n user.new -v yes tree/many/file4
    truncate -s 5 tree/random
    rm tree/many/file5 tree/link
    rm -r tree/deep
    mkdir tree/deep
    echo new >tree/deep/new
    mv tree/many/file6 tree/many/renamed
    ln tree/many/file7 tree/many/linked
    mkdir tree/fresh
    echo new >tree/fresh/new
    rmdir tree/empty
    mv tree/sparse tree/fresh/sparse
    mv tree/sticky tree/fresh/sticky 2>&1 | grep -o 'cross-device' || true
    echo "$(($(find . | wc -l)))"
    find . -printf '%y %m %U:%G %n %p -> %l\n' | sort
    find . -type f -exec sha256sum {} + | sort -k 2
    getfattr -R -P -h -d -m '^user' -e hex . | sort
    getfacl --numeric tree/text
}

# overlay NAME LOWER
overlay() {
    mkdir -p "$DIR/$1/merged" "$DIR/$1/upper" "$DIR/$1/desk"
    mount -t overlay overlay -o "lowerdir=$2,upperdir=$DIR/$1/upper,workdir=$DIR/$1/desk" "$DIR/$1/merged"
}

test_overlay_over_a_view() {
    local view
    need_namespaces
    grep -q '\boverlay$' /proc/filesystems || skip 'the kernel has no overlayfs'
    new_both
    work_in "$PLAIN" make_rich_tree
    rm "$PLAIN/tree/socket"
    cp -a "$PLAIN/tree" "$HEAD/tree"
    view=$MNT/at/$(commit)/desk
    describe "$view/tree" times >before
    overlay on-plain "$PLAIN"
    overlay on-view "$view"
    describe "$DIR/on-view/merged/tree" times | diff before -
    work_in "$DIR/on-plain" through_overlay
    work_in "$DIR/on-view" through_overlay
    diff "$DIR/said.on-plain" "$DIR/said.on-view"
    # The upper layers: what was copied up, whiteouts, opaque directories.
    diff <(cd on-plain/upper && find . -printf '%y %m %U:%G %s %p\n' | grep -v '^d.* [0-9]* ' | sort) \
        <(cd on-view/upper && find . -printf '%y %m %U:%G %s %p\n' | grep -v '^d.* [0-9]* ' | sort)
    # Mounted again, it shows the same.
    (cd on-view/merged && find . | sort) >shown
    umount on-view/merged
    overlay on-view "$view"
    (cd on-view/merged && find . | sort) | diff shown -
    umount on-view/merged on-plain/merged
    describe "$view/tree" times | diff before -
}

# Nobody writes through it.
test_overlay_of_two_lower_layers() {
    need_namespaces
    grep -q '\boverlay$' /proc/filesystems || skip 'the kernel has no overlayfs'
    new_both
    work_in "$HEAD" make_rich_tree
    mkdir "$DIR/merged" "$DIR/second"
    echo second >"$DIR/second/second"
    mount -t overlay overlay -o "lowerdir=$DIR/second:$HEAD" "$DIR/merged"
    assert_eq 'merged' "$(find "$DIR/merged" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" 'second tree '
    cmp "$DIR/merged/tree/random" "$HEAD/tree/random"
    umount "$DIR/merged"
}

# What a process needs to run: a shell and some tools, with the libraries that they name.
make_root() {
    local program file
    mkdir -p bin dev proc tmp etc
    for program in sh cat ls echo touch sleep; do
        cp -L "$(command -v "$program" 2>/dev/null | grep / || echo "/bin/$program")" "bin/$program"
    done
    for file in $(ldd bin/* | grep -oE '/[^ ]+' | grep -v ':$' | sort -u); do
        mkdir -p ".$(dirname "$file")"
        [ -e ".$file" ] || cp -L "$file" ".$file"
    done
    echo "the root's own file" >etc/own
}

test_programs_run_from_a_view() {
    local view
    need_namespaces
    new_both
    work_in "$HEAD" make_root
    view=$MNT/at/$(commit)/desk
    (cd "$HEAD" && rm -r bin)
    assert_eq 'a program of the view' "$("$view/bin/cat" "$view/etc/own")" "the root's own file"
    assert_eq 'with the view as root' "$(chroot "$view" /bin/sh -c 'cat /etc/own; ls /')" "$(echo "the root's own file" && ls "$view")"
    expect_fail any 'Read-only file system' chroot "$view" /bin/sh -c 'echo no >/tmp/file'
}

# A container as runtimes make one: namespaces of its own, the view beneath an overlay as its root, pivoted into.
test_a_view_is_a_containers_root() {
    local view
    need_namespaces
    grep -q '\boverlay$' /proc/filesystems || skip 'the kernel has no overlayfs'
    new_both
    work_in "$HEAD" make_root
    view=$MNT/at/$(commit)/desk
    mkdir merged upper work
    # shellcheck disable=SC2016 # it is the inner shell that expands
    unshare --mount --pid --fork --uts --ipc --net bash -c '
        set -e
        mount --make-rprivate /
        mount -t overlay overlay -o "lowerdir=$1,upperdir=upper,workdir=work" merged
        mount -t proc proc merged/proc
        mount --bind /dev merged/dev
        mkdir merged/old
        cd merged
        pivot_root . old # moves this shell, too
        exec /bin/sh -c "cat /etc/own; echo \$\$; echo written >/tmp/file; echo changed >/etc/own; ls /"
    ' bash "$view" >said
    assert_eq 'what it read' "$(sed -n 1p said)" "the root's own file"
    assert_eq 'its process id' "$(sed -n 2p said)" 1
    assert_eq 'what it wrote' "$(cat upper/tmp/file)" written
    assert_eq 'what it changed' "$(cat upper/etc/own)" changed
    assert_eq 'the view after it' "$(cat "$view/etc/own")" "the root's own file"
    # And without the overlay: a root that cannot be written.
    # shellcheck disable=SC2016
    unshare --mount --pid --fork bash -c '
        set -e
        mount --make-rprivate /
        mount --bind "$1" "$1"
        mount -t proc proc "$1/proc"
        exec chroot "$1" /bin/sh -c "cat /etc/own; ls /proc/self/exe; touch /tmp/file || echo refused"
    ' bash "$view" >said 2>&1
    assert_match 'what it said' "$(tr '\n' ' ' <said)" "^the root's own file /proc/self/exe .*Read-only file system refused"
}

# ---------------------------------------------------------------- handles

drop_caches() {
    sync
    echo 2 2>/dev/null >/proc/sys/vm/drop_caches || true
}

# NFS clients keep handles over restarts of the server: a file, a directory, a symlink, by nothing but these.
test_handles_of_head_stay_valid() {
    local file directory link deep
    need_root
    new_both
    mkdir -p "$HEAD/a/b/c"
    echo content >"$HEAD/a/b/c/file"
    ln -s target "$HEAD/link"
    file=$(handle get "$HEAD/a/b/c/file")
    directory=$(handle get "$HEAD/a/b")
    deep=$(handle get "$HEAD/a/b/c")
    link=$(handle get "$HEAD/link")
    check_head_handles() {
        assert_eq "the file, $1" "$(handle cat "$MNT/head" "$file")" content
        assert_eq "the directory, $1" "$(handle list "$MNT/head" "$directory" | tr '\n' ' ')" '. .. c '
        assert_eq "the parent, $1" "$(handle above "$MNT/head" "$deep" | cut -d ' ' -f 1)" "$(inode "$HEAD/a/b")"
        assert_eq "the symlink, $1" "$(handle inode "$MNT/head" "$link")" "$(inode "$HEAD/link") 120000"
        assert_eq "the same handle, $1" "$(handle get "$HEAD/a/b/c/file")" "$file"
    }
    check_head_handles 'at once'
    drop_caches
    check_head_handles 'without caches'
    remount
    check_head_handles 'after a remount'
    remount commit-interval=1h
    check_head_handles 'after another'
    mv "$HEAD/a/b/c/file" "$HEAD/moved"
    assert_eq 'a file that moved' "$(handle cat "$MNT/head" "$file")" content
    rm "$HEAD/moved"
    expect_fail 1 ESTALE handle cat "$MNT/head" "$file"
    rm -r "$HEAD/a"
    expect_fail 1 ESTALE handle list "$MNT/head" "$directory"
    # Nor does a new file take the old one's place.
    echo other >"$HEAD/other"
    expect_fail 1 ESTALE handle cat "$MNT/head" "$file"
    remount
    expect_fail 1 ESTALE handle cat "$MNT/head" "$file"
}

test_handles_of_views() {
    local view file directory tid
    need_root
    new_both
    mkdir -p "$HEAD/a/b"
    echo old >"$HEAD/a/b/file"
    tid=$(commit)
    echo new >"$HEAD/a/b/file"
    commit >/dev/null
    view=$MNT/at/$tid/desk
    file=$(handle get "$view/a/b/file")
    directory=$(handle get "$view/a/b")
    assert_eq 'the file' "$(handle cat "$MNT" "$file")" old
    assert_eq 'the directory' "$(handle list "$MNT" "$directory" | tr '\n' ' ')" '. .. file '
    assert_eq 'its parent' "$(handle above "$MNT" "$directory" | cut -d ' ' -f 1)" "$(inode "$view/a")"
    drop_caches
    assert_eq 'the file, without caches' "$(handle cat "$MNT" "$file")" old
    [ "$(handle get "$HEAD/a/b/file")" != "$file" ]
    remount
    assert_eq 'the file after a remount' "$(handle cat "$MNT" "$file")" old
    # That of a directory is good for as long as a mount knows it, and after that for nothing, least of all another directory.
    ls "$MNT/at/now/desk/a/b" "$MNT/at/$tid" "$MNT/before/$tid" >/dev/null
    expect_fail 1 ESTALE handle list "$MNT" "$directory"
    rm -r "$HEAD/a"
    commit >/dev/null
    assert_eq 'the file after it is gone from head' "$(handle cat "$MNT" "$file")" old
}

run_tests "$@"
