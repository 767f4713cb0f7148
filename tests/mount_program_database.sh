#!/usr/bin/env bash
# Databases on /head: SQLite in both its journal modes, and PostgreSQL. The program is killed, and the driver is, in the middle of transactions;
# after that the database's own checks pass and no transaction that was acknowledged is missing. The same runs on a plain directory, without the
# death of the driver.
#
# Environment: DATABASE_KILLS, deaths of each kind for each journal mode (default 2); SECONDS_OF_LOAD, how long PostgreSQL works before each death
# (default 2); OPTIONS, of the mount.
. "$(dirname "$0")/both.sh"

DATABASE_KILLS=${DATABASE_KILLS:-2}
SECONDS_OF_LOAD=${SECONDS_OF_LOAD:-2}

# ---------------------------------------------------------------- SQLite

# Transactions without end, each with a number; its number is what is said once it is committed. EXTRA, since FULL does not wait for the removal of
# a journal to be durable, which is what commits.
transactions() {
    local i=$1
    echo 'PRAGMA synchronous = EXTRA;'
    while :; do
        i=$((i + 1))
        echo "BEGIN; INSERT INTO rows VALUES ($i, randomblob($((i * 7919 % 20000)))); UPDATE total SET n = n + 1;"
        [ $((i % 10)) != 0 ] || echo "DELETE FROM rows WHERE i = $i - 9; UPDATE total SET n = n - 1;"
        echo "COMMIT; SELECT 'committed', $i, 'whole line';"
    done
}

acknowledged() {
    sed -n 's/^committed|\([0-9]*\)|whole line$/\1/p' "$1" | tail -n 1
}

enough() {
    [ "$(grep -c '^committed' "$1")" -ge "$2" ]
}

# new_database DIR MODE
new_database() {
    assert_eq 'journal mode' "$(sqlite3 "$1/db" "PRAGMA journal_mode = $2;")" "$2"
    sqlite3 "$1/db" 'CREATE TABLE rows (i INTEGER PRIMARY KEY, data BLOB); CREATE TABLE total (n INTEGER); INSERT INTO total VALUES (0);'
}

# start_writer DIR: leaves its process id in $WRITER and what it says in $DIR/acknowledged.
start_writer() {
    local last
    last=$(sqlite3 "$1/db" 'SELECT ifnull(max(i), 0) FROM rows')
    : >"$DIR/acknowledged" # now, and not when the writer gets to it
    stdbuf -oL sqlite3 -batch -bail -cmd '.timeout 5000' "$1/db" < <(transactions "$last" 2>/dev/null) >>"$DIR/acknowledged" 2>"$DIR/writer.err" &
    WRITER=$!
    wait_until 60 enough "$DIR/acknowledged" $((20 + RANDOM % 60))
}

# check_database DIR WHAT
check_database() {
    local last
    last=$(acknowledged "$DIR/acknowledged")
    assert_eq "$2: integrity" "$(sqlite3 "$1/db" 'PRAGMA integrity_check')" ok
    assert_eq "$2: what two tables say of the same" "$(sqlite3 "$1/db" 'SELECT count(*) = (SELECT n FROM total) FROM rows')" 1
    assert_eq "$2: acknowledged ($last), and at most one more" \
        "$(sqlite3 "$1/db" "SELECT max(i) BETWEEN $last AND $last + 1 FROM rows")" 1
}

# The writer dies; the next reader rolls back or forward what it left.
kill_writers() {
    local i
    for ((i = 1; i <= DATABASE_KILLS; i++)); do
        start_writer "$1"
        kill -9 "$WRITER"
        wait "$WRITER" 2>/dev/null || true
        check_database "$1" "writer killed, $2"
    done
}

sqlite_survives() {
    local mode=$1 i
    need sqlite3 stdbuf
    new_store
    mkdir "$DIR/plain"
    new_database "$DIR/plain" "$mode"
    kill_writers "$DIR/plain" "$mode on the plain directory"
    mount_store "$(with_options)"
    new_database "$MNT/head" "$mode"
    sync "$MNT/head"
    kill_writers "$MNT/head" "$mode"
    unmount
    for ((i = 1; i <= DATABASE_KILLS; i++)); do
        mount_foreground "$(with_options)" 2>>"$DIR/driver.log"
        start_writer "$MNT/head"
        kill -9 "$DRIVER"
        wait "$DRIVER" 2>/dev/null || true
        wait "$WRITER" 2>/dev/null && fail 'the writer did not notice that the mount is gone'
        tidfs verify "$STORE" >/dev/null
        mount_store "$(with_options)" # on top of the dead mount
        check_database "$MNT/head" "driver killed, $mode"
        sqlite3 "$MNT/head/db" 'VACUUM'
        check_database "$MNT/head" "driver killed, $mode, vacuumed"
        unmount
    done
}

test_sqlite_with_a_rollback_journal() {
    sqlite_survives delete
}

test_sqlite_with_a_persistent_journal() {
    DATABASE_KILLS=1 sqlite_survives persist
}

test_sqlite_with_a_write_ahead_log() {
    sqlite_survives wal
}

test_sqlite_readers_and_writers_at_once() {
    local i
    local -a readers=()
    need sqlite3 stdbuf
    new_store
    mount_store "$(with_options)"
    new_database "$MNT/head" wal
    start_writer "$MNT/head"
    for i in 1 2 3; do
        (
            for ((j = 0; j < 15; j++)); do
                sqlite3 -cmd '.timeout 20000' "$MNT/head/db" 'PRAGMA query_only = ON; SELECT count(*) = (SELECT n FROM total) FROM rows'
            done
        ) >"$DIR/reader$i" &
        readers+=($!)
    done
    wait "${readers[@]}"
    kill "$WRITER"
    wait "$WRITER" 2>/dev/null || true
    assert_eq 'what readers saw' "$(sort "$DIR"/reader? | uniq -c | tr -s ' ')" ' 45 1'
    check_database "$MNT/head" 'after readers'
}

# A database in a view has no one who writes it; SQLite is told so, or it would make files beside it.
test_sqlite_reads_a_view() {
    local view
    need sqlite3
    new_store
    mount_store "$(with_options)"
    new_database "$MNT/head" delete
    sqlite3 "$MNT/head/db" 'INSERT INTO rows VALUES (1, 2)'
    view=$MNT/at/$(commit)
    sqlite3 "$MNT/head/db" 'DELETE FROM rows'
    assert_eq 'rows in the view' "$(sqlite3 "file:$view/db?immutable=1" 'SELECT * FROM rows')" '1|2'
    assert_eq 'rows in the view, with locks' "$(sqlite3 -readonly "$view/db" 'SELECT * FROM rows; PRAGMA integrity_check')" $'1|2\nok'
    assert_eq 'rows now' "$(sqlite3 "$MNT/head/db" 'SELECT count(*) FROM rows')" 0
    expect_fail any 'readonly|unable to open|disk I/O error' sqlite3 "$view/db" 'INSERT INTO rows VALUES (2, 2)'
    assert_eq 'rows in the view after that' "$(sqlite3 "file:$view/db?immutable=1" 'SELECT count(*) FROM rows')" 1
}

# ---------------------------------------------------------------- PostgreSQL

# Where its programs are: Debian keeps them off the path. It does not run as root.
find_postgres() {
    local programs
    need setpriv
    for programs in /usr/lib/postgresql/*/bin /usr/libexec/postgresql* "$(dirname "$(command -v postgres || echo /none)")"; do
        [ ! -x "$programs/postgres" ] || [ ! -x "$programs/pgbench" ] || POSTGRES=$programs
    done
    [ -n "${POSTGRES-}" ] || skip 'postgresql is not installed'
    AS_USER=()
    if [ "$(id -u)" = 0 ]; then
        POSTGRES_USER=$(id -u postgres 2>/dev/null || id -u nobody)
        AS_USER=(setpriv --reuid="$POSTGRES_USER" --regid="$POSTGRES_USER" --clear-groups)
        chmod 755 "$WORK" "$DIR"
    fi
}

# pg PROGRAM ARGUMENT…: as a user other than root.
pg() {
    local program=$POSTGRES/$1
    shift
    "${AS_USER[@]}" "$program" "$@"
}

query() {
    pg psql -h "$SOCKETS" -U tester -d postgres -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"
}

# A child of this shell, so that nothing is left of it when it has been killed: its process id is $SERVER.
start_postgres() {
    "${AS_USER[@]}" "$POSTGRES/postgres" -D "$DATA" -c listen_addresses= -c unix_socket_directories="$SOCKETS" >>"$LOG" 2>&1 &
    SERVER=$!
    wait_until 60 query 'SELECT 1' >/dev/null || {
        tail -n 30 "$LOG"
        fail 'the server does not start'
    }
}

stop_postgres() {
    kill -INT "$SERVER"
    wait "$SERVER"
}

# pgbench, until the server is gone. What it says, with the number of acknowledged transactions, is in $DIR/bench.
start_load() {
    pg pgbench -h "$SOCKETS" -U tester -c 4 -j 2 -T 120 -n postgres >"$DIR/bench" 2>&1 &
    LOAD=$!
    sleep "$SECONDS_OF_LOAD"
}

end_load() {
    wait "$LOAD" 2>/dev/null || true
    DONE=$(($(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$DIR/bench") + DONE))
    [ "$DONE" -gt 0 ] || {
        cat "$DIR/bench"
        fail 'no transaction was made'
    }
}

# The bank's sums agree, as each transaction keeps them; all that was acknowledged is in its history; every page and index is sound.
check_postgres() {
    assert_eq "$1: sums" "$(query 'SELECT a = b AND b = t AND t = h FROM (SELECT sum(abalance) a FROM pgbench_accounts) a,
        (SELECT sum(bbalance) b FROM pgbench_branches) b, (SELECT sum(tbalance) t FROM pgbench_tellers) t,
        (SELECT coalesce(sum(delta), 0) h FROM pgbench_history) h')" t
    assert_eq "$1: $DONE acknowledged transactions are there" "$(query "SELECT count(*) >= $DONE FROM pgbench_history")" t
    if [ -x "$POSTGRES/pg_amcheck" ]; then
        pg pg_amcheck -h "$SOCKETS" -U tester --install-missing --heapallindexed postgres 2>"$DIR/amcheck" || {
            cat "$DIR/amcheck"
            fail "$1: pg_amcheck"
        }
    fi
    stop_postgres
    pg pg_checksums --check -D "$DATA" >"$DIR/checksums"
    assert_match "$1: checksums" "$(cat "$DIR/checksums")" 'Bad checksums: +0'
    start_postgres
}

# new_cluster DIR
new_cluster() {
    DATA=$1/data SOCKETS=$1 LOG=$DIR/log DONE=0
    [ "$(id -u)" != 0 ] || chown "$POSTGRES_USER" "$1"
    pg initdb -D "$DATA" -U tester -k -A trust --no-locale -E UTF8 >"$DIR/initdb" 2>&1 || {
        cat "$DIR/initdb"
        fail initdb
    }
    start_postgres
    pg pgbench -h "$SOCKETS" -U tester -i -s 1 -q postgres 2>"$DIR/fill"
}

# The first process is killed at work; the others notice and end.
kill_postgres() {
    start_load
    kill -9 "$SERVER"
    wait "$SERVER" 2>/dev/null || true
    end_load
    wait_until 30 no_process_has "$DATA"
    start_postgres
    assert_match 'the log' "$(cat "$LOG")" 'database system was not properly shut down'
}

# All of a server's processes stand in its directory.
no_process_has() {
    local link
    for link in /proc/[0-9]*/cwd; do
        [ "$(readlink "$link" 2>/dev/null)" != "$1" ] || return 1
    done
}

test_postgresql_recovers_on_a_plain_directory() {
    find_postgres
    mkdir "$DIR/plain"
    new_cluster "$DIR/plain"
    kill_postgres
    check_postgres 'server killed'
    stop_postgres
}

test_postgresql_recovers_on_head() {
    find_postgres
    new_store
    mount_foreground "$(with_options allow_other)" 2>>"$DIR/driver.log"
    mkdir "$MNT/head/pg"
    new_cluster "$MNT/head/pg"
    kill_postgres
    check_postgres 'server killed'

    # Then the driver. The server is in trouble at once, and is put out of it.
    start_load
    kill -9 "$DRIVER"
    wait "$DRIVER" 2>/dev/null || true
    kill -9 "$SERVER" 2>/dev/null || true
    wait "$SERVER" 2>/dev/null || true
    end_load
    tidfs verify "$STORE" >/dev/null
    mount_store "$(with_options allow_other)"
    wait_until 30 no_process_has "$DATA"
    start_postgres
    check_postgres 'driver killed'
    stop_postgres
    unmount
    tidfs verify "$STORE" >/dev/null
}

run_tests "$@"
