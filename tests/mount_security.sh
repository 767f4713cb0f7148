#!/usr/bin/env bash
# Who may do what: with the files of a store, with a mount, through a shared mount, and to the driver. Other parts of this are in mount_basic.sh
# (ordinary users, authors, history of a shared mount) and mount_cli.sh (what others are told).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# as UID[:GID[,GROUP…]] COMMAND…: as that user, without privileges.
as() {
    local uid=${1%%:*} groups=${1#*:} gid more
    [[ $1 = *:* ]] || groups=$1
    gid=${groups%%,*}
    more=${groups#"$gid"}
    shift
    if [ -n "$more" ]; then more=--groups=${more#,}; else more=--clear-groups; fi
    setpriv --reuid "$uid" --regid "$gid" "$more" --inh-caps=-all --bounding-set=-all -- "$@"
}

OWNER=3001 MEMBER=3002 OTHER=3003 TEAM=4001

# open_the_way: so that others get as far as the mount.
open_the_way() {
    need_root
    need setpriv
    chmod 755 "$WORK" "$DIR"
    # The build may lie where only root may go.
    [ -e "$WORK/tidfs" ] || install -m 755 "$TIDFS" "$WORK/tidfs"
}

# ---------------------------------------------------------------- the store's files

# assert_private DIR: files 0600, directories 0700.
assert_private() {
    assert_eq "what of $1 is open to others" "$(find "$1" \( -type f ! -perm 600 -o -type d ! -perm 700 \) -printf '%m %P ')" ''
    assert_eq "what is neither" "$(find "$1" ! -type f ! -type d)" ''
}

test_files_are_the_owners_whatever_the_umask() {
    local mask
    for mask in 000 022 077 777; do
        rm -rf "$STORE"
        (umask "$mask" && tidfs init "$STORE" >/dev/null)
        assert_private "$STORE"
        mkdir -p "$MNT"
        (umask "$mask" && tidfs mount "$STORE" "$MNT")
        head -c 300000 /dev/urandom >"$MNT/head/large"
        echo small >"$MNT/head/small"
        sync "$MNT/head/small"
        (umask "$mask" && tidfs tag --store "$STORE" "with-$mask")
        assert_private "$STORE"
        unmount
        assert_private "$STORE"
    done >/dev/null
    # One that is there already keeps its mode, and what is made in it is private all the same.
    mkdir -m 755 "$DIR/open"
    (umask 000 && tidfs init "$DIR/open" >/dev/null)
    assert_eq 'files in it' "$(find "$DIR/open" -mindepth 1 \( -type f ! -perm 600 -o -type d ! -perm 700 \))" ''
}

test_files_of_a_user_are_his() {
    open_the_way
    mkdir "$DIR/home"
    chown "$OWNER:$OWNER" "$DIR/home"
    (umask 000 && as "$OWNER" "$WORK/tidfs" init "$DIR/home/store" >/dev/null)
    assert_private "$DIR/home/store"
    assert_eq owner "$(find "$DIR/home/store" ! -user "$OWNER")" ''
    expect_fail any 'Permission denied' as "$OTHER" ls "$DIR/home/store"
    expect_fail 1 'Permission denied' as "$OTHER" "$WORK/tidfs" log --store "$DIR/home/store"
}

# ---------------------------------------------------------------- mounting

test_another_users_store_is_refused_with_a_reason() {
    open_the_way
    new_store
    mkdir "$DIR/mine"
    chown "$OTHER" "$DIR/mine"
    expect_fail 1 'Permission denied' as "$OTHER" "$WORK/tidfs" mount "$STORE" "$DIR/mine"
    # Readable for all, as by mistake: then it can be read, and not written.
    chmod -R go+rX "$STORE"
    expect_fail 1 'cannot be written|Permission denied' as "$OTHER" "$WORK/tidfs" mount "$STORE" "$DIR/mine"
    expect_fail 1 'cannot be written|Permission denied' as "$OTHER" "$WORK/tidfs" tag --store "$STORE" t
    assert_eq 'no mount' "$(grep -c " $DIR/" /proc/self/mounts)" 0 || true
    assert_eq 'nothing of another user in it' "$(find "$STORE" ! -user 0)" ''
}

test_a_directory_of_somebody_else_is_no_mount_point() {
    local command=("$WORK/tidfs" mount)
    open_the_way
    # fusermount3 is what says it, and works only where its setuid bit counts and /dev/fuse is open.
    [ -u "$(command -v fusermount3)" ] || skip 'fusermount3 is not setuid'
    mkdir -m 755 "$DIR/roots"
    mkdir "$DIR/home"
    chown "$OTHER" "$DIR/home"
    as "$OTHER" "$WORK/tidfs" init "$DIR/home/store" >/dev/null
    expect_fail 1 'cannot mount|[Pp]ermission|not permitted' setpriv --reuid "$OTHER" --clear-groups "${command[@]}" "$DIR/home/store" "$DIR/roots"
    ln -s "$DIR/roots" "$DIR/home/link"
    expect_fail 1 'cannot mount|[Pp]ermission|not permitted' setpriv --reuid "$OTHER" --clear-groups "${command[@]}" "$DIR/home/store" "$DIR/home/link"
    mkdir "$DIR/home/gone"
    ln -s ../../roots "$DIR/home/gone/link"
    expect_fail 1 'cannot mount|[Pp]ermission|not permitted' setpriv --reuid "$OTHER" --clear-groups "${command[@]}" "$DIR/home/store" "$DIR/home/gone/link"
    assert_eq 'mounts there' "$(grep -cF "$DIR/roots" /proc/self/mounts || true)" 0
}

test_a_symlink_as_mount_point_is_what_it_leads_to() {
    new_store
    mkdir "$DIR/real"
    ln -s real "$DIR/link"
    tidfs mount "$STORE" "$DIR/link"
    mountpoint -q "$DIR/real"
    tidfs umount "$DIR/link"
    mountpoint -q "$DIR/real" && fail 'still mounted'
    ln -sf nowhere "$DIR/link2"
    expect_fail 1 'does not exist' tidfs mount "$STORE" "$DIR/link2"
    ln -sf link3 "$DIR/link3"
    expect_fail 1 'symbolic links' tidfs mount "$STORE" "$DIR/link3"
}

mount_flags() {
    awk -v point="$MNT" '$2 == point { print $4 }' /proc/self/mounts
}

test_setuid_and_devices_are_inert_unless_asked_for() {
    local program=$MNT/head/id
    open_the_way
    new_store
    mount_store allow_other,history=all
    assert_match 'options by default' "$(mount_flags)" '(^|,)nosuid(,|$)'
    assert_match 'options by default' "$(mount_flags)" '(^|,)nodev(,|$)'
    cp "$(command -v id)" "$program"
    chmod 4755 "$program"
    mknod -m 666 "$MNT/head/null" c 1 3
    commit >/dev/null
    assert_eq 'effective user of a setuid program' "$(as "$OTHER" "$program" -u)" "$OTHER"
    assert_eq 'the same in history' "$(as "$OTHER" "$MNT/at/now/id" -u)" "$OTHER"
    expect_fail any 'Permission denied' sh -c "echo >'$MNT/head/null'"
    expect_fail any 'Permission denied' cat "$MNT/at/now/null"
    unmount
    mount_store allow_other,history=all,suid,dev
    assert_eq 'options when asked for' "$(mount_flags | grep -cE 'nosuid|nodev')" 0 || true
    assert_eq 'effective user then' "$(as "$OTHER" "$program" -u)" 0
    echo x >"$MNT/head/null"
    assert_eq 'a device then' "$(cat "$MNT/at/now/null")" ''
    unmount
    # Whoever mounts it, and with what: a user's mount never has them.
    OWNER=65534 # fusermount3 wants one who has a name
    mkdir -p "$DIR/home/mnt"
    cp -r "$STORE" "$DIR/home/store"
    chown -R "$OWNER" "$DIR/home"
    open_fuse
    HOME=$DIR/home in_namespace setpriv --reuid "$OWNER" --clear-groups "$WORK/tidfs" mount -o suid,dev "$DIR/home/store" "$DIR/home/mnt"
    assert_match "a user's mount" "$(in_namespace findmnt -no OPTIONS "$DIR/home/mnt")" 'nosuid,nodev'
    in_namespace setpriv --reuid "$OWNER" --clear-groups "$WORK/tidfs" umount "$DIR/home/mnt"
}

# ---------------------------------------------------------------- a shared mount

# can USER read|write|list|enter|search PATH: yes or no, as the kernel says.
can() {
    local user=$1 what=$2 path=$3
    case $what in
    read) as "$user" cat "$path" ;;
    write) as "$user" sh -c "echo more >>'$path'" ;;
    list) as "$user" ls "$path" ;;
    make) as "$user" sh -c ": >'$path/made.by.$user'" ;;
    enter) as "$user" stat "$path/." ;;
    esac >/dev/null 2>&1 && echo yes || echo no
}

# Lines of: mode of the file, and who may read and write it there: owner, member of the group, other.
test_modes_count_for_everybody_in_head_and_views() {
    local mode owner member other file user expected root at
    open_the_way
    new_store
    mount_store allow_other,history=all,commit-interval=1h
    while read -r mode owner member other; do
        file=$MNT/head/f$mode
        echo "$mode" >"$file"
        chown "$OWNER:$TEAM" "$file"
        chmod "$mode" "$file"
    done <<<"$MODES"
    at=$(commit)
    for root in head "at/$at" before/9999-01-01 "versions/f0640"; do
        while read -r mode owner member other; do
            file=$MNT/$root/f$mode
            if [ "$root" = versions/f0640 ]; then
                [ "$mode" = 0640 ] || continue
                file=$(find "$MNT/$root/" -mindepth 1 | head -n 1)
            elif [[ $root = before/* ]]; then
                file=$MNT/before/now/f$mode
                continue # before the newest transaction there was nothing yet
            fi
            for user in "$OWNER:$OWNER" "$MEMBER:$MEMBER,$TEAM" "$OTHER:$OTHER"; do
                case $user in "$OWNER"*) expected=$owner ;; "$MEMBER"*) expected=$member ;; *) expected=$other ;; esac
                assert_eq "$user reads $file" "$(can "$user" read "$file")" "$([[ $expected = *r* ]] && echo yes || echo no)"
                [ "$root" = head ] || expected=-
                assert_eq "$user writes $file" "$(can "$user" write "$file")" "$([[ $expected = *w* ]] && echo yes || echo no)"
            done
        done <<<"$MODES"
    done
    unmount
}
MODES='0600 rw - -
0640 rw r -
0666 rw rw rw
0044 - r r
0000 - - -'

test_acls_and_directories_count_for_everybody_in_head_and_views() {
    local at root
    open_the_way
    need setfacl
    new_store
    mount_store allow_other,history=all,commit-interval=1h
    mkdir -m 700 "$MNT/head/closed" "$MNT/head/acl"
    mkdir -m 711 "$MNT/head/search"
    mkdir -m 755 "$MNT/head/open"
    echo in | tee "$MNT/head/closed/f" "$MNT/head/search/f" "$MNT/head/open/f" >"$MNT/head/acl/f"
    chmod 644 "$MNT"/head/*/f
    setfacl -m "u:$MEMBER:rx" "$MNT/head/acl"
    setfacl -m "u:$OTHER:---" "$MNT/head/open/f"
    at=$(commit)
    for root in head "at/$at"; do
        root=$MNT/$root
        assert_eq "$root closed" "$(can "$OTHER" list "$root/closed") $(can "$OTHER" read "$root/closed/f")" 'no no'
        assert_eq "$root search" "$(can "$OTHER" list "$root/search") $(can "$OTHER" read "$root/search/f")" 'no yes'
        assert_eq "$root acl that opens" "$(can "$MEMBER" list "$root/acl") $(can "$OTHER" list "$root/acl")" 'yes no'
        assert_eq "$root acl that closes" "$(can "$MEMBER" read "$root/open/f") $(can "$OTHER" read "$root/open/f")" 'yes no'
        assert_eq "$root nobody makes files" "$(can "$OTHER" make "$root/open")" no
    done
    unmount
}

# A mount of a view is the view itself: it has no history beside it that would have to be closed.
test_a_shared_view_as_root_has_its_own_modes() {
    open_the_way
    new_store
    mount_store allow_other
    echo secret >"$MNT/head/f"
    chmod 600 "$MNT/head/f"
    echo public >"$MNT/head/g"
    commit >/dev/null
    unmount
    mount_store allow_other,at=now
    assert_eq 'secret, public' "$(can "$OTHER" read "$MNT/f") $(can "$OTHER" read "$MNT/g")" 'no yes'
    unmount
}

test_names_in_history_tell_others_nothing() {
    local name
    open_the_way
    new_store
    mount_store allow_other
    echo 1 >"$MNT/head/secret-name"
    commit >/dev/null
    rm "$MNT/head/secret-name"
    commit >/dev/null
    for name in at before versions; do
        expect_fail any 'Permission denied' as "$OTHER" ls "$MNT/$name"
        expect_fail any 'Permission denied' as "$OTHER" stat "$MNT/$name/now~1/secret-name"
        expect_fail any 'Permission denied' as "$OTHER" stat "$MNT/$name/secret-name"
    done
    unmount
}

test_orders_of_others_are_refused() {
    open_the_way
    new_store
    mount_store allow_other,history=all
    mkdir -m 777 "$MNT/head/all"
    echo 1 >"$MNT/head/f"
    commit first >/dev/null
    echo 2 >"$MNT/head/f"
    commit second >/dev/null
    # Commands that need the store fail for want of the store; this is the driver's own word, on the ioctl itself.
    cat >"$DIR/order.py" <<'PY'
import errno, fcntl, os, sys
def number(direction, nr, size):
    return direction << 30 | size << 16 | ord('t') << 8 | nr
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
fd = os.open(sys.argv[1], os.O_RDONLY)
for name, nr, size in (('piece', 0x83, 16 + 12288), ('run', 0x84, 40 + 512)):
    data = bytearray(size)
    if name == 'piece':
        data[8] = 100
    else:
        data[0] = 1
    try:
        fcntl.ioctl(fd, number(3, nr, size), data)
        print(name, 'done')
    except OSError as e:
        print(name, errno.errorcode[e.errno])
PY
    assert_eq 'what others are told' "$(python3 "$DIR/order.py" "$MNT/head/all" "$OTHER" | tr '\n' ' ')" 'piece EPERM run EPERM '
    assert_eq 'the file' "$(cat "$MNT/head/f")" 2
    unmount
}

# transactions: of $STORE.
transactions() {
    tidfs info --json "$STORE" | grep -o '"transactions": [0-9]*' | grep -o '[0-9]*$'
}

# may_commit yes|no USER[:GROUPS] WHAT: where $within says, if that is set.
may_commit() {
    local before after run=(${within:+"$within"})
    before=$(transactions)
    if [ "$1" = yes ]; then
        "${run[@]}" as "$2" "$WORK/tidfs" commit -m "$3" "$MNT" >/dev/null || fail "$2 cannot commit: $3"
        after=$((before + 1))
    else
        expect_fail 1 "not permitted: only the mount's owner, root and who may write to its /head" "${run[@]}" as "$2" "$WORK/tidfs" commit "$MNT"
        expect_fail 1 'not permitted' "${run[@]}" as "$2" "$WORK/tidfs" commit -m "$3" "$MNT"
        after=$before
    fi
    assert_eq "transactions after: $3" "$(transactions)" "$after"
}

test_who_may_not_write_to_a_shared_mount_cannot_have_it_commit() {
    local tid
    open_the_way
    new_store
    mount_store allow_other,commit-interval=1h
    chmod 755 "$MNT/head"
    echo 1 >"$MNT/head/f"
    may_commit no "$OTHER" 'a mode of 755'
    assert_eq 'what is pending stays so' "$([ "$(counter pending objects)" -gt 0 ] && echo yes)" yes
    # A file that may be read may be synced, as everywhere; that is nobody's commit, and with nothing pending none at all.
    as "$OTHER" sync "$MNT/head/f"
    tid=$(transactions)
    as "$OTHER" sync "$MNT/head/f"
    assert_eq 'transactions by a sync of nothing' "$(transactions)" "$tid"
    assert_eq 'user of it' "$(tidfs log -n 1 --json "$MNT" | grep -o '"user": "[^"]*"')" '"user": "root"'
    expect_fail 1 "only the mount's owner and root" as "$OTHER" "$WORK/tidfs" commit --user root "$MNT"

    may_commit yes 0:0 'root'
    chmod 757 "$MNT/head"
    may_commit yes "$OTHER" 'others may write'
    chmod 752 "$MNT/head"
    may_commit no "$OTHER" 'others may write, and not search'
    chgrp "$TEAM" "$MNT/head"
    chmod 775 "$MNT/head"
    may_commit no "$OTHER" 'the group may write'
    may_commit yes "$MEMBER:$MEMBER,$TEAM" 'a supplementary group'
    may_commit yes "$MEMBER:$TEAM" 'the group of the process'
    chmod 757 "$MNT/head"
    may_commit no "$MEMBER:$MEMBER,$TEAM" 'all but the group may write'
    chown "$OWNER" "$MNT/head"
    chmod 577 "$MNT/head"
    may_commit no "$OWNER" 'all but the owner of the directory may write'
    chmod 755 "$MNT/head"
    may_commit yes "$OWNER" 'the owner of the directory'
    unmount
}

test_an_acl_says_who_may_have_a_shared_mount_commit() {
    open_the_way
    need setfacl
    new_store
    mount_store allow_other,commit-interval=1h
    chmod 755 "$MNT/head"
    setfacl -m "u:$MEMBER:rwx" "$MNT/head"
    may_commit yes "$MEMBER" 'a user of the ACL'
    may_commit no "$OTHER" 'another user'
    setfacl -m m::rx "$MNT/head"
    may_commit no "$MEMBER" 'a mask'
    setfacl -b "$MNT/head"
    setfacl -m "g:$TEAM:rwx" "$MNT/head"
    may_commit yes "$MEMBER:$MEMBER,$TEAM" 'a group of the ACL'
    may_commit no "$OTHER" 'one not in it'
    setfacl -m "u:$MEMBER:rx,o::rwx" "$MNT/head"
    may_commit no "$MEMBER:$MEMBER,$TEAM" 'a user who is named has no other rights'
    may_commit yes "$OTHER" 'all others'
    # The kernel agrees.
    assert_eq 'who makes files' "$(can "$MEMBER:$MEMBER,$TEAM" make "$MNT/head") $(can "$OTHER" make "$MNT/head")" 'no yes'
    unmount
}

test_commits_of_a_users_mount_are_his() {
    local OWNER=65534 within=in_namespace # fusermount3 wants one who has a name
    open_the_way
    open_fuse
    MNT=$DIR/home/mnt STORE=$DIR/home/store
    mkdir -p "$MNT"
    chown -R "$OWNER" "$DIR/home"
    setpriv --reuid "$OWNER" --clear-groups "$WORK/tidfs" init "$STORE" >/dev/null
    HOME=$DIR/home in_namespace setpriv --reuid "$OWNER" --clear-groups "$WORK/tidfs" mount -o allow_other "$STORE" "$MNT"
    may_commit no "$OTHER" 'another'
    may_commit yes "$OWNER" 'the owner'
    in_namespace setpriv --reuid "$OWNER" --clear-groups "$WORK/tidfs" umount "$MNT"
}

# ---------------------------------------------------------------- the driver and the commands as processes

# A reader makes the files beside a database with its mode.
test_a_store_that_was_read_only_for_a_while_can_be_written_again() {
    open_the_way
    mkdir "$DIR/home"
    chown "$OWNER" "$DIR/home"
    STORE=$DIR/home/store
    as "$OWNER" "$WORK/tidfs" init "$STORE" >/dev/null
    chmod 400 "$STORE/tidfs.db"
    as "$OWNER" "$WORK/tidfs" verify "$STORE" >/dev/null
    expect_fail 1 'cannot be written' as "$OWNER" "$WORK/tidfs" tag --store "$STORE" t
    chmod 600 "$STORE/tidfs.db"
    # As some filesystems and versions of SQLite leave them.
    [ ! -e "$STORE/tidfs.db-wal" ] || chmod 400 "$STORE/tidfs.db-wal"
    install -o "$OWNER" -m 400 /dev/null "$STORE/tidfs.db-shm"
    as "$OWNER" "$WORK/tidfs" tag --store "$STORE" t >/dev/null
    as "$OWNER" "$WORK/tidfs" verify "$STORE" >/dev/null
    assert_eq 'what is open to others, or not to write' "$(find "$STORE" -type f ! -perm 600)" ''
    # What is somebody else's is named.
    install -o 0 -m 644 /dev/null "$STORE/tidfs.db-shm"
    expect_fail 1 "tidfs.db-shm cannot be written.*give it the same owner" as "$OWNER" "$WORK/tidfs" tag --store "$STORE" u
}

test_nothing_of_the_contents_is_told_by_processes_and_logs() {
    local text=a-very-private-sentence
    new_store
    mkdir "$MNT"
    "$TIDFS" mount -f "$STORE" "$MNT" 2>"$DIR/log" &
    wait_until 20 mountpoint -q "$MNT"
    echo "$text" >"$MNT/head/$text"
    setfattr -n user.a -v "$text" "$MNT/head/$text"
    tidfs commit -m "$text" "$MNT" >/dev/null
    cat "$MNT/at/now/$text" >/dev/null
    rm "$MNT/head/$text"
    tr '\0' ' ' <"/proc/$!/cmdline" >"$DIR/cmdline"
    tr '\0' '\n' <"/proc/$!/environ" >"$DIR/environ"
    unmount
    wait
    assert_eq 'told' "$(grep -lF "$text" "$DIR/log" "$DIR/cmdline" || true)" ''
}

# What somebody has in his environment when root runs a command for him must do nothing but change how things are shown.
test_environment_variables_do_no_harm() {
    local name
    new_store
    mount_store
    echo 1 >"$MNT/head/f"
    commit one >/dev/null
    mkdir "$DIR/home" "$DIR/tmp"
    printf '#!/bin/sh\ntouch "%s/ran"\ncat\n' "$DIR" >"$DIR/evil"
    chmod 755 "$DIR/evil"
    for name in HOME TMPDIR XDG_CONFIG_HOME XDG_RUNTIME_DIR LC_ALL LANG TZ COLUMNS LINES TERM; do
        env "$name=../../../..$DIR/$(printf '%5000s' x)" "$TIDFS" log "$MNT" >/dev/null
        env "$name=%s%n%s%n" "$TIDFS" log "$MNT" >/dev/null
    done
    # Without a terminal no pager runs, whatever is said; nor does any other variable name a program.
    env PAGER="$DIR/evil" TIDFS_PAGER="$DIR/evil" EDITOR="$DIR/evil" VISUAL="$DIR/evil" GIT_PAGER="$DIR/evil" \
        GIT_EXTERNAL_DIFF="$DIR/evil" GIT_CONFIG_GLOBAL="$DIR/evil" SQLITE_TMPDIR="$DIR/tmp" \
        "$TIDFS" diff now~1 now --mount "$MNT" >/dev/null 2>&1 || true
    env PAGER="$DIR/evil" EDITOR="$DIR/evil" "$TIDFS" log "$MNT" >/dev/null
    [ ! -e "$DIR/ran" ] || fail 'a program of the environment was run'
    assert_eq 'left in TMPDIR' "$(ls "$DIR/tmp")" ''
    # A configuration of somebody else's home is read as such, and what is wrong in it is told, not done.
    mkdir -p "$DIR/home/.config/tidfs"
    echo 'at = now' >"$DIR/home/.config/tidfs/tidfs.conf"
    unmount
    HOME=$DIR/home expect_fail 1 'belongs to one mount' "$TIDFS" mount "$STORE" "$MNT"
}

# ---------------------------------------------------------------- the unit of systemd

unit=$root/fs/systemd/tidfs@.service

test_unit_is_rated_ok() {
    need systemd-analyze
    systemd-analyze security --offline=true --threshold=50 "$unit" >"$DIR/said" 2>&1 ||
        fail "exposure of 5.0 or more: $(tail -n 1 "$DIR/said")"
    assert_match rating "$(tail -n 1 "$DIR/said")" '(OK|SAFE|PERFECT)'
    echo "    $(tail -n 1 "$DIR/said" | tr -dc ' -~')"
}

# A service with one would mount for itself alone.
test_unit_has_no_mount_namespace() {
    assert_eq 'settings that give it one' "$(grep -oE \
        '^(Protect(System|Home|KernelTunables|KernelModules|KernelLogs|ControlGroups|Proc)|Private[A-Za-z]*|ProcSubset|Read(Write|Only)Paths|InaccessiblePaths|ExecPaths|NoExecPaths|Bind[A-Za-z]*|TemporaryFileSystem|Root[A-Z][A-Za-z]*|MountFlags|MountAPIVFS|DynamicUser|(State|Cache|Logs)Directory)=' \
        "$unit" || true)" ''
}

# systemd is not to be had everywhere, so its sandbox is put together here as far as that goes: the capabilities, no new privileges, the mask,
# and no devices but what is there. The filter of system calls is not tried.
test_unit_mounts_with_the_capabilities_that_it_has() {
    local line capabilities
    need_root
    need setpriv
    new_store
    mkdir "$MNT"
    line=$(sed -n 's/^ExecStart=//p' "$unit")
    assert_match ExecStart "$line" '^/usr/local/bin/tidfs mount -o \$\{OPTIONS\} \$\{STORE\} \$\{MOUNT_POINT\}$'
    capabilities=$(sed -n 's/^CapabilityBoundingSet=CAP_//p' "$unit" | tr '[:upper:]' '[:lower:]')
    # shellcheck disable=SC2016 # the inner shell expands them
    setpriv --bounding-set "-all,+$capabilities" --inh-caps=-all --no-new-privs -- \
        env - PATH="$PATH" sh -c 'umask 0077; exec "$0" mount -o defaults "$1" "$2"' "$TIDFS" "$STORE" "$MNT"
    mountpoint -q "$MNT"
    echo 1 >"$MNT/head/f"
    commit >/dev/null
    setpriv --bounding-set "-all,+$capabilities" --inh-caps=-all --no-new-privs -- "$TIDFS" umount "$MNT"
    mountpoint -q "$MNT" && fail 'still mounted'
    assert_private "$STORE"
}

run_tests "$@"
