#include "fs/log_sink.h"

#include <syslog.h>

#include "fs/output.h"

static void write_line(void *context, enum log_level level, const char *line) {
    static const int priorities[] = {
        [LOG_LEVEL_ERROR] = LOG_ERR,
        [LOG_LEVEL_WARNING] = LOG_WARNING,
        [LOG_LEVEL_INFO] = LOG_INFO,
        [LOG_LEVEL_DEBUG] = LOG_DEBUG,
    };
    const struct log_sink *sink = context;
    if (atomic_load(&sink->background))
        syslog(priorities[level], "%s", line);
    else
        output_error("%s", line);
}

void log_sink_init(struct log_sink *sink, enum log_level most) {
    *sink = (struct log_sink){.log = {.write = write_line, .context = sink, .most = most}};
}

void log_sink_to_syslog(struct log_sink *sink) {
    openlog("tidfs", LOG_PID, LOG_DAEMON);
    atomic_store(&sink->background, true);
}

void log_sink_release(struct log_sink *sink) {
    if (atomic_load(&sink->background))
        closelog();
}
