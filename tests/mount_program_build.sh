#!/usr/bin/env bash
# A C project is configured and built on /head as on a plain directory, with the same result, and what is built stays up to date: a second make does
# nothing, nor does one after a remount, and one after a change makes what depends on it. What was built runs, also from a view.
#
# Environment: PROJECT, the directory of another project that has a configure, to take instead of this one; OPTIONS, of the mount.
. "$(dirname "$0")/both.sh"

# This may itself be run by make, whose flags are not for the makes here.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

PROJECT=${PROJECT-}
SETTINGS=()

# In the manner of Autoconf's: it looks at the clock of the files, links, compiles and runs, and moves what it writes into place.
write_configure() {
    cat >configure <<'END'
#!/bin/sh
set -eu
: >conftest.older
sleep 0.02
: >conftest.newer
[ "$(ls -t conftest.older conftest.newer | head -n 1)" = conftest.newer ] || { echo 'newly made files are older'; exit 1; }
ln -s conftest.older conftest.link && [ -L conftest.link ]
ln conftest.older conftest.hard && cmp conftest.hard conftest.older
for header in stdio.h unistd.h linux/fs.h no/such/header.h; do
    echo "#include <$header>" >conftest.c
    if ${CC-cc} -E conftest.c >/dev/null 2>&1; then found=yes; else found=no; fi
    echo "checking for $header... $found"
done
printf '#include <stdio.h>\nint main(void) { return puts("runs") < 0; }\n' >conftest.c
${CC-cc} -o conftest conftest.c
./conftest
${CC-cc} -o conftest conftest.c # over a program that just ran
./conftest
echo 'CFLAGS = -O0' >settings.new
chmod 444 settings.new
mv -f settings.new settings
rm -rf conftest*
END
    chmod +x configure
}

fetch() {
    if [ -n "$PROJECT" ]; then
        cp -a "$PROJECT/." .
    else
        cp -a "$root/Makefile" "$root/fs" "$root/history" "$root/store" .
        rm -rf build
        write_configure
    fi
}

configure() {
    ./configure ${PROJECT:+--quiet}
}

build() {
    make -j "$(nproc)" "${SETTINGS[@]}" >"$DIR/build.log" 2>&1 || {
        tail -n 30 "$DIR/build.log"
        return 1
    }
}

# What make says and which files it writes. (`make -q` is of no use: a file of flags is compared each time.)
up_to_date() {
    find . -type f -printf '%T@ %p\n' | sort >"$DIR/before"
    make "${SETTINGS[@]}"
    find . -type f -printf '%T@ %p\n' | sort | diff "$DIR/before" -
}

# What is made anew after the change of one header.
rebuild() {
    sleep 0.02
    touch store/tid.h
    make "${SETTINGS[@]}" | grep -oE '(CC|AR|LINK) .*' | sort
    make "${SETTINGS[@]}"
}

test_build_twice_the_second_does_nothing() {
    need cc make
    new_both
    [ -n "$PROJECT" ] || SETTINGS=(BUILD=build CFLAGS=-O0 D=)
    on_both fetch
    on_both configure
    on_both build
    on_both up_to_date
    remount
    on_both up_to_date
    if [ -z "$PROJECT" ]; then
        assert_same_tree "$PLAIN" "$HEAD"
        on_both rebuild
        assert_eq 'what the program built on /head says' "$("$HEAD/build/tidfs" --version)" "$(tidfs --version)"
        assert_eq 'what it says when run from a view' "$("$MNT/at/$(commit)/desk/build/tidfs" --version)" "$(tidfs --version)"
    fi
    tidfs verify "$STORE" >/dev/null
}

run_tests "$@"
