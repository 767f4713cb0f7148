/* The end of a process that a test has forked: without what the parent's exit does, but with what it measured. */
#ifndef TIDFS_TESTS_CHILD_H
#define TIDFS_TESTS_CHILD_H

#include <unistd.h>

#ifdef MEASURING
void __gcov_dump(void);
#endif

_Noreturn static inline void child_exit(int code) {
#ifdef MEASURING
    __gcov_dump();
#endif
    _exit(code);
}

#endif
