/* The arguments of a command: getopt_long's conventions, with two differences. Options and operands may be mixed, and an argument such as -2h
 * is an operand, because it is a <when>; and what is wrong is said as tidfs says things.
 *
 *     struct arguments arguments;
 *     arguments_init(&arguments, argc, argv, "n:", long_options);
 *     while ((option = arguments_next(&arguments)) != ARGUMENTS_END)
 *         switch (option) {
 *         case 'n': … arguments.value …
 *         case ARGUMENTS_STOP: return arguments.status;
 *         }
 *     … arguments.operands[0..operand_count) …
 *
 * Threads: the main thread, one at a time, since it is getopt_long beneath. Ownership: operands and values are argv's strings; argv's
 * order is lost.
 */
#ifndef TIDFS_FS_ARGUMENTS_H
#define TIDFS_FS_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>

#define ARGUMENTS_END  (-1)
#define ARGUMENTS_STOP '?' /* --help was answered, or the usage is wrong and that was said: exit with `status` */

struct arguments {
    int argc;
    char **argv;
    const char *name; /* of the command */
    const char *short_options;
    const struct option *long_options;
    char **operands;
    int operand_count;
    const char *value; /* of the option that was returned */
    int status;
    bool only_operands; /* after -- */
};

/* argv[0] is the command's name. short_options as for getopt(3), without prefixes. long_options: ended by a zero name; --help is
 * added. All must outlive the arguments. */
void arguments_init(struct arguments *arguments, int argc, char **argv, const char *short_options,
                    const struct option *long_options);
/* The next option's letter or long_options[].val, ARGUMENTS_END or ARGUMENTS_STOP. */
int arguments_next(struct arguments *arguments);

#endif
