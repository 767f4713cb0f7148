/* Where the log's lines go: to stderr while there is a terminal to read it, to syslog once the driver is in the background.
 *
 * Threads: lines may come from any thread, also while log_sink_to_syslog is called.
 * Ownership: the sink outlives everything that was given &sink->log.
 */
#ifndef TIDFS_FS_LOG_SINK_H
#define TIDFS_FS_LOG_SINK_H

#include <stdatomic.h>

#include "store/log.h"

struct log_sink {
    struct log log; /* what is handed down */
    atomic_bool background;
};

/* Lines go to stderr as "tidfs: LINE". */
void log_sink_init(struct log_sink *sink, enum log_level most);
/* From now on they go to syslog, as a daemon's, with the process id. */
void log_sink_to_syslog(struct log_sink *sink);
/* Closes syslog, if it was opened. */
void log_sink_release(struct log_sink *sink);

#endif
