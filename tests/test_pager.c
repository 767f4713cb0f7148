/* fs/pager.h: in a child whose stdout is a terminal, and what that terminal gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "fs/pager.h"

#define SCREEN_SIZE 65536

/* Runs `child` with a terminal as stdout and the pager set; its exit status (128 + a signal's number). What the terminal got is in `screen`. */
static int run(const char *pager, void (*child)(void), char screen[SCREEN_SIZE]) {
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    assert_int_equal(grantpt(terminal), 0);
    assert_int_equal(unlockpt(terminal), 0);
    int side = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(side >= 0);
    struct termios raw;
    assert_int_equal(tcgetattr(side, &raw), 0);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    assert_int_equal(tcsetattr(side, TCSANOW, &raw), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv(PAGER_VARIABLE, pager, 1);
        (void)dup2(side, STDOUT_FILENO);
        child();
        _exit(99);
    }
    (void)close(side);
    size_t length = 0;
    ssize_t got;
    while ((got = read(terminal, screen + length, SCREEN_SIZE - 1 - length)) > 0)
        length += (size_t)got;
    screen[length] = 0;
    (void)close(terminal);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void print_hello(void) {
    pager_begin(true);
    printf("hello\n");
    pager_end();
    printf("after\n");
    (void)fflush(stdout);
    _exit(7);
}

static void print_hello_unwanted(void) {
    pager_begin(false);
    printf("hello\n");
    pager_end();
    (void)fflush(stdout);
    _exit(0);
}

static void print_for_ever(void) {
    pager_begin(true);
    for (;;)
        (void)puts("more");
}

static void be_terminated(void) {
    pager_begin(true);
    printf("hello\n");
    (void)fflush(stdout);
    (void)raise(SIGTERM);
    _exit(0);
}

static void test_pager__output_goes_through_it(void **state) {
    (void)state;
    char screen[SCREEN_SIZE];
    assert_int_equal(run("sed s/^/paged:/", print_hello, screen), 7);
    assert_string_equal(screen, "paged:hello\nafter\n");
    assert_int_equal(run("tr h H | sed 's/^/through a shell: /'", print_hello, screen), 7);
    assert_string_equal(screen, "through a shell: Hello\nafter\n");
}

static void test_pager__none_where_none_is_wanted_or_can_be(void **state) {
    (void)state;
    char screen[SCREEN_SIZE];
    static const char *const none[] = {"", "cat", "/no/such/pager", "/no/such/pager -x"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(run(none[i], print_hello, screen), 7);
        assert_string_equal(screen, "hello\nafter\n");
    }
    assert_int_equal(run("sed s/^/paged:/", print_hello_unwanted, screen), 0);
    assert_string_equal(screen, "hello\n");
}

static void test_pager__leaving_it_ends_quietly(void **state) {
    (void)state;
    char screen[SCREEN_SIZE];
    assert_int_equal(run("head -n 2", print_for_ever, screen), 0);
    assert_string_equal(screen, "more\nmore\n");
}

static void test_pager__it_ends_before_the_process_does(void **state) {
    (void)state;
    char screen[SCREEN_SIZE];
    assert_int_equal(run("sed s/^/paged:/", be_terminated, screen), 128 + SIGTERM);
    assert_string_equal(screen, "paged:hello\n");
}

/* ---- colour ---- */

static void print_colour(void) {
    colour_init(COLOUR_AUTO);
    printf("%s|%s", colour(COLOUR_ADDED), colour(COLOUR_NONE));
    (void)fflush(stdout);
    _exit(0);
}

static void print_colour_paged(void) {
    pager_begin(true);
    colour_init(COLOUR_AUTO);
    printf("%s|%s", colour(COLOUR_ADDED), colour(COLOUR_NONE));
    pager_end();
    _exit(0);
}

static void test_colour__auto_is_for_terminals(void **state) {
    (void)state;
    char screen[SCREEN_SIZE];
    assert_int_equal(unsetenv("NO_COLOR"), 0);
    assert_int_equal(setenv("TERM", "xterm", 1), 0);
    run("", print_colour, screen);
    assert_string_equal(screen, "\033[32m|\033[m");
    run("sed -n p", print_colour_paged, screen);
    assert_string_equal(screen, "\033[32m|\033[m");
    assert_int_equal(setenv("TERM", "dumb", 1), 0);
    run("", print_colour, screen);
    assert_string_equal(screen, "|");
    assert_int_equal(setenv("TERM", "xterm", 1), 0);
    assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
    run("", print_colour, screen);
    assert_string_equal(screen, "|");
    assert_int_equal(unsetenv("NO_COLOR"), 0);
}

static void test_colour__always_and_never(void **state) {
    (void)state;
    colour_init(COLOUR_ALWAYS);
    for (int i = 0; i < COLOUR_KINDS; i++)
        assert_int_equal(colour((enum colour)i)[0], '\033');
    colour_init(COLOUR_NEVER);
    for (int i = 0; i < COLOUR_KINDS; i++)
        assert_string_equal(colour((enum colour)i), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pager__output_goes_through_it),
        cmocka_unit_test(test_pager__none_where_none_is_wanted_or_can_be),
        cmocka_unit_test(test_pager__leaving_it_ends_quietly),
        cmocka_unit_test(test_pager__it_ends_before_the_process_does),
        cmocka_unit_test(test_colour__auto_is_for_terminals),
        cmocka_unit_test(test_colour__always_and_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
