/* libfuse cancels its threads when the loop ends, for which the C library loads libgcc_s the first time. Without memory for that (ulimit -v) it aborts the
 * process, with everything that is pending. So it is loaded while there is nothing to lose.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "fs/driver_private.h"

static void *wait_to_be_cancelled(void *context) {
    (void)context;
    for (;;) {
        (void)pause();
    }
    return NULL;
}

int driver_threads_prepare(struct error *err) {
    pthread_t thread;
    /* What the C library would do itself, but with a sentence in place of an abort. It stays loaded. */
    if (dlopen("libgcc_s.so.1", RTLD_NOW) == NULL) {
        return error_set(err, STORE_NO_MEMORY, "cannot end threads: %s; is memory limited (ulimit -v)?", dlerror());
    }
    int rc = pthread_create(&thread, NULL, wait_to_be_cancelled, NULL);
    if (rc == 0) {
        (void)pthread_cancel(thread);
        rc = pthread_join(thread, NULL);
    }
    return rc == 0 ? STORE_OK : error_set(err, STORE_NO_MEMORY, "cannot start a thread: %s", strerror(rc));
}
