/* Walking what a path led to.
 *
 * A walk goes through the path's names, the newest first, and in each from its end to its beginning:
 *
 *     (died) vanished ──▶ touched ──▶ touched ──▶ … ──▶ (born) appeared ──▶ the next name, or the end
 *        │ only if no other name begins there               │ only with follow, if no other name ends there
 *        ▼                                                  ▼
 *      'D'                                                the names of the path that it was renamed from
 */
#include "history/past.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff.h"
#include "store/tid.h"

struct past_walk {
    struct store *store;
    char *path; /* without slashes around it */
    struct past_names names;
    size_t at;       /* in names; names.count: the end */
    uint64_t before; /* what is told next of that name is older than this */
    bool vanished;   /* that name ended, which is to be told first */
    bool follow;
    uint64_t first;
};

/* One step of a walk. */
struct event {
    uint64_t seq;
    bool vanished;
    bool appeared;                 /* it is where the name begins */
    bool last;                     /* nothing older can be read */
    const struct past_name *name;  /* not if vanished */
    const struct past_name *older; /* what the path led to just before; NULL: nothing that can be read */
};

void past_version_release(struct past_version *version) {
    free(version->path);
    free(version->old_path);
    memset(version, 0, sizeof *version);
}

/* ---- steps ---- */

static void enter(struct past_walk *walk, size_t at, uint64_t last) {
    walk->at = at;
    if (at == walk->names.count) {
        return;
    }
    const struct past_name *name = &walk->names.items[at];
    bool replaced = at > 0 && walk->names.items[at - 1].born == name->died;
    walk->vanished = name->died != UINT64_MAX && !replaced;
    walk->before = name->died <= last ? name->died : last + 1;
}

/* readable: what was packed away is as if it had never been. STORE_ABSENT at the end. */
static int look(struct past_walk *walk, bool readable, struct event *event) {
    if (walk->at == walk->names.count) {
        return STORE_ABSENT;
    }
    const struct past_name *name = &walk->names.items[walk->at];
    if (walk->vanished) {
        *event = (struct event){.seq = name->died, .vanished = true};
        return event->seq < walk->first ? STORE_ABSENT : STORE_OK;
    }
    uint64_t seq;
    int rc = storage_touched(store_storage(walk->store), name->oid, walk->before, &seq);
    if (rc == STORE_ABSENT || (rc == STORE_OK && seq < name->born)) {
        seq = name->born;
    } else if (rc != STORE_OK) {
        return rc == STORE_PACKED ? STORE_ABSENT : rc; /* nobody knows any more */
    }
    uint64_t horizon = store_horizon(walk->store);
    *event = (struct event){.seq = seq, .name = name, .appeared = seq == name->born};
    if (readable && seq <= horizon) {
        event->seq = horizon;
        event->last = true;
    } else if (!event->appeared) {
        event->older = name;
    } else if (walk->at + 1 < walk->names.count && walk->names.items[walk->at + 1].died == seq) {
        event->older = name + 1;
    }
    return event->seq < walk->first ? STORE_ABSENT : STORE_OK;
}

/* Goes on from an event: with `origin`, which it takes over, if that is not NULL. */
static int advance(struct past_walk *walk, const struct event *event, char *origin) {
    if (origin != NULL) {
        struct past_names names;
        int rc = past_names_load(walk->store, origin, event->seq - 1, &names);
        if (rc != STORE_OK) {
            free(origin);
            return rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* it was there */
        }
        past_names_release(&walk->names);
        walk->names = names;
        free(walk->path);
        walk->path = origin;
        enter(walk, 0, event->seq - 1);
    } else if (event->vanished) {
        walk->vanished = false;
    } else if (event->last) {
        walk->at = walk->names.count;
    } else if (event->appeared) {
        enter(walk, walk->at + 1, UINT64_MAX - 1);
    } else {
        walk->before = event->seq;
    }
    return STORE_OK;
}

/* Where what appeared came from, if that is to be followed; else *origin is NULL. */
static int find_origin(const struct past_walk *walk, const struct event *event, char **origin) {
    *origin = NULL;
    if (!walk->follow || !event->appeared || event->older != NULL || event->last) {
        return STORE_OK;
    }
    int rc = past_origin(walk->store, walk->path, event->name->oid, event->seq, origin);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* ---- versions ---- */

/* Fills kind and what of a version that has one before it. */
static int compare(struct past_walk *walk, const struct event *event, uint64_t older_oid,
                   const struct inode_version *inode, struct past_version *version) {
    struct inode_version *older;
    int rc = store_inode(walk->store, older_oid, event->seq, &older);
    if (store_error_is_damage(rc)) { /* nobody knows what differs, so that this is a version */
        version->what = CHANGED_UNREAD;
        return STORE_OK;
    }
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    }
    if (((older->record.mode ^ inode->record.mode) & S_IFMT) != 0) {
        version->kind = CHANGE_TYPE;
    } else if (older->revision != inode->revision) {
        rc = diff_objects(walk->store, older->revision, inode->revision, &version->what);
    }
    /* A directory's entries move its times; and when nothing else of it differs, it is something below. */
    bool own = (version->what & ~(unsigned)CHANGED_TIMES) != 0;
    if (S_ISDIR(inode->record.mode) && (!own || (version->what & CHANGED_TIMES) != 0)) {
        version->what |= CHANGED_CONTENT;
    }
    store_release(walk->store, older);
    return rc;
}

static int describe(struct past_walk *walk, const struct event *event, const char *origin,
                    struct past_version *version) {
    struct inode_version *inode;
    if (origin != NULL && (version->old_path = strdup(origin)) == NULL) {
        return STORE_NO_MEMORY;
    }
    int rc = store_inode(walk->store, event->name->oid, event->seq + 1, &inode);
    if (store_error_is_damage(rc)) {
        version->oid = event->name->oid;
        version->mode = event->name->type;
        version->unknown = (enum store_error)rc;
        version->kind = (char)(origin != NULL ? CHANGE_RENAMED : event->older != NULL ? CHANGE_MODIFIED : CHANGE_ADDED);
        version->what = version->kind == CHANGE_ADDED ? 0 : CHANGED_UNREAD;
        return STORE_OK;
    }
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    }
    version->oid = inode->oid;
    version->revision = inode->revision;
    version->mode = inode->record.mode;
    version->size = inode->record.size;
    if (origin != NULL) {
        version->kind = CHANGE_RENAMED;
        rc = compare(walk, event, inode->oid, inode, version);
    } else if (event->older != NULL) {
        version->kind = CHANGE_MODIFIED;
        rc = compare(walk, event, event->older->oid, inode, version);
    } else {
        version->kind = CHANGE_ADDED;
    }
    store_release(walk->store, inode);
    return rc;
}

/* Fills what is left: when, and where. */
static int finish(struct past_walk *walk, const struct event *event, struct past_version *version) {
    struct transaction transaction;
    int rc = storage_transaction_at(store_storage(walk->store), event->seq, &transaction);
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* seqs are dense */
    }
    version->seq = transaction.seq;
    version->tid = transaction.tid;
    version->time = tid_to_time(transaction.tid);
    transaction_release(&transaction);
    version->path = strdup(walk->path);
    return version->path == NULL ? STORE_NO_MEMORY : STORE_OK;
}

static bool is_no_version(const struct past_version *version) {
    return version->kind == CHANGE_MODIFIED && version->what == 0;
}

/* ---- the walk ---- */

/* The path without superfluous slashes, malloc'ed. */
static char *plain(const char *path) {
    char *copy = malloc(strlen(path) + 1);
    char *end = copy;
    for (size_t length; copy != NULL && *(path += strspn(path, "/")) != '\0'; path += length) {
        length = strcspn(path, "/");
        if (end > copy) {
            *end++ = '/';
        }
        memcpy(end, path, length);
        end += length;
    }
    if (copy != NULL) {
        *end = '\0';
    }
    return copy;
}

int past_walk_open(struct store *store, const char *path, uint64_t first, uint64_t last, bool follow,
                   struct past_walk **walk) {
    uint64_t newest = store_last(store);
    *walk = calloc(1, sizeof **walk);
    if (*walk == NULL) {
        return STORE_NO_MEMORY;
    }
    if (last > newest) {
        last = newest;
    }
    (*walk)->store = store;
    (*walk)->first = first;
    (*walk)->follow = follow;
    (*walk)->path = plain(path);
    int rc = (*walk)->path == NULL ? STORE_NO_MEMORY : past_names_load(store, path, last, &(*walk)->names);
    if (rc != STORE_OK) {
        past_walk_close(*walk);
        *walk = NULL;
        return rc;
    }
    enter(*walk, 0, last);
    return STORE_OK;
}

/* The next event as a version, even if it is none. Nothing is the caller's after an error. */
static int next_version(struct past_walk *walk, struct past_version *version) {
    struct event event;
    char *origin = NULL;
    memset(version, 0, sizeof *version);
    version->kind = CHANGE_DELETED;
    int rc = look(walk, true, &event);
    if (rc != STORE_OK) {
        return rc;
    }
    if (!event.vanished) {
        rc = find_origin(walk, &event, &origin);
        if (rc == STORE_OK) {
            rc = describe(walk, &event, origin, version);
        }
    }
    if (rc == STORE_OK) {
        rc = finish(walk, &event, version);
    }
    if (rc == STORE_OK) {
        rc = advance(walk, &event, origin);
    } else {
        free(origin);
    }
    if (rc != STORE_OK) {
        past_version_release(version);
    }
    return rc;
}

int past_walk_next(struct past_walk *walk, struct past_version *version) {
    for (;;) {
        int rc = next_version(walk, version);
        if (rc != STORE_OK || !is_no_version(version)) {
            return rc;
        }
        past_version_release(version);
    }
}

int past_walk_next_seq(struct past_walk *walk, uint64_t *seq) {
    struct event event;
    char *origin = NULL;
    int rc = look(walk, false, &event);
    if (rc == STORE_OK && !event.vanished) {
        rc = find_origin(walk, &event, &origin);
    }
    if (rc == STORE_OK) {
        rc = advance(walk, &event, origin);
    }
    if (rc == STORE_OK) {
        *seq = event.seq;
    }
    return rc;
}

const char *past_walk_path(const struct past_walk *walk) {
    return walk->path;
}

void past_walk_close(struct past_walk *walk) {
    if (walk == NULL) {
        return;
    }
    past_names_release(&walk->names);
    free(walk->path);
    free(walk);
}
