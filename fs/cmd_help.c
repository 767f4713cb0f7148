/* tidfs help: on a terminal the manual page, if it is installed; else what --help prints. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"

extern char **environ;

/* Runs man(1). Its exit status, or -1 if it did not end with one. */
static int run_man(char *page, bool quiet) {
    static char man[] = "man", where[] = "-w";
    char *argv[] = {man, quiet ? where : page, quiet ? page : NULL, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    if (posix_spawn_file_actions_init(&actions))
        return -1;
    int rc = 0;
    for (int fd = STDOUT_FILENO; quiet && rc == 0 && fd <= STDERR_FILENO; fd++)
        rc = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawnp(&pid, man, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (rc)
        return -1;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Whether the page was shown. */
static bool show_page(const char *command) {
    char page[64];
    (void)snprintf(page, sizeof page, "tidfs-%s", command);
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && run_man(page, true) == 0 && run_man(page, false) == 0;
}

int cmd_help(int argc, char **argv) {
    static const struct option options[] = {{0}};
    struct arguments arguments;
    arguments_init(&arguments, argc, argv, "", options);
    if (arguments_next(&arguments) != ARGUMENTS_END)
        return arguments.status;
    if (arguments.operand_count == 0)
        return command_print_overview();
    if (arguments.operand_count > 1)
        return command_usage_error(argv[0], "one command at a time");
    const char *name = arguments.operands[0];
    if (command_find(name))
        return show_page(name) ? EXIT_DONE : command_print_help(name);
    const char *nearest = command_suggest(name);
    if (nearest)
        return command_usage_error(argv[0], "no command %s; did you mean %s?", name, nearest);
    return command_usage_error(argv[0], "no command %s", name);
}
