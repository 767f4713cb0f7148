#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/output.h"
#include "store/store.h"

int cmd_init(int argc, char **argv) {
    static const struct option options[] = {{0}};
    struct arguments arguments;
    arguments_init(&arguments, argc, argv, "", options);
    if (arguments_next(&arguments) != ARGUMENTS_END)
        return arguments.status;
    if (arguments.operand_count != 1)
        return command_usage_error(argv[0], "one directory is needed, for the store");

    struct error err = {0};
    if (store_create(arguments.operands[0], geteuid(), getegid(), &err) == 0)
        return EXIT_DONE;
    output_error("%s", err.text);
    return EXIT_FAILED;
}
