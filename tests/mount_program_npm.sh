#!/usr/bin/env bash
# npm on /head as on a plain directory: packs packages, installs a tree of them with its links to programs, updates and removes, and leaves the same
# node_modules behind. What is installed runs, also from a view.
#
# Environment: NPM_PACKAGES, names to install from the registry as well; OPTIONS, of the mount.
. "$(dirname "$0")/both.sh"

NPM_PACKAGES=${NPM_PACKAGES-}

# new_package NAME VERSION FILES DEPENDENCIES: in source/NAME.
new_package() {
    local i
    mkdir -p "source/$1/lib/deep" "source/$1/bin"
    for ((i = 0; i < $3; i++)); do
        echo "module.exports = '$1 $2 file $i';" >"source/$1/lib/deep/file$i.js"
    done
    printf '#!/usr/bin/env node\nconsole.log(require("%s"));\n' ".." >"source/$1/bin/$1.js"
    chmod 755 "source/$1/bin/$1.js"
    cat >"source/$1/index.js" <<END
const needed = Object.keys(require('./package.json').dependencies || {});
module.exports = ['$1', '$2', ...needed.map((name) => require(name))].join(' ');
END
    cat >"source/$1/package.json" <<END
{"name": "$1", "version": "$2", "license": "MIT", "bin": {"$1": "bin/$1.js"}, "dependencies": {$4}}
END
}

# Twelve packages; each needs the one before it.
pack() {
    local i before=
    for i in {1..12}; do
        new_package "part$i" "1.0.$i" 40 "${before:+\"part$((i - 1))\": \"$before\"}"
        before=1.0.$i
    done
    npm_here pack --silent ./source/*
}

write_project() {
    local i needs=
    for i in {1..12}; do
        needs+="${needs:+, }\"part$i\": \"file:part$i-1.0.$i.tgz\""
    done
    cat >package.json <<END
{"name": "project", "version": "1.0.0", "private": true, "dependencies": {$needs}, "overrides": {$needs}}
END
}

# What npm says of times is left out.
npm_here() {
    npm_config_cache=$PWD/.cache npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false \
        npm "$@" 2>&1 | sed -E 's/ in [0-9.]+m?s$//'
}

install() {
    pack
    write_project
    npm_here install --offline
    node_modules/.bin/part12
}

clean_install() {
    npm_here ci --offline
    npm_here ls --all
    npm_here uninstall --offline part12
    [ ! -e node_modules/.bin/part12 ]
}

install_from_registry() {
    # shellcheck disable=SC2086 # they are several
    npm_here install --no-save $NPM_PACKAGES >/dev/null
    npm_here ls --all
}

test_npm_installs_the_same_tree() {
    need npm node
    new_both
    on_both install
    diff -r --no-dereference "$PLAIN/node_modules" "$HEAD/node_modules"
    remount
    assert_eq 'an installed program, run from a view' "$(node "$MNT/at/now/desk/node_modules/.bin/part12")" \
        "$(node "$PLAIN/node_modules/.bin/part12")"
    on_both clean_install
    assert_same_tree "$PLAIN/node_modules" "$HEAD/node_modules"
    if [ -n "$NPM_PACKAGES" ]; then
        on_both install_from_registry
        assert_same_tree "$PLAIN/node_modules" "$HEAD/node_modules"
    fi
    tidfs verify "$STORE" >/dev/null
}

run_tests "$@"
