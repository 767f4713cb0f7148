#include "fs/arguments.h"
#include "fs/command.h"

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
        return command_print_help(name);
    const char *nearest = command_suggest(name);
    if (nearest)
        return command_usage_error(argv[0], "no command %s; did you mean %s?", name, nearest);
    return command_usage_error(argv[0], "no command %s", name);
}
