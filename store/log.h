/* Where messages to the operator go. One log is made in main and handed down; nothing here is global.
 *
 * Threads: log_write may be called from any thread at any time. Ownership: the creator outlives all users.
 */
#ifndef TIDFS_STORE_LOG_H
#define TIDFS_STORE_LOG_H

#include <stdarg.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `write` gets one formatted line without newline. It must be thread-safe and must not call back. */
struct log {
    void (*write)(void *context, enum log_level level, const char *line);
    void *context;
    enum log_level most; /* lines above this level are dropped */
};

/* NULL log: dropped. Lines are cut at 1 KiB. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
