/* What the shells' completion asks. No option of its own: every word is one of the command line that is being typed. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/command.h"
#include "fs/completion.h"
#include "fs/output.h"

int cmd_complete(int argc, char **argv) {
    if (argc < 2) {
        output_error("--complete: which words?");
        return EXIT_USAGE;
    }
    /* A person in the middle of a line is not to be told what is wrong with what is not yet there. */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDERR_FILENO);
        (void)close(null);
    }
    completion_print(stdout, argc - 1, argv + 1);
    return output_finish();
}
