#include "store/storage_sqlite_page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOTS_MAX     64
#define USABLE        PAGE_SUMMED
#define HEADER_BYTES  100        /* of the file, on page 1 */
#define PAYLOAD_MAX   (16 << 20) /* more than any row of a store takes */
#define DEPTH_MAX     20         /* of a tree; more than any can have */
#define OWNER_FREE    255
#define OWNER_UNKNOWN 0

enum page_type { PAGE_INDEX_INTERIOR = 2, PAGE_TABLE_INTERIOR = 5, PAGE_INDEX_LEAF = 10, PAGE_TABLE_LEAF = 13 };

struct page_file {
    int fd;
    uint64_t count, unreadable;
    uint8_t *owners; /* of each page, from 1: the position of its root + 1, OWNER_FREE or OWNER_UNKNOWN */
    uint32_t roots[ROOTS_MAX];
    size_t root_count;
    bool knows_free;
    uint8_t *payload; /* PAYLOAD_MAX bytes */
    uint8_t page[PAGE_BYTES], overflow[PAGE_BYTES];
};

static uint32_t get2(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static uint32_t get4(const uint8_t *bytes) {
    return get2(bytes) << 16 | get2(bytes + 2);
}

/* Returns the bytes it took, 0 if it does not end before `end`. */
static size_t get_varint(const uint8_t *bytes, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; bytes + i < end; i++) {
        if (i == 8) {
            *value = *value << 8 | bytes[i];
            return 9;
        }
        *value = *value << 7 | (bytes[i] & 0x7f);
        if (!(bytes[i] & 0x80))
            return i + 1;
    }
    return 0;
}

/* A page that the disk does not give is all zeros, and so is the missing end of the last one. */
static void read_page(struct page_file *file, uint64_t number, uint8_t page[PAGE_BYTES]) {
    size_t done = 0;
    memset(page, 0, PAGE_BYTES);
    while (done < PAGE_BYTES) {
        ssize_t got = pread(file->fd, page + done, PAGE_BYTES - done, (off_t)((number - 1) * PAGE_BYTES + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            memset(page, 0, PAGE_BYTES);
            file->unreadable++;
        }
        if (got <= 0)
            return;
        done += (size_t)got;
    }
}

static bool is_page(const struct page_file *file, uint64_t number) {
    return number >= 1 && number <= file->count;
}

/* Walks the list of free pages as far as it makes sense. A page that a tree has is not free, whatever the list says. */
static void mark_free(struct page_file *file) {
    read_page(file, 1, file->page);
    uint32_t trunk = get4(file->page + 32);
    uint64_t left = get4(file->page + 36);
    bool right = page_checks(1, file->page);
    while (is_page(file, trunk) && trunk > 1) { /* each page once, for it has an owner then */
        if (file->owners[trunk] != OWNER_UNKNOWN)
            return;
        read_page(file, trunk, file->page);
        right = right && page_checks(trunk, file->page);
        uint32_t leaves = get4(file->page + 4);
        if (leaves > USABLE / 4 - 2)
            return;
        for (uint32_t i = 0; i < leaves; i++) {
            uint32_t leaf = get4(file->page + 8 + 4 * (size_t)i);
            if (!is_page(file, leaf) || file->owners[leaf] != OWNER_UNKNOWN)
                return; /* this is no such list */
        }
        file->owners[trunk] = OWNER_FREE;
        for (uint32_t i = 0; i < leaves; i++)
            file->owners[get4(file->page + 8 + 4 * (size_t)i)] = OWNER_FREE;
        left -= leaves + 1;
        trunk = get4(file->page);
    }
    file->knows_free = right && trunk == 0 && left == 0;
}

static size_t header_of(uint64_t number) {
    return number == 1 ? HEADER_BYTES : 0;
}

/* How many cells the page's header promises, and where their pointers begin; 0 if that cannot be. */
static size_t cell_count(const uint8_t *page, size_t header, uint8_t type, size_t *pointers) {
    size_t cells = get2(page + header + 3);
    *pointers = header + (type == PAGE_INDEX_INTERIOR || type == PAGE_TABLE_INTERIOR ? 12 : 8);
    size_t room = (USABLE - *pointers) / 2;
    return cells <= room ? cells : room;
}

/* Notes whose tree the children of a page belong to, and puts those that are new on the stack. */
static size_t take_children(struct page_file *file, uint64_t number, uint32_t *stack, size_t depth) {
    size_t header = header_of(number), pointers;
    uint8_t type = file->page[header], owner = file->owners[number];
    if (type != PAGE_INDEX_INTERIOR && type != PAGE_TABLE_INTERIOR)
        return depth;
    size_t cells = cell_count(file->page, header, type, &pointers);
    for (size_t i = 0; i <= cells; i++) {
        size_t at = i < cells ? get2(file->page + pointers + 2 * i) : header + 8;
        uint32_t child = at + 4 <= USABLE ? get4(file->page + at) : 0;
        if (child > 1 && is_page(file, child) && file->owners[child] == OWNER_UNKNOWN) {
            file->owners[child] = owner;
            stack[depth++] = child;
        }
    }
    return depth;
}

/* Each page is put on the stack once, for it has an owner from then on. */
static int mark_owners(struct page_file *file) {
    uint32_t *stack = malloc((file->count + ROOTS_MAX) * sizeof *stack);
    size_t depth = 0;
    if (!stack)
        return STORE_NO_MEMORY;
    for (size_t i = 0; i < file->root_count; i++)
        if (is_page(file, file->roots[i])) {
            file->owners[file->roots[i]] = (uint8_t)(i + 1);
            stack[depth++] = file->roots[i];
        }
    while (depth > 0) {
        uint32_t number = stack[--depth];
        read_page(file, number, file->page);
        depth = take_children(file, number, stack, depth);
    }
    free(stack);
    return STORE_OK;
}

int page_file_open(const char *path, const uint32_t *roots, size_t count, struct page_file **out, struct error *err) {
    struct stat status;
    struct page_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(err, STORE_NO_MEMORY, "cannot read %s: out of memory", path);
    file->fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC));
    if (file->fd < 0 || fstat(file->fd, &status) < 0) {
        int rc = error_set(err, (enum store_error)store_error_from_errno(errno), "cannot read %s: %s", path,
                           strerror(errno));
        page_file_close(file);
        return rc;
    }
    file->count = ((uint64_t)status.st_size + PAGE_BYTES - 1) / PAGE_BYTES;
    file->root_count = count < ROOTS_MAX ? count : ROOTS_MAX;
    memcpy(file->roots, roots, file->root_count * sizeof *roots);
    file->owners = calloc(file->count + 1, 1);
    file->payload = malloc(PAYLOAD_MAX);
    int rc = file->count <= UINT32_MAX && file->owners && file->payload ? STORE_OK : STORE_NO_MEMORY;
    if (rc == STORE_OK) {
        rc = mark_owners(file);
        if (rc == STORE_OK)
            mark_free(file);
    }
    if (rc != STORE_OK) {
        page_file_close(file);
        return error_set(err, (enum store_error)rc, "cannot read %s: %s", path, store_error_text(rc));
    }
    *out = file;
    return STORE_OK;
}

void page_file_close(struct page_file *file) {
    if (!file)
        return;
    if (file->fd >= 0)
        (void)close(file->fd);
    free(file->owners);
    free(file->payload);
    free(file);
}

uint64_t page_file_count(const struct page_file *file) {
    return file->count;
}

uint64_t page_file_unreadable(const struct page_file *file) {
    return file->unreadable;
}

bool page_file_knows_free(const struct page_file *file) {
    return file->knows_free;
}

bool page_file_has_end(struct page_file *file, uint32_t root) {
    uint64_t number = root;
    for (int depth = 0; depth < DEPTH_MAX && is_page(file, number) && number > 1; depth++) {
        read_page(file, number, file->page);
        if (!page_checks((uint32_t)number, file->page))
            return false;
        if (file->page[0] != PAGE_TABLE_INTERIOR)
            return file->page[0] == PAGE_TABLE_LEAF;
        number = get4(file->page + 8);
    }
    return false;
}

/* Gathers a payload of `length` bytes, at most PAYLOAD_MAX, that begins at `local` in a page that ends at `end`; false if it is not all there. */
static bool gather(struct page_file *file, const uint8_t *local, const uint8_t *end, size_t length, bool table) {
    const size_t most = table ? USABLE - 35 : (USABLE - 12) * 64 / 255 - 23;
    const size_t least = (USABLE - 12) * 32 / 255 - 23;
    size_t here = length;
    if (length > most) {
        here = least + (length - least) % (USABLE - 4);
        here = here <= most ? here : least;
    }
    if ((size_t)(end - local) < here + (here < length ? 4 : 0))
        return false;
    memcpy(file->payload, local, here);
    uint32_t next = here < length ? get4(local + here) : 0;
    while (here < length) {
        size_t part = length - here < USABLE - 4 ? length - here : USABLE - 4;
        if (next <= 1 || !is_page(file, next))
            return false;
        read_page(file, next, file->overflow);
        memcpy(file->payload + here, file->overflow + 4, part);
        here += part;
        next = get4(file->overflow);
    }
    return true;
}

/* The value of a serial type, whose bytes are at `bytes`. Returns how many it takes; SIZE_MAX: it is none. */
static size_t decode_value(uint64_t type, const uint8_t *bytes, size_t left, struct value *value) {
    static const uint8_t widths[] = {0, 1, 2, 3, 4, 6, 8};
    if (type == 0) {
        *value = (struct value){.kind = VALUE_NULL};
        return 0;
    }
    if (type == 8 || type == 9) {
        *value = value_integer(type - 8);
        return 0;
    }
    if (type < sizeof widths) {
        size_t width = widths[type];
        if (width > left)
            return SIZE_MAX;
        uint64_t integer = bytes[0] & 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < width; i++)
            integer = integer << 8 | bytes[i];
        *value = value_integer(integer);
        return width;
    }
    if (type < 12 || (type - 12) / 2 > left)
        return SIZE_MAX; /* no store has other numbers */
    size_t length = (size_t)(type - 12) / 2;
    *value = (struct value){.kind = type % 2 == 0 ? VALUE_BLOB : VALUE_TEXT,
                            .bytes = length > 0 ? (const void *)bytes : "",
                            .length = length};
    return length;
}

static bool decode_record(const uint8_t *payload, size_t length, struct page_row *row) {
    const uint8_t *end = payload + length;
    uint64_t header, type;
    size_t took = get_varint(payload, end, &header);
    if (took == 0 || header < took || header > length)
        return false;
    const uint8_t *types = payload + took, *types_end = payload + header, *body = types_end;
    for (row->count = 0; types < types_end; row->count++) {
        took = get_varint(types, types_end, &type);
        if (took == 0 || row->count == PAGE_COLUMNS_MAX)
            return false;
        types += took;
        size_t width = decode_value(type, body, (size_t)(end - body), &row->values[row->count]);
        if (width == SIZE_MAX)
            return false;
        body += width;
    }
    return true;
}

/* Who is told of rows. */
struct taker {
    int (*row)(void *context, const struct page_row *row);
    void *context;
};

/* A page as it was read. */
struct page {
    uint64_t number;
    bool right;
    const uint8_t *bytes;
};

/* One cell. STORE_ABSENT: it makes no sense. */
static int scan_cell(struct page_file *file, const struct page *page, uint8_t type, size_t at,
                     const struct taker *taker) {
    const uint8_t *cell = page->bytes + at, *end = page->bytes + USABLE;
    struct page_row row = {.page = page->number, .page_right = page->right, .has_rowid = type == PAGE_TABLE_LEAF};
    uint8_t owner = file->owners[page->number];
    uint64_t length;
    size_t took;
    if (type == PAGE_INDEX_INTERIOR)
        cell += 4;
    if (cell >= end || (took = get_varint(cell, end, &length)) == 0)
        return STORE_ABSENT;
    cell += took;
    if (row.has_rowid) {
        if ((took = get_varint(cell, end, &row.rowid)) == 0)
            return STORE_ABSENT;
        cell += took;
    }
    if (owner != OWNER_UNKNOWN && owner != OWNER_FREE)
        row.root = file->roots[owner - 1];
    if (length > PAYLOAD_MAX || !gather(file, cell, end, (size_t)length, row.has_rowid) ||
        !decode_record(file->payload, (size_t)length, &row))
        return STORE_ABSENT;
    return taker->row(taker->context, &row);
}

/* Whether a page is to be read as one of this type. One of some tree whose first byte is damaged is tried as what it may have been, for only what has
 * the right checksums, or agrees with what has, is taken. One bit makes a leaf of an interior page, and the other way round. */
static bool is_tried(const struct page_file *file, uint64_t number, uint8_t type) {
    uint8_t said = file->page[header_of(number)];
    if (file->owners[number] == OWNER_UNKNOWN)
        return said == type;
    switch (said) {
    case PAGE_TABLE_LEAF:
    case PAGE_TABLE_INTERIOR:
        return type == PAGE_TABLE_LEAF;
    case PAGE_INDEX_LEAF:
    case PAGE_INDEX_INTERIOR:
        return type != PAGE_TABLE_LEAF;
    default:
        return true;
    }
}

int page_file_scan(struct page_file *file, int (*row)(void *context, const struct page_row *row), void *context) {
    static const uint8_t types[] = {PAGE_TABLE_LEAF, PAGE_INDEX_LEAF, PAGE_INDEX_INTERIOR};
    const struct taker taker = {.row = row, .context = context};
    file->unreadable = 0;
    for (uint64_t number = 1; number <= file->count; number++) {
        size_t pointers;
        if (file->owners[number] == OWNER_FREE)
            continue;
        read_page(file, number, file->page);
        const struct page page = {
            .number = number, .right = page_checks((uint32_t)number, file->page), .bytes = file->page};
        for (size_t i = 0; i < sizeof types; i++) {
            if (!is_tried(file, number, types[i]))
                continue;
            size_t cells = cell_count(file->page, header_of(number), types[i], &pointers);
            for (size_t cell = 0; cell < cells; cell++) {
                size_t at = get2(file->page + pointers + 2 * cell);
                int rc = at < USABLE ? scan_cell(file, &page, types[i], at, &taker) : STORE_ABSENT;
                if (rc != STORE_OK && rc != STORE_ABSENT)
                    return rc;
            }
        }
    }
    return STORE_OK;
}

struct walk {
    struct page_file *file;
    struct taker taker;
    uint8_t *seen; /* of each page */
};

static int walk_page(struct walk *walk, uint64_t number, int depth) {
    struct page_file *file = walk->file;
    uint8_t bytes[PAGE_BYTES];
    size_t pointers;
    if (depth == DEPTH_MAX || !is_page(file, number) || number == 1 || walk->seen[number])
        return walk->taker.row(walk->taker.context, NULL);
    walk->seen[number] = 1;
    read_page(file, number, bytes);
    const struct page page = {.number = number, .right = page_checks((uint32_t)number, bytes), .bytes = bytes};
    const uint8_t type = bytes[0];
    if (!page.right || (type != PAGE_INDEX_LEAF && type != PAGE_INDEX_INTERIOR))
        return walk->taker.row(walk->taker.context, NULL);
    size_t cells = cell_count(bytes, 0, type, &pointers);
    int rc = STORE_OK;
    for (size_t cell = 0; cell < cells && rc == STORE_OK; cell++) {
        size_t at = get2(bytes + pointers + 2 * cell);
        if (at + 4 > USABLE)
            return walk->taker.row(walk->taker.context, NULL);
        if (type == PAGE_INDEX_INTERIOR)
            rc = walk_page(walk, get4(bytes + at), depth + 1);
        if (rc == STORE_OK)
            rc = scan_cell(file, &page, type, at, &walk->taker);
        if (rc == STORE_ABSENT)
            rc = walk->taker.row(walk->taker.context, NULL);
    }
    if (rc == STORE_OK && type == PAGE_INDEX_INTERIOR)
        rc = walk_page(walk, get4(bytes + 8), depth + 1);
    return rc;
}

int page_file_walk(struct page_file *file, uint32_t root, int (*row)(void *context, const struct page_row *row),
                   void *context) {
    struct walk walk = {.file = file, .taker = {.row = row, .context = context}, .seen = calloc(file->count + 1, 1)};
    int rc = walk.seen ? walk_page(&walk, root, 0) : STORE_NO_MEMORY;
    free(walk.seen);
    return rc;
}
