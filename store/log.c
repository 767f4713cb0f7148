#include "store/log.h"

#include <stdio.h>

#define LINE_SIZE 1024

void log_write(const struct log *log, enum log_level level, const char *format, ...) {
    if (!log || level > log->most)
        return;
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= 0)
        log->write(log->context, level, line);
}
