#!/usr/bin/env bash
# vim on /head as on a plain directory: it writes by renaming and in place, keeps backups, undo files and swap files; after a kill -9, and after the
# mount was lost, what was typed is recovered from the swap file. In a view a file can be looked at, and only looked at.
. "$(dirname "$0")/both.sh"

VIM=(vim -N -u NONE -i NONE)

# ex COMMAND…: each run by vim, without a screen, on `file`; those that begin with `set` before it is read.
ex() {
    local command
    local -a commands=()
    for command in "$@"; do
        case $command in
        'set '*) commands+=(--cmd "$command") ;;
        *) commands+=(-c "$command") ;;
        esac
    done
    "${VIM[@]}" -es "${commands[@]}" file </dev/null
}

edit() {
    seq 1000 >file
    chmod 640 file
    setfattr -n user.kept -v yes file
    ln file other-name
    ex 'set backup backupcopy=no' '%s/7/seven/g' 'w' 'q'
    ex 'set backup backupcopy=yes' '1d' 'w' 'q'
    ex 'set undofile' '990d' 'w' 'q'
    ex 'set undofile' 'undo' 'w! undone' 'q!'
    echo first >appended
    ex 'w >> appended' 'q'
    ex 'setlocal fileformat=dos' 'w! crlf' 'q!'
    ex 'saveas copy' 'q'
    stat -c '%n %a %s %h' -- *
    ls -A
    sha256sum -- *
    getfattr -d other-name file
}

# Types into vim as into a terminal, waits until the swap file has it, and kills it.
leave_swap_file() {
    local vim
    mkfifo "$DIR/keys"
    "${VIM[@]}" -es --cmd 'set updatecount=1' file <"$DIR/keys" >/dev/null 2>&1 &
    vim=$!
    exec 7>"$DIR/keys"
    rm "$DIR/keys"
    printf '%s\n' 'a' 'a line that was never written' '.' 'preserve' >&7
    wait_until 10 grep -q 'a line that was never written' .file.swp
    kill -9 "$vim"
    wait "$vim" 2>/dev/null || true
    exec 7>&-
    ls -A
}

recover() {
    "${VIM[@]}" -es -r file -c 'w! recovered' -c 'q!' </dev/null || true
    grep -c 'a line that was never written' recovered
    grep -c 'a line that was never written' file || true
    [ -e .file.swp ]
    rm .file.swp
    sha256sum recovered
}

test_edits_as_on_a_plain_directory() {
    need vim getfattr
    new_both
    on_both edit
    remount
    on_both sha256sum file other-name
}

test_recovers_from_a_swap_file() {
    need vim
    new_both
    on_both edit
    on_both leave_swap_file
    on_both recover
}

test_recovers_from_a_swap_file_after_the_driver_died() {
    need vim
    new_store
    mount_foreground "$(with_options)" 2>>"$DIR/driver.log"
    PLAIN=$DIR/plain HEAD=$MNT/head/desk
    mkdir "$PLAIN" "$HEAD"
    on_both edit
    on_both leave_swap_file
    sync "$HEAD/.file.swp"
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    mount_store "$(with_options)"
    on_both recover
}

test_a_file_in_a_view_can_only_be_looked_at() {
    local view
    need vim
    new_both
    work_in "$HEAD" edit
    view=$MNT/at/$(commit)/desk
    (
        cd "$view"
        ex 'w! '"$DIR/out" 'q!'
        ex '%d' 'w!' 'q!' || true
    )
    cmp "$view/file" "$DIR/out"
    cmp "$view/file" "$HEAD/file"
    assert_eq 'size' "$(stat -c %s "$view/file")" "$(stat -c %s "$HEAD/file")"
}

run_tests "$@"
