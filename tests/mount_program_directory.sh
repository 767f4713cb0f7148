#!/usr/bin/env bash
# Directories at their limits: very many entries in one, and a thousand one in another. Made, listed, asked about, shown in a view, and removed.
#
# Environment: ENTRIES, how many (default 20000; the issue's measure is 1000000); LEVELS, how deep (default 1000); OPTIONS, of the mount.
. "$(dirname "$0")/both.sh"

ENTRIES=${ENTRIES:-20000}
LEVELS=${LEVELS:-1000}

# seconds COMMAND…: shows how long it took.
seconds() {
    local started=$EPOCHREALTIME
    "$@"
    printf '    %-30s %s s\n' "$*" "$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')" >&3
}

entries() {
    seq -f 'name-of-entry-%08.0f' 1 "$ENTRIES"
}

# Every tenth is a directory, every seventh a symlink.
many_make() {
    mkdir many
    cd many
    entries | awk 'NR % 10 != 0 && NR % 7 != 0' | while read -r name; do : >"$name"; done
    entries | awk 'NR % 10 == 0' | xargs mkdir
    entries | awk 'NR % 10 != 0 && NR % 7 == 0' | python3 -c '
import os, sys
for name in sys.stdin:
    os.symlink("target", name.rstrip())'
}

many_list() {
    find many -mindepth 1 -maxdepth 1 | sort | sha256sum
    find many -printf '%y %f\n' | sort | sha256sum
}

many_ask() {
    cd many
    entries | shuf -n 2000 --random-source="$TIDFS" | xargs stat -c '%F %a %n'
    stat -c %n name-of-entry-00000000 2>&1 || true
}

# In several turns, each of which begins where the last has removed.
many_thin() {
    cd many
    entries | awk 'NR % 3 == 0 && NR % 10 != 0' | xargs rm
    find . | wc -l
    entries | awk 'NR % 3 == 0 && NR % 10 != 0 && NR % 2 == 0' | xargs touch
    find . | wc -l
}

many_remove() {
    rm -r many
    ls -A
}

test_many_entries_in_one_directory() {
    local view step
    exec 3>&1
    new_both
    for step in make list ask; do
        seconds on_both "many_$step"
    done
    seconds commit >"$DIR/tid"
    view=$MNT/at/$(<"$DIR/tid")/desk
    assert_eq 'links of it in the view' "$(stat -c %h "$view/many")" "$(stat -c %h "$HEAD/many")"
    seconds on_both many_thin
    remount
    seconds on_both many_list
    HEAD=$view
    seconds work_in "$view" many_list
    assert_eq 'entries in the view' "$(find "$view/many" -mindepth 1 | wc -l)" "$ENTRIES"
    diff <(find "$view/many" -mindepth 1 -printf '%f\n' | sort) <(entries)
    HEAD=$MNT/head/desk
    seconds on_both many_remove
    assert_eq 'entries in the view, when all are gone' "$(find "$view/many" | wc -l)" $((ENTRIES + 1))
    seconds unmount
}

# Names of seven bytes: the deepest path is longer than any that can be said in one.
deep_make() {
    python3 - "$LEVELS" <<'END'
import os, sys
at = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
for level in range(int(sys.argv[1])):
    name = 'lev%04d' % level
    os.mkdir(name, dir_fd=at)
    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
    os.close(at)
    at = below
with os.fdopen(os.open('file', os.O_WRONLY | os.O_CREAT, dir_fd=at), 'w') as file:
    file.write('at the bottom\n')
END
}

# The text of the deepest file, by openat alone; and back up by "..".
deep_read() {
    python3 - "$LEVELS" <<'END'
import os, sys
def step(at, name):
    to = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
    os.close(at)
    return to
at = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
inodes = []
for level in range(int(sys.argv[1])):
    inodes.append(os.fstat(at).st_ino)
    at = step(at, 'lev%04d' % level)
print(os.read(os.open('file', os.O_RDONLY, dir_fd=at), 100))
os.fchdir(at)
try:
    print(len(os.getcwd()) > 4096)
except OSError as error:
    print('getcwd:', os.strerror(error.errno))
for inode in reversed(inodes):
    at = step(at, '..')
    assert os.fstat(at).st_ino == inode
END
    find . | wc -l
    find . -depth | tail -n 1
    find . -printf '%d\n' | sort -n | tail -n 1
}

deep_remove() {
    rm -r lev0000
    ls -A
}

test_a_thousand_levels() {
    local view
    exec 3>&1
    new_both
    seconds on_both deep_make
    seconds on_both deep_read
    work_in "$HEAD" expect_fail any 'subdirectory of itself|Invalid argument' mv lev0000 lev0000/lev0001/lev0002
    view=$MNT/at/$(commit)/desk
    remount
    seconds on_both deep_read
    seconds on_both deep_remove
    seconds work_in "$view" deep_read
    tidfs verify "$STORE" >/dev/null
}

run_tests "$@"
