#!/usr/bin/env bash
# git works on /head as on a plain directory: clone, commits, branches, worktrees, gc and fsck. A working tree is clean after a remount by what stat
# says alone, and a repository in a view can be read, checked and cloned.
. "$(dirname "$0")/both.sh"

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=Author GIT_AUTHOR_EMAIL=author@example.org GIT_COMMITTER_NAME=Author GIT_COMMITTER_EMAIL=author@example.org
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'

clone() {
    git clone -q "$BUNDLE" repo
    cd repo
    git log --oneline | wc -l
    git status --porcelain --branch
}

commits() {
    local i
    cd repo
    for i in {1..20}; do
        echo "$i" >>changed
        echo "$i" >"new$i"
        git mv -k Python.gitignore "renamed$i" 2>&1 || true
        git add -A
        git commit -q -m "commit $i"
    done
    git rm -q new1
    git commit -q -m 'a removal'
    git log --format='%H %T %s' -n 21
    git status --porcelain
}

branches() {
    cd repo
    git switch -q -c side HEAD~5
    echo side >side
    git add side
    git commit -q -m side
    git switch -q -
    git merge -q --no-edit side
    echo stashed >>changed
    git stash -q
    git stash pop -q
    git checkout -q -- changed
    git rebase -q HEAD~3
    git tag -a -m annotated v1
    git log --format='%H %s' -n 10
    git status --porcelain
    git diff-files
}

worktrees() {
    cd repo
    git worktree add -q ../other side
    echo other >../other/other
    git -C ../other add other
    git -C ../other commit -q -m other
    git worktree list --porcelain
    git worktree add -q --detach ../third HEAD~2
    git worktree remove ../third
    git worktree prune -v
    git status --porcelain
    git -C ../other status --porcelain
}

collect() {
    cd repo
    git count-objects | grep -oE '[0-9]+ objects' # and not how much of the disk they take
    git gc -q --prune=now
    git count-objects -v | grep -E '^(count|in-pack|packs|prune-packable|garbage)'
    git repack -q -a -d -f
    git fsck --full --strict --no-progress
    git rev-parse HEAD side v1
}

# What the index remembers of each file, its inode number and times to the nanosecond, is still so: nothing is refreshed first.
clean() {
    git -C repo diff-files
    git -C repo status --porcelain
    git -C repo fsck --full --no-progress
    git -C other status --porcelain
}

test_git_works_as_on_a_plain_directory() {
    local step
    need git
    new_both
    for step in clone commits branches worktrees collect clean; do
        on_both "$step"
    done
    diff -r --no-dereference --exclude=.git "$PLAIN/repo" "$HEAD/repo"
    remount
    on_both clean
    tidfs verify "$STORE" >/dev/null
}

test_git_reads_a_repository_in_a_view() {
    local view count
    need git
    new_both
    work_in "$HEAD" clone
    work_in "$HEAD" commits
    count=$(git -C "$HEAD/repo" rev-list HEAD --count)
    view=$MNT/at/$(commit)/desk/repo
    work_in "$HEAD" branches
    rm -rf "$HEAD/repo"
    assert_eq 'commits seen in the view' "$(git -C "$view" rev-list HEAD --count)" "$count"
    assert_eq 'status in the view' "$(git -C "$view" status --porcelain)" ''
    git -C "$view" fsck --full --no-progress 2>&1
    git clone -q "$view" copy
    git -C copy fsck --full --no-progress
    diff -r --exclude=.git "$view" copy
    expect_fail any 'Read-only file system' git -C "$view" commit --allow-empty -m no
    expect_fail any 'Read-only file system' git -C "$view" gc -q
}

run_tests "$@"
