/* Operations on the content of files. */
#include "tests/random.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* The file that an operation works on: that of a slot, or one that is opened for it. */
struct used {
    struct open_file *slot; /* NULL: none */
    int fd, flags;          /* fd -1: errno says why there is none */
};

static struct used use(struct side *side, int slot, const char *path) {
    struct used used = {.fd = -1};
    if (slot >= 0) {
        used.slot = &side->files[slot];
        used.fd = used.slot->fd;
        errno = EBADF;
    } else {
        used.fd = openat(side->root_fd, path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    if (used.fd >= 0)
        used.flags = fcntl(used.fd, F_GETFL);
    return used;
}

static void done_with(const struct used *used, struct outcome *outcome) {
    struct stat stat;
    if (used->slot != NULL || used->fd < 0)
        return;
    /* Which is not what the path shows, if a symlink led here. */
    if (fstat(used->fd, &stat) == 0)
        state_set(&outcome->second, &stat);
    close(used->fd);
}

static void set_result(struct outcome *outcome, int64_t result) {
    outcome->result = result;
    outcome->error = result < 0 ? errno : 0;
}

/* Every byte depends on the seed and its place in the file; one seed in eight is of zeros, which no hole may be mistaken for. */
static void fill(uint8_t *buffer, size_t length, uint64_t seed, int64_t offset) {
    struct random random = random_of(seed, (uint64_t)offset);
    if (seed % 8 == 0) {
        memset(buffer, 0, length);
        return;
    }
    for (size_t at = 0; at < length; at += 8) {
        uint64_t value = random_next(&random);
        memcpy(buffer + at, &value, length - at < 8 ? length - at : 8);
    }
}

/* ---------------------------------------------------------------- reading and writing */

static void align(const struct used *used, int64_t *offset, int64_t *length) {
    if (used->flags & O_DIRECT) {
        *offset &= ~(int64_t)(PAGE - 1);
        *length = (*length + PAGE - 1) & ~(int64_t)(PAGE - 1);
    }
}

static void do_read(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct used used = use(side, operation->slot, operation->path);
    int64_t offset = operation->offset, length = operation->length;
    if (used.fd >= 0)
        align(&used, &offset, &length);
    set_result(outcome, used.fd < 0 ? -1 : pread(used.fd, side->buffer, (size_t)length, offset));
    outcome->read = outcome->result > 0 ? (size_t)outcome->result : 0;
    done_with(&used, outcome);
}

static void do_write(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct used used = use(side, operation->slot, operation->path);
    int64_t offset = operation->offset, length = operation->length;
    if (used.fd >= 0) {
        align(&used, &offset, &length);
        fill(side->buffer, (size_t)length, operation->seed, offset);
        set_result(outcome, pwrite(used.fd, side->buffer, (size_t)length, offset));
    } else {
        set_result(outcome, -1);
    }
    done_with(&used, outcome);
}

/* Where the end is is O_APPEND's to know, or ours. */
static void do_append(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct used used = use(side, operation->slot, operation->path);
    int64_t offset = 0, length = operation->length;
    if (used.fd >= 0 && (used.flags & O_APPEND) == 0) {
        offset = lseek(used.fd, 0, SEEK_END);
        int64_t end = offset;
        align(&used, &offset, &length);
        if (offset >= 0 && offset != end)
            offset = lseek(used.fd, offset, SEEK_SET);
    }
    if (used.fd < 0 || offset < 0) {
        set_result(outcome, -1);
    } else {
        fill(side->buffer, (size_t)length, operation->seed, 0);
        set_result(outcome, write(used.fd, side->buffer, (size_t)length));
    }
    done_with(&used, outcome);
}

/* ---------------------------------------------------------------- mappings */

/* A page of a mapping that cannot be had is SIGBUS, which is an outcome like others. */
static sigjmp_buf no_page;

static void on_bus_error(int signal_number) {
    siglongjmp(no_page, signal_number);
}

/* Copies within the process; -1 with EFAULT if a page cannot be had. */
static int copy_guarded(uint8_t *to, const uint8_t *from, size_t length) {
    const struct sigaction guard = {.sa_handler = on_bus_error}, none = {.sa_handler = SIG_DFL};
    sigaction(SIGBUS, &guard, NULL);
    if (sigsetjmp(no_page, 1) != 0) {
        sigaction(SIGBUS, &none, NULL);
        errno = EFAULT;
        return -1;
    }
    memcpy(to, from, length);
    sigaction(SIGBUS, &none, NULL);
    return 0;
}

/* Bits of operation.flags. */
#define THROUGH_KEPT 1U /* the mapping that stays with the slot */
#define THEN_SYNC    2U

/* As that of KIND_SYNC, where 0 is fsync and 1 fdatasync. */
#define SYNC_AND_DROP 2U

/* The bytes of [offset, offset + length) that the file has: stores after its end are nothing that a filesystem could know of. */
static int64_t within(int fd, int64_t offset, int64_t length) {
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || offset >= stat.st_size)
        return 0;
    return length < stat.st_size - offset ? length : stat.st_size - offset;
}

/* A mapping of at least [offset, offset + length), and where offset is in it. */
static uint8_t *map(const struct used *used, const struct operation *operation, int64_t length, uint8_t **at) {
    int protection = (used->flags & O_ACCMODE) == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ;
    int64_t start = operation->offset & ~(int64_t)(PAGE - 1);
    bool kept = used->slot != NULL && (operation->flags & THROUGH_KEPT) && operation->offset + length <= FILE_BYTES;
    uint8_t *address;
    if (kept) {
        if (used->slot->mapping == NULL) {
            address = mmap(NULL, FILE_BYTES, protection, MAP_SHARED, used->fd, 0);
            used->slot->mapping = address == MAP_FAILED ? NULL : address;
        }
        *at = used->slot->mapping == NULL ? NULL : used->slot->mapping + operation->offset;
        return used->slot->mapping;
    }
    address = mmap(NULL, (size_t)(operation->offset - start + length), protection, MAP_SHARED, used->fd, start);
    if (address == MAP_FAILED)
        return NULL;
    *at = address + (operation->offset - start);
    return address;
}

/* A modification time that was set moves at the first store into a page, or when the page is written back: as the
 * filesystem likes. The two agree after msync. */
static bool has_set_time(int fd) {
    struct stat stat;
    return fstat(fd, &stat) == 0 && stat.st_mtim.tv_sec < SET_TIMES_END;
}

static void do_map(struct side *side, const struct operation *operation, struct outcome *outcome) {
    bool write = operation->kind == KIND_MAP_WRITE;
    struct used used = use(side, operation->slot, operation->path);
    int64_t length = used.fd < 0 ? 0 : within(used.fd, operation->offset, operation->length);
    uint8_t *address = NULL, *at = NULL;
    int rc = used.fd < 0 ? -1 : 0;
    if (rc == 0 && write && (used.flags & O_ACCMODE) != O_RDWR) {
        errno = EACCES;
        rc = -1;
    }
    if (rc == 0 && length > 0) {
        address = map(&used, operation, length, &at);
        rc = address == NULL ? -1 : 0;
    }
    if (rc == 0 && length > 0 && write) {
        bool sync = (operation->flags & THEN_SYNC) || has_set_time(used.fd);
        fill(side->buffer, (size_t)length, operation->seed, operation->offset);
        rc = copy_guarded(at, side->buffer, (size_t)length);
        uint8_t *page = at - ((uintptr_t)at & (PAGE - 1));
        if (rc == 0 && sync)
            rc = msync(page, (size_t)(at + length - page), MS_SYNC);
    } else if (rc == 0 && length > 0) {
        rc = copy_guarded(side->buffer, at, (size_t)length);
        outcome->read = rc == 0 ? (size_t)length : 0;
    }
    set_result(outcome, rc == 0 ? length : -1);
    bool kept = used.slot != NULL && address == used.slot->mapping;
    if (address != NULL && !kept && munmap(address, (size_t)(at + length - address)) != 0)
        set_result(outcome, -1);
    done_with(&used, outcome);
}

/* ---------------------------------------------------------------- from file to file */

static void do_copy(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct used to = use(side, operation->slot, operation->path);
    struct used from =
        operation->other >= 0 || operation->second[0] != '\0' ? use(side, operation->other, operation->second) : to;
    off_t target = operation->offset, source = operation->from;
    int64_t copied = 0;
    ssize_t step = to.fd < 0 || from.fd < 0 ? -1 : 1;
    if (step > 0 && ((to.flags | from.flags) & O_DIRECT)) {
        /* Where the kernel copies by reading and writing it would have to be whole pages. */
        errno = EINVAL;
        step = -1;
    }
    /* It may stop early for reasons of its own, and is then called again. */
    while (step > 0 && copied < operation->length) {
        step = copy_file_range(from.fd, &source, to.fd, &target, (size_t)(operation->length - copied), 0);
        copied += step > 0 ? step : 0;
    }
    set_result(outcome, step < 0 && copied == 0 ? -1 : copied);
    if (from.fd != to.fd)
        done_with(&from, outcome);
    done_with(&to, outcome);
}

static void do_sendfile(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct used to = use(side, operation->slot, operation->path), from = use(side, operation->other, "");
    struct stat a, b;
    off_t source = operation->from;
    int64_t copied = 0;
    ssize_t step = to.fd < 0 || from.fd < 0 ? -1 : 1;
    if (step > 0 && (fstat(to.fd, &a) != 0 || fstat(from.fd, &b) != 0 || !S_ISREG(a.st_mode) || !S_ISREG(b.st_mode) ||
                     a.st_ino == b.st_ino || (to.flags & O_DIRECT) || (from.flags & O_DIRECT))) {
        /* Into itself it would read what it wrote; and O_DIRECT could not have whole pages. */
        errno = EINVAL;
        step = -1;
    }
    if (step > 0 && lseek(to.fd, operation->offset, SEEK_SET) < 0)
        step = -1;
    while (step > 0 && copied < operation->length) {
        step = sendfile(to.fd, from.fd, &source, (size_t)(operation->length - copied));
        copied += step > 0 ? step : 0;
    }
    set_result(outcome, step < 0 && copied == 0 ? -1 : copied);
    done_with(&to, outcome);
}

/* ---------------------------------------------------------------- holes */

/* Where the holes are is each filesystem's own; but what is skipped as a hole must read as zeros. */
static bool reads_as_zeros(struct side *side, int fd, int64_t start, int64_t end) {
    int64_t length = end - start < FILE_BYTES ? end - start : FILE_BYTES;
    ssize_t got = pread(fd, side->buffer, (size_t)length, start);
    for (ssize_t at = 0; at < got; at++) {
        if (side->buffer[at] != 0)
            return false;
    }
    return got == length;
}

static void do_seek(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct used used = use(side, operation->slot, operation->path);
    struct stat stat;
    if (used.fd < 0 || fstat(used.fd, &stat) != 0 || !S_ISREG(stat.st_mode) || (used.flags & O_ACCMODE) == O_WRONLY ||
        (used.flags & O_DIRECT)) {
        errno = EINVAL;
        set_result(outcome, -1);
        done_with(&used, outcome);
        return;
    }
    int64_t offset = operation->offset;
    int64_t hole = lseek(used.fd, offset, SEEK_HOLE);
    set_result(outcome, hole < 0 ? -1 : 0);
    if (hole >= 0 && (hole < offset || hole > stat.st_size)) {
        (void)snprintf(outcome->note, sizeof outcome->note, "SEEK_HOLE gives %lld", (long long)hole);
    } else if (hole >= 0) {
        int64_t data = lseek(used.fd, offset, SEEK_DATA);
        int64_t end = data < 0 && errno == ENXIO ? stat.st_size : data;
        if (end < offset || (data >= 0 && data >= stat.st_size)) {
            (void)snprintf(outcome->note, sizeof outcome->note, "SEEK_DATA gives %lld", (long long)data);
        } else if (hole == offset && data == offset) {
            (void)snprintf(outcome->note, sizeof outcome->note, "both data and a hole");
        } else if (!reads_as_zeros(side, used.fd, offset, end)) {
            (void)snprintf(outcome->note, sizeof outcome->note, "SEEK_DATA gives %lld, and there is data before",
                           (long long)data);
        }
    }
    done_with(&used, outcome);
}

/* ---------------------------------------------------------------- the rest */

static void do_open(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct open_file *file = &side->files[operation->slot];
    int fd = openat(side->root_fd, operation->path, (int)operation->flags | O_NONBLOCK | O_CLOEXEC,
                    (mode_t)operation->length);
    set_result(outcome, fd < 0 ? -1 : 0);
    if (fd < 0)
        return;
    if (file->mapping != NULL)
        munmap(file->mapping, FILE_BYTES);
    if (file->fd >= 0)
        close(file->fd);
    *file = (struct open_file){.fd = fd};
}

static void do_close(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct open_file *file = &side->files[operation->slot];
    int rc = 0;
    if (file->mapping != NULL)
        rc = munmap(file->mapping, FILE_BYTES);
    if (file->fd >= 0)
        rc |= close(file->fd);
    set_result(outcome, rc);
    *file = (struct open_file){.fd = -1};
}

/* truncate(2) to the size that the file has moves no time where the kernel keeps the times itself (see tests/POSIX.md); so that
 * is done by ftruncate, which does. */
static bool changes_size(const struct side *side, const struct operation *operation) {
    struct stat stat;
    return fstatat(side->root_fd, operation->path, &stat, 0) != 0 || stat.st_size != operation->offset;
}

static void do_truncate_path(const struct side *side, const struct operation *operation, struct outcome *outcome) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", side->root, operation->path);
    set_result(outcome, truncate(path, operation->offset));
}

static void do_on_file(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct used used = use(side, operation->slot, operation->path);
    int rc = -1;
    if (used.fd >= 0) {
        switch (operation->kind) {
        case KIND_TRUNCATE:
            rc = ftruncate(used.fd, operation->offset);
            break;
        case KIND_FALLOCATE:
            rc = fallocate(used.fd, (int)operation->flags, operation->offset, operation->length);
            break;
        default:
            rc = operation->flags ? fdatasync(used.fd) : fsync(used.fd);
            /* What is read next comes from the filesystem again. */
            if (rc == 0 && operation->flags == SYNC_AND_DROP)
                rc = posix_fadvise(used.fd, 0, 0, POSIX_FADV_DONTNEED) == 0 ? 0 : -1;
            break;
        }
    }
    set_result(outcome, rc);
    done_with(&used, outcome);
}

void data_do(struct side *side, const struct operation *operation, struct outcome *outcome) {
    switch (operation->kind) {
    case KIND_OPEN:
        do_open(side, operation, outcome);
        break;
    case KIND_CLOSE:
        do_close(side, operation, outcome);
        break;
    case KIND_READ:
        do_read(side, operation, outcome);
        break;
    case KIND_WRITE:
        do_write(side, operation, outcome);
        break;
    case KIND_APPEND:
        do_append(side, operation, outcome);
        break;
    case KIND_MAP_READ:
    case KIND_MAP_WRITE:
        do_map(side, operation, outcome);
        break;
    case KIND_COPY:
        do_copy(side, operation, outcome);
        break;
    case KIND_SENDFILE:
        do_sendfile(side, operation, outcome);
        break;
    case KIND_SEEK:
        do_seek(side, operation, outcome);
        break;
    case KIND_TRUNCATE:
        if (operation->slot < 0 && operation->flags && changes_size(side, operation)) {
            do_truncate_path(side, operation, outcome);
            break;
        }
        /* fall through */
    default:
        do_on_file(side, operation, outcome);
        break;
    }
}
