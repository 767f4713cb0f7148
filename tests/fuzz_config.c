/* Fuzzes what a person may write to set up a mount: the first byte says whether the rest is a list as given to -o, or a configuration file.
 * Whatever is accepted keeps the invariants of fs/config.h, and can be said again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/config.h"

/* 2026-11-22T10:30:00Z */
static const struct timespec now = {.tv_sec = 1795343400};

/* Unlike assert, not to be compiled away. */
static void require(bool holds, const char *what) {
    if (holds)
        return;
    (void)fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static void check_ranges(const struct mount_options *options) {
    char kernel[KERNEL_TEXT_SIZE];
    require(options->commit_interval_ns >= 1000000, "the interval is a millisecond or more");
    require(options->dirty_limit_bytes >= 1 && options->dirty_limit_bytes <= INT64_MAX, "the limit is a size");
    require(options->cache_bytes >= 1 && options->cache_bytes <= INT64_MAX, "the cache has a size");
    require(options->pool_size <= 1000000, "the pool is bounded");
    require(mount_options_pool_cache_bytes(options) <= options->cache_bytes, "the views' share is a share");
    require(!(options->read_only && options->read_write), "ro and rw exclude each other");
    require(options->history == HISTORY_OWNER || options->history == HISTORY_ALL, "history is somebody's");
    require(!options->at || *options->at != '\0', "a time is not empty");
    mount_options_kernel_text(options, kernel);
    require(strlen(kernel) < sizeof kernel, "the kernel's options fit");
}

/* Of one that was accepted. */
static void check(struct mount_options *options) {
    struct error err = {0};
    check_ranges(options);
    int rc = mount_options_check(options, now, &err);
    require(rc == STORE_OK || (rc == STORE_INVALID && strlen(err.text) > 0),
            "options go together, or it is said why not");
    if (rc == STORE_OK && options->follow)
        require(options->at != NULL, "what is followed is named");
    if (rc == STORE_OK && options->subdir)
        require(strcmp(options->subdir, "..") != 0, "no path leads up");
}

static void refuse(int rc, const struct error *err) {
    require(rc == STORE_INVALID || rc == STORE_TOO_BIG, "a refusal is one of what was said");
    require(err->code == rc && strlen(err->text) > 0, "a refusal has a sentence");
}

static void fuzz_list(const char *list, enum mount_options_source source) {
    struct mount_options options;
    struct error err = {0};
    mount_options_init(&options);
    int rc = mount_options_parse(&options, list, source, &err);
    if (rc == STORE_OK)
        check(&options);
    else
        refuse(rc, &err);
    mount_options_release(&options);
}

static void fuzz_file(const uint8_t *data, size_t size) {
    struct mount_options options;
    struct error err = {0};
    char path[64];
    int fd = memfd_create("tidfs.conf", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size, "there is memory");
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    mount_options_init(&options);
    int rc = mount_options_read_file(&options, path, &err);
    if (rc == STORE_OK) {
        require(!options.at && !options.follow && !options.subdir, "a file is about no mount alone");
        check(&options);
    } else {
        refuse(rc, &err);
    }
    mount_options_release(&options);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    if (data[0] % 3 == 2) {
        fuzz_file(data + 1, size - 1);
        return 0;
    }
    char *list = malloc(size);
    require(list != NULL, "there is memory");
    memcpy(list, data + 1, size - 1);
    list[size - 1] = '\0';
    fuzz_list(list, data[0] % 3 == 0 ? SOURCE_COMMAND_LINE : SOURCE_MOUNT_HELPER);
    free(list);
    return 0;
}
